//! Two accounts in one server: nothing of one reaches the other.

use serde_json::{Value, json};
use wasend_tests::{Engine, World, until};

stories!(nothing_of_one_account_reaches_the_other, keys_are_issued_rotated_and_revoked);

async fn nothing_of_one_account_reaches_the_other(engine: Engine) {
    let world = World::start(engine).await;
    let (mine, number) = (world.client(), world.number());
    let (other, other_number) = world.another_account().await;
    let mut watching =
        other.subscribe_sse("subscription { messageStatusChanged(after: 0) { message { id } } }", json!({})).await;
    let group =
        mine.mutate("createGroup", json!({"name": "Mine"}), "group { id } errors { code }").await["group"]["id"].take();
    let contact = mine
        .mutate("createContact", json!({"phone": "+16505550009", "name": "Ada"}), "contact { id } errors { code }")
        .await["contact"]["id"]
        .take();
    let key =
        mine.mutate("issueApiKey", json!({"scopes": ["READ"]}), "key { id } errors { code }").await["key"]["id"].take();
    let input = json!({"numberId": number, "to": "+16505551234", "text": {"body": "Secret"}, "idempotencyKey": "same"});
    let id = mine.send(input).await["message"]["id"].as_str().expect("an id").to_owned();
    mine.until_status(&id, "READ").await;

    // Every id of mine is to the other like one that was never given.
    for (query, id) in [
        ("query($id: ID!) { found: message(id: $id) { id } }", json!(id)),
        ("query($id: ID!) { found: contact(id: $id) { id } }", contact.clone()),
        ("query($id: ID!) { found: group(id: $id) { id } }", group.clone()),
        ("query($id: ID!) { found: number(id: $id) { id } }", json!(number)),
    ] {
        assert_eq!(other.data(query, json!({"id": id})).await["found"], Value::Null, "{query}");
        let random = json!({"id": uuid::Uuid::new_v4().to_string()});
        assert_eq!(other.data(query, random).await["found"], Value::Null, "{query}");
    }
    let lists = "{ messages { totalCount } contacts { totalCount } groups { totalCount } numbers { totalCount } apiKeys { totalCount } }";
    let lists = other.data(lists, json!({})).await;
    assert_eq!(lists["messages"]["totalCount"], 0);
    assert_eq!(lists["contacts"]["totalCount"], 0);
    assert_eq!(lists["groups"]["totalCount"], 0);
    assert_eq!(lists["numbers"]["totalCount"], 1);
    assert_eq!(lists["apiKeys"]["totalCount"], 1);
    for (mutation, input) in [
        ("cancelMessage", json!({"id": id})),
        ("optOut", json!({"contactId": contact})),
        ("updateContact", json!({"id": contact, "name": "Eve"})),
        ("renameGroup", json!({"id": group, "name": "Theirs"})),
        ("deleteGroup", json!({"id": group})),
        ("addToGroup", json!({"groupId": group, "contactIds": [contact]})),
        ("setNumberRate", json!({"id": number, "messagesPerSecond": 1})),
        ("disconnectNumber", json!({"id": number})),
        ("revokeApiKey", json!({"id": key})),
        ("rotateApiKey", json!({"id": key})),
    ] {
        let answer = other.mutate(mutation, input, "errors { code }").await;
        assert_eq!(answer["errors"][0]["code"], "NOT_FOUND", "{mutation}");
    }
    let foreign = json!({"numberId": number, "to": "+16505551234", "text": {"body": "x"}});
    assert_eq!(other.send(foreign).await["errors"][0]["code"], "NOT_FOUND");
    // A cursor of mine shows the other nothing of mine.
    let cursor =
        mine.data("{ messages { pageInfo { endCursor } } }", json!({})).await["messages"]["pageInfo"]["endCursor"]
            .take();
    let beyond = "query($c: String) { messages(before: $c) { edges { node { id } } } }";
    assert_eq!(other.data(beyond, json!({"c": cursor})).await["messages"]["edges"], json!([]));
    // The same idempotency key and the same recipient are the other's own, and the stream shows the other's alone.
    let input =
        json!({"numberId": other_number, "to": "+16505551234", "text": {"body": "Secret"}, "idempotencyKey": "same"});
    let theirs = other.send(input).await["message"]["id"].take();
    assert!(theirs.is_string() && theirs != json!(id));
    assert_eq!(watching.next().await["data"]["messageStatusChanged"]["message"]["id"], theirs);
    let audit = other.data("{ auditTrail(first: 100) { edges { node { aggregateId } } } }", json!({})).await;
    assert!(!audit.to_string().contains(&id));
    // What Meta says of my number, signed with the other's secret, is refused.
    let ids = mine.data("query($id: ID!) { number(id: $id) { phoneNumberId wabaId } }", json!({"id": number})).await;
    let theirs =
        other.data("query($id: ID!) { number(id: $id) { phoneNumberId wabaId } }", json!({"id": other_number})).await;
    let forged = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": ids["number"]["phoneNumberId"]},
        "statuses": [{"id": "wamid.x", "status": "failed", "timestamp": "1700000000", "biz_opaque_callback_data": id}]}}]}]});
    let posted =
        world.simulator.raw(theirs["number"]["phoneNumberId"].as_str().expect("digits"), &forged.to_string()).await;
    assert_eq!(posted["webhook_status"], 401, "{posted}");
    // Not even beside a business account of the other's own; and it is answered like an unknown number.
    let mut waba = forged.clone();
    // Nor by the other's own number, naming my message.
    let lines = [&ids["number"]["phoneNumberId"], &json!("1000000000"), &theirs["number"]["phoneNumberId"]];
    for phone in lines.map(Clone::clone) {
        waba["entry"][0]["id"] = theirs["number"]["wabaId"].clone();
        waba["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = phone;
        let line = theirs["number"]["phoneNumberId"].as_str().expect("digits");
        assert_eq!(world.simulator.raw(line, &waba.to_string()).await["webhook_status"], 200);
    }
    assert_eq!(mine.message(&id, "status error { code }").await, json!({"status": "READ", "error": null}));
}

async fn keys_are_issued_rotated_and_revoked(engine: Engine) {
    let world = World::start(engine).await;
    let admin = world.client();
    let issued = admin
        .mutate(
            "issueApiKey",
            json!({"scopes": ["READ", "SEND"], "label": "Shop"}),
            "key { id scopes label hint } secret errors { code }",
        )
        .await;
    assert_eq!(issued["key"]["label"], "Shop");
    let secret = issued["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with(issued["key"]["hint"].as_str().expect("a hint")));
    let client = wasend_tests::Client::new(&world.url, &secret);
    client.data("{ position }", json!({})).await;
    let rotated = admin.mutate("rotateApiKey", json!({"id": issued["key"]["id"]}), "secret errors { code }").await;
    let fresh = wasend_tests::Client::new(&world.url, rotated["secret"].as_str().expect("a secret"));
    fresh.data("{ position }", json!({})).await;
    until("the old secret is dead", || async {
        let answer = client
            .http
            .post(format!("{}graphql", world.url))
            .bearer_auth(&secret)
            .json(&json!({"query": "{ position }"}))
            .send()
            .await;
        (answer.expect("an answer").status() == 401).then_some(())
    })
    .await;
    let none = admin.mutate("issueApiKey", json!({"scopes": []}), "key { id } errors { code field }").await;
    assert_eq!(none["errors"][0], json!({"code": "REQUIRED", "field": "scopes"}));
}
