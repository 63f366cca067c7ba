//! Reading a body within its limits.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use futures::StreamExt;
use tokio::time::timeout;

use super::quota::MemoryCharge;
use crate::problem::{Problem, ProblemCode};

/// Refuses a body that is compressed, by its content coding or by its transfer coding: UNSUPPORTED_MEDIA_TYPE. Nothing is
/// ever unpacked, so that nothing small can become something large, and nothing packed is taken for what it holds.
pub fn refuse_compressed(headers: &HeaderMap) -> Result<(), Problem> {
    let other_than = |name, plain: &[u8]| {
        let mut codings = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        codings.any(|coding| !coding.trim_ascii().eq_ignore_ascii_case(plain))
    };
    if other_than(header::CONTENT_ENCODING, b"identity") || other_than(header::TRANSFER_ENCODING, b"chunked") {
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, "the body must not be compressed"));
    }
    Ok(())
}

/// The whole body: at most `limit` bytes, within `patience`, of which `charge` holds the memory. Errors:
/// PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, REQUEST_TIMEOUT, BAD_REQUEST, UNAVAILABLE.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    patience: Duration,
    charge: &mut MemoryCharge,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemCode::PayloadTooLarge, format!("the body is larger than {limit} bytes"));
    refuse_compressed(headers)?;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let collect = async {
        let mut collected = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::new(ProblemCode::BadRequest, "the body broke off"))?;
            if collected.len() + chunk.len() > limit {
                return Err(too_large());
            }
            charge.grow(collected.len() + chunk.len())?;
            collected.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(collected))
    };
    let late = |_| Err(Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time"));
    timeout(patience, collect).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::http::quota::AccountQuotas;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
        let limits = crate::config::LimitsConfig { body_memory: 1 << 20, ..crate::config::LimitsConfig::default() };
        super::read(headers, body, limit, PATIENCE, &mut AccountQuotas::new(&limits).webhook()).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, Body::from("1234"), 4).await.unwrap(), "1234");
        let error = read(&none, Body::from("12345"), 4).await.unwrap_err();
        assert_eq!(error.code, ProblemCode::PayloadTooLarge);
    }

    #[tokio::test]
    async fn a_body_takes_memory_and_nothing_is_unpacked() {
        let large = Body::from(vec![0; 512 << 10]);
        assert_eq!(read(&HeaderMap::new(), large, 1 << 20).await.unwrap_err().code, ProblemCode::Unavailable);
        for (name, codings) in [
            (header::CONTENT_ENCODING, vec!["gzip"]),
            (header::CONTENT_ENCODING, vec!["identity, br"]),
            (header::CONTENT_ENCODING, vec!["identity", "GZIP"]),
            (header::TRANSFER_ENCODING, vec!["gzip, chunked"]),
        ] {
            let headers: HeaderMap =
                codings.into_iter().map(|coding| (name.clone(), coding.parse().unwrap())).collect();
            let refused = read(&headers, Body::from("1"), 4).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::UnsupportedMediaType, "{headers:?}");
        }
        let plain = [(header::CONTENT_ENCODING, "Identity"), (header::TRANSFER_ENCODING, "Chunked")];
        let plain = plain.into_iter().map(|(name, coding)| (name, coding.parse().unwrap())).collect();
        assert_eq!(read(&plain, Body::from("1"), 4).await.unwrap(), "1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read(&HeaderMap::new(), never, 4).await.unwrap_err();
        assert_eq!(error.code, ProblemCode::RequestTimeout);
    }
}
