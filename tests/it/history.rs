//! The history is exported and replayed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wasend_tests::{Engine, World, until};

stories!(
    the_history_is_exported_and_replayed,
    personal_values_open_for_a_key_with_the_scope,
    the_audit_trail_names_who_did_what
);

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

async fn the_history_is_exported_and_replayed(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&id, "READ").await;
    let file = json!({"filename": "people.csv", "content": "phone,name\n+16505550100,Ada\n"});
    let import = client.mutate("importContacts", file, "import { id } errors { code }").await["import"]["id"].take();
    let done = "query($id: ID!) { import(id: $id) { state } }";
    until("the file is imported", || async {
        (client.data(done, json!({"id": import})).await["import"]["state"] == "DONE").then_some(())
    })
    .await;
    let all = lines(&world.run(&["events"]).await);
    for (index, event) in all.iter().enumerate() {
        assert_eq!(event["position"], index as u64 + 1, "gapless from 1");
    }
    let aggregate = format!("message:{id}");
    let mine = lines(&world.run(&["events", "--aggregate", &aggregate]).await);
    assert_eq!(mine[0]["type"], "MessageAccepted");
    assert!(mine.iter().all(|event| event["aggregateId"] == id.as_str()));
    let range = lines(&world.run(&["events", "--from", "2", "--to", "4"]).await);
    assert_eq!(range, all[1..4]);
    let replayed = lines(&world.run(&["events", "replay", "--aggregate", &aggregate]).await);
    assert_eq!(replayed.len(), mine.len());
    assert!(replayed.last().expect("states")["state"]["read_at"].is_number());
    // Every aggregate that the history tells of.
    let streams: BTreeSet<String> = all
        .iter()
        .map(|event| {
            [&event["aggregateType"], &event["aggregateId"]].map(|text| text.as_str().expect("a text")).join(":")
        })
        .collect();
    assert!(streams.iter().any(|stream| stream.starts_with("import:")));
    for stream in &streams {
        let states = lines(&world.run(&["events", "replay", "--aggregate", stream]).await);
        let events = all.iter().filter(|event| stream.ends_with(event["aggregateId"].as_str().expect("a text")));
        assert_eq!(states.len(), events.count(), "{stream}");
    }
    let (ok, _, complaint) =
        world.try_run(&["events", "replay", "--aggregate", "parrot:018f0000-0000-7000-8000-000000000001"]).await;
    assert!(!ok && complaint.contains("parrot"));
}

async fn personal_values_open_for_a_key_with_the_scope(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.send_text(&world.number(), "+16505551234", "A secret body").await;
    let file = |name: &str, key: &str| {
        let path = world.data.path().join(name);
        std::fs::write(&path, key).expect("a file is written");
        path.to_string_lossy().into_owned()
    };
    let key = file("key", &client.key);
    let opened = world.run(&["events", "--open", "--key-file", &key]).await;
    assert!(opened.contains("A secret body"));
    assert!(!world.run(&["events"]).await.contains("A secret body"));
    let issued = client.mutate("issueApiKey", json!({"scopes": ["AUDIT"]}), "secret errors { code }").await;
    let weak = file("weak", issued["secret"].as_str().expect("a secret"));
    let (ok, printed, complaint) = world.try_run(&["events", "--open", "--key-file", &weak]).await;
    assert!(!ok && printed.is_empty() && complaint.contains("PRIVACY"), "{complaint}");
    let (other, _) = world.another_account().await;
    let theirs = file("theirs", &other.key);
    assert!(!world.run(&["events", "--open", "--key-file", &theirs]).await.contains("A secret body"));
}

async fn the_audit_trail_names_who_did_what(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&id, "READ").await;
    let query = "query($f: AuditFilter) { auditTrail(first: 100, filter: $f) { edges { node { position id eventType actor aggregateType aggregateId recordedAt } } } }";
    let audit = client.data(query, json!({"f": {"aggregateId": id}})).await["auditTrail"]["edges"].take();
    let actor = |event: &str| {
        let edges = audit.as_array().expect("edges").iter();
        edges
            .map(|edge| &edge["node"])
            .find(|node| node["eventType"] == event)
            .map(|node| node["actor"].as_str().expect("an actor").to_owned())
    };
    assert!(actor("MessageAccepted").expect("accepted").starts_with("key:"));
    assert_eq!(actor("MessageAttempted").as_deref(), Some("system:dispatcher"));
    assert_eq!(actor("MessageRead").as_deref(), Some("meta"));
    let mut events =
        client.subscribe_sse("subscription { auditEvents(after: 0) { position eventType } }", json!({})).await;
    for position in 1..=5 {
        assert_eq!(events.next().await["data"]["auditEvents"]["position"], position);
    }
}
