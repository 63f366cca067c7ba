//! One person, one contact: identities are learnt from whatever tells them, contacts that turn out to be one person are
//! merged, and consent and erasure cover everything that the person is known by.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock as _;
use wasend_tests::{Client, Engine, World, until};

use crate::erasure::erase;

stories!(
    a_known_contact_learns_from_a_message_and_a_status,
    two_contacts_that_turn_out_to_be_one_are_merged,
    contacts_are_merged_by_hand,
    an_erasure_reaches_every_contact_that_the_person_was,
    a_changed_number_is_the_same_person_and_the_old_one_is_free,
    facts_in_any_order_end_in_the_same_people,
    a_merge_survives_a_restart,
);

fn now() -> i64 {
    SystemClock.now().micros() / 1_000_000
}

/// A webhook of one change.
async fn post(world: &World, list: &str, item: Value, contacts: Value) {
    let id = world.phone_number_id().await;
    let mut value = json!({"messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "1", "phone_number_id": id}});
    value[list] = json!([item]);
    if !contacts.is_null() {
        value["contacts"] = contacts;
    }
    let body = json!({"object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
    assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200, "{body}");
}

/// A message from a person who is named by a number, a BSUID or both.
async fn write(world: &World, phone: Option<&str>, bsuid: Option<&str>, text: &str, at: i64) {
    let wamid = format!("wamid.{}", uuid::Uuid::new_v4());
    let mut message = json!({"id": wamid, "timestamp": at.to_string(), "type": "text", "text": {"body": text}});
    let mut contact = json!({"profile": {"name": "Ada in WhatsApp", "username": "ada"}});
    if let Some(phone) = phone {
        (message["from"], contact["wa_id"]) = (phone[1..].into(), phone[1..].into());
    }
    if let Some(bsuid) = bsuid {
        (message["from_user_id"], contact["user_id"]) = (bsuid.into(), bsuid.into());
    }
    post(world, "messages", message, json!([contact])).await;
}

async fn refusal(world: &World, to: &str) -> Value {
    let answer = world.client().send(json!({"numberId": world.number(), "to": to, "text": {"body": "Hello"}})).await;
    answer["errors"][0]["code"].clone()
}

async fn contacts(client: &Client) -> Vec<Value> {
    let query = "{ contacts(first: 100) { edges { node { id phone phones bsuids optedOut mergedIds } } } }";
    let mut list = client.data(query, json!({})).await;
    list["contacts"]["edges"].as_array_mut().expect("edges").iter_mut().map(|edge| edge["node"].take()).collect()
}

async fn people(client: &Client, count: usize) -> Vec<Value> {
    until("the people are shown", || async {
        let all = contacts(client).await;
        (all.len() == count).then_some(all)
    })
    .await
}

async fn a_known_contact_learns_from_a_message_and_a_status(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": "+16505551301", "name": "Ada"}), "errors { code }").await;
    write(&world, Some("+16505551301"), Some("US.ONE"), "hi", now()).await;
    let fields = "{ contact(phone: \"+16505551301\") { name profileName username bsuid } }";
    until("the profile is shown beside the name", || async {
        let contact = client.data(fields, json!({})).await["contact"].take();
        (contact == json!({"name": "Ada", "profileName": "Ada in WhatsApp", "username": "ada", "bsuid": "US.ONE"}))
            .then_some(())
    })
    .await;
    write(&world, None, Some("US.ONE"), "STOP", now()).await;
    assert_eq!(refusal(&world, "+16505551301").await, "OPTED_OUT");
    // A status names the recipient by both.
    let skip = json!([{"type": "skip_all"}]);
    world.simulator.script("+16505551302", skip, None).await;
    let message = client.send_text(&world.number(), "+16505551302", "Hello").await;
    client.until_status(&message, "SUBMITTED").await;
    let wamid = client.message(&message, "wamid").await["wamid"].take();
    let status = json!({"id": wamid, "status": "delivered", "timestamp": now().to_string(),
        "recipient_id": "16505551302", "recipient_user_id": "US.TWO"});
    post(&world, "statuses", status, json!(null)).await;
    write(&world, None, Some("US.TWO"), "STOP", now()).await;
    assert_eq!(refusal(&world, "+16505551302").await, "OPTED_OUT");
    assert_eq!(people(&client, 2).await.len(), 2);
}

async fn two_contacts_that_turn_out_to_be_one_are_merged(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let group = client.mutate("createGroup", json!({"name": "Friends"}), "group { id } errors { code }").await;
    let attributes = json!([{"name": "city", "value": "London"}]);
    let older = client
        .mutate(
            "createContact",
            json!({"phone": "+16505551303", "attributes": attributes}),
            "contact { id } errors { code }",
        )
        .await["contact"]["id"]
        .take();
    let attributes = json!([{"name": "city", "value": "Paris"}, {"name": "plan", "value": "pro"}]);
    let newer = client
        .mutate(
            "createContact",
            json!({"bsuid": "US.THREE", "name": "Bea", "attributes": attributes}),
            "contact { id } errors { code }",
        )
        .await["contact"]["id"]
        .take();
    let add = json!({"groupId": group["group"]["id"], "contactIds": [newer]});
    assert_eq!(client.mutate("addToGroup", add, "errors { code }").await["errors"], json!([]));
    write(&world, None, Some("US.THREE"), "first", now()).await;
    client.mutate("optOut", json!({"contactId": newer}), "errors { code }").await;
    write(&world, Some("+16505551303"), Some("US.THREE"), "second", now()).await;
    let query = "query($id: ID!) { contact(id: $id) { id name phone bsuid optedOut optedOutVia mergedIds
        attributes { name value } groups { name } } messages(filter: {contactId: $id}) { totalCount } }";
    let both = json!({"id": older, "name": "Bea", "phone": "+16505551303", "bsuid": "US.THREE", "optedOut": true,
        "optedOutVia": "MERGE", "mergedIds": [newer], "groups": [{"name": "Friends"}],
        "attributes": [{"name": "city", "value": "London"}, {"name": "plan", "value": "pro"}]});
    for id in [&older, &newer] {
        until("both ids lead to the one that goes on", || async {
            let shown = client.data(query, json!({"id": id})).await;
            (shown["contact"] == both && shown["messages"]["totalCount"] == 2).then_some(())
        })
        .await;
    }
    assert_eq!(people(&client, 1).await.len(), 1);
    for to in ["+16505551303", "US.THREE"] {
        assert_eq!(refusal(&world, to).await, "OPTED_OUT");
    }
    let send = json!({"numberId": world.number(), "contactId": newer, "text": {"body": "Hello"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "OPTED_OUT");
    // What is asked of the merged id is done to the contact that goes on.
    let done = client.mutate("optIn", json!({"contactId": newer}), "contact { id optedOut } errors { code }").await;
    assert_eq!(done["contact"], json!({"id": older, "optedOut": false}));
}

async fn contacts_are_merged_by_hand(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let mut ids = Vec::new();
    for input in [json!({"phone": "+16505551304"}), json!({"phone": "+16505551305"}), json!({"bsuid": "US.FIVE"})] {
        ids.push(client.mutate("createContact", input, "contact { id } errors { code }").await["contact"]["id"].take());
    }
    let fields = "contact { id phones } position errors { code field }";
    let done = client.mutate("mergeContacts", json!({"into": ids[1], "from": ids[0]}), fields).await;
    assert_eq!(done["contact"], json!({"id": ids[1], "phones": ["+16505551304", "+16505551305"]}), "{done}");
    let again = client.mutate("mergeContacts", json!({"into": ids[1], "from": ids[0]}), fields).await;
    assert_eq!((&again["errors"], &again["position"]), (&json!([]), &done["position"]));
    // A BSUID of another contact makes that the same person.
    let done = client.mutate("updateContact", json!({"id": ids[0], "bsuid": "US.FIVE"}), fields).await;
    assert_eq!(done["contact"]["id"], ids[1], "{done}");
    let all = people(&client, 1).await;
    assert_eq!(all[0]["bsuids"], json!(["US.FIVE"]));
    assert_eq!(all[0]["mergedIds"].as_array().map(Vec::len), Some(2));
    let unknown = json!(wasend_domain::SubjectId::random().to_string());
    for (into, from, field) in [(&unknown, &ids[0], "into"), (&ids[0], &unknown, "from")] {
        let refused = client.mutate("mergeContacts", json!({"into": into, "from": from}), fields).await;
        assert_eq!(refused["errors"][0], json!({"code": "NOT_FOUND", "field": field}));
    }
}

async fn an_erasure_reaches_every_contact_that_the_person_was(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": "+16505551306"}), "errors { code }").await;
    write(&world, None, Some("US.SIX"), "private words", now()).await;
    write(&world, Some("+16505551306"), Some("US.SIX"), "STOP", now()).await;
    assert_eq!(people(&client, 1).await.len(), 1);
    let before = client.data("{ messages { edges { node { id content { text } } } } }", json!({})).await;
    assert!(before.to_string().contains("private words"), "{before}");
    assert_eq!(erase(&client, "+16505551306").await["state"], "COMPLETED");
    let after =
        client.data("{ messages { edges { node { content { text } erased { requestId } } } } }", json!({})).await;
    assert!(!after.to_string().contains("private words") && !after.to_string().contains("STOP"), "{after}");
    // Both identities keep the opt-out, and nothing leads to a contact.
    for to in ["+16505551306", "US.SIX"] {
        assert_eq!(refusal(&world, to).await, "OPTED_OUT", "{to}");
    }
    let events = world.run(&["events"]).await.lines().count();
    write(&world, None, Some("US.SIX"), "late", now() - 3600).await;
    write(&world, Some("+16505551306"), None, "late", now() - 3600).await;
    assert_eq!(world.run(&["events"]).await.lines().count(), events, "late webhooks record nothing");
}

async fn change_number(world: &World, old: &str, new: &str, at: i64) {
    let message = json!({"from": old[1..], "id": format!("wamid.{}", uuid::Uuid::new_v4()), "timestamp": at.to_string(),
        "type": "system", "system": {"type": "user_changed_number", "body": "changed", "wa_id": new[1..]}});
    post(world, "messages", message, json!(null)).await;
}

async fn a_changed_number_is_the_same_person_and_the_old_one_is_free(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let base = now() - 1_000;
    write(&world, Some("+16505551307"), Some("US.SEVEN"), "STOP", base).await;
    change_number(&world, "+16505551307", "+16505551308", base + 10).await;
    for to in ["+16505551308", "US.SEVEN"] {
        assert_eq!(refusal(&world, to).await, "OPTED_OUT", "{to}");
    }
    // What was written from the old number before is the person's, what is written later is another's.
    write(&world, Some("+16505551307"), None, "from before", base + 5).await;
    assert_eq!(people(&client, 1).await[0]["phones"], json!(["+16505551308"]));
    write(&world, Some("+16505551307"), Some("US.OTHER"), "hello", base + 20).await;
    let all = people(&client, 2).await;
    assert_eq!(refusal(&world, "+16505551307").await, json!(null), "{all:?}");
    // The same report again changes nothing.
    change_number(&world, "+16505551307", "+16505551308", base + 10).await;
    let again = people(&client, 2).await;
    assert_eq!(
        again.iter().map(|one| one["phones"].clone()).collect::<Vec<_>>(),
        [json!(["+16505551308"]), json!(["+16505551307"])]
    );
}

/// Something that is said of a person.
#[derive(Debug, Clone)]
enum Fact {
    Message { phone: Option<usize>, bsuid: Option<usize>, stops: bool },
    Create { phone: usize, bsuid: Option<usize> },
    OptOut { phone: usize },
}

fn fact() -> impl Strategy<Value = Fact> {
    let place = 0..4_usize;
    prop_oneof![
        5 => (prop::option::of(place.clone()), prop::option::of(place.clone()), prop::bool::weighted(0.2))
            .prop_filter("a sender", |(phone, bsuid, _)| phone.is_some() || bsuid.is_some())
            .prop_map(|(phone, bsuid, stops)| Fact::Message { phone, bsuid, stops }),
        2 => (place.clone(), prop::option::of(place.clone())).prop_map(|(phone, bsuid)| Fact::Create { phone, bsuid }),
        1 => place.prop_map(|phone| Fact::OptOut { phone }),
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
                    let input = json!({"phone": name(*phone), "bsuid": bsuid});
                    let made = client.mutate("createContact", input, "errors { code }").await;
                    assert!(made["errors"] == json!([]) || made["errors"][0]["code"] == "DUPLICATE", "{made}");
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

async fn a_merge_survives_a_restart(engine: Engine) {
    let mut world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": "+16505551309"}), "errors { code }").await;
    write(&world, None, Some("US.NINE"), "STOP", now()).await;
    write(&world, Some("+16505551309"), Some("US.NINE"), "hi", now()).await;
    assert_eq!(people(&client, 1).await.len(), 1);
    world.kill().await;
    world.start_again().await.expect("it starts");
    let client = world.client();
    assert_eq!(people(&client, 1).await.len(), 1);
    assert_eq!(refusal(&world, "+16505551309").await, "OPTED_OUT");
}
