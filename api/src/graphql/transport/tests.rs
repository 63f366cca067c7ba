//! Variables, conditions and selections as the specification decides them, whatever carries the operation.

use futures::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::auth::fake::OneKey;
use crate::http::tests::{settings, shell};

async fn answer(document: &str, variables: Value) -> Value {
    let params = RequestParams::from_json(json!({"query": document, "variables": variables})).unwrap();
    let shell = shell(settings(), OneKey::new([]));
    let text = match prepare(params, &CallerIdentity::default(), &shell).await {
        Ok(prepared) if prepared.kind == Some(OperationType::Subscription) => {
            let answers = prepared.open(&shell.engine, "test").map(|answer| answer.json());
            format!("[{}]", answers.collect::<Vec<_>>().await.join(","))
        }
        Ok(prepared) => prepared.run(&*shell.engine).await.json(),
        Err(answer) => answer.json(),
    };
    serde_json::from_str(&text).unwrap()
}

async fn data(document: &str, variables: Value) -> Value {
    let mut answer = answer(document, variables).await;
    assert!(answer.get("errors").is_none(), "{document}: {answer}");
    answer["data"].take()
}

async fn refusal(document: &str, variables: Value) -> String {
    let answer = answer(document, variables).await;
    assert!(answer.get("data").is_none(), "{document}: {answer}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{document}: {answer}");
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_default_decides_where_no_value_is_given() {
    let there = json!({"nested": {"hello": "world"}});
    let absent = json!({});
    let fragment = "fragment F on Query { nested { hello } }";
    for (document, given, expected) in [
        ("query($a: Boolean = true) { nested @include(if: $a) { hello } }", json!({}), &there),
        ("query($a: Boolean! = true) { nested @include(if: $a) { hello } }", json!({}), &there),
        ("query($a: Boolean = false) { nested @include(if: $a) { hello } }", json!({}), &absent),
        ("query($a: Boolean = true) { nested @skip(if: $a) { hello } }", json!({}), &absent),
        ("query($a: Boolean! = false) { nested @skip(if: $a) { hello } }", json!({}), &there),
        ("query($a: Boolean = true) { nested @include(if: $a) { hello } }", json!({"a": false}), &absent),
        ("query($a: Boolean = true) { ... @include(if: $a) { nested { hello } } }", json!({}), &there),
        ("query($a: Boolean = false) { ... @include(if: $a) { nested { hello } } }", json!({}), &absent),
        (&format!("query($a: Boolean = true) {{ ...F @include(if: $a) }} {fragment}"), json!({}), &there),
        (&format!("query($a: Boolean = true) {{ ...F @skip(if: $a) }} {fragment}"), json!({}), &absent),
        (&format!("query($a: Boolean = true) {{ ...F @skip(if: $a) ...F }} {fragment}"), json!({}), &there),
        ("query($a: Boolean = true) { nested @include(if: $a) @skip(if: $a) { hello } }", json!({}), &absent),
        ("{ nested @include(if: true) @skip(if: false) { hello } }", json!({}), &there),
    ] {
        assert_eq!(&data(document, given).await, expected, "{document}");
    }
}

#[tokio::test]
async fn a_variable_that_is_missing_or_wrong_is_an_error_of_the_request() {
    for (document, given, told) in [
        ("query($a: Boolean!) { hello nested @include(if: $a) { hello } }", json!({}), "\"$a\" of type \"Boolean!\""),
        ("query($a: Boolean!) { hello nested @skip(if: $a) { hello } }", json!({"a": null}), "must not be null"),
        ("query($a: Boolean! = true) { hello @skip(if: $a) }", json!({"a": null}), "must not be null"),
        ("query($a: Boolean!) { hello @skip(if: $a) }", json!({"a": "true"}), "\"Boolean\""),
        ("query($text: String!) { echo(text: $text) }", json!({}), "is required"),
        ("query($text: String!) { echo(text: $text) }", json!({"text": 1}), "\"String\""),
        ("query($size: Int) { arrived(size: $size) }", json!({"size": 1.5}), "\"Int\""),
        ("query($input: FakeInput) { arrived(input: $input) }", json!({"input": {"tags": [1]}}), "$input.tags[0]"),
        ("query($input: FakeInput) { arrived(input: $input) }", json!({"input": {"other": 1}}), "\"other\""),
        ("mutation($by: Int!) { bump(by: $by) }", json!({}), "is required"),
        ("subscription($to: Int!) { count(to: $to) }", json!({}), "is required"),
        ("query($a: Boolean) { hello @skip(if: $a) }", json!({"a": true}), "can be null"),
        (
            "query($a: Boolean = null) { ... { ...F } } fragment F on Query { hello @include(if: $a) }",
            json!({}),
            "\"Boolean\"",
        ),
        ("query($a: Boolean = true) { hello @include(if: $a) }", json!({"a": null}), "\"Boolean\""),
        ("query($a: Boolean = true, $a: Boolean = false) { hello @skip(if: $a) }", json!({}), "only be one variable"),
        ("{ hello @skip(if: $a) }", json!({"a": true}), "not defined"),
        ("query($a: Boolean = true) { hello nested @skip(if: $a) { nothing } }", json!({}), "nothing"),
        ("query($a: Boolean = true) { hello ... @skip(if: $a) { ...Unknown } }", json!({}), "Unknown"),
        ("query($a: Boolean = \"x\") { hello @skip(if: $a) }", json!({}), "\"Boolean\""),
        ("query($a: Unheard = true) { hello @skip(if: $a) }", json!({}), "Unheard"),
        ("subscription($a: Boolean = true) { count(to: 1) @skip(if: $a) }", json!({}), "skips all"),
    ] {
        let message = refusal(document, given).await;
        assert!(message.contains(told), "{document}: {message}");
    }
}

#[tokio::test]
async fn an_object_of_which_all_is_skipped_is_empty() {
    let fragment = "fragment F on Query { hello @include(if: $a) }";
    for (document, expected) in [
        ("query($a: Boolean!) { hello @include(if: $a) }", json!({})),
        ("query($a: Boolean!) { nested { hello @include(if: $a) } }", json!({"nested": {}})),
        ("query($a: Boolean!) { list { hello @include(if: $a) } }", json!({"list": [{}, {}]})),
        ("query($a: Boolean!) { list { ... @include(if: $a) { hello } } }", json!({"list": [{}, {}]})),
        (
            "query($a: Boolean!) { nested { nested { list { hello @include(if: $a) } } } }",
            json!({"nested": {"nested": {"list": [{}, {}]}}}),
        ),
        (&format!("query($a: Boolean!) {{ nested {{ ...F }} }} {fragment}"), json!({"nested": {}})),
        (
            &format!("query($a: Boolean!) {{ nested {{ ...F }} nested {{ echo(text: \"x\") }} }} {fragment}"),
            json!({"nested": {"echo": "x"}}),
        ),
        (
            "query($a: Boolean!) { nested { hello @include(if: $a) skipped: hello } }",
            json!({"nested": {"skipped": "world"}}),
        ),
        ("query($a: Boolean!) { nested @include(if: $a) { hello } hello }", json!({"hello": "world"})),
        ("mutation($a: Boolean!) { bump(by: 1) @include(if: $a) }", json!({})),
        ("mutation($a: Boolean!) { touch { calls @include(if: $a) } }", json!({"touch": {}})),
    ] {
        assert_eq!(data(document, json!({"a": false})).await, expected, "{document}");
    }
}

#[tokio::test]
async fn what_is_not_given_is_absent_and_not_null() {
    let input = "query($name: String, $tag: String) { arrived(input: {name: $name, tags: [$tag]}) }";
    for (document, given, arrived) in [
        ("query($size: Int) { arrived(size: $size) }", json!({}), "None None"),
        ("query($size: Int) { arrived(size: $size) }", json!({"size": 2.0}), "Some(2) None"),
        (input, json!({}), "None Some((Undefined, Some([None])))"),
        (input, json!({"name": null, "tag": "b"}), "None Some((Null, Some([Some(\"b\")])))"),
        (input, json!({"name": "a", "other": 1}), "None Some((Value(\"a\"), Some([None])))"),
        (
            "query($input: FakeInput = {tags: \"x\"}) { arrived(input: $input) }",
            json!({}),
            "None Some((Undefined, Some([Some(\"x\")])))",
        ),
        (
            "query($input: FakeInput) { arrived(input: $input) }",
            json!({"input": {"tags": "x"}}),
            "None Some((Undefined, Some([Some(\"x\")])))",
        ),
    ] {
        assert_eq!(data(document, given).await, json!({"arrived": arrived}), "{document}");
    }
}

#[tokio::test]
async fn an_operation_is_decided_by_its_own_variables() {
    let document = "query A($a: Boolean = true) { ...F } query B($a: Boolean = false) { ...F hello }
        fragment F on Query { nested @include(if: $a) { hello } }";
    for (name, expected) in [("A", json!({"nested": {"hello": "world"}})), ("B", json!({"hello": "world"}))] {
        let params = RequestParams::from_json(json!({"query": document, "operationName": name})).unwrap();
        let shell = shell(settings(), OneKey::new([]));
        let prepared = prepare(params, &CallerIdentity::default(), &shell).await.unwrap();
        let answer: Value = serde_json::from_str(&prepared.run(&*shell.engine).await.json()).unwrap();
        assert_eq!(answer, json!({"data": expected}), "{name}");
    }
}

#[tokio::test]
async fn a_mutation_is_done_once_for_a_response_key() {
    let twice = "mutation { touch { calls } ...F ... { touch { again } } } fragment F on Mutation { touch { again } }";
    assert_eq!(data(twice, json!({})).await, json!({"touch": {"calls": 1, "again": true}}));
    let apart = "mutation($go: Boolean = true) { touch @include(if: $go) { calls } b: touch { calls } }";
    assert_eq!(data(apart, json!({})).await, json!({"touch": {"calls": 1}, "b": {"calls": 2}}));
}

#[tokio::test]
async fn a_subscription_is_decided_alike() {
    let fragment = "subscription($to: Int = 2) { ...F } fragment F on Subscriptions { count(to: $to) }";
    for document in
        [fragment, "subscription($to: Int = 2, $a: Boolean = true) { ... @include(if: $a) { count(to: $to) } }"]
    {
        let expected = json!([{"data": {"count": 1}}, {"data": {"count": 2}}]);
        assert_eq!(answer(document, json!({})).await, expected, "{document}");
    }
}
