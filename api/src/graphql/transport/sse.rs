//! GraphQL over server-sent events, one connection an operation. A client that comes back resumes with the
//! subscription's own `after` argument, so that no position is kept in the transport.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};
use tokio::time::timeout;

use super::{OperationResponse, PreparedOperation, negotiate::ResponseMedia};
use crate::{auth::CallerIdentity, http::HttpState};

/// Without data a browser would not report the event.
const COMPLETE: &str = "event: complete\ndata: \n\n";

/// A comment: proxies see that the connection lives, clients see nothing.
const SIGN_OF_LIFE: &str = ":\n\n";

/// The answers as they come, until the operation ends, its key is revoked or the server stops.
pub fn respond(shell: &HttpState, identity: CallerIdentity, prepared: PreparedOperation) -> Response {
    let keep_alive = shell.graphql.keep_alive;
    let (authenticator, stopping) = (shell.authenticator.clone(), shell.life.stopping());
    let end = Box::pin(async move {
        tokio::select! {
            () = identity.until_revoked(&*authenticator, keep_alive) => {}
            () = stopping.cancelled_owned() => {}
        }
    });
    let answers = prepared.open(&shell.engine, "sse").map(|answer| next(&answer));
    write(answers.chain(stream::iter([COMPLETE.to_owned()])).take_until(end), keep_alive)
}

/// One answer and the end: a browser's EventSource cannot read the body of a refusal.
pub fn only(answer: &OperationResponse) -> Response {
    write(stream::iter([next(answer), COMPLETE.to_owned()]), Duration::MAX)
}

fn next(answer: &OperationResponse) -> String {
    // Serialised JSON has no line breaks, so that one line of data holds it.
    format!("event: next\ndata: {}\n\n", answer.json())
}

fn write(events: impl Stream<Item = String> + Send + 'static, keep_alive: Duration) -> Response {
    let chunks = stream::unfold(events.boxed(), move |mut events| async move {
        let chunk = match timeout(keep_alive, events.next()).await {
            Ok(event) => event?,
            Err(_) => SIGN_OF_LIFE.to_owned(),
        };
        Some((Ok::<_, Infallible>(chunk), events))
    });
    let content_type = HeaderValue::from_static(ResponseMedia::EventStream.content_type());
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(chunks)).into_response()
}
