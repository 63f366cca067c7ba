//! What client libraries rely on: variables and conditions, persisted queries, and reading what was just written.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World};

stories!(
    defaults_decide_conditions,
    an_object_of_which_all_is_skipped_is_empty,
    what_is_not_given_stays_as_it_is,
    a_document_is_asked_for_by_its_hash,
    a_client_reads_what_it_wrote,
);
stories_of_nodes!(a_client_reads_on_one_node_what_it_wrote_on_another);

async fn defaults_decide_conditions(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for document in [
        "query($a: Boolean = true) { position account @include(if: $a) { name } }",
        "query($a: Boolean! = true) { position account @include(if: $a) { name } }",
        "query($a: Boolean = true) { position ...F @include(if: $a) } fragment F on Query { account { name } }",
        "query($a: Boolean = true) { position ... @include(if: $a) { account { name } } }",
        "query($a: Boolean! = false) { position account @skip(if: $a) { name } }",
    ] {
        assert_eq!(client.data(document, json!({})).await["account"], json!({"name": "First account"}), "{document}");
    }
    let skipped = "query($s: Boolean = true) { position account @skip(if: $s) { name } }";
    assert!(client.data(skipped, json!({})).await.get("account").is_none());
    let required = client.ask("query($a: Boolean!) { position account @include(if: $a) { name } }", json!({})).await;
    assert_eq!(required["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    assert!(required.get("data").is_none(), "{required}");
    // A mutation behind a condition that holds by its default is done; one without its variable is not.
    let opt_out = |condition: &str, phone: &str| {
        format!(
            "mutation($go: {condition}) {{ optOut(input: {{phone: \"{phone}\"}}) @include(if: $go) {{ errors {{ code }} }} }}"
        )
    };
    for phone in ["+16505552101", "+16505552102"] {
        client.mutate("createContact", json!({"phone": phone}), "errors { code }").await;
    }
    let done = client.data(&opt_out("Boolean = true", "+16505552101"), json!({})).await;
    assert_eq!(done, json!({"optOut": {"errors": []}}));
    let refused = client.error_code(&opt_out("Boolean!", "+16505552102"), json!({})).await;
    assert_eq!(refused, "GRAPHQL_VALIDATION_FAILED");
    let nodes = client.data("{ contacts { nodes { phone optedOut } } }", json!({})).await["contacts"]["nodes"].take();
    let opted_out =
        |phone: &str| nodes.as_array().expect("a list").iter().any(|n| n["phone"] == *phone && n["optedOut"] == true);
    assert!(opted_out("+16505552101") && !opted_out("+16505552102"), "{nodes}");
}

async fn an_object_of_which_all_is_skipped_is_empty(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": "+16505552103"}), "errors { code }").await;
    for (document, expected) in [
        ("query($a: Boolean!) { account @include(if: $a) { name } }", json!({})),
        ("query($a: Boolean!) { account { name @include(if: $a) } }", json!({"account": {}})),
        ("query($a: Boolean!) { contacts(first: 1) { nodes @include(if: $a) { id } } }", json!({"contacts": {}})),
        (
            "query($a: Boolean!) { contacts(first: 1) { totalCount nodes { id @include(if: $a) } } }",
            json!({"contacts": {"totalCount": 1, "nodes": [{}]}}),
        ),
        (
            "query($a: Boolean!) { contacts { edges { node { ... @include(if: $a) { id } } } pageInfo { ...P } } }
             fragment P on PageInfo { hasNextPage @include(if: $a) }",
            json!({"contacts": {"edges": [{"node": {}}], "pageInfo": {}}}),
        ),
        (
            "mutation($a: Boolean!) { optOut(input: {phone: \"+16505552103\"}) { contact @include(if: $a) { id } } }",
            json!({"optOut": {}}),
        ),
    ] {
        assert_eq!(client.data(document, json!({"a": false})).await, expected, "{document}");
    }
    // A field that its scope withholds beside one that is skipped.
    let key =
        client.mutate("issueApiKey", json!({"label": "send", "scopes": ["SEND"]}), "secret errors { code }").await;
    let sender = Client::new(&world.url, key["secret"].as_str().expect("a secret"));
    let document =
        "mutation($a: Boolean!) { optOut(input: {phone: \"+16505552103\"}) { contact { phone id @include(if: $a) } } }";
    let answer = sender.ask(document, json!({"a": false})).await;
    assert_eq!(answer["data"], json!({"optOut": {"contact": {"phone": null}}}), "{answer}");
}

/// A variable that is absent is no null: an update leaves what it does not name.
async fn what_is_not_given_stays_as_it_is(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let created =
        client.mutate("createContact", json!({"phone": "+16505552104", "name": "Ada"}), "contact { id }").await;
    let id = &created["contact"]["id"];
    let update = "mutation($id: ID!, $name: String) {
        updateContact(input: {id: $id, name: $name}) { contact { name } errors { code } } }";
    for (variables, name) in [
        (json!({"id": id}), json!("Ada")),
        (json!({"id": id, "name": "Grace"}), json!("Grace")),
        (json!({"id": id, "other": 1}), json!("Grace")),
    ] {
        let updated = client.data(update, variables.clone()).await;
        assert_eq!(updated["updateContact"], json!({"contact": {"name": name}, "errors": []}), "{variables}");
    }
    let paged = "query($first: Int, $after: String) { contacts(first: $first, after: $after) { totalCount } }";
    assert_eq!(client.data(paged, json!({})).await["contacts"]["totalCount"], 1);
}

async fn a_document_is_asked_for_by_its_hash(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let document = "query($phone: String) { contacts(first: 5, filter: {phone: $phone}) { totalCount } }";
    let hash = hex(document);
    let ask = async |key: &str, query: Option<&str>, hash: &str| -> Value {
        let body = json!({"query": query, "variables": {"phone": "+16505552105"},
            "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}});
        let request = client.http.post(format!("{}graphql", world.url)).bearer_auth(key).json(&body);
        request.send().await.expect("an answer").json().await.expect("JSON")
    };
    let unknown = ask(&client.key, None, &hash).await;
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound");
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    let wrong = ask(&client.key, Some("{ position }"), &hash).await;
    assert_eq!(wrong["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    assert_eq!(ask(&client.key, None, &hash).await, unknown, "a wrong hash keeps nothing");
    let expected = json!({"data": {"contacts": {"totalCount": 0}}});
    assert_eq!(ask(&client.key, Some(document), &hash).await, expected);
    assert_eq!(ask(&client.key, None, &hash).await, expected);
    // Over GET and over a WebSocket.
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}}).to_string();
    let mut url = url::Url::parse(&format!("{}graphql", world.url)).expect("a URL");
    url.query_pairs_mut().append_pair("extensions", &extensions);
    let got = client.http.get(url).bearer_auth(&client.key).header("accept", "text/html, */*;q=0.8").send().await;
    assert_eq!(got.expect("an answer").json::<Value>().await.expect("JSON"), expected);
    let mut socket = client.connect_ws().await;
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    socket.send(json!({"id": "a", "type": "subscribe", "payload": {"extensions": extensions}})).await;
    assert_eq!(socket.data().await, expected["data"]);
    // Another account has sent nothing.
    let (other, _) = world.another_account().await;
    assert_eq!(ask(&other.key, None, &hash).await, unknown);
}

fn hex(document: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(document);
    digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

async fn a_client_reads_what_it_wrote(engine: Engine) {
    let world = World::start(engine).await;
    let (client, number) = (world.client(), world.number());
    for n in 0..100 {
        let id = client.send_text(&number, &format!("+165055522{n:02}"), "Hello").await;
        assert_eq!(client.message(&id, "id").await["id"], *id);
    }
    let group = client.mutate("createGroup", json!({"name": "Readers"}), "group { id } position").await;
    assert_eq!(client.data("{ groups { totalCount } }", json!({})).await["groups"]["totalCount"], 1);
    // A position that a query names counts instead; 0 waits for nothing.
    let now = client.data("{ groups(minPosition: 0) { totalCount } }", json!({})).await;
    assert!(now["groups"]["totalCount"].is_number());
    let ask = async |position: &str| {
        let request = client.http.post(format!("{}graphql", world.url)).bearer_auth(&client.key);
        let request = request.header("WASend-Position", position).json(&json!({"query": "{ groups { totalCount } }"}));
        request.send().await.expect("an answer")
    };
    let answer = ask("0").await;
    let told: u64 = answer.headers()["wasend-position"].to_str().expect("digits").parse().expect("a number");
    assert!(Some(told) >= group["position"].as_u64(), "{told}");
    assert_eq!(ask("soon").await.status(), 400);
    let start = Instant::now();
    let late = ask(&(told + 1_000_000).to_string()).await.json::<Value>().await.expect("JSON");
    assert_eq!(late["errors"][0]["extensions"]["code"], "POSITION_NOT_REACHED");
    assert!(start.elapsed() >= Duration::from_secs(4));
}

async fn a_client_reads_on_one_node_what_it_wrote_on_another(engine: Engine) {
    let world = World::start(engine).await;
    let other = world.another_node(world.data.path()).await;
    let (client, reader) = (world.client(), other.client());
    for n in 0..30 {
        let query = json!({"query": "mutation($i: CreateGroupInput!) { createGroup(input: $i) { errors { code } } }",
            "variables": {"i": {"name": format!("Group {n}")}}});
        let request = client.http.post(format!("{}graphql", world.url)).bearer_auth(&client.key).json(&query);
        let position = request.send().await.expect("an answer").headers()["wasend-position"].clone();
        let request = reader.http.post(format!("{}graphql", other.url)).bearer_auth(&reader.key);
        let request = request.header("wasend-position", position).json(&json!({"query": "{ groups { totalCount } }"}));
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["data"]["groups"]["totalCount"], n + 1, "{answer}");
    }
}
