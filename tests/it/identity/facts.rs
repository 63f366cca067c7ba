//! The law of identity: whatever is said of people, in whatever order and however often, ends in the same people and the
//! same consents.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World, until};

use super::{contacts, now, refusal, write};

stories!(facts_in_any_order_end_in_the_same_people);

/// Something that is said of a person.
#[derive(Debug, Clone)]
enum Fact {
    Message { phone: Option<usize>, bsuid: Option<usize>, stops: bool },
    Create { phone: usize, bsuid: Option<usize> },
    OptOut { phone: usize },
    Import { phone: usize, bsuid: usize, stops: bool },
}

fn fact() -> impl Strategy<Value = Fact> {
    let place = 0..4_usize;
    prop_oneof![
        5 => (prop::option::of(place.clone()), prop::option::of(place.clone()), prop::bool::weighted(0.2))
            .prop_filter("a sender", |(phone, bsuid, _)| phone.is_some() || bsuid.is_some())
            .prop_map(|(phone, bsuid, stops)| Fact::Message { phone, bsuid, stops }),
        2 => (place.clone(), prop::option::of(place.clone())).prop_map(|(phone, bsuid)| Fact::Create { phone, bsuid }),
        1 => place.clone().prop_map(|phone| Fact::OptOut { phone }),
        1 => (place.clone(), place, prop::bool::weighted(0.2))
            .prop_map(|(phone, bsuid, stops)| Fact::Import { phone, bsuid, stops }),
    ]
}

/// Which identities are one person's, and which of those people want no messages: connected by what is said, whatever
/// the order. Numbers are 0 to 3, BSUIDs 4 to 7.
fn partition(facts: &[Fact]) -> Vec<(Vec<usize>, bool)> {
    let mut owner: Vec<usize> = (0..8).collect();
    let (mut known, mut stopped) = ([false; 8], [false; 8]);
    for fact in facts {
        let (ids, stops): (Vec<usize>, bool) = match fact {
            Fact::Message { phone, bsuid, stops } => {
                (phone.iter().copied().chain(bsuid.map(|bsuid| bsuid + 4)).collect(), *stops)
            }
            Fact::Create { phone, bsuid } => {
                (std::iter::once(*phone).chain(bsuid.map(|bsuid| bsuid + 4)).collect(), false)
            }
            Fact::Import { phone, bsuid, stops } => (vec![*phone, bsuid + 4], *stops),
            Fact::OptOut { phone } => {
                stopped[*phone] = true;
                continue;
            }
        };
        for id in &ids {
            (known[*id], stopped[*id]) = (true, stopped[*id] || stops);
            let (from, into) = (owner[*id], owner[ids[0]]);
            owner.iter_mut().filter(|own| **own == from).for_each(|own| *own = into);
        }
    }
    let mut people: Vec<(Vec<usize>, bool)> = Vec::new();
    for root in 0..8 {
        let ids: Vec<_> = (0..8).filter(|id| owner[*id] == root && known[*id]).collect();
        if !ids.is_empty() {
            let is_out = ids.iter().any(|id| stopped[*id]);
            people.push((ids, is_out));
        }
    }
    people.sort();
    people
}

/// Makes a contact known, or tells what a known one is known by.
async fn create_or_update(client: &Client, phone: &str, bsuid: Option<&str>) {
    let input = json!({"phone": phone, "bsuid": bsuid});
    let made = client.mutate("createContact", input, "errors { code }").await;
    if made["errors"] == json!([]) {
        return;
    }
    assert_eq!(made["errors"][0]["code"], "DUPLICATE", "{made}");
    let query = "query($f: ContactFilter) { contacts(filter: $f) { edges { node { id } } } }";
    let id = until("the contact is found", || async {
        for filter in [json!({"phone": phone}), json!({"bsuid": bsuid})] {
            let found = client.data(query, json!({"f": filter})).await;
            let id = found["contacts"]["edges"][0]["node"]["id"].clone();
            if id.is_string() && filter.as_object().is_some_and(|filter| filter.values().all(Value::is_string)) {
                return Some(id);
            }
        }
        None
    })
    .await;
    let input = json!({"id": id, "phone": phone, "bsuid": bsuid});
    assert_eq!(client.mutate("updateContact", input, "errors { code }").await["errors"], json!([]));
}

/// Imports a file, to its end.
async fn import(client: &Client, content: &str) {
    let input = json!({"filename": "people.csv", "content": content, "mode": "UPDATE"});
    let done = client.mutate("importContacts", input, "import { id } errors { code message }").await;
    assert_eq!(done["errors"], json!([]), "{content}");
    let query = "query($id: ID!) { import(id: $id) { state counters { invalid } } }";
    until("the import is done", || async {
        let shown = client.data(query, json!({"id": done["import"]["id"]})).await["import"].take();
        (shown == json!({"state": "DONE", "counters": {"invalid": 0}})).then_some(())
    })
    .await;
}

async fn facts_in_any_order_end_in_the_same_people(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let mut runner = TestRunner::deterministic();
    let facts = || prop::collection::vec(fact(), 3..9);
    for case in 0..12 {
        let facts = facts().new_tree(&mut runner).expect("a case").current();
        let name = |id: usize| match id {
            0..4 => format!("+1650556{case:02}{id:02}"),
            _ => format!("US.C{case}N{id}"),
        };
        let expected = partition(&facts);
        let order = Just(facts.clone()).prop_shuffle().new_tree(&mut runner).expect("an order").current();
        for fact in order.iter().chain(&facts) {
            match fact {
                Fact::Message { phone, bsuid, stops } => {
                    let (phone, bsuid) = (phone.map(name), bsuid.map(|bsuid| name(bsuid + 4)));
                    let text = if *stops { "STOP" } else { "hi" };
                    write(&world, phone.as_deref(), bsuid.as_deref(), text, now() - 100).await;
                }
                Fact::Create { phone, bsuid } => {
                    let bsuid = bsuid.map(|bsuid| name(bsuid + 4));
                    create_or_update(&client, &name(*phone), bsuid.as_deref()).await;
                }
                Fact::Import { phone, bsuid, stops } => {
                    let content =
                        format!("phone,bsuid,opted_out\n{},{},{}\n", name(*phone), name(bsuid + 4), u8::from(*stops));
                    import(&client, &content).await;
                }
                Fact::OptOut { phone } => {
                    let done = client.mutate("optOut", json!({"phone": name(*phone)}), "errors { code }").await;
                    assert_eq!(done["errors"], json!([]));
                }
            }
        }
        let shown = |people: Vec<Value>| {
            let mut found = Vec::new();
            for one in people {
                let names =
                    ["phones", "bsuids"].map(|field| one[field].as_array().cloned().unwrap_or_default()).concat();
                let ids: Vec<_> = (0..8).filter(|id| names.contains(&json!(name(*id)))).collect();
                if !ids.is_empty() {
                    found.push((ids, one["optedOut"] == true));
                }
            }
            found.sort();
            found
        };
        let found = until("the people are shown", || async {
            let found = shown(contacts(&client).await);
            (found == expected).then_some(())
        });
        let found = tokio::time::timeout(std::time::Duration::from_secs(20), found).await;
        assert!(found.is_ok(), "{order:?}\n{expected:?}\n{:?}", shown(contacts(&client).await));
        for (ids, is_out) in &expected {
            for id in ids {
                let refused = refusal(&world, &name(*id)).await == "OPTED_OUT";
                assert_eq!(refused, *is_out, "{} {order:?}", name(*id));
            }
        }
    }
}
