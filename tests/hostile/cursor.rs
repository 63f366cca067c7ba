//! Places that clients give back: cursors of pages, positions to resume after.

use serde_json::{Value, json};

use super::{Inside, graphql};

const LISTS: [&str; 7] = ["messages", "contacts", "groups", "numbers", "apiKeys", "auditTrail", "imports"];

/// As a cursor of every list, before and after, and as a position.
pub fn trial(inside: &Inside, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lists = LISTS.map(|list| format!("{list}a: {list}(first: 1, after: $c) {{ pageInfo {{ endCursor }} }} {list}b: {list}(last: 1, before: $c) {{ pageInfo {{ startCursor }} }}"));
    let answer = graphql::post(inside, &format!("query($c: String) {{ {} }}", lists.join(" ")), &json!({"c": text}));
    for error in answer["errors"].as_array().into_iter().flatten() {
        assert_eq!(error["extensions"]["code"], "INVALID_CURSOR", "{error}");
    }
    let position = serde_json::from_str::<Value>(&text).unwrap_or_else(|_| text.into());
    let answer = graphql::post(
        inside,
        "query($p: Position) { messages(minPosition: $p) { totalCount } }",
        &json!({"p": position}),
    );
    for error in answer["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        let known = ["INVALID_INPUT", "GRAPHQL_VALIDATION_FAILED", "POSITION_NOT_REACHED"];
        assert!(known.contains(&code), "{error}");
    }
}
