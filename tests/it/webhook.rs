//! What arrives at the webhook: believed only if signed, durable before it is acknowledged.

use serde_json::{Value, json};
use wasend_tests::{Engine, World, until};

stories!(
    what_is_not_authentic_changes_nothing,
    what_is_not_understood_is_kept,
    users_write_in,
    many_users_write_in_at_once,
    odd_shapes_are_survived,
    the_handshake_needs_the_verify_token
);

async fn positions(world: &World) -> usize {
    world.run(&["events"]).await.lines().count()
}

async fn metric(world: &World, line: &str) -> f64 {
    let text = reqwest::get(format!("{}metrics", world.url)).await.expect("metrics").text().await.expect("text");
    text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
}

async fn what_is_not_authentic_changes_nothing(engine: Engine) {
    let world = World::start(engine).await;
    let before = positions(&world).await;
    let http = world.client().http;
    let url = format!("{}webhooks/whatsapp", world.url);
    let body = json!({"object": "whatsapp_business_account", "entry": []}).to_string();
    for signature in [
        None,
        Some(""),
        Some("sha256="),
        Some("sha256=00"),
        Some(&*format!("sha256={}", "0".repeat(64))),
        Some(&*format!("sha1={}", "0".repeat(64))),
    ] {
        let mut request = http.post(&url).body(body.clone());
        if let Some(signature) = signature {
            request = request.header("X-Hub-Signature-256", signature);
        }
        let status = request.send().await.expect("an answer").status();
        assert!(status.is_client_error(), "{signature:?}: {status}");
    }
    let malformed = world.simulator.raw(&world.phone_number_id().await, "{\"entry\": [").await;
    assert_eq!(malformed["webhook_status"], 400, "signed, but no JSON");
    assert_eq!(http.put(&url).send().await.expect("an answer").status(), 405);
    let huge = http.post(&url).header("X-Hub-Signature-256", "sha256=00").body(vec![b'['; 8_000_000]).send().await;
    if let Ok(answer) = huge {
        assert!(answer.status().is_client_error());
    }
    assert_eq!(positions(&world).await, before, "nothing was written");
}

async fn what_is_not_understood_is_kept(engine: Engine) {
    let world = World::start(engine).await;
    let id = world.phone_number_id().await;
    let before = positions(&world).await;
    let bodies = ["{\"hello\":1}".to_owned(), "[1,2]".to_owned(), "42".to_owned(), "null".to_owned(), json!({"object": "whatsapp_business_account", "entry": [{"id": "77", "changes": [{"field": "parrots", "value": {"metadata": {"phone_number_id": id}, "wings": 2}}]}]}).to_string()];
    for body in &bodies {
        assert_eq!(world.simulator.raw(&id, body).await["webhook_status"], 200, "{body}");
    }
    let kept = positions(&world).await - before;
    assert_eq!(kept, bodies.len());
    for body in &bodies {
        assert_eq!(world.simulator.raw(&id, body).await["webhook_status"], 200, "{body}");
    }
    assert_eq!(positions(&world).await - before, kept, "the same again is kept once");
    assert!(metric(&world, "wasend_webhook_updates_total{kind=\"unknown\"}").await >= 5.0);
    assert!(!world.run(&["events"]).await.contains("wings"), "sealed");
}

async fn many_users_write_in_at_once(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = world.phone_number_id().await;
    let messages: Vec<Value> = (0..200)
        .map(|n| {
            let from = format!("1650555{:04}", n % 50);
            json!({"from": from, "id": format!("wamid.many-{n}"), "timestamp": "1700000000", "type": "text", "text": {"body": n.to_string()}})
        })
        .collect();
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": id}, "messages": messages}}]}]});
    for _ in 0..2 {
        assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200, "{}", world.output());
    }
    let query = "query($to: String) { all: messages(filter: {direction: INBOUND}) { totalCount } contacts { totalCount } \
        messages(filter: {direction: INBOUND, to: $to}) { nodes { position content { text } } } }";
    let found = until("all are there", || async {
        let found = client.data(query, json!({"to": "+16505550007"})).await;
        (found["all"]["totalCount"] == 200).then_some(found)
    })
    .await;
    assert_eq!(found["contacts"]["totalCount"], 50);
    let mut nodes = found["messages"]["nodes"].as_array().expect("a list").clone();
    nodes.sort_by_key(|node| node["position"].as_u64());
    let texts: Vec<_> = nodes.iter().map(|node| node["content"]["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["7", "57", "107", "157"], "each user's messages are recorded in their order");
}

async fn users_write_in(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = world.phone_number_id().await;
    let message = json!({"phone_number_id": id, "from": "4915112345678", "name": "Grace", "text": "Hallo, Grüße!", "escape_unicode": true});
    let posted = world.simulator.inbound(message).await;
    assert_eq!(posted["webhook_status"], 200, "{posted} {}", world.output());
    let query = "{ messages(filter: {direction: INBOUND}) { totalCount edges { node { status direction kind content { text } contact { phone profileName } } } } }";
    let found = until("it is there", || async {
        let found = client.data(query, json!({})).await["messages"].take();
        found["edges"][0]["node"].is_object().then_some(found)
    })
    .await;
    let node = &found["edges"][0]["node"];
    assert_eq!(
        *node,
        json!({"status": "RECEIVED", "direction": "INBOUND", "kind": "TEXT", "content": {"text": "Hallo, Grüße!"}, "contact": {"phone": "+4915112345678", "profileName": "Grace"}})
    );
    // Meta repeats: the same message, once.
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": id},
        "contacts": [{"profile": {"name": "Grace"}, "wa_id": "4915112345678"}],
        "messages": [{"from": "4915112345678", "id": "wamid.again", "timestamp": "1700000000", "type": "text", "text": {"body": "Again"}}]}}]}]}).to_string();
    for _ in 0..3 {
        assert_eq!(world.simulator.raw(&id, &body).await["webhook_status"], 200);
    }
    until("it is there once", || async {
        (client.data(query, json!({})).await["messages"]["totalCount"] == 2).then_some(())
    })
    .await;
    let contacts = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(contacts["contacts"]["totalCount"], 1);
    // A person who hides the number is known by the BSUID.
    let posted = world
        .simulator
        .inbound(json!({"phone_number_id": id, "user_id": "US.13491208655302741918", "name": "Hidden", "text": "Hi"}))
        .await;
    assert_eq!(posted["webhook_status"], 200, "{posted} {}", world.output());
    until("the contact is there", || async {
        let found = client
            .data(
                "{ contacts(filter: {bsuid: \"US.13491208655302741918\"}) { edges { node { phone profileName } } } }",
                json!({}),
            )
            .await;
        (found["contacts"]["edges"] == json!([{"node": {"phone": null, "profileName": "Hidden"}}])).then_some(())
    })
    .await;
}

async fn odd_shapes_are_survived(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = world.phone_number_id().await;
    let sent = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&sent, "READ").await;
    let value = |extra: Value| {
        let mut value =
            json!({"messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": id}});
        value.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}).to_string()
    };
    for odd in [
        value(json!({"statuses": [{"id": "wamid.unknown", "status": "sent", "timestamp": "1700000000"}]})),
        value(
            json!({"statuses": [{"id": "wamid.unknown", "status": "teleported", "timestamp": "1700000000", "biz_opaque_callback_data": sent}]}),
        ),
        value(
            json!({"statuses": [{"id": "wamid.x", "status": "sent", "timestamp": "noon", "biz_opaque_callback_data": sent}]}),
        ),
        value(
            json!({"statuses": [{"id": "wamid.x", "status": "sent", "timestamp": "1700000000000", "biz_opaque_callback_data": sent}]}),
        ),
        value(json!({"statuses": [{"status": "sent"}, 7, null, {"id": 5}]})),
        value(json!({"statuses": "none"})),
        value(json!({"messages": [{"id": "wamid.1", "type": "text", "text": {"body": "no sender"}}]})),
        value(json!({"messages": [{"from": "not a number", "id": "wamid.2", "type": "text", "text": {"body": "x"}}]})),
        value(
            json!({"messages": [{"from": "US.13491208655302741918", "id": "wamid.3", "type": "image", "image": {"id": "1"}}]}),
        ),
        value(
            json!({"messages": [{"from": "16505551234", "id": "wamid.4", "type": "hologram"}, {"from": "16505551234", "id": "wamid.5", "type": "text", "text": "flat"}]}),
        ),
        value(json!({"errors": [{"code": 131_000}]})),
        format!("{}   trailing", value(json!({"statuses": []}))),
    ] {
        assert_eq!(world.simulator.raw(&id, &odd).await["webhook_status"], 200, "{odd}");
    }
    assert_eq!(client.message(&sent, "status").await["status"], "READ");
}

async fn the_handshake_needs_the_verify_token(engine: Engine) {
    let world = World::start(engine).await;
    let (_, _) = world.another_account().await;
    let http = world.client().http;
    let ask = |token: &'static str| {
        let url =
            format!("{}webhooks/whatsapp?hub.mode=subscribe&hub.challenge=12345&hub.verify_token={token}", world.url);
        http.get(url).send()
    };
    until("the number is known", || async {
        let answer = ask("verify-me").await.expect("an answer");
        (answer.status() == 200).then_some(answer)
    })
    .await;
    assert_eq!(ask("verify-me").await.expect("an answer").text().await.expect("a text"), "12345");
    for wrong in ["", "verify", "verify-me%20"] {
        assert!(ask(wrong).await.expect("an answer").status().is_client_error());
    }
}
