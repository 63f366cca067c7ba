use serde_json::{Value, json};

use super::World;

#[tokio::test]
async fn a_message_is_accepted_read_and_cancelled() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let send_query = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
        message { id status direction kind content { text previewUrl erased { since } } acceptedAt position
            contact { phone optedOut groups { id } } number { id } statusHistory { fact status changed position } }
        position repeated errors { code } } }";
    let input =
        json!({ "numberId": number, "to": "+1 (650) 555-1234", "text": { "body": "Hello" }, "idempotencyKey": "k" });
    let first = client.ask(send_query, json!({ "input": input })).await["sendMessage"].take();
    let message = &first["message"];
    assert_eq!((&message["status"], &message["kind"]), (&json!("ACCEPTED"), &json!("TEXT")));
    assert_eq!(message["content"], json!({ "text": "Hello", "previewUrl": false, "erased": null }));
    assert_eq!(message["contact"], json!({ "phone": "+16505551234", "optedOut": false, "groups": [] }));
    assert_eq!(message["number"]["id"], number);
    assert_eq!(message["statusHistory"][0]["fact"], "MessageAccepted");
    assert_eq!((&first["repeated"], &message["position"]), (&json!(false), &first["position"]));

    let again = client.ask(send_query, json!({ "input": input })).await["sendMessage"].take();
    assert_eq!((&again["message"]["id"], &again["repeated"]), (&message["id"], &json!(true)));
    let other = json!({ "numberId": number, "to": "+16505551234", "text": { "body": "Other" }, "idempotencyKey": "k" });
    let reused = client.ask(send_query, json!({ "input": other })).await["sendMessage"].take();
    assert_eq!(reused["errors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!((&reused["message"], &reused["position"]), (&Value::Null, &Value::Null));

    let cancelled = client.cancel(&message["id"]).await;
    assert_eq!(cancelled["message"]["status"], "CANCELLED", "{cancelled}");
    let read_query = "query($id: ID!, $at: Position) { message(id: $id, minPosition: $at) {
        status cancelledAt statusHistory { fact changed } } position }";
    let at = cancelled["position"].as_u64().unwrap().to_string();
    let read = client.ask(read_query, json!({ "id": message["id"], "at": at })).await;
    assert_eq!(read["message"]["status"], "CANCELLED");
    assert_eq!(read["message"]["statusHistory"][1], json!({ "fact": "MessageCancelled", "changed": true }));
    assert!(read["position"].as_u64() >= cancelled["position"].as_u64());
    world.close().await;
}

#[tokio::test]
async fn a_refusal_names_its_field_and_writes_nothing() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let before = client.ask("{ position }", json!({})).await;
    let send_query = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
        message { id } position errors { code field } } }";
    let text = json!({ "body": "x" });
    let unknown = "0190a5b0-0000-7000-8000-000000000000";
    let cases = [
        (json!({ "numberId": number, "text": text }), "REQUIRED", "to"),
        (json!({ "numberId": number, "to": "+16505551234", "contactId": unknown, "text": text }), "INVALID", "to"),
        (json!({ "numberId": number, "to": "6505551234", "text": text }), "INVALID_PHONE", "to"),
        (json!({ "numberId": number, "to": "+16505551234" }), "REQUIRED", "text"),
        (json!({ "numberId": number, "to": "+16505551234", "text": { "body": " " } }), "REQUIRED", "text.body"),
        (json!({ "numberId": unknown, "to": "+16505551234", "text": text }), "NOT_FOUND", "numberId"),
        (json!({ "numberId": "x", "to": "+16505551234", "text": text }), "NOT_FOUND", "numberId"),
        (json!({ "numberId": number, "contactId": unknown, "text": text }), "NOT_FOUND", "contactId"),
    ];
    for (input, code, field) in cases {
        let answer = client.ask(send_query, json!({ "input": input })).await["sendMessage"].take();
        assert_eq!(answer["errors"][0], json!({ "code": code, "field": field }), "{input}");
        assert_eq!((&answer["message"], &answer["position"]), (&Value::Null, &Value::Null));
    }
    assert_eq!(client.ask("{ position }", json!({})).await, before);
    world.close().await;
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let send_query = "mutation($input: SendMessagesInput!) { sendMessages(input: $input) {
        results { message { id } errors { code field } } position errors { code } } }";
    let mut messages: Vec<_> = (0..7)
        .map(|n| json!({ "numberId": number, "to": format!("+1650555010{n}"), "text": { "body": "x" } }))
        .collect();
    messages.push(json!({ "numberId": number, "text": { "body": "x" } }));
    let sent = client.ask(send_query, json!({ "input": { "messages": messages } })).await["sendMessages"].take();
    assert_eq!(sent["results"][7]["errors"][0], json!({ "code": "REQUIRED", "field": "messages.7.to" }));
    let mut ids: Vec<_> = (0..7).map(|n| sent["results"][n]["message"]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.reverse();

    let list_query = "query($first: Int, $after: String, $last: Int, $before: String, $at: Position) {
        messages(first: $first, after: $after, last: $last, before: $before, minPosition: $at) {
            totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let (mut seen, mut page) = (vec![], json!({ "first": 3, "at": sent["position"] }));
    loop {
        let list = client.ask(list_query, page).await["messages"].take();
        assert_eq!(list["totalCount"], 7);
        let edges = list["edges"].as_array().unwrap();
        seen.extend(edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
        if list["pageInfo"]["hasNextPage"] == false {
            break;
        }
        page = json!({ "first": 3, "after": list["pageInfo"]["endCursor"] });
    }
    assert_eq!(seen, ids);
    let end = client.ask(list_query, json!({ "last": 2 })).await["messages"].take();
    assert_eq!(end["edges"][1]["node"]["id"], ids[6]);
    let info = &end["pageInfo"];
    assert_eq!((&info["hasPreviousPage"], &info["hasNextPage"]), (&json!(true), &json!(false)));
    let before = client.ask(list_query, json!({ "last": 2, "before": info["startCursor"] })).await["messages"].take();
    assert_eq!(before["edges"][0]["node"]["id"], ids[3]);

    assert_eq!(client.fail(list_query, json!({ "first": 3, "after": "x" })).await, "INVALID_CURSOR");
    assert_eq!(client.fail(list_query, json!({ "first": 3, "last": 3 })).await, "INVALID_INPUT");
    let groups = "query($after: String) { groups(after: $after) { totalCount } }";
    assert_eq!(client.fail(groups, json!({ "after": info["startCursor"] })).await, "INVALID_CURSOR");
    world.close().await;
}

#[tokio::test]
async fn messages_are_found_by_their_recipient_and_status() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let one = client.send(&number, "+16505550101", "a").await;
    let two = client.send(&number, "+16505550102", "b").await;
    let at = client.cancel(&two["message"]["id"]).await["position"].take();
    let list_query = "query($filter: MessageFilter, $at: Position) {
        messages(filter: $filter, minPosition: $at) { totalCount nodes { id } } }";
    let cases = [
        (json!({ "to": "+1 650 555 0101" }), vec![&one]),
        (json!({ "to": "+16505550199" }), vec![]),
        (json!({ "status": ["CANCELLED"] }), vec![&two]),
        (json!({ "status": [] }), vec![]),
        (json!({ "status": ["ACCEPTED", "CANCELLED"], "numberId": number, "direction": "OUTBOUND" }), vec![&two, &one]),
        (json!({ "numberId": "x" }), vec![]),
        (json!({ "unresolved": true }), vec![]),
        (json!({ "acceptedBefore": "2020-01-01T00:00:00Z" }), vec![]),
        (json!({ "acceptedAfter": "2020-01-01T00:00:00Z", "unresolved": false }), vec![&two, &one]),
        (json!({ "template": "x" }), vec![]),
    ];
    for (filter, expected) in cases {
        let list = client.ask(list_query, json!({ "filter": filter, "at": at })).await["messages"].take();
        let expected: Vec<_> = expected.iter().map(|sent| json!({ "id": sent["message"]["id"] })).collect();
        assert_eq!(list["nodes"], json!(expected), "{filter}");
        assert_eq!(list["totalCount"], expected.len(), "{filter}");
    }
    assert_eq!(client.fail(list_query, json!({ "filter": { "to": "6505550101" } })).await, "INVALID_PHONE");
    assert_eq!(client.fail(list_query, json!({ "filter": { "template": "a\u{0}b" } })).await, "INVALID_INPUT");
    world.close().await;
}
