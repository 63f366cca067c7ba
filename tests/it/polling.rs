//! Clients that ask again and again: what came late, what changed since a position, and what a number does meanwhile.

use serde_json::{Value, json};
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock;
use wasend_tests::{Engine, World, until};

stories!(
    what_comes_late_is_received_when_it_comes,
    lists_are_polled_by_position,
    a_number_says_how_fast_it_sends_and_why_it_waits,
);

fn now() -> i64 {
    SystemClock.now().micros() / 1_000_000
}

/// A message of a person, sent when its timestamp says.
async fn hear(world: &World, from: &str, text: &str, timestamp: &str) {
    let id = world.phone_number_id().await;
    let message = json!({"from": from, "id": format!("wamid.{from}"), "timestamp": timestamp, "type": "text",
        "text": {"body": text}});
    let value = json!({"messaging_product": "whatsapp", "messages": [message],
        "metadata": {"display_phone_number": "1", "phone_number_id": id}});
    let body = json!({"object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
    assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200);
}

async fn what_comes_late_is_received_when_it_comes(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let begun = now();
    let moments = [
        ("16505551601", begun, true),
        ("16505551602", begun - 40 * 86_400, true),
        ("16505551603", 1, true),
        ("16505551604", begun + 300 * 86_400, true),
        ("16505551605", 300_000_000_000, false),
    ];
    for (from, moment, _) in moments {
        hear(&world, from, from, &moment.to_string()).await;
    }
    let list = "query($after: DateTime) { messages(filter: {direction: INBOUND, acceptedAfter: $after}) {
        nodes { status kind acceptedAt receivedAt sentAt content { text raw } } } }";
    let after = client.data("query { account { openedAt } }", json!({})).await["account"]["openedAt"].take();
    let listed = until("all are shown", || async {
        let listed = client.data(list, json!({"after": after})).await["messages"]["nodes"].take();
        (listed.as_array()?.len() == moments.len()).then_some(listed)
    })
    .await;
    for (from, moment, is_told) in moments {
        let nodes = listed.as_array().expect("a list");
        let message = nodes.iter().find(|node| node["content"]["text"] == *from).expect("it is there");
        assert_eq!(message["acceptedAt"], message["receivedAt"], "{message}");
        assert!(message["receivedAt"].as_str() >= after.as_str(), "{message}");
        // JSON, and not a text of it.
        assert_eq!(message["content"]["raw"]["text"]["body"], *from, "{message}");
        assert_eq!(message["content"]["raw"]["timestamp"], moment.to_string(), "{message}");
        let sent_at = message["sentAt"].as_str();
        assert_eq!(sent_at.is_some(), is_told, "{message}");
        assert!(moment != 1 || sent_at == Some("1970-01-01T00:00:01.000000Z"), "{message}");
    }
    // Usage goes by the day of arrival; the days are ours.
    let days = "{ usage(period: {from: \"%from\", to: \"%to\"}) { messages } }";
    let usage = async |from: &str, to: &str| {
        client.data(&days.replace("%from", from).replace("%to", to), json!({})).await["usage"]["messages"].clone()
    };
    let today = after.as_str().expect("a time")[..10].to_owned();
    let tomorrow = listed[0]["receivedAt"].as_str().expect("a time")[..10].to_owned();
    assert_eq!(usage(&today, &tomorrow).await, moments.len());
    assert_eq!(usage("1970-01-01", "1970-12-31").await, 0);
    for (name, value) in [("DateTime", "9999-12-31T23:59:59-01:00"), ("DateTime", "+10000-01-01T00:00:00Z")] {
        let refused = client.error_code(list, json!({"after": value})).await;
        assert!(
            ["GRAPHQL_VALIDATION_FAILED", "INVALID_INPUT"].contains(&refused.as_str()),
            "{name} {value}: {refused}"
        );
    }
    let far = client.error_code(&days.replace("%from", "+10000-01-01").replace("%to", "+10000-01-02"), json!({})).await;
    assert!(["GRAPHQL_VALIDATION_FAILED", "INVALID_INPUT"].contains(&far.as_str()), "{far}");
}

async fn lists_are_polled_by_position(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let first = client.send_text(&world.number(), "+16505551701", "Hello").await;
    let second = client.send_text(&world.number(), "+16505551702", "Hello").await;
    client.until_status(&first, "READ").await;
    client.until_status(&second, "READ").await;
    let position = async || client.data("{ position }", json!({})).await["position"].clone();
    let changed = async |list: &str, after: Value| {
        let query = format!(
            "query($after: Position) {{ {list}(filter: {{updatedAfter: $after}}) {{ totalCount nodes {{ id }} }} }}"
        );
        let mut listed = client.data(&query, json!({"after": after})).await[list].take();
        assert_eq!(listed["totalCount"], listed["nodes"].as_array().expect("a list").len());
        listed["nodes"].take()
    };
    assert_eq!(changed("messages", json!(0)).await.as_array().map(Vec::len), Some(2));
    let before = position().await;
    assert_eq!(
        (changed("messages", before.clone()).await, changed("contacts", before.clone()).await),
        (json!([]), json!([]))
    );
    let third = client.send_text(&world.number(), "+16505551703", "Hello").await;
    assert_eq!(changed("messages", before.clone()).await, json!([{"id": third}]));
    let changed_contacts = changed("contacts", before.clone()).await;
    assert_eq!(changed_contacts.as_array().map(Vec::len), Some(1));
    client.mutate("optOut", json!({"phone": "+16505551701"}), "contact { id }").await;
    assert_eq!(changed("contacts", before).await.as_array().map(Vec::len), Some(2));
    // Another account's history counts for nothing.
    let (other, _) = world.another_account().await;
    let query =
        "{ messages(filter: {updatedAfter: 0}) { totalCount } contacts(filter: {updatedAfter: 0}) { totalCount } }";
    let nothing = json!({"messages": {"totalCount": 0}, "contacts": {"totalCount": 0}});
    assert_eq!(other.data(query, json!({})).await, nothing);
}

async fn a_number_says_how_fast_it_sends_and_why_it_waits(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let sending = async || {
        let query = "query($id: ID!) { number(id: $id) { messagesPerSecond
            sending { sentLastMinute waiting waitsFor nextAttemptAt code } } }";
        client.data(query, json!({"id": world.number()})).await["number"]["sending"].take()
    };
    let idle = json!({"sentLastMinute": 0, "waiting": 0, "waitsFor": null, "nextAttemptAt": null, "code": null});
    assert_eq!(sending().await, idle);
    let sent = client.send_text(&world.number(), "+16505551801", "Hello").await;
    client.until_status(&sent, "READ").await;
    assert_eq!(
        sending().await,
        json!({"sentLastMinute": 1, "waiting": 0, "waitsFor": null, "nextAttemptAt": null, "code": null})
    );
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    client.send_text(&world.number(), "+16505551802", "Hello").await;
    let paused = sending().await;
    assert_eq!((&paused["waiting"], &paused["waitsFor"]), (&json!(1), &json!("PAUSED")), "{paused}");
    // Meta asks for a pause: the pair of number and recipient has to wait.
    let limited = json!([{"type": "rate_limited", "code": 131_056}]);
    world.simulator.script("+16505551803", limited, Some(3)).await;

    client.mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    client.send_text(&world.number(), "+16505551803", "Hello").await;
    until("it waits for its next attempt", || async {
        let waits = sending().await;
        let is_retry = waits["waitsFor"] == "RETRY" && waits["code"] == 131_056 && waits["nextAttemptAt"].is_string();
        is_retry.then_some(())
    })
    .await;
}
