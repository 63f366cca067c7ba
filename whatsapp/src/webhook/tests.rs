use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::statuses::ReportedStatus;

fn body(field: &str, value: &Value) -> Vec<u8> {
    let change = json!({"field": field, "value": value});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "41", "changes": [change]}]})
        .to_string()
        .into_bytes()
}

fn updates(raw: &[u8]) -> Vec<WebhookUpdate> {
    let payload = WebhookPayload::parse(raw).unwrap();
    payload.updates().map(|(_, update)| update.clone()).collect()
}

fn kinds(raw: &[u8]) -> String {
    let letter = |update: &WebhookUpdate| match update {
        WebhookUpdate::Status(_) => 's',
        WebhookUpdate::Message(_) => 'm',
        WebhookUpdate::Preference(_) => 'p',
        WebhookUpdate::Identity(_) => 'i',
        WebhookUpdate::Unknown(_) => '?',
    };
    updates(raw).iter().map(letter).collect()
}

#[test]
fn names_the_number_and_the_account() {
    let raw = body(
        "messages",
        &json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": 106_540_352},
            "contacts": [{"profile": {"name": "Ana"}, "wa_id": "1", "user_id": "US.1"}],
            "messages": [{"from": "1", "id": "wamid.A", "timestamp": "1", "type": "text", "text": {"body": "hi"}}],
        }),
    );
    let payload = WebhookPayload::parse(&raw).unwrap();
    let lines = payload.lines();
    assert!(lines.phone_number_ids.contains("106540352") && lines.waba_ids.contains("41"));
    let [change] = payload.changes.as_slice() else {
        panic!("one change");
    };
    assert_eq!(change.field.as_deref(), Some("messages"));
    let [WebhookUpdate::Message(message)] = change.updates.as_slice() else {
        panic!("one message");
    };
    assert_eq!(message.profile_name.as_deref(), Some("Ana"));
    assert!(!format!("{payload:?}").contains("Ana"));
}

#[test]
fn one_bad_element_costs_no_neighbour() {
    let good = json!({"id": "w", "status": "sent"});
    let value = json!({
        "statuses": [good, 7, null, {"id": "w"}, [], good],
        "messages": [{"id": "w", "type": "system", "system": {}}, "no", {"id": "w", "group_id": "g"}],
        "user_preferences": [{"wa_id": "1", "category": "marketing_messages", "value": "stop"}, {}],
        "errors": [{"code": 131_000}],
        "to_come": {"a": 1},
    });
    assert_eq!(kinds(&body("messages", &value)), "?m?ms????s?p?");
}

#[test]
fn what_no_json_tree_can_hold_stays_local() {
    let raw = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"statuses":[
            {{"id":"a","status":"sent","x":1e999}},{{"id":"b\ud800","status":"read"}},{{"id":"c","status":"sent","deep":{}{}}}
        ]}}}}]}}]}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000),
    );
    assert_eq!(kinds(raw.as_bytes()), "sss");
}

#[test]
fn several_entries_mix_fields_known_and_unknown() {
    let status = |id: &str| json!({"id": id, "status": "read", "timestamp": "1"});
    let raw = json!({"object": "whatsapp_business_account", "new": 1, "entry": [
        {"id": "1", "time": 7, "changes": [
            {"field": "messages", "value": {"statuses": [status("a")]}},
            {"field": "message_template_status_update", "value": {"event": "PAUSED", "reason": null}},
            {"field": "history", "value": {"messages": [{"id": "old"}]}},
            {"value": {"statuses": [status("b"), status("a")]}},
            5,
        ]},
        {"id": "2", "changes": []},
        {"id": "3", "changes": {}},
        "entry",
        {"id": 4, "changes": [{"field": "messages", "value": []}, {"field": "messages"}]},
    ]});
    let raw = raw.to_string();
    assert_eq!(kinds(raw.as_bytes()), "s??ss??????");
    let payload = WebhookPayload::parse(raw.as_bytes()).unwrap();
    let wabas: Vec<_> = payload.lines().waba_ids.into_iter().collect();
    assert_eq!(wabas, ["1", "2", "3", "4"]);
}

#[test]
fn shapes_never_seen_are_one_unknown() {
    for raw in [
        r#"{"hello":1}"#,
        "[1,2]",
        "42",
        "null",
        "\"text\"",
        r#"{"entry":[]}"#,
        r#"{"entry":{}}"#,
        " 1e999 ",
        r#""\udead""#,
    ] {
        assert_eq!(kinds(raw.as_bytes()), "?", "{raw}");
    }
    for raw in ["", "  ", "{", "hello", "{'a':1}", "{\"a\":\"\u{1}\"}"] {
        assert_eq!(WebhookPayload::parse(raw.as_bytes()), Err(MalformedWebhook), "{raw}");
    }
    assert_eq!(WebhookPayload::parse(b"\"\xff\""), Err(MalformedWebhook));
}

#[test]
fn trailing_bytes_are_counted_and_ignored() {
    let mut raw = body("messages", &json!({"statuses": [{"id": "w", "status": "sent"}]}));
    raw.extend_from_slice(b" \r\n");
    assert_eq!(WebhookPayload::parse(&raw).unwrap().trailing_bytes, 0);
    raw.extend_from_slice(b"}\0\xff");
    assert_eq!(WebhookPayload::parse(&raw).unwrap().trailing_bytes, 3);
    assert_eq!(kinds(&raw), "s");
}

#[test]
fn a_body_of_countless_values_is_kept_in_one_piece() {
    let status = |_| json!({"id": "w", "status": "sent"});
    let many = |count| body("messages", &json!({"statuses": (0..count).map(status).collect::<Vec<_>>()}));
    assert_eq!(updates(&many(20_000)).len(), 20_000);
    assert_eq!(kinds(&many(80_000)), "?");
}

#[test]
fn escaped_text_is_read_and_kept_escaped() {
    let raw = br#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"w","type":"text","text":{"body":"Luc\u00eda \ud83d\ude00"}}]}}]}]}"#;
    let found = updates(raw);
    let [WebhookUpdate::Message(message)] = found.as_slice() else {
        panic!("one message");
    };
    assert_eq!(message.text.as_deref(), Some("Lucía 😀"));
    assert!(message.raw.get().contains(r"\ud83d"));
}

#[test]
fn a_batch_of_a_thousand_keeps_its_order() {
    let statuses: Vec<_> = (0..1_000).map(|n| json!({"id": n.to_string(), "status": "sent"})).collect();
    let found = updates(&body("messages", &json!({"statuses": statuses})));
    let ids = found.iter().map(|update| match update {
        WebhookUpdate::Status(status) if status.status == ReportedStatus::Sent => status.wamid.as_str(),
        _ => panic!("a sent status"),
    });
    assert!(ids.eq((0..1_000).map(|n| n.to_string())));
}

/// Any JSON, but with the names and values that steer the reader far more often than chance would have it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "entry",
        "changes",
        "value",
        "field",
        "messages",
        "statuses",
        "user_preferences",
        "contacts",
        "metadata",
        "phone_number_id",
        "id",
        "status",
        "type",
        "text",
        "body",
        "errors",
        "code",
        "timestamp",
        "profile",
        "wa_id",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        let name = prop_oneof![4 => word.clone(), 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_and_nothing_is_empty(json in any_json()) {
        let payload = WebhookPayload::parse(json.to_string().as_bytes()).unwrap();
        prop_assert!(!payload.changes.is_empty());
        prop_assert!(payload.changes.iter().all(|change| !change.updates.is_empty()));
    }

    #[test]
    fn any_elements_are_all_there(list in prop::sample::select(vec!["statuses", "messages", "user_preferences"]),
                                  elements in prop::collection::vec(any_json(), 1..8)) {
        let raw = body("messages", &json!({list: elements}));
        prop_assert_eq!(updates(&raw).len(), elements.len());
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let answer = WebhookPayload::parse(&bytes);
        prop_assert_eq!(answer.is_err() && serde_json::from_slice::<Value>(&bytes).is_ok(), false);
    }
}
