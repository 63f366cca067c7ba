//! The people that an account knows, read from its log and its directory.

use std::collections::BTreeMap;

use wasend_commands::Caller;
use wasend_domain::contact::Contact;
use wasend_domain::phone::PhoneNumber;
use wasend_domain::{Opened, SubjectId};
use wasend_eventlog::{EventFilter, StreamLookup, load};

use crate::world::World;

/// A contact as one would export it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub phone: Option<String>,
    pub bsuid: Option<String>,
    pub name: Option<String>,
    pub attributes: BTreeMap<String, String>,
    pub opted_out: bool,
}

/// All people that the account knows, by their number or BSUID. None is known twice.
pub async fn people(world: &World, caller: Caller) -> BTreeMap<String, Seen> {
    let mut people = BTreeMap::new();
    for (subject, contact) in contacts(world, caller).await {
        if contact.erased.is_some() {
            continue;
        }
        let person = world.commands.vault.identity(caller.account_id, subject).await.unwrap();
        let person = person.value().unwrap().into_exposed();
        let attributes = match &contact.attributes {
            Some(sealed) => match world.commands.vault.open(caller.account_id, sealed).await.unwrap() {
                Opened::Value(attributes) => attributes.into_exposed().0,
                other => panic!("{:?}", other.value()),
            },
            None => BTreeMap::new(),
        };
        let one_spelling = |phone: &str| PhoneNumber::parse(phone).unwrap().canonical().as_str().to_owned();
        let key = person.phone().map(one_spelling).or(person.bsuid().map(str::to_owned)).unwrap();
        let seen = Seen {
            phone: person.phone().map(str::to_owned),
            bsuid: person.bsuid().map(str::to_owned),
            name: person.name,
            attributes,
            opted_out: contact.opted_out,
        };
        assert_eq!(people.insert(key, seen), None, "one person is one contact");
    }
    people
}

/// Every contact that the account ever had.
pub async fn contacts(world: &World, caller: Caller) -> Vec<(SubjectId, Contact)> {
    let filter = EventFilter { account_id: Some(caller.account_id), ..EventFilter::default() };
    let events = world.commands.log.read(0, 1_000_000, &filter).await.unwrap();
    let mut ids: Vec<_> =
        events.iter().filter(|event| event.aggregate_type == "contact").map(|event| event.aggregate_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = load::<Contact>(&*world.commands.log, caller.account_id, &ids).await.unwrap();
    let contact = |(id, stream): (uuid::Uuid, StreamLookup<Contact>)| {
        Some((id.to_string().parse().ok()?, stream.present()?.state))
    };
    found.into_iter().filter_map(contact).collect()
}
