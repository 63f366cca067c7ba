//! Scripting over HTTP, inbound messages and raw webhooks.

use serde_json::json;

use super::*;

#[tokio::test]
async fn scripts_are_added_and_deleted() {
    let world = World::new().await;
    let script = json!({"recipient": "*", "behaviours": [
        {"type": "rate_limited", "code": 130_429, "retry_after": 2, "times": 1},
        {"type": "held"},
        {"type": "duplicate"},
        {"type": "category", "category": "utility"},
    ]});
    assert_eq!(world.control("scripts", &script).await, (201, json!({"scripts": 1})));
    assert!(world.send("m").await.is_err());
    world.send("m").await.unwrap();
    assert_eq!(world.updates().await.len(), 6);

    let url = world.meta.control_url("scripts");
    let answer = browser().delete(url).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    world.send("m").await.unwrap();
    assert_eq!(world.updates().await.len(), 9);

    for wrong in [
        json!({"recipient": "*", "behaviours": [{"type": "no_such_behaviour"}]}),
        json!({"recipient": "*", "behaviours": [{"type": "failed"}]}),
        json!({"recipient": "*", "behaviours": [], "time": 1}),
    ] {
        assert_eq!(world.control("scripts", &wrong).await.0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn the_summary_shows_what_was_sent_twice() {
    let world = World::new().await;
    for data in ["a", "b", "b"] {
        world.send(data).await.unwrap();
    }
    world.meta.simulator().settled().await;
    let mut url = world.meta.control_url("messages");
    url.set_query(Some("limit=1"));
    let summary: Value = browser().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&summary["accepted"], &summary["pending"]), (&json!(3), &json!(0)));
    assert_eq!(summary["counts"], json!({"a": 1, "b": 2}));
    assert_eq!(summary["repeated"], json!({"b": 2}));
    assert_eq!(summary["messages"].as_array().unwrap().len(), 1);
    assert_eq!(summary["messages"][0]["to"], DIGITS);
}

#[tokio::test]
async fn a_user_writes() {
    let world = World::new().await;
    let id = &world.line.phone_number_id;
    for (given, kind, text) in [
        (json!({"from": DIGITS, "name": "Ana Łoś", "text": "STOP"}), "text", Some("STOP")),
        (
            json!({"user_id": "US.1", "name": "Ana Łoś", "button": {"text": "Yes", "payload": "y"}}),
            "button",
            Some("Yes"),
        ),
        (
            json!({"from": DIGITS, "name": "Ana Łoś", "escape_unicode": true,
                   "message": {"type": "image", "image": {"id": "1", "caption": "ß"}}}),
            "image",
            Some("ß"),
        ),
    ] {
        let mut given = given;
        given["phone_number_id"] = json!(id);
        lock(&world.receiver.bodies).clear();
        let (status, posted) = world.control("inbound", &given).await;
        assert_eq!((status, &posted["webhook_status"]), (200, &json!(200)));
        let updates = world.updates().await;
        let [WebhookUpdate::Message(message)] = updates.as_slice() else {
            panic!("one message");
        };
        assert_eq!((message.kind.as_str(), message.text.as_deref()), (kind, text));
        assert_eq!(posted["wamid"], message.wamid);
        assert_eq!(message.profile_name.as_deref(), Some("Ana Łoś"));
        assert!(message.from_user_id.as_deref().is_some_and(crate::is_bsuid));
        assert_eq!(message.timestamp, Some(NOW));
    }
    lock(&world.receiver.answers).push_back(500);
    let again = json!({"phone_number_id": id, "from": DIGITS, "text": "hi"});
    assert_eq!(world.control("inbound", &again).await.1["webhook_status"], 500);

    let unknown = json!({"phone_number_id": "7", "from": DIGITS, "text": "hi"});
    assert_eq!(world.control("inbound", &unknown).await.0, 404);
    for incomplete in [
        json!({"phone_number_id": id, "text": "hi"}),
        json!({"phone_number_id": id, "from": DIGITS}),
        json!({"phone_number_id": id, "from": DIGITS, "message": 7}),
    ] {
        assert_eq!(world.control("inbound", &incomplete).await.0, 422, "{incomplete}");
    }
}

#[tokio::test]
async fn a_reply_is_from_the_same_user_as_the_statuses() {
    let world = World::new().await;
    world.send("m").await.unwrap();
    let reply = json!({"phone_number_id": world.line.phone_number_id, "from": DIGITS, "text": "thanks"});
    let mut updates = world.updates().await;
    world.control("inbound", &reply).await;
    updates.extend(world.updates().await);
    let users = updates.iter().filter_map(|update| match update {
        WebhookUpdate::Status(status) => status.recipient_user_id.clone(),
        WebhookUpdate::Message(message) => message.from_user_id.clone(),
        _ => None,
    });
    let users: std::collections::BTreeSet<_> = users.collect();
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn any_body_is_signed_and_posted() {
    let world = World::new().await;
    let id = &world.line.phone_number_id;
    for body in ["{\"hello\":1}", "not json ☃", ""] {
        let (status, posted) = world.control("raw", &json!({"phone_number_id": id, "body": body})).await;
        assert_eq!((status, &posted["webhook_status"]), (200, &json!(200)));
        assert_eq!(lock(&world.receiver.bodies).pop().as_deref(), Some(body));
    }
    world.meta.simulator().set_webhook_url(None);
    let (_, posted) = world.control("raw", &json!({"phone_number_id": id, "body": ""})).await;
    assert_eq!(posted["webhook_status"], Value::Null);
    assert_eq!(world.control("raw", &json!({"phone_number_id": "7", "body": ""})).await.0, 404);
}
