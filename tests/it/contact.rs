//! Contacts, groups, and who wants no messages.

use serde_json::json;
use wasend_tests::{Engine, World, until};

stories!(
    contacts_are_kept_and_found,
    one_person_is_one_contact_in_every_spelling,
    groups_have_members,
    an_opt_out_holds_for_what_waits,
    what_people_tell_meta_they_prefer_is_heeded,
);

async fn contacts_are_kept_and_found(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let input = json!({"phone": "+1 650 555 1234", "name": "Ada Lovelace", "attributes": [{"name": "city", "value": "London"}]});
    let fields = "contact { id phone name attributes { name value } optedOut } position errors { code field }";
    let created = client.mutate("createContact", input.clone(), fields).await;
    assert_eq!(created["contact"]["phone"], "+16505551234");
    assert_eq!(created["contact"]["attributes"], json!([{"name": "city", "value": "London"}]));
    let twice = client.mutate("createContact", input, fields).await;
    assert_eq!(twice["errors"][0]["code"], "DUPLICATE");
    let id = created["contact"]["id"].clone();
    let updated = client
        .mutate("updateContact", json!({"id": id, "name": "Ada King", "bsuid": "US.13491208655302741918"}), fields)
        .await;
    assert_eq!(updated["contact"]["name"], "Ada King");
    assert_eq!(updated["contact"]["attributes"], json!([{"name": "city", "value": "London"}]));
    let by = "query($p: String) { contact(phone: $p) { id bsuid } }";
    let found = client.data(by, json!({"p": "0016505551234"})).await;
    assert_eq!(found["contact"], json!({"id": id, "bsuid": "US.13491208655302741918"}));
    assert_eq!(client.data(by, json!({"p": "+16505559999"})).await["contact"], json!(null));
    let filtered = client
        .data("{ contacts(filter: {phone: \"+16505551234\"}) { totalCount edges { node { id } } } }", json!({}))
        .await;
    assert_eq!(filtered["contacts"]["totalCount"], 1);
    let nobody = client.mutate("createContact", json!({"name": "Nobody"}), fields).await;
    assert_eq!(nobody["errors"][0]["code"], "REQUIRED");
}

async fn one_person_is_one_contact_in_every_spelling(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = client.data("{ numbers(first: 1) { edges { node { phoneNumberId } } } }", json!({})).await;
    let id = id["numbers"]["edges"][0]["node"]["phoneNumberId"].clone();
    for (n, (new, old)) in
        [("+5511987654321", "+551187654321"), ("+525512345678", "+5215512345678"), ("+5491123456789", "+541123456789")]
            .into_iter()
            .enumerate()
    {
        let message = client.send_text(&world.number(), old, "Hello").await;
        let duplicate = client.mutate("createContact", json!({"phone": new}), "errors { code }").await;
        assert_eq!(duplicate["errors"][0]["code"], "DUPLICATE", "{new}");
        client.send_text(&world.number(), new, "Hello again").await;
        let posted = world.simulator.inbound(json!({"phone_number_id": id, "from": &new[1..], "text": "Hi"})).await;
        assert_eq!(posted["webhook_status"], 200);
        let query = "query($p: String) { contacts { totalCount } contact(phone: $p) { id phone } }";
        let found = until("all of it is shown", || async {
            let found = client.data(query, json!({"p": new})).await;
            let messages = "query($id: ID!) { messages(filter: {contactId: $id}) { totalCount } }";
            let count = client.data(messages, json!({"id": found["contact"]["id"]})).await;
            (count["messages"]["totalCount"] == 3).then_some(found)
        })
        .await;
        assert_eq!((&found["contact"]["phone"], &found["contacts"]["totalCount"]), (&json!(old), &json!(n + 1)));
        // It is sent to as it was given.
        client.until_status(&message, "READ").await;
        let sent = world.simulator.messages().await;
        let to = sent["messages"].as_array().expect("messages").iter().map(|message| message["to"].clone());
        assert!(to.into_iter().any(|to| to == old[1..] || to == *old), "{sent}");
    }
    // A landline is not the mobile that it resembles.
    for phone in ["+551123456789", "+5511923456789"] {
        let made = client.mutate("createContact", json!({"phone": phone}), "errors { code }").await;
        assert_eq!(made["errors"], json!([]), "{phone}");
    }
}

async fn what_people_tell_meta_they_prefer_is_heeded(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = client.data("{ numbers(first: 1) { edges { node { phoneNumberId } } } }", json!({})).await;
    let id = id["numbers"]["edges"][0]["node"]["phoneNumberId"].as_str().expect("digits").to_owned();
    client.mutate("createContact", json!({"phone": "+16505551234"}), "errors { code }").await;
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let offer = json!({"numberId": world.number(), "to": "+16505551234",
        "template": {"name": "summer_sale", "language": "en_US", "parameters": [{"text": "Ada"}]}});
    let waiting = client.send(offer.clone()).await["message"]["id"].as_str().expect("an id").to_owned();
    for (n, (value, opted_out)) in (0..).zip([("stop", true), ("resume", false), ("stop", true)]) {
        let preference = json!({"wa_id": "16505551234", "detail": "User requested", "category": "marketing_messages",
            "value": value, "timestamp": 1_700_000_000 + n});
        let value = json!({"messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": id},
            "contacts": [{"profile": {"name": "Ada"}, "wa_id": "16505551234"}], "user_preferences": [preference]});
        let body = json!({"object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "user_preferences", "value": value}]}]});
        assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200);
        until("it is shown", || async {
            let query = "{ contact(phone: \"+16505551234\") { optedOut marketingOptedOut } }";
            let contact = client.data(query, json!({})).await["contact"].take();
            (contact == json!({"optedOut": false, "marketingOptedOut": opted_out})).then_some(())
        })
        .await;
        let sent = client.send(offer.clone()).await;
        let code = sent["errors"][0]["code"].as_str();
        assert_eq!(code, opted_out.then_some("OPTED_OUT"), "when accepting");
    }
    client.mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    client.until_status(&waiting, "CANCELLED").await;
    until("what was accepted between them is withdrawn as well", || async {
        let query = "{ messages(filter: {status: [ACCEPTED]}) { totalCount } }";
        (client.data(query, json!({})).await["messages"]["totalCount"] == 0).then_some(())
    })
    .await;
    assert_eq!(world.simulator.messages().await["accepted"], 0, "and when sending");
}

async fn groups_have_members(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let group =
        client.mutate("createGroup", json!({"name": "Friends"}), "group { id name } errors { code }").await["group"]
            .take();
    assert_eq!(group["name"], "Friends");
    let mut contacts = Vec::new();
    for n in 0..3 {
        let created = client
            .mutate("createContact", json!({"phone": format!("+1650555123{n}")}), "contact { id } errors { code }")
            .await;
        contacts.push(created["contact"]["id"].clone());
    }
    let join = json!({"groupId": group["id"], "contactIds": contacts});
    let joined =
        client.mutate("addToGroup", join.clone(), "group { memberCount } position errors { code field }").await;
    assert_eq!(joined["group"]["memberCount"], 3);
    assert_eq!(
        client.mutate("addToGroup", join, "group { memberCount } errors { code }").await["group"]["memberCount"],
        3
    );
    let mut wrong = contacts.clone();
    wrong.push(json!(uuid::Uuid::new_v4().to_string()));
    let refused = client
        .mutate("removeFromGroup", json!({"groupId": group["id"], "contactIds": wrong}), "errors { code field }")
        .await;
    assert_eq!(refused["errors"][0], json!({"code": "NOT_FOUND", "field": "contactIds.3"}));
    let left = client
        .mutate(
            "removeFromGroup",
            json!({"groupId": group["id"], "contactIds": [contacts[0]]}),
            "group { memberCount } errors { code }",
        )
        .await;
    assert_eq!(left["group"]["memberCount"], 2);
    let members = "query($g: ID) { contacts(filter: {groupId: $g}) { totalCount } }";
    assert_eq!(client.data(members, json!({"g": group["id"]})).await["contacts"]["totalCount"], 2);
    client.mutate("deleteGroup", json!({"id": group["id"]}), "errors { code }").await;
    let gone = client.data("query($g: ID!) { group(id: $g) { id } }", json!({"g": group["id"]})).await;
    assert_eq!(gone["group"], json!(null));
}

async fn an_opt_out_holds_for_what_waits(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let id = client.send_text(&world.number(), "+16505551234", "Offer").await;
    let out = client
        .mutate("optOut", json!({"phone": "+16505551234"}), "contact { optedOut } position errors { code }")
        .await;
    assert_eq!(out["contact"]["optedOut"], true, "{out}");
    client.mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    client.until_status(&id, "CANCELLED").await;
    assert_eq!(world.simulator.messages().await["accepted"], 0);
    client.mutate("optIn", json!({"phone": "+16505551234"}), "errors { code }").await;
    let again = client.send_text(&world.number(), "+16505551234", "Welcome back").await;
    client.until_status(&again, "READ").await;
    // Meta tells of an opt-out with an error code as well.
    world.simulator.script("+16505551234", json!([{"type": "failed", "code": 131_050}]), Some(1)).await;
    let failed = client.send_text(&world.number(), "+16505551234", "Offer").await;
    client.until_status(&failed, "FAILED").await;
    until("the contact is opted out", || async {
        let contact =
            client.data("{ contact(phone: \"+16505551234\") { optedOut optedOutVia } }", json!({})).await["contact"]
                .take();
        (contact["optedOut"] == true && contact["optedOutVia"] == "META").then_some(())
    })
    .await;
}
