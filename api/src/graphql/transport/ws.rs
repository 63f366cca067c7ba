//! graphql-transport-ws.
//!
//! One task a connection reads, executes and writes. It takes the next answer from its subscriptions only after the
//! last one was written, so nothing piles up here for a client that does not read; the server cuts such a client off.

mod connection;
mod message;

use axum::{
    extract::{FromRequestParts, WebSocketUpgrade},
    http::{Method, header, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    auth::CallerIdentity,
    http::HttpState,
    problem::{Problem, ProblemCode},
};

use connection::SocketConnection;

const PROTOCOL: &str = "graphql-transport-ws";

/// Bytes that may wait in the socket's own buffer on top of one message.
const WRITE_BUFFER: usize = 64 << 10;

/// Whether the request asks to become a WebSocket.
pub fn is_handshake(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    parts.method == Method::GET && upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Answers the handshake; `identity` is what its `Authorization` header said, which `connection_init` may replace.
pub async fn upgrade(shell: HttpState, mut parts: Parts, identity: CallerIdentity) -> Response {
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return Problem::new(ProblemCode::BadRequest, "the WebSocket handshake is malformed").into_response();
    };
    let limit = shell.graphql.message_limit;
    let mut response = upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket| {
            let tracker = shell.life.tracker().clone();
            tracker.track_future(SocketConnection::new(shell, identity).run(socket))
        });
    // Among them is how the client spelled its headers, and hyper then spells the answer's alike: some clients (gql of
    // Python) look for `Sec-WebSocket-Protocol` in exactly this case, and else speak a protocol not negotiated.
    response.extensions_mut().extend(parts.extensions);
    response
}

#[cfg(test)]
mod tests;
