use std::sync::atomic::Ordering;

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use wasend_domain::account::KeyScope;

use crate::{
    auth::fake::OneKey,
    http::{
        router,
        tests::{settings, shell},
    },
};

const RESPONSE_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

struct Sent {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("is JSON")
    }

    fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

async fn send(request: Request<Body>) -> Sent {
    let mut config = settings();
    config.graphql.body_limit = 20_000;
    config.graphql.max_batch = 2;
    let router = router(shell(config, OneKey::new([KeyScope::Read])), axum::Router::new());
    let response: Response<Body> = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Sent { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

fn posted(accept: &str, body: impl Into<Body>) -> Request<Body> {
    let builder = Request::post("/graphql").header("content-type", JSON).header("accept", accept);
    builder.body(body.into()).unwrap()
}

async fn query(accept: &str, query: &str) -> Sent {
    send(posted(accept, json!({"query": query}).to_string())).await
}

async fn got(accept: &str, query: &str) -> Sent {
    let uri = format!("/graphql?{query}");
    send(Request::get(uri).header("accept", accept).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_document_that_was_sent_before_is_told_from_what_it_is_sent_with() {
    let document = "query A($text: String!) { echo(text: $text) } query B { hello }";
    let first = json!({"query": document, "operationName": "A", "variables": {"text": "one"}});
    for (second, answer) in [
        (
            json!({"query": document, "operationName": "A", "variables": {"text": "two"}}),
            json!({"data": {"echo": "two"}}),
        ),
        (json!({"query": document, "operationName": "B"}), json!({"data": {"hello": "world"}})),
    ] {
        let answers = send(posted(RESPONSE_JSON, json!([first, second]).to_string())).await.json();
        assert_eq!(answers, json!([{"data": {"echo": "one"}}, answer]));
    }
    let unnamed = json!([first, {"query": document}]);
    assert!(send(posted(RESPONSE_JSON, unnamed.to_string())).await.json()[1]["errors"][0]["message"].is_string());
}

#[tokio::test]
async fn the_answer_comes_in_the_media_type_that_was_asked_for() {
    for accept in [RESPONSE_JSON, JSON] {
        let sent = query(accept, "{ hello }").await;
        assert_eq!(sent.status, StatusCode::OK);
        assert_eq!(sent.headers["content-type"], format!("{accept}; charset=utf-8"));
        assert_eq!(sent.text, r#"{"data":{"hello":"world"}}"#);
        assert_eq!(got(accept, "query=%7Bhello%7D").await.text, sent.text);
    }
    assert_eq!(query("text/plain", "{ hello }").await.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_document_that_cannot_be_executed() {
    let deep =
        format!("{}hello{}", "{ nested ".repeat(25), " }".repeat(25)).replace("nested hello", "nested { hello }");
    let doubling = |n: usize| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }} ", n + 1);
    let bomb = format!("{{ ...F0 }} fragment F30 on Query {{ hello }} {}", (0..30).map(doubling).collect::<String>());
    for (document, code) in [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "GRAPHQL_VALIDATION_FAILED"),
        (&deep, "QUERY_TOO_COMPLEX"),
        (&bomb, "QUERY_TOO_COMPLEX"),
    ] {
        let strict = query(RESPONSE_JSON, document).await;
        assert_eq!((strict.status, strict.code().as_str()), (StatusCode::BAD_REQUEST, code), "{document}");
        assert!(strict.json().get("data").is_none());
        assert_eq!(query(JSON, document).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_request_that_is_malformed() {
    for body in ["", "{", "1", "{}", r#"{"query":1}"#, r#"{"query":"{hello}","variables":"{}"}"#, "\u{0}"] {
        for accept in [RESPONSE_JSON, JSON] {
            let sent = send(posted(accept, body)).await;
            assert_eq!((sent.status, sent.code().as_str()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"), "{body}");
        }
    }
    assert_eq!(send(posted(JSON, vec![0xff_u8])).await.status, StatusCode::BAD_REQUEST);
    let large = json!({"query": "{hello}", "variables": {"x": "y".repeat(20_000)}}).to_string();
    assert_eq!(send(posted(JSON, large)).await.code(), "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_body_of_another_type_is_not_read() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let request = Request::post("/graphql").header("content-type", content_type);
        let sent = send(request.body(Body::from(r#"{"query":"{hello}"}"#)).unwrap()).await;
        assert_eq!(sent.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
}

#[tokio::test]
async fn get_never_changes_anything() {
    for path in ["query=mutation%7Bbump(by:1)%7D", "query=query+A%7Bhello%7Dmutation+B%7Bbump(by:1)%7D&operationName=B"]
    {
        for accept in [RESPONSE_JSON, JSON, "text/event-stream"] {
            let sent = got(accept, path).await;
            assert_eq!((sent.status, sent.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"));
            assert_eq!(sent.headers["allow"], "POST");
        }
    }
    assert_eq!(query(JSON, "mutation { bump(by: 1) }").await.json()["data"]["bump"], 2);
}

#[tokio::test]
async fn batches_are_answered_in_order() {
    let batch = |n| json!(vec![json!({"query": "{ hello }"}); n]).to_string();
    assert_eq!(send(posted(JSON, batch(2))).await.json().as_array().unwrap().len(), 2);
    assert_eq!(send(posted(JSON, batch(3))).await.code(), "BATCH_TOO_LARGE");
    assert_eq!(send(posted("text/event-stream", batch(2))).await.code(), "BAD_REQUEST");
}

#[tokio::test]
async fn a_key_is_checked_where_it_is_presented() {
    let with = |credentials: String, document: &str| {
        let body = json!({"query": document}).to_string();
        let builder = Request::post("/graphql").header("content-type", JSON).header("authorization", credentials);
        builder.body(Body::from(body)).unwrap()
    };
    let good = format!("Bearer {}", OneKey::key());
    assert!(send(with(good.clone(), "{ key }")).await.json()["data"]["key"].is_string());
    assert_eq!(send(with(good, "{ audited }")).await.code(), "FORBIDDEN");
    let wrong = send(with("Bearer wsk_wrong".to_owned(), "{ hello }")).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    assert!(wrong.headers.contains_key("www-authenticate"));
    let none = query(RESPONSE_JSON, "{ hello key }").await;
    assert_eq!((none.status, none.code().as_str()), (StatusCode::OK, "UNAUTHENTICATED"));
    // Of which nothing is there.
    let none = query(RESPONSE_JSON, "{ key again: key }").await;
    assert_eq!((none.status, none.code().as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    assert!(none.json().get("data").is_none() && none.headers.contains_key("www-authenticate"));
    assert_eq!(none.headers["content-type"], format!("{RESPONSE_JSON}; charset=utf-8"));
    assert_eq!(query(JSON, "{ key }").await.status, StatusCode::OK);
}

#[tokio::test]
async fn keys_that_cannot_be_checked_are_not_wrong() {
    let key = OneKey::new([]);
    key.down.store(true, Ordering::SeqCst);
    let router = router(shell(settings(), key), axum::Router::new());
    let request =
        Request::get("/graphql?query=%7Bhello%7D").header("authorization", format!("Bearer {}", OneKey::key()));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_fault_is_told_without_its_text() {
    let sent = query(JSON, "{ fault }").await;
    assert_eq!((sent.status, sent.code().as_str()), (StatusCode::OK, "INTERNAL"));
    assert!(!sent.text.contains("1650"), "{}", sent.text);
    let sent = query(JSON, "{ panics }").await;
    assert_eq!((sent.status, sent.json()["code"].as_str()), (StatusCode::INTERNAL_SERVER_ERROR, Some("INTERNAL")));
}

#[tokio::test]
async fn a_browser_gets_a_page_and_a_query_gets_its_answer() {
    let page =
        send(Request::get("/graphql").header("accept", "text/html,*/*;q=0.8").body(Body::empty()).unwrap()).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text.contains("/graphiql/start.js") && !page.text.contains("http"), "{}", page.text);
    let answer = got("text/html,*/*;q=0.8", "query=%7Bhello%7D").await;
    assert_eq!(answer.json()["data"]["hello"], "world");
}

#[tokio::test]
async fn a_subscription_is_streamed_or_refused() {
    let document = "subscription { count(to: 2) }";
    let refused = query(RESPONSE_JSON, document).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
    let streamed = query("text/event-stream", document).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream; charset=utf-8");
    let expected = "event: next\ndata: {\"data\":{\"count\":1}}\n\nevent: next\ndata: {\"data\":{\"count\":2}}\n\n\
                    event: complete\ndata: \n\n";
    assert_eq!(streamed.text, expected);
    let invalid = query("text/event-stream", "{ hello").await;
    assert!(invalid.text.starts_with("event: next\ndata: {\"errors\"") && invalid.text.contains("event: complete"));
}

#[tokio::test]
async fn the_stream_path_streams_only() {
    let ask = |accept: &str| {
        let builder = Request::get("/graphql/stream?query=%7Bhello%7D").header("accept", accept);
        builder.body(Body::empty()).unwrap()
    };
    assert!(send(ask("*/*")).await.text.starts_with("event: next\ndata: {\"data\":{\"hello\":\"world\"}}"));
    assert_eq!(send(ask(JSON)).await.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let sent = send(posted(JSON, "\u{feff}{\"query\": \"{ hello }\"}")).await;
    assert_eq!(sent.text, r#"{"data":{"hello":"world"}}"#);
}

#[tokio::test]
async fn what_costs_too_much_is_told_its_cost() {
    let mut config = settings();
    config.graphql.max_complexity = 100;
    let shell = shell(config, OneKey::new([KeyScope::Read]));
    let router = router(shell, axum::Router::new());
    let wide: Vec<_> = (0..60).map(|n| format!("a{n}: nested {{ hello }}")).collect();
    let wide = wide.join(" ");
    let skipping = format!("query($a: Boolean = true) {{ hello @skip(if: $a) {wide} }}");
    for document in [format!("{{ {wide} }}"), skipping] {
        let body = json!({"query": document}).to_string();
        let response = router.clone().oneshot(posted(RESPONSE_JSON, body)).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("100"), "{message}");
    }
}
