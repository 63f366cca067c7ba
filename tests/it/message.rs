//! A message is sent and tracked live.

use serde_json::json;
use wasend_tests::{Engine, World, until};

stories!(
    a_message_is_sent_and_watched_over_websocket,
    a_message_is_sent_and_watched_over_sse,
    usage_is_counted_once,
    a_thousand_messages_in_one_call,
    an_idempotency_key_sends_once,
    a_template_is_sent,
    a_subscriber_resumes_without_gap_or_repeat,
    messages_are_listed_in_pages,
    a_message_is_cancelled_before_it_is_tried,
);

const WATCH: &str =
    "subscription($after: Position) { messageStatusChanged(after: $after) { position message { id status } } }";

async fn a_message_is_sent_and_watched_over_websocket(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let mut socket = client.connect_ws().await;
    socket.subscribe("1", WATCH, json!({})).await;
    // The subscription is live once the server has answered anything that came after it.
    socket.subscribe("2", "{ position }", json!({})).await;
    assert_eq!(socket.next().await["id"], "2");
    assert_eq!(socket.next().await["type"], "complete");
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    let (mut seen, mut last) = (Vec::new(), 0);
    while seen.last().is_none_or(|status| status != "READ") {
        let change = socket.data().await["messageStatusChanged"].take();
        assert_eq!(change["message"]["id"], id.as_str());
        let position = change["position"].as_u64().expect("a position");
        assert!(position > last, "in order of position");
        last = position;
        seen.push(change["message"]["status"].as_str().expect("a status").to_owned());
    }
    assert_eq!(seen.first().map(String::as_str), Some("ACCEPTED"));
    let order = ["ACCEPTED", "ATTEMPTED", "SUBMITTED", "SENT", "DELIVERED", "READ"];
    let ranks: Vec<_> = seen.iter().map(|s| order.iter().position(|o| o == s).expect("a known status")).collect();
    assert!(ranks.is_sorted(), "{seen:?}");
    socket.send(json!({"id": "1", "type": "complete"})).await;
}

async fn a_message_is_sent_and_watched_over_sse(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let before = client.data("{ position }", json!({})).await["position"].take();
    let mut events = client.subscribe_sse(WATCH, json!({"after": before})).await;
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    loop {
        let change = events.next().await["data"]["messageStatusChanged"].take();
        assert_eq!(change["message"]["id"], id.as_str());
        if change["message"]["status"] == "READ" {
            break;
        }
    }
}

async fn usage_is_counted_once(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    world
        .simulator
        .script("*", json!([{"type": "duplicate"}, {"type": "category", "category": "utility"}]), None)
        .await;
    for n in 0..5 {
        let id = client.send_text(&world.number(), &format!("+1650555120{n}"), "Hello").await;
        client.until_status(&id, "READ").await;
    }
    let newest = client.data("{ messages(first: 1) { nodes { acceptedAt } } }", json!({})).await;
    let day = &newest["messages"]["nodes"][0]["acceptedAt"].as_str().expect("a time")[..10];
    let usage = "query($day: Date!) { usage(period: {from: $day, to: $day}) { lines { direction category messages delivered billable } } }";
    until("all are counted", || async {
        let usage = client.data(usage, json!({"day": day})).await["usage"]["lines"].take();
        let wanted =
            json!([{"direction": "OUTBOUND", "category": "utility", "messages": 5, "delivered": 5, "billable": 5}]);
        (usage == wanted).then_some(())
    })
    .await;
}

async fn a_thousand_messages_in_one_call(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client
        .mutate("setNumberRate", json!({"id": world.number(), "messagesPerSecond": 1000}), "position errors { code }")
        .await;
    let message =
        |n: usize| json!({"numberId": world.number(), "to": format!("+1650555{n:04}"), "text": {"body": "Hello"}});
    let mut messages: Vec<_> = (0..1000).map(message).collect();
    messages[17] = json!({"numberId": world.number(), "to": "nobody", "text": {"body": "Hello"}});
    let sent = client
        .mutate(
            "sendMessages",
            json!({"messages": messages}),
            "results { message { id } position errors { code field } }",
        )
        .await;
    let results = sent["results"].as_array().expect("results");
    assert_eq!(results.len(), 1000);
    assert_eq!(results[17]["message"], json!(null));
    assert_eq!(results[17]["errors"][0]["code"], "INVALID_PHONE");
    assert_eq!(results.iter().filter(|result| result["message"]["id"].is_string()).count(), 999);
    until("all are delivered", || async {
        let count = "{ messages(first: 1, filter: {status: [READ]}) { totalCount } }";
        (client.data(count, json!({})).await["messages"]["totalCount"] == 999).then_some(())
    })
    .await;
    let accepted = world.simulator.messages().await;
    assert_eq!(accepted["accepted"], 999);
    assert_eq!(accepted["repeated"], json!({}), "nothing was sent twice");

    let one = json!({"numberId": world.number(), "to": "+16505550000", "text": {"body": "x"}});
    let many = client
        .mutate(
            "sendMessages",
            json!({"messages": vec![one; 1001]}),
            "results { message { id } } errors { code field }",
        )
        .await;
    assert_eq!(many["errors"][0]["code"], "TOO_MANY");
}

async fn an_idempotency_key_sends_once(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let input = json!({"numberId": world.number(), "to": "+16505551234", "text": {"body": "Once"}, "idempotencyKey": "order-1"});
    let sends = (0..20).map(|_| client.send(input.clone()));
    let answers = futures::future::join_all(sends).await;
    for answer in &answers {
        assert_eq!(answer["message"]["id"], answers[0]["message"]["id"]);
        assert_eq!(answer["position"], answers[0]["position"]);
    }
    assert_eq!(answers.iter().filter(|answer| answer["repeated"] == false).count(), 1);
    // Another spelling of the number is the same content.
    let mut same = input.clone();
    same["to"] = json!("+1 (650) 555-1234");
    assert_eq!(client.send(same).await["message"]["id"], answers[0]["message"]["id"]);
    let mut other = input.clone();
    other["text"]["body"] = json!("Another");
    let refused = client.send(other).await;
    assert_eq!(refused["errors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(refused["errors"][0]["field"], "idempotencyKey");
    // What has become impossible since does not change what happened then.
    client.mutate("optOut", json!({"phone": "+16505551234"}), "errors { code }").await;
    assert_eq!(client.send(input).await["message"]["id"], answers[0]["message"]["id"]);
    let id = answers[0]["message"]["id"].as_str().expect("an id");
    until("it is settled", || async {
        let status = client.message(id, "status").await["status"].take();
        ["READ", "CANCELLED"].contains(&status.as_str()?).then_some(())
    })
    .await;
    assert!(world.simulator.messages().await["accepted"].as_u64() <= Some(1));
}

async fn a_template_is_sent(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let template = |parameters: &[&str]| {
        let parameters: Vec<_> = parameters.iter().map(|text| json!({"text": text})).collect();
        json!({"numberId": world.number(), "to": "+16505551234", "template": {"name": "order_update", "language": "en_US", "parameters": parameters}})
    };
    let missing = client.send(template(&["Ada"])).await;
    assert_eq!(missing["errors"][0]["code"], "MISSING_PARAMETER");
    assert_eq!(missing["errors"][0]["field"], "template.parameters");
    let mut unknown = template(&[]);
    unknown["template"]["name"] = json!("no_such_template");
    assert_eq!(client.send(unknown).await["errors"][0]["code"], "INVALID_TEMPLATE");
    let sent = client.send(template(&["Ada", "42"])).await;
    let id = sent["message"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    client.until_status(&id, "READ").await;
    let message = client.message(&id, "kind template content { template { parameters { text } } } category").await;
    assert_eq!(message["template"], "order_update");
    assert_eq!(message["content"]["template"]["parameters"], json!([{"text": "Ada"}, {"text": "42"}]));
}

async fn a_subscriber_resumes_without_gap_or_repeat(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let mut first = client.subscribe_sse(WATCH, json!({"after": 0})).await;
    let one = client.send_text(&world.number(), "+16505551234", "One").await;
    let mut changes = Vec::new();
    for _ in 0..2 {
        changes.push(first.next().await["data"]["messageStatusChanged"].take());
    }
    drop(first);
    let two = client.send_text(&world.number(), "+16505551235", "Two").await;
    client.until_status(&one, "READ").await;
    client.until_status(&two, "READ").await;
    let last = changes.last().expect("two changes")["position"].clone();
    let mut second = client.subscribe_sse(WATCH, json!({"after": last})).await;
    let read = |changes: &[serde_json::Value]| changes.iter().filter(|c| c["message"]["status"] == "READ").count();
    while read(&changes) < 2 {
        changes.push(second.next().await["data"]["messageStatusChanged"].take());
    }
    let mut whole = client.subscribe_sse(WATCH, json!({"after": 0})).await;
    for change in &changes {
        assert_eq!(*change, whole.next().await["data"]["messageStatusChanged"]);
    }
}

async fn messages_are_listed_in_pages(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(client.send_text(&world.number(), &format!("+1650555123{n}"), "Hello").await);
    }
    client.until_status(&ids[6], "READ").await;
    let page = "query($first: Int, $after: String, $last: Int, $before: String) { messages(first: $first, after: $after, last: $last, before: $before) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage endCursor startCursor } totalCount } }";
    let (mut seen, mut after) = (Vec::new(), json!(null));
    loop {
        let page = client.data(page, json!({"first": 3, "after": after})).await["messages"].take();
        assert_eq!(page["totalCount"], 7);
        seen.extend(
            page["edges"]
                .as_array()
                .expect("edges")
                .iter()
                .map(|edge| edge["node"]["id"].as_str().expect("an id").to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    ids.reverse();
    assert_eq!(seen, ids, "the newest first, each once");
    let last = client.data(page, json!({"last": 2})).await["messages"].take();
    assert_eq!(last["edges"][1]["node"]["id"], ids[6].as_str());
    assert_eq!(last["pageInfo"]["hasPreviousPage"], true);
    assert_eq!(client.error_code(page, json!({"after": "rubbish"})).await, "INVALID_CURSOR");
    let filtered = "query($c: MessageFilter) { messages(filter: $c) { totalCount } }";
    let by_phone = client.data(filtered, json!({"c": {"to": "+1 650 555 1233"}})).await;
    assert_eq!(by_phone["messages"]["totalCount"], 1);
}

async fn a_message_is_cancelled_before_it_is_tried(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let id = client.send_text(&world.number(), "+16505551234", "Never").await;
    let cancelled = client.mutate("cancelMessage", json!({"id": id}), "message { status } errors { code }").await;
    assert_eq!(cancelled["message"]["status"], "CANCELLED");
    client.mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    let other = client.send_text(&world.number(), "+16505551235", "Now").await;
    client.until_status(&other, "READ").await;
    let refused =
        client.mutate("cancelMessage", json!({"id": other}), "message { status } errors { code field }").await;
    assert_eq!(refused["errors"][0]["code"], "NOT_CANCELLABLE");
    assert_eq!(world.simulator.messages().await["accepted"], 1);
}
