//! Two accounts in one server: nothing of one reaches the other.

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World, until};

stories!(nothing_of_one_account_reaches_the_other, keys_are_issued_rotated_and_revoked);

async fn nothing_of_one_account_reaches_the_other(engine: Engine) {
    let world = World::start(engine).await;
    let (mine, number) = (world.client(), world.number());
    let (other, other_number) = world.another_account().await;
    let mut watching =
        other.subscribe_sse("subscription { messageStatusChanged(after: 0) { message { id } } }", json!({})).await;
    let things = Things::plant(&mine, &number).await;
    let id = &things.message;
    things.are_not_found(&other).await;
    things.are_not_changed(&other).await;
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
    assert!(!audit.to_string().contains(id));
    let query = "query($id: ID!) { number(id: $id) { phoneNumberId wabaId } }";
    let line = mine.data(query, json!({"id": number})).await["number"].take();
    let their_line = other.data(query, json!({"id": other_number})).await["number"].take();
    forged_webhooks_change_nothing(&world, id, &line, &their_line).await;
    assert_eq!(mine.message(id, "status error { code }").await, json!({"status": "READ", "error": null}));
}

/// What one account has.
struct Things {
    number: Value,
    message: String,
    contact: Value,
    group: Value,
    key: Value,
}

impl Things {
    async fn plant(client: &Client, number: &str) -> Self {
        let group = client.mutate("createGroup", json!({"name": "Mine"}), "group { id } errors { code }").await;
        let contact = json!({"phone": "+16505550009", "name": "Ada"});
        let contact = client.mutate("createContact", contact, "contact { id } errors { code }").await;
        let key = client.mutate("issueApiKey", json!({"scopes": ["READ"]}), "key { id } errors { code }").await;
        let input =
            json!({"numberId": number, "to": "+16505551234", "text": {"body": "Secret"}, "idempotencyKey": "same"});
        let message = client.send(input).await["message"]["id"].as_str().expect("an id").to_owned();
        client.until_status(&message, "READ").await;
        Self {
            number: json!(number),
            message,
            contact: contact["contact"]["id"].clone(),
            group: group["group"]["id"].clone(),
            key: key["key"]["id"].clone(),
        }
    }

    /// Every id is to the other account like one that was never given.
    async fn are_not_found(&self, other: &Client) {
        for (query, id) in [
            ("query($id: ID!) { found: message(id: $id) { id } }", json!(self.message)),
            ("query($id: ID!) { found: contact(id: $id) { id } }", self.contact.clone()),
            ("query($id: ID!) { found: group(id: $id) { id } }", self.group.clone()),
            ("query($id: ID!) { found: number(id: $id) { id } }", self.number.clone()),
        ] {
            assert_eq!(other.data(query, json!({"id": id})).await["found"], Value::Null, "{query}");
            let random = json!({"id": uuid::Uuid::new_v4().to_string()});
            assert_eq!(other.data(query, random).await["found"], Value::Null, "{query}");
        }
        let lists = "{ messages { totalCount } contacts { totalCount } groups { totalCount } numbers { totalCount } \
            apiKeys { totalCount } }";
        let lists = other.data(lists, json!({})).await;
        for (list, own) in [("messages", 0), ("contacts", 0), ("groups", 0), ("numbers", 1), ("apiKeys", 1)] {
            assert_eq!(lists[list]["totalCount"], own, "{list}");
        }
    }

    async fn are_not_changed(&self, other: &Client) {
        let Self { number, message, contact, group, key } = self;
        for (mutation, input) in [
            ("cancelMessage", json!({"id": message})),
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
    }
}

/// What Meta says of one account's number or message, signed with another's secret.
async fn forged_webhooks_change_nothing(world: &World, message: &str, line: &Value, their_line: &Value) {
    let signer = their_line["phoneNumberId"].as_str().expect("digits");
    let mut forged = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": line["phoneNumberId"]},
        "statuses": [{"id": "wamid.x", "status": "failed", "timestamp": "1700000000", "biz_opaque_callback_data": message}]}}]}]});
    let posted = world.simulator.raw(signer, &forged.to_string()).await;
    assert_eq!(posted["webhook_status"], 401, "{posted}");
    // Not even beside a business account of the other's own, where it is answered like an unknown number; nor by the
    // other's own number.
    for phone in [&line["phoneNumberId"], &json!("1000000000"), &their_line["phoneNumberId"]] {
        forged["entry"][0]["id"] = their_line["wabaId"].clone();
        forged["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = phone.clone();
        assert_eq!(world.simulator.raw(signer, &forged.to_string()).await["webhook_status"], 200);
    }
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
