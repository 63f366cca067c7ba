//! Connections: how many, how slow, and how they end.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderName, HeaderValue, Request, StatusCode, header},
    response::IntoResponse,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use super::{
    ServerLifecycle,
    connection_limit::{ConnectionLimit, CountedConnection},
    write_timeout::WriteTimeout,
};
use crate::{config, problem::ProblemCode, telemetry::metric};

/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Most bytes that a connection reads ahead, and most of a request's line and headers together.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Serves until the word to stop; connections that are open then finish what they do, tracked by `life`. Each connection
/// keeps the `router` of the moment when it began.
pub async fn serve(
    listener: TcpListener,
    router: impl Fn() -> Router,
    limits: Arc<config::HttpConfig>,
    life: ServerLifecycle,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let addresses = ConnectionLimit::default();
    let stopping = life.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Some((stream, slot)) => {
                let counted = stream.peer_addr().ok();
                let counted = counted.and_then(|peer| addresses.count(peer.ip(), limits.max_connections_per_address));
                let Some(counted) = counted else {
                    turn_away(&stream);
                    continue;
                };
                let held = ConnectionGuard::new(slot, counted);
                let connection = connection(stream, held, router(), limits.clone(), life.clone());
                life.tracker().spawn(connection);
            }
            None => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // The slot first: what cannot be served yet waits in the kernel, not here.
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            let gone = matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
            if !gone {
                tracing::warn!(error = %error.kind(), "a connection could not be accepted");
            }
            None
        }
    }
}

/// Says why, if that can be said at once: nothing is waited for.
fn turn_away(stream: &TcpStream) {
    let code = ProblemCode::TooManyRequests;
    let detail = "too many connections from this address";
    let body = serde_json::json!({"type": format!("urn:wasend:problem:{}", code.name()), "title": code.doc(),
        "status": code.status().as_u16(), "detail": detail, "code": code.name()});
    let body = body.to_string();
    let head = "Content-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close";
    let answer = format!("HTTP/1.1 {}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", code.status(), body.len());
    stream.try_write(answer.as_bytes()).ok();
    metrics::counter!(metric::HTTP_TURNED_AWAY).increment(1);
}

async fn connection(
    stream: TcpStream,
    held: ConnectionGuard,
    router: Router,
    limits: Arc<config::HttpConfig>,
    life: ServerLifecycle,
) {
    // Small events must not wait for the next ones; without the option they are merely later.
    stream.set_nodelay(true).ok();
    let peer = stream.peer_addr().ok();
    let io = TokioIo::new(WriteTimeout::new(stream, limits.write_timeout, held));
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .preserve_header_case(true)
        .max_buf_size(READ_BUFFER_BYTES)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let stopping = life.stopping();
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = end {
        tracing::debug!(timeout = error.is_timeout(), parse = error.is_parse(), "a connection broke off");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> axum::response::Response {
    // The parser gives up on what does not fit into the buffer, but one read may bring it more than that.
    if head_bytes(&request) > READ_BUFFER_BYTES {
        let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
        return (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, close).into_response();
    }
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The length of a request's line and headers, as they came.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    line + request.headers().iter().map(header).sum::<usize>() + "\r\n".len()
}

/// What a connection holds while it is open, also when it has become a WebSocket.
struct ConnectionGuard {
    _slot: OwnedSemaphorePermit,
    _counted: CountedConnection,
}

impl ConnectionGuard {
    fn new(slot: OwnedSemaphorePermit, counted: CountedConnection) -> Self {
        metrics::gauge!(metric::HTTP_CONNECTIONS).increment(1);
        Self { _slot: slot, _counted: counted }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        metrics::gauge!(metric::HTTP_CONNECTIONS).decrement(1);
    }
}
