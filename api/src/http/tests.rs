use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Request, StatusCode},
    routing::post,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use wasend_domain::account::KeyScope;

use super::*;
use crate::{
    auth::fake::OneKey,
    config::Config,
    graphql::transport::{SchemaEngine, fake},
};

struct Checks(Vec<ReadinessCheck>);

#[async_trait]
impl Readiness for Checks {
    async fn checks(&self) -> Vec<ReadinessCheck> {
        self.0.clone()
    }
}

pub fn settings() -> Config {
    crate::config::load(crate::config::ConfigSources::default()).expect("the defaults are a configuration")
}

/// The test schema behind one key with the scope READ.
pub fn shell(config: Config, authenticator: Arc<OneKey>) -> HttpState {
    HttpState {
        engine: Arc::new(SchemaEngine::new(fake::schema())),
        authenticator,
        readiness: Arc::new(Checks(vec![ReadinessCheck::of("log", false)])),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        quotas: AccountQuotas::new(&config.limits),
        http: Arc::new(config.http),
        graphql: Arc::new(config.graphql),
        life: ServerLifecycle::default(),
        documents: Arc::default(),
        persisted: Arc::default(),
        own_writes: Arc::default(),
    }
}

/// The same on a free port of this machine.
pub async fn listening(config: Config) -> (SocketAddr, HttpState, Arc<OneKey>) {
    let key = OneKey::new([KeyScope::Read]);
    let shell = shell(config, key.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(shell.clone(), axum::Router::new());
    tokio::spawn(server::serve(listener, move || router.clone(), shell.http.clone(), shell.life.clone()));
    (address, shell, key)
}

async fn get_path(path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
    let router = router(
        shell(settings(), OneKey::new([])),
        axum::Router::new().route("/webhooks/whatsapp", post(async || -> &'static str { panic!("on purpose") })),
    );
    let method = if path.starts_with("/webhooks") { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_is_not_ready_is_named() {
    let (status, _, body) = get_path("/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["notReady"], serde_json::json!(["log"]));
    assert_eq!(body["checks"]["not_stopping"], true);
    assert_eq!(get_path("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn errors_outside_graphql_are_problems() {
    for (path, status, code) in [
        ("/nowhere", StatusCode::NOT_FOUND, "NOT_FOUND"),
        ("/webhooks/whatsapp", StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    ] {
        let (actual, headers, body) = get_path(path).await;
        assert_eq!(actual, status, "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert!(headers.contains_key("x-request-id"));
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], code);
    }
}

#[tokio::test]
async fn another_method_is_told_which_it_is() {
    let router = router(shell(settings(), OneKey::new([])), axum::Router::new());
    let request = Request::builder().method("DELETE").uri("/graphql").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let allow = response.headers()[header::ALLOW].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn metrics_move_to_their_own_door() {
    let (status, _, body) = get_path("/metrics").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "without a connection from this machine");
    assert!(body.contains("FORBIDDEN"), "{body}");
    let mut config = settings();
    config.http.metrics_listen = Some(config::ListenAddress::default());
    let shell = shell(config, OneKey::new([]));
    let request = || Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    let main = router(shell.clone(), axum::Router::new()).oneshot(request()).await.unwrap();
    assert_eq!(main.status(), StatusCode::NOT_FOUND);
    assert_eq!(metrics_router(shell).oneshot(request()).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn headers_that_do_not_come_are_not_waited_for() {
    let mut config = settings();
    config.http.header_timeout = Duration::from_millis(50);
    let (address, ..) = listening(config).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    // The server ends the connection; the client never does.
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn connections_above_the_cap_wait_their_turn() {
    let mut config = settings();
    config.http.max_connections = 1;
    let (address, ..) = listening(config).await;
    let first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    let early = tokio::time::timeout(Duration::from_millis(200), second.read_exact(&mut answer)).await;
    assert!(early.is_err(), "was served beside the first");
    drop(first);
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_stopped_server_drains_and_takes_no_more() {
    let (address, shell, _) = listening(settings()).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    shell.life.stop();
    assert!(shell.life.drained(Duration::from_secs(10)).await);
    assert!(TcpStream::connect(address).await.is_err());
}

/// The status of the answer to a request with these headers, and whether the connection was closed after it.
async fn answered(address: SocketAddr, path: &str, headers: &str) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
    // The server may answer and close before it has read everything.
    stream.write_all(request.as_bytes()).await.ok();
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => return (status(&answer), true),
            Ok(Ok(read)) => answer.extend_from_slice(&piece[..read]),
            Err(_) => return (status(&answer), false),
        }
    }
}

fn status(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).split_whitespace().nth(1).unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_request_has_so_many_headers_and_so_many_bytes_of_them() {
    let (address, ..) = listening(settings()).await;
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(answered(address, "/healthz", &many(100)).await, ("200".to_owned(), false));
    assert_eq!(answered(address, "/healthz", &many(101)).await, ("431".to_owned(), true));
    // "GET /healthz HTTP/1.1", the name, the line ends: what is around the value.
    let around = "GET /healthz HTTP/1.1\r\nX: \r\n\r\n".len();
    let long = |bytes: usize| format!("X: {}\r\n", "a".repeat(bytes - around));
    assert_eq!(answered(address, "/healthz", &long(64 << 10)).await, ("200".to_owned(), false));
    assert_eq!(answered(address, "/healthz", &long((64 << 10) + 1)).await, ("431".to_owned(), true));
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes));
    assert_eq!(answered(address, &path(60_000), "").await, ("404".to_owned(), false));
    let (status, closed) = answered(address, &path(70_000), "").await;
    // Some of it may not be read at all, and the answer then be lost with the connection.
    assert!(["414", "431", "none"].contains(&status.as_str()) && closed, "{status}");
}

async fn ask(config: Config, request: Request<Body>) -> axum::response::Response {
    let router = router(shell(config, OneKey::new([])), axum::Router::new());
    router.oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_needs_leave() {
    let preflight = |origin: &str| {
        let request = Request::options("/graphql").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type").body(Body::empty()).unwrap()
    };
    let with = |origins: &str| {
        let mut config = settings();
        config.http.cors_origins = match origins {
            "" => crate::config::CorsOrigins::None,
            "*" => crate::config::CorsOrigins::Any,
            origin => crate::config::CorsOrigins::Listed(vec![origin.parse().unwrap()]),
        };
        config
    };
    let page = "https://app.example";
    for (origins, origin, allowed) in
        [("", page, None), ("*", page, Some("*")), (page, page, Some(page)), (page, "https://app.example.evil", None)]
    {
        let answer = ask(with(origins), preflight(origin)).await;
        let told = answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!(told, allowed, "{origins} {origin}");
        let query = Request::get("/graphql?query=%7Bhello%7D").header("origin", origin).body(Body::empty()).unwrap();
        let answer = ask(with(origins), query).await;
        let told = answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!((answer.status(), told), (StatusCode::OK, allowed), "{origins} {origin}");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    let text = "x".repeat(5_000);
    let query = |accept: &str, media: &str, document: String| {
        let body = serde_json::json!({"query": document}).to_string();
        let request = Request::post("/graphql").header("content-type", "application/json");
        request.header("accept-encoding", accept).header("accept", media).body(Body::from(body)).unwrap()
    };
    let echo = format!("{{ echo(text: \"{text}\") }}");
    for (accept, media, document, coding) in [
        ("gzip, br", "application/json", echo.clone(), Some("gzip")),
        ("identity", "application/json", echo.clone(), None),
        ("gzip", "application/json", "{ hello }".to_owned(), None),
        ("gzip", "text/event-stream", echo, None),
    ] {
        let answer = ask(settings(), query(accept, media, document)).await;
        let told = answer.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(told.as_deref(), coding, "{accept} {media}");
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body.starts_with(&[0x1f, 0x8b]), coding.is_some());
        assert!(coding.is_none() || body.len() < 500, "{}", body.len());
    }
}
