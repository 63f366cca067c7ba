use serde_json::{Value, json};
use wasend_domain::KeyPurpose;

use super::{Client, World};

async fn create(client: &Client<'_>, phone: &str) -> Value {
    let create_query = "mutation($input: CreateContactInput!) { createContact(input: $input) {
        contact { id phone name source attributes { name value } erased { why } optedOut } position errors { code field } } }";
    let attributes = json!([{ "name": "city", "value": "Bonn" }]);
    let input = json!({ "phone": phone, "name": "Ada", "attributes": attributes });
    client.ask(create_query, json!({ "input": input })).await["createContact"].take()
}

#[tokio::test]
async fn a_contact_is_created_found_and_opted_out() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let created = create(&client, "+1 650 555 1234").await;
    let contact = &created["contact"];
    assert_eq!((&contact["phone"], &contact["name"]), (&json!("+16505551234"), &json!("Ada")));
    assert_eq!(contact["attributes"], json!([{ "name": "city", "value": "Bonn" }]));
    assert_eq!((&contact["source"], &contact["erased"]), (&json!("API"), &Value::Null));
    assert_eq!(create(&client, "+16505551234").await["errors"][0], json!({ "code": "DUPLICATE", "field": "phone" }));

    let find_query = "query($id: ID, $phone: String) { contact(id: $id, phone: $phone) { id } }";
    assert_eq!(client.ask(find_query, json!({ "phone": "+16505551234" })).await["contact"]["id"], contact["id"]);
    assert_eq!(client.ask(find_query, json!({ "id": contact["id"] })).await["contact"]["id"], contact["id"]);
    assert_eq!(client.ask(find_query, json!({ "phone": "+16505550000" })).await["contact"], Value::Null);
    assert_eq!(client.fail(find_query, json!({})).await, "INVALID_INPUT");

    let opt_out_query = "mutation($input: OptOutInput!) { optOut(input: $input) {
        contact { optedOut optedOutVia } errors { code field } } }";
    let out = client.ask(opt_out_query, json!({ "input": { "phone": "+16505551234" } })).await["optOut"].take();
    assert_eq!(out["contact"], json!({ "optedOut": true, "optedOutVia": "API" }));
    let absent = client.ask(opt_out_query, json!({ "input": { "contactId": "x" } })).await["optOut"].take();
    assert_eq!(absent["errors"][0], json!({ "code": "NOT_FOUND", "field": "contactId" }));
    let refused = client.send(&number, "+16505551234", "x").await;
    assert_eq!(refused["errors"][0]["code"], "OPTED_OUT");

    let list_query = "query($filter: ContactFilter) { contacts(filter: $filter) { totalCount nodes { id } } }";
    for (filter, count) in [
        (json!({ "optedOut": true }), 1),
        (json!({ "optedOut": false }), 0),
        (json!({ "phone": "+16505551234" }), 1),
        (json!({ "phone": "+16505551234", "bsuid": "US.1" }), 0),
    ] {
        let list = client.ask(list_query, json!({ "filter": filter })).await["contacts"].take();
        assert_eq!((&list["totalCount"], list["nodes"].as_array().unwrap().len()), (&json!(count), count), "{filter}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_group_lists_its_members_until_it_is_deleted() {
    let world = World::new().await;
    let client = world.account().await;
    let create_query = r#"mutation { createGroup(input: { name: "Friends" }) { group { id name memberCount } } }"#;
    let group = client.ask(create_query, json!({})).await["createGroup"]["group"].take();
    assert_eq!(group["name"], "Friends");
    let mut ids = vec![];
    for n in 0..5 {
        ids.push(create(&client, &format!("+1650555010{n}")).await["contact"]["id"].take());
    }
    let add_query = "mutation($group: ID!, $contacts: [ID!]!) {
        addToGroup(input: { groupId: $group, contactIds: $contacts }) { group { memberCount } errors { code field } } }";
    let members = json!([ids[0], ids[1], ids[2], ids[3]]);
    let added = client.ask(add_query, json!({ "group": group["id"], "contacts": members })).await["addToGroup"].take();
    assert_eq!(added["group"]["memberCount"], 4, "{added}");
    let absent = client.ask(add_query, json!({ "group": group["id"], "contacts": [ids[4], "x"] })).await;
    assert_eq!(absent["addToGroup"]["errors"][0], json!({ "code": "NOT_FOUND", "field": "contactIds.1" }));

    let list_query = "query($filter: ContactFilter, $first: Int, $after: String, $last: Int) {
        contacts(filter: $filter, first: $first, after: $after, last: $last) {
            totalCount nodes { id groups { id } } pageInfo { hasNextPage hasPreviousPage endCursor } } }";
    let filter = json!({ "groupId": group["id"] });
    let page = client.ask(list_query, json!({ "filter": filter, "first": 3 })).await["contacts"].take();
    assert_eq!((&page["totalCount"], &page["pageInfo"]["hasNextPage"]), (&json!(4), &json!(true)));
    assert_eq!(page["nodes"][0], json!({ "id": ids[0], "groups": [{ "id": group["id"] }] }));
    let rest = json!({ "filter": filter, "first": 3, "after": page["pageInfo"]["endCursor"] });
    let rest = client.ask(list_query, rest).await["contacts"].take();
    assert_eq!((&rest["nodes"][0]["id"], &rest["pageInfo"]["hasNextPage"]), (&ids[3], &json!(false)));
    let end = client.ask(list_query, json!({ "filter": filter, "last": 1 })).await["contacts"].take();
    assert_eq!((&end["nodes"][0]["id"], &end["pageInfo"]["hasPreviousPage"]), (&ids[3], &json!(true)));
    let one = json!({ "groupId": group["id"], "phone": "+16505550101", "optedOut": false });
    assert_eq!(client.ask(list_query, json!({ "filter": one })).await["contacts"]["nodes"][0]["id"], ids[1]);

    let delete_query = "mutation($id: ID!) { deleteGroup(input: { id: $id }) { id errors { code } } }";
    assert_eq!(client.ask(delete_query, json!({ "id": group["id"] })).await["deleteGroup"]["id"], group["id"]);
    assert_eq!(client.ask(list_query, json!({ "filter": filter })).await["contacts"]["totalCount"], 0);
    let left = client.ask(list_query, json!({})).await["contacts"].take();
    assert_eq!((&left["totalCount"], &left["nodes"][0]["groups"]), (&json!(5), &json!([])));
    world.close().await;
}

#[tokio::test]
async fn a_number_is_paused_resumed_and_disconnected() {
    let world = World::new().await;
    let client = world.account().await;
    let id = client.number().await;
    let change = async |mutation: &str| {
        let query = format!(
            "mutation($id: ID!) {{ change: {mutation} {{ number {{ state messagesPerSecond }} errors {{ code field }} }} }}"
        );
        client.ask(&query, json!({ "id": id })).await["change"].take()
    };
    assert_eq!(change("pauseNumber(input: { id: $id })").await["number"]["state"], "PAUSED");
    assert_eq!(change("resumeNumber(input: { id: $id })").await["number"]["state"], "CONNECTED");
    let rate = change("setNumberRate(input: { id: $id, messagesPerSecond: 20 })").await;
    assert_eq!(rate["number"]["messagesPerSecond"], 20);
    let rate = change("setNumberRate(input: { id: $id, messagesPerSecond: -1 })").await;
    assert_eq!(rate["errors"][0], json!({ "code": "OUT_OF_RANGE", "field": "messagesPerSecond" }));
    let secret = change(r#"updateNumberCredentials(input: { id: $id, accessToken: "new" })"#).await;
    assert_eq!(secret["errors"], json!([]));
    assert_eq!(change("disconnectNumber(input: { id: $id })").await["number"]["state"], "DISCONNECTED");
    assert_eq!(client.send(&id, "+16505551234", "x").await["errors"][0]["code"], "NUMBER_DISCONNECTED");
    world.close().await;
}

#[tokio::test]
async fn usage_is_summed_and_periods_are_bounded() {
    let world = World::new().await;
    let client = world.account().await;
    let usage_query = "query($period: Period!, $number: ID) { usage(period: $period, numberId: $number) {
        from to messages delivered billable lines { day numberId direction category messages }
        byDay: lines(by: [DAY]) { day category messages } } }";
    let period = json!({ "from": "2026-01-01", "to": "2026-12-31" });
    let usage = client.ask(usage_query, json!({ "period": period, "number": "x" })).await["usage"].take();
    assert_eq!((&usage["from"], &usage["messages"], &usage["lines"]), (&json!("2026-01-01"), &json!(0), &json!([])));
    let long = json!({ "from": "2025-01-01", "to": "2026-12-31" });
    assert_eq!(client.fail(usage_query, json!({ "period": long })).await, "INVALID_INPUT");
    world.close().await;
}

#[tokio::test]
async fn what_was_erased_is_null_and_says_so() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let contact = create(&client, "+16505551234").await["contact"]["id"].take();
    let sent = client.send(&number, "+16505551234", "Hello").await;
    let subject = contact.as_str().unwrap().parse().unwrap();
    let (vault, account) = (&world.app.stores.vault, client.actor.account_id);
    vault.destroy_subject(account, subject, &[KeyPurpose::Messaging], "request 7").await.unwrap();
    let read_query = "query($id: ID!, $at: Position) { message(id: $id, minPosition: $at) {
        status content { text template { name } erased { why } } contact { phone name attributes { name } erased { why } } } }";
    let read = client.ask(read_query, json!({ "id": sent["message"]["id"], "at": sent["position"] })).await;
    let erased = json!({ "why": "request 7" });
    let expected = json!({
        "status": "ACCEPTED",
        "content": { "text": null, "template": null, "erased": erased },
        "contact": { "phone": null, "name": null, "attributes": null, "erased": erased },
    });
    assert_eq!(read["message"], expected);
    world.close().await;
}
