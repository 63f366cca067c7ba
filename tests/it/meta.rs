//! Meta misbehaves in every way that it is known to.

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, Start, World, until};

stories!(
    statuses_come_twice_and_in_reverse,
    read_comes_without_delivered,
    failed_comes_after_delivered,
    a_failure_is_shown_with_its_code,
    a_held_message_is_released,
    a_held_message_is_dropped,
    a_rate_limit_is_waited_out,
    an_unavailable_meta_is_tried_again,
    a_dropped_connection_is_never_sent_again,
    an_unknown_outcome_is_surfaced,
    a_stopped_number_keeps_its_queue,
    another_wa_id_becomes_an_alias,
    updates_come_in_batches_escaped_and_with_unknown_fields,
);

const TO: &str = "+16505551234";

async fn sent(world: &World, behaviours: Value) -> (Client, String) {
    let client = world.client();
    world.simulator.script(TO, behaviours, None).await;
    let id = client.send_text(&world.number(), TO, "Grüße 👋").await;
    (client, id)
}

async fn statuses_come_twice_and_in_reverse(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "duplicate"}, {"type": "reorder"}])).await;
    client.until_status(&id, "READ").await;
    until("every fact is known", || async {
        let message = client.message(&id, "status sentAt deliveredAt readAt statusHistory { fact }").await;
        let facts = message["statusHistory"].as_array()?.iter().map(|entry| entry["fact"].as_str());
        let facts: Vec<_> = facts.flatten().collect();
        let once = |fact| facts.iter().filter(|known| **known == fact).count() == 1;
        (once("MessageSent") && once("MessageDelivered") && once("MessageRead")).then_some(())
    })
    .await;
    assert_eq!(client.message(&id, "status").await["status"], "READ");
}

async fn read_comes_without_delivered(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "skip_delivered"}])).await;
    client.until_status(&id, "READ").await;
}

async fn failed_comes_after_delivered(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "failed_after_delivered", "code": 131_026}])).await;
    until("the failure is known", || async {
        let message = client.message(&id, "status statusHistory { fact }").await;
        let failed = message["statusHistory"].as_array()?.iter().any(|entry| entry["fact"] == "MessageFailed");
        failed.then_some(())
    })
    .await;
    assert_eq!(client.message(&id, "status").await["status"], "DELIVERED", "delivered wins");
}

async fn a_failure_is_shown_with_its_code(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "failed", "code": 131_026}])).await;
    client.until_status(&id, "FAILED").await;
    let message = client.message(&id, "error { code class detail }").await;
    assert_eq!(message["error"]["code"], 131_026);
    assert!(message["error"]["detail"].is_string());
}

async fn a_held_message_is_released(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "held"}])).await;
    client.until_status(&id, "READ").await;
    assert!(client.message(&id, "heldAt").await["heldAt"].is_string());
}

async fn a_held_message_is_dropped(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "held", "then": "failed"}])).await;
    client.until_status(&id, "FAILED").await;
    assert_eq!(client.message(&id, "error { code }").await["error"]["code"], 132_015);
}

async fn a_rate_limit_is_waited_out(engine: Engine) {
    let world = World::start(engine).await;
    let limits = json!([
        {"type": "rate_limited", "code": 130_429, "retry_after": 1, "times": 1},
        {"type": "rate_limited", "code": 130_429, "times": 1},
    ]);
    let (client, id) = sent(&world, limits).await;
    client.until_status(&id, "READ").await;
    assert_eq!(client.message(&id, "attempts").await["attempts"], 3);
    assert_eq!(world.simulator.messages().await["accepted"], 1);
}

async fn an_unavailable_meta_is_tried_again(engine: Engine) {
    let world = Start::default().with("WASEND_DISPATCH_BACKOFF_BASE", "50ms").on(engine).await;
    let (client, id) = sent(&world, json!([{"type": "unavailable_before", "times": 1}])).await;
    client.until_status(&id, "READ").await;
    assert_eq!(client.message(&id, "attempts").await["attempts"], 2);
}

async fn a_dropped_connection_is_never_sent_again(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "drop_after"}])).await;
    client.until_status(&id, "READ").await;
    let other = client.send_text(&world.number(), "+16505551235", "Hello").await;
    world.simulator.script("+16505551236", json!([{"type": "server_error_after"}]), None).await;
    let third = client.send_text(&world.number(), "+16505551236", "Hello").await;
    client.until_status(&other, "READ").await;
    client.until_status(&third, "READ").await;
    let accepted = world.simulator.messages().await;
    assert_eq!(accepted["accepted"], 3);
    assert_eq!(accepted["repeated"], json!({}));
    assert!(client.message(&id, "wamid").await["wamid"].is_string(), "learnt from the webhook");
}

async fn an_unknown_outcome_is_surfaced(engine: Engine) {
    let world = Start::default().with("WASEND_DISPATCH_RECONCILE_WINDOW", "1s").on(engine).await;
    let (client, id) = sent(&world, json!([{"type": "gateway_error_before"}])).await;
    until("it is surfaced", || async { (client.message(&id, "unresolved").await["unresolved"] == true).then_some(()) })
        .await;
    let listed =
        client.data("{ messages(filter: {unresolved: true}) { edges { node { id status } } } }", json!({})).await;
    assert_eq!(listed["messages"]["edges"], json!([{"node": {"id": id, "status": "ATTEMPTED"}}]));
    assert_eq!(world.simulator.messages().await["accepted"], 0, "it is not sent again on a guess");
}

async fn a_stopped_number_keeps_its_queue(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = sent(&world, json!([{"type": "error", "http_status": 401, "code": 190, "times": 1}])).await;
    let number = "query($id: ID!) { number(id: $id) { pausedAt pauseCode } }";
    until("the number is stopped", || async {
        let number = client.data(number, json!({"id": world.number()})).await["number"].take();
        (number["pauseCode"] == 190).then_some(())
    })
    .await;
    let other = client.send_text(&world.number(), "+16505551235", "Waits").await;
    client.mutate("resumeNumber", json!({"id": world.number()}), "number { pausedAt } errors { code }").await;
    client.until_status(&id, "READ").await;
    client.until_status(&other, "READ").await;
}

async fn another_wa_id_becomes_an_alias(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    world.simulator.script("+5511987654321", json!([{"type": "wa_id", "wa_id": "551187654321"}]), None).await;
    let id = client.send_text(&world.number(), "+5511987654321", "Olá").await;
    client.until_status(&id, "READ").await;
    let ids = client.data("{ numbers(first: 1) { edges { node { phoneNumberId } } } }", json!({})).await;
    let phone_number_id = ids["numbers"]["edges"][0]["node"]["phoneNumberId"].clone();
    let posted = world
        .simulator
        .inbound(json!({"phone_number_id": phone_number_id, "from": "551187654321", "text": "Oi"}))
        .await;
    assert_eq!(posted["webhook_status"], 200);
    until("the answer belongs to the same contact", || async {
        let contacts =
            client.data("{ contacts(first: 5) { totalCount } messages(first: 5) { totalCount } }", json!({})).await;
        (contacts["messages"]["totalCount"] == 2).then(|| assert_eq!(contacts["contacts"]["totalCount"], 1))
    })
    .await;
}

async fn updates_come_in_batches_escaped_and_with_unknown_fields(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let behaviours = json!([{"type": "batch", "size": 1000}, {"type": "escape_unicode"}, {"type": "unknown_fields"}, {"type": "no_pricing"}]);
    world.simulator.script("*", behaviours, None).await;
    let message =
        |n: usize| json!({"numberId": world.number(), "to": format!("+1650555{n:04}"), "text": {"body": "Grüße"}});
    let messages: Vec<_> = (0..200).map(message).collect();
    client.mutate("setNumberRate", json!({"id": world.number(), "messagesPerSecond": 1000}), "errors { code }").await;
    client.mutate("sendMessages", json!({"messages": messages}), "results { errors { code } }").await;
    until("all are read", || async {
        let count = client.data("{ messages(first: 1, filter: {status: [READ]}) { totalCount } }", json!({})).await;
        (count["messages"]["totalCount"] == 200).then_some(())
    })
    .await;
}
