use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::simulator::wamid;

const NUMBER: &str = "16505551234";
const BSUID: &str = "US.13491208655302741918";

fn numbers(json: &str) -> Vec<String> {
    MentionedIdentities::read(json).numbers.into_iter().collect()
}

fn names(json: &Value) -> bool {
    MentionedIdentities::read(&json.to_string()).numbers.contains(NUMBER)
}

#[test]
fn a_number_is_found_in_every_field_and_form() {
    let forms = [
        json!(NUMBER),
        json!(16_505_551_234_u64),
        json!("+1 (650) 555-1234"),
        json!("0016505551234"),
        json!("tel:+1-650-555-1234"),
        json!("16505551234@s.whatsapp.net"),
        json!("call me on +16505551234!"),
        json!("\u{ff0b}\u{ff11}\u{ff16}\u{ff15}\u{ff10}\u{ff15}\u{ff15}\u{ff15}\u{ff11}\u{ff12}\u{ff13}\u{ff14}"),
        json!(format!("{{\"phone\":\"{NUMBER}\"}}")),
        json!(wamid::inbound(NUMBER)),
        json!(wamid::outbound(NUMBER).trim_start_matches("wamid.").trim_end_matches('=')),
        json!(format!("in reply to {} and others", wamid::outbound(NUMBER))),
    ];
    for form in forms {
        for field in ["from", "to", "wa_id", "recipient_id", "id", "message_id", "a_field_of_tomorrow", "timestamp"] {
            assert!(names(&json!({"outer": [{field: form}]})), "{field}: {form}");
        }
        assert!(names(&form), "{form}");
    }
    assert!(names(&json!({NUMBER: {"wings": 2}})), "as the name of a member");
    assert!(names(&json!({"context": {"id": wamid::outbound(NUMBER)}})));
}

#[test]
fn a_bsuid_is_found_alone_in_a_text_and_in_a_wamid() {
    let inside = wamid::outbound(BSUID);
    for text in [BSUID.to_owned(), format!("of {BSUID}."), inside] {
        let found = MentionedIdentities::read(&json!({"user_id": text}).to_string());
        assert_eq!(found.bsuids.into_iter().collect::<Vec<_>>(), [BSUID], "{text}");
    }
}

#[test]
fn the_businesss_own_number_and_moments_are_nobodys() {
    let metadata = json!({"display_phone_number": "15550783881", "phone_number_id": 106_540_352_242_922_u64});
    let found = MentionedIdentities::read(&json!({"metadata": metadata, "timestamp": "1700000000"}).to_string());
    assert!(found.is_empty(), "{:?}", found.numbers);
    assert_eq!(found.earliest, Some(1_700_000_000));
    let several = r#"[{"timestamp":"1700000009"},{"timestamp":1700000003},{"timestamp":"noon"}]"#;
    assert_eq!(MentionedIdentities::read(several).earliest, Some(1_700_000_003));
    assert_eq!(MentionedIdentities::read("{}").earliest, None);
}

#[test]
fn escapes_repetitions_and_numbers_of_no_type_hide_nothing() {
    let cases = [
        r#"{"from":"\u0031\u0036505551234"}"#,
        r#"{"from":"16505551234","from":"x"}"#,
        r#"{"from":"x","from":"16505551234"}"#,
        r#"{"from":1.6505551234e10}"#,
        r#"{"from":16505551234.0}"#,
        r#"{"big":1e999,"from":"16505551234"}"#,
        r#"{"lone":"\ud800 16505551234"}"#,
        r#"{"\ud800":"16505551234"}"#,
        r#"{"a\"b:":"16505551234"}"#,
        "{\"from\" :\n\t\"16505551234\"}",
        r#"{"display_phone_number":["16505551234"]}"#,
        r#"{"display_phone_number":{"x":"16505551234"}}"#,
        r#"["display_phone_number","16505551234"]"#,
    ];
    for json in cases {
        assert!(numbers(json).contains(&NUMBER.to_owned()), "{json}: {:?}", numbers(json));
    }
}

#[test]
fn deep_and_huge_json_is_looked_through() {
    let deep = format!("{}\"{NUMBER}\"{}", "[{\"a\":".repeat(200_000), "}]".repeat(200_000));
    assert_eq!(numbers(&deep), [NUMBER]);
    let wide = json!((0..100_000).map(|n| json!({"n": n % 10, "s": "x"})).chain([json!(NUMBER)]).collect::<Vec<_>>());
    assert_eq!(numbers(&wide.to_string()), [NUMBER]);
    let long = format!("\"{}\"", "HBgwamid.HBg-".repeat(100_000));
    assert!(numbers(&long).is_empty());
}

#[test]
fn what_is_no_json_is_looked_through_as_well() {
    for text in ["", "\"", "\"\\", "{\"a", "}{][,:", "\"16505551234", "é16505551234é"] {
        drop(MentionedIdentities::read(text));
    }
    assert_eq!(numbers("\"16505551234"), [NUMBER]);
}

/// JSON of any shape with the value in one place of it.
fn around(value: Value) -> impl Strategy<Value = Value> {
    let other =
        prop_oneof![any::<i32>().prop_map(Value::from), any::<String>().prop_map(Value::from), Just(json!(null))];
    Just(value).prop_recursive(6, 12, 2, move |inner| {
        let around = (inner, prop::collection::vec(other.clone(), 0..4), any::<String>(), any::<bool>());
        around.prop_map(|(inner, mut others, name, is_object)| {
            if is_object && !OWN.contains(&name.as_str()) && name != "timestamp" {
                return json!({"other": others, name: inner});
            }
            others.push(inner);
            json!(others)
        })
    })
}

proptest! {
    #[test]
    fn an_identity_anywhere_is_found(json in around(json!(NUMBER)), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
        prop_assert!(MentionedIdentities::read(&text).numbers.contains(NUMBER), "{}", text);
    }

    #[test]
    fn a_wamid_anywhere_is_found(json in around(json!(wamid::outbound(NUMBER)))) {
        prop_assert!(names(&json));
    }

    #[test]
    fn any_text_is_survived(text in ".{0,200}", json in r#"[\[\]{}:,"\\0-9a-zé.eE+-]{0,80}"#) {
        drop((MentionedIdentities::read(&text), MentionedIdentities::read(&json)));
    }
}
