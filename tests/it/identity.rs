//! One person, one contact: identities are learnt from whatever tells them, contacts that turn out to be one person are
//! merged, and consent and erasure cover everything that the person is known by.

use serde_json::{Value, json};
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock as _;
use wasend_tests::vault::Backup;
use wasend_tests::{Client, Engine, Start, World, until};

use crate::erasure::erase;

mod facts;

stories!(
    a_known_contact_learns_from_a_message_and_a_status,
    two_contacts_that_turn_out_to_be_one_are_merged,
    contacts_are_merged_by_hand,
    an_erasure_reaches_every_contact_that_the_person_was,
    a_changed_number_is_the_same_person_and_the_old_one_is_free,
    a_merge_survives_a_restart,
    a_merge_that_the_directory_does_not_know_holds,
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
    assert_eq!((&again["errors"], &again["contact"]), (&json!([]), &done["contact"]));
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
    let after = client.data("{ messages { edges { node { content { text } } } } }", json!({})).await;
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

/// As after a crash between the record of a merge and the change of the directory.
async fn a_merge_that_the_directory_does_not_know_holds(engine: Engine) {
    for erased_by in ["+16505551310", "US.TEN"] {
        let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
        let client = world.client();
        client.mutate("createContact", json!({"phone": "+16505551310"}), "errors { code }").await;
        write(&world, None, Some("US.TEN"), "STOP", now()).await;
        world.stop().await;
        let backup = Backup::of(&world).await;
        world = world.restart().await;
        write(&world, Some("+16505551310"), Some("US.TEN"), "private words", now()).await;
        assert_eq!(people(&world.client(), 1).await.len(), 1);
        world.stop().await;
        backup.restore(&world).await;
        world = world.restart().await;
        let client = world.client();
        for to in ["+16505551310", "US.TEN"] {
            assert_eq!(refusal(&world, to).await, "OPTED_OUT", "{to}");
        }
        let field = if erased_by.starts_with('+') { "phone" } else { "bsuid" };
        let input = json!({"subject": {field: erased_by}, "regime": "GDPR", "ground": "WITHDRAWN_CONSENT"});
        let asked = client.mutate("requestErasure", input, "request { id } errors { code }").await;
        assert_eq!(asked["errors"], json!([]), "{asked}");
        let query =
            "query($id: ID!) { privacyRequest(id: $id) { state } messages { edges { node { content { text } } } } }";
        until("both are erased", || async {
            let shown = client.data(query, json!({"id": asked["request"]["id"]})).await;
            let is_gone = !shown["messages"].to_string().contains("private words");
            (shown["privacyRequest"]["state"] == "COMPLETED" && is_gone).then_some(())
        })
        .await;
        for to in ["+16505551310", "US.TEN"] {
            assert_eq!(refusal(&world, to).await, "OPTED_OUT", "{to}");
        }
    }
}
