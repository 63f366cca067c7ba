//! GraphQL requests: documents and variables.

use serde_json::{Value, json};

use super::Inside;

/// Most bytes of an answer to anything that a trial can ask.
const ANSWER_MAX: usize = 8 << 20;

/// A document, and after a NUL its variables. Whatever it asks, the answer is bounded, and its errors have codes that
/// are not a fault of ours.
pub fn trial(inside: &Inside, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (document, variables) = text.split_once('\0').unwrap_or((&text, ""));
    post(inside, document, &serde_json::from_str(variables).unwrap_or(Value::Null));
}

pub(super) fn post(inside: &Inside, document: &str, variables: &Value) -> Value {
    let (status, answer) = inside.post("/graphql", json!({"query": document, "variables": variables}).to_string());
    assert!(!status.is_server_error() || status == 503, "{status}: {answer}");
    assert!(answer.to_string().len() <= ANSWER_MAX, "the answer is out of proportion");
    assert!(answer.get("data").is_some() || answer["errors"].is_array(), "{answer}");
    for error in answer["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        assert!(!code.is_empty() && code != "INTERNAL", "{document}: {error}");
    }
    answer
}
