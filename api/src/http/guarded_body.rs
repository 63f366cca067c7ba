//! A response's body that keeps something until it is sent, or its client is gone.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};

struct GuardedBody<H> {
    body: Body,
    _held: H,
}

/// Keeps `held` as long as the response's body.
pub fn guard_body<H: Send + Unpin + 'static>(response: Response, held: H) -> Response {
    response.map(|body| Body::new(GuardedBody { body, _held: held }))
}

impl<H: Unpin> HttpBody for GuardedBody<H> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
