//! Reading a body within its limits.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, header},
};
use futures::StreamExt;
use tokio::time::timeout;

use crate::problem::{Code, Problem};

/// The whole body: at most `limit` bytes, within `patience`. Errors: PAYLOAD_TOO_LARGE, REQUEST_TIMEOUT, BAD_REQUEST.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize, patience: Duration) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::PayloadTooLarge, format!("the body is larger than {limit} bytes"));
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limit);
    let collect = async {
        let mut collected = Vec::with_capacity(expected);
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::new(Code::BadRequest, "the body broke off"))?;
            if collected.len() + chunk.len() > limit {
                return Err(too_large());
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(collected))
    };
    let late = |_| Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time"));
    timeout(patience, collect).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, Body::from("1234"), 4, PATIENCE).await.unwrap(), "1234");
        let error = read(&none, Body::from("12345"), 4, PATIENCE).await.unwrap_err();
        assert_eq!(error.code, Code::PayloadTooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read(&HeaderMap::new(), never, 4, PATIENCE).await.unwrap_err();
        assert_eq!(error.code, Code::RequestTimeout);
    }
}
