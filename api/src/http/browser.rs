//! What browsers ask for: leave for pages of other origins, and compressed answers.

use std::time::Duration;

use axum::http::{Method, header};
use tower_http::CompressionLevel;
use tower_http::compression::{
    CompressionLayer,
    predicate::{And, DefaultPredicate, Predicate, SizeAbove},
};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::config::CorsOrigins;
use crate::graphql::transport::http::POSITION;

/// How long a browser may remember what it was allowed: as long as any of them does.
const PREFLIGHT_TTL: Duration = Duration::from_secs(2 * 3_600);
/// Smaller answers are sent as they are.
const COMPRESSED_BYTES_MIN: u16 = 1_024;

/// Lets pages of the named origins call the server (<https://fetch.spec.whatwg.org/#http-cors-protocol>); none where no
/// origin is named. No answer depends on cookies, so that none are allowed.
pub fn cors_layer(origins: &CorsOrigins) -> Option<CorsLayer> {
    let origins = match origins {
        CorsOrigins::None => return None,
        CorsOrigins::Any => AllowOrigin::from(Any),
        CorsOrigins::Listed(origins) => AllowOrigin::list(origins.clone()),
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, POSITION])
        .expose_headers([POSITION, header::RETRY_AFTER, header::WWW_AUTHENTICATE])
        .max_age(PREFLIGHT_TTL);
    Some(layer)
}

/// Compresses answers for clients that take gzip; event streams are left as they are, so that none is held back.
pub fn compression_layer() -> CompressionLayer<And<DefaultPredicate, SizeAbove>> {
    let when = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_BYTES_MIN));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(when)
}
