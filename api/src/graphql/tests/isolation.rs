use serde_json::{Value, json};
use wasend_domain::account::KeyScope;

use super::{Client, World};
use crate::auth::KeyHolder;

#[tokio::test]
async fn what_belongs_to_another_account_is_like_what_does_not_exist() {
    let world = World::new().await;
    let (one, two) = (world.account().await, world.account().await);
    let number = one.number().await;
    let sent = one.send(&number, "+16505551234", "x").await;
    let id = &sent["message"]["id"];
    let random = "0190a5b0-0000-7000-8000-000000000000";
    let read_query = "query($id: ID!, $number: ID!, $at: Position) {
        message(id: $id, minPosition: $at) { id } number(id: $number) { id } group(id: $id) { id } contact(id: $id) { id }
        messages(filter: { to: \"+16505551234\" }) { totalCount } contacts { totalCount } numbers { totalCount }
        auditTrail(filter: { aggregateId: $id }) { totalCount } }";
    let read = async |id: &Value, number: &str| {
        two.ask(read_query, json!({ "id": id, "number": number, "at": sent["position"] })).await
    };
    let answer = read(id, &number).await;
    assert_eq!(answer["message"], Value::Null);
    assert_eq!(answer["messages"]["totalCount"], 0);
    assert_eq!(answer, read(&json!(random), random).await);
    assert_eq!(answer, read(&json!("x"), "\u{0}").await);

    let changes = [
        "cancelMessage(input: { id: $id }) { errors { code field message } }",
        "pauseNumber(input: { id: $id }) { errors { code field message } }",
        "setNumberRate(input: { id: $id, messagesPerSecond: 5 }) { errors { code field message } }",
        r#"updateNumberCredentials(input: { id: $id, appSecret: "s" }) { errors { code field message } }"#,
        r#"updateContact(input: { id: $id, name: "n" }) { errors { code field message } }"#,
        "optOut(input: { contactId: $id }) { errors { code field message } }",
        r#"renameGroup(input: { id: $id, name: "n" }) { errors { code field message } }"#,
        "deleteGroup(input: { id: $id }) { errors { code field message } }",
        "addToGroup(input: { groupId: $id, contactIds: [] }) { errors { code field message } }",
        "revokeApiKey(input: { id: $id }) { errors { code field message } }",
        "rotateApiKey(input: { id: $id }) { errors { code field message } }",
        "sendMessage(input: { numberId: $id, to: \"+16505551234\", text: { body: \"x\" } }) { errors { code field message } }",
    ];
    let contact = one.ask("{ contacts { nodes { id } } }", json!({})).await["contacts"]["nodes"][0]["id"].take();
    let key = json!(one.actor.key_id.to_string());
    for change in changes {
        let query = format!("mutation($id: ID!) {{ change: {change} }}");
        let expected = two.ask(&query, json!({ "id": random })).await;
        assert_eq!(expected["change"]["errors"][0]["code"], "NOT_FOUND", "{change}");
        for other in [id, &json!(number), &contact, &key, &json!("x")] {
            assert_eq!(two.ask(&query, json!({ "id": other })).await, expected, "{change}");
        }
    }
    world.close().await;
}

#[tokio::test]
async fn each_field_asks_for_its_scope() {
    let world = World::new().await;
    let client = world.account().await;
    let fields = [
        ("{ account { id } }", Some(KeyScope::Read)),
        ("{ numbers { totalCount } }", Some(KeyScope::Read)),
        ("{ contacts { totalCount } }", Some(KeyScope::Read)),
        ("{ groups { totalCount } }", Some(KeyScope::Read)),
        ("{ messages { totalCount } }", Some(KeyScope::Read)),
        ("{ usage(period: { from: \"2026-01-01\", to: \"2026-01-01\" }) { messages } }", Some(KeyScope::Billing)),
        ("{ auditTrail { totalCount } }", Some(KeyScope::Audit)),
        ("{ apiKeys { totalCount } }", Some(KeyScope::Admin)),
        ("{ position }", None),
        ("mutation { createGroup(input: { name: \"g\" }) { position } }", Some(KeyScope::Send)),
        ("mutation { issueApiKey(input: { scopes: [READ] }) { position } }", Some(KeyScope::Admin)),
    ];
    for (field, needed) in fields {
        for scope in KeyScope::ALL {
            let actor = KeyHolder { scopes: [scope].into(), ..client.actor.clone() };
            let client = world.client(actor);
            if needed.is_none_or(|needed| needed == scope) {
                client.ask(field, json!({})).await;
            } else {
                assert_eq!(client.fail(field, json!({})).await, "FORBIDDEN", "{field} with {scope:?}");
            }
        }
        let answer = serde_json::to_value(world.schema.execute(field).await).unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{field}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_key_is_issued_rotated_and_revoked() {
    let world = World::new().await;
    let client = world.account().await;
    let issue_query = "mutation { issueApiKey(input: { scopes: [READ, SEND], label: \"ci\" }) {
        key { id hint scopes label revokedAt } secret position errors { code } } }";
    let issued = client.ask(issue_query, json!({})).await["issueApiKey"].take();
    let (key, secret) = (&issued["key"], issued["secret"].as_str().unwrap());
    assert!(secret.starts_with("wsk_") && secret.starts_with(key["hint"].as_str().unwrap()));
    assert_eq!((&key["label"], &key["scopes"]), (&json!("ci"), &json!(["SEND", "READ"])));
    let change = async |client: &Client<'_>, mutation: &str, id: &Value| {
        let query = format!(
            "mutation($id: ID!) {{ change: {mutation}(input: {{ id: $id }}) {{
            key {{ id revokedAt }} errors {{ code field }} }} }}"
        );
        client.ask(&query, json!({ "id": id })).await["change"].take()
    };
    assert_eq!(change(&client, "rotateApiKey", &key["id"]).await["key"]["id"], key["id"]);
    assert!(change(&client, "revokeApiKey", &key["id"]).await["key"]["revokedAt"].is_string());
    let last = change(&client, "revokeApiKey", &json!(client.actor.key_id.to_string())).await;
    assert_eq!(last["errors"][0]["code"], "LAST_ADMIN_KEY");
    let none = "mutation { issueApiKey(input: { scopes: [] }) { key { id } secret errors { code field } } }";
    let none = client.ask(none, json!({})).await["issueApiKey"].take();
    assert_eq!(none, json!({ "key": null, "secret": null, "errors": [{ "code": "REQUIRED", "field": "scopes" }] }));
    world.close().await;
}

#[tokio::test]
async fn an_operation_that_asks_for_too_much_is_refused() {
    let world = World::new().await;
    let client = world.account().await;
    let wide = "fragment f on Contact { groups { id name memberCount createdAt updatedAt erased { since why } } }
        { a: contacts(first: 100) { nodes { ...f } } b: contacts(first: 100) { nodes { ...f } }
          c: contacts(first: 100) { nodes { ...f } } d: contacts(first: 100) { nodes { ...f } }
          e: contacts(first: 100) { nodes { ...f } } f: contacts(first: 100) { nodes { ...f } } }";
    let answer = client.run(wide, json!({})).await;
    assert!(answer["errors"][0]["message"].as_str().unwrap_or_default().contains("complex"), "{answer}");
    client.ask("{ contacts(first: 50) { nodes { id phone name groups { id name } } } }", json!({})).await;
    world.close().await;
}
