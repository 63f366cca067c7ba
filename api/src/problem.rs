//! Every error that a caller can see and that is not the refusal of a command: as `extensions.code` of a GraphQL
//! error, and as `code` of an HTTP problem (RFC 9457). Refusals have a list of their own, [`wasend_commands::RefusalCode`],
//! and appear as `errors[].code` in a mutation's payload; [`reference()`] prints both.

mod reference;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

pub use reference::reference;

/// What went wrong, in the word that clients branch on. A word, once released, keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    // Of the request as such.
    BadRequest,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    PayloadTooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    // Of the GraphQL operation.
    GraphqlParseFailed,
    GraphqlValidationFailed,
    PersistedQueryNotFound,
    QueryTooComplex,
    BatchTooLarge,
    TooManySubscriptions,
    PositionNotReached,
    InvalidInput,
    InvalidCursor,
    InvalidPhone,
    // Of the server.
    Unavailable,
    /// Stays the last one: a test counts up to it.
    Internal,
}

/// Where a code can appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVisibility {
    /// HTTP problems and GraphQL errors.
    Everywhere,
    /// GraphQL errors only.
    GraphQl,
}

struct CodeRow {
    name: &'static str,
    status: u16,
    seen: CodeVisibility,
    doc: &'static str,
}

const fn row(name: &'static str, status: u16, seen: CodeVisibility, doc: &'static str) -> CodeRow {
    CodeRow { name, status, seen, doc }
}

impl ProblemCode {
    /// Every code, in the order of the reference.
    #[rustfmt::skip]
    pub const ALL: [Self; 22] = [
        Self::BadRequest, Self::Unauthenticated, Self::Forbidden, Self::NotFound, Self::MethodNotAllowed,
        Self::NotAcceptable, Self::RequestTimeout, Self::PayloadTooLarge, Self::UnsupportedMediaType,
        Self::TooManyRequests,
        Self::GraphqlParseFailed, Self::GraphqlValidationFailed, Self::PersistedQueryNotFound, Self::QueryTooComplex, Self::BatchTooLarge,
        Self::TooManySubscriptions, Self::PositionNotReached, Self::InvalidInput, Self::InvalidCursor,
        Self::InvalidPhone, Self::Unavailable, Self::Internal,
    ];

    /// The list itself.
    #[rustfmt::skip]
    const fn row(self) -> CodeRow {
        use CodeVisibility::{Everywhere, GraphQl};
        match self {
            Self::BadRequest => row("BAD_REQUEST", 400, Everywhere, "The request is malformed: not JSON, or a parameter is missing or of the wrong type."),
            Self::Unauthenticated => row("UNAUTHENTICATED", 401, Everywhere, "No API key was presented where one is needed, or it is unknown, rotated away or revoked."),
            Self::Forbidden => row("FORBIDDEN", 403, Everywhere, "The API key lacks the scope that the message names, in GraphQL also `extensions.scope`. A field that needs a scope is null without it, and the rest is answered."),
            Self::NotFound => row("NOT_FOUND", 404, Everywhere, "There is nothing at this path."),
            Self::MethodNotAllowed => row("METHOD_NOT_ALLOWED", 405, Everywhere, "The path takes another method; a mutation over GET is refused so as well."),
            Self::NotAcceptable => row("NOT_ACCEPTABLE", 406, Everywhere, "None of the media types in `Accept` can be produced."),
            Self::RequestTimeout => row("REQUEST_TIMEOUT", 408, Everywhere, "The body did not arrive in time."),
            Self::PayloadTooLarge => row("PAYLOAD_TOO_LARGE", 413, Everywhere, "The body is larger than the limit."),
            Self::UnsupportedMediaType => row("UNSUPPORTED_MEDIA_TYPE", 415, Everywhere, "The body's `Content-Type` is not `application/json` in UTF-8, or it is compressed."),
            Self::TooManyRequests => row("TOO_MANY_REQUESTS", 429, Everywhere, "Too much at once: the account's operations wait too long for their turn, or the address has too many connections. Repeat it after a while."),
            Self::GraphqlParseFailed => row("GRAPHQL_PARSE_FAILED", 400, GraphQl, "The document is not GraphQL."),
            Self::GraphqlValidationFailed => row("GRAPHQL_VALIDATION_FAILED", 400, GraphQl, "The document or its variables do not fit the schema."),
            Self::PersistedQueryNotFound => row("PERSISTED_QUERY_NOT_FOUND", 404, GraphQl, "No document is kept under the hash: send the request again with its document, as clients of automatic persisted queries do by themselves."),
            Self::QueryTooComplex => row("QUERY_TOO_COMPLEX", 400, GraphQl, "The document has too many tokens, or the operation is nested too deep or too complex; ask for smaller pages or fewer fields."),
            Self::BatchTooLarge => row("BATCH_TOO_LARGE", 400, GraphQl, "The batch is empty, holds more operations than allowed, or batches are turned off."),
            Self::TooManySubscriptions => row("TOO_MANY_SUBSCRIPTIONS", 429, Everywhere, "The WebSocket already runs as many operations as it may, or the account has as much open as it may."),
            Self::PositionNotReached => row("POSITION_NOT_REACHED", 503, GraphQl, "The read models did not reach the position that the query asked for in time; repeat it."),
            Self::InvalidInput => row("INVALID_INPUT", 400, GraphQl, "A value is not acceptable; the message says why."),
            Self::InvalidCursor => row("INVALID_CURSOR", 400, GraphQl, "The cursor was not made by this connection."),
            Self::InvalidPhone => row("INVALID_PHONE", 400, GraphQl, "The text is not a phone number in international form."),
            Self::Unavailable => row("UNAVAILABLE", 503, Everywhere, "The server cannot answer for now; repeat the request after a while, with the same idempotency key."),
            Self::Internal => row("INTERNAL", 500, Everywhere, "A fault of the server. Its log tells more under the request id."),
        }
    }

    /// The word that clients see.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The status of an HTTP answer that consists of this error.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Where it can appear.
    pub const fn seen(self) -> CodeVisibility {
        self.row().seen
    }

    /// One line for people.
    pub const fn doc(self) -> &'static str {
        self.row().doc
    }

    /// As a GraphQL error. The message is shown to the caller: it must hold nothing of another.
    pub fn graphql(self, message: impl Into<String>) -> async_graphql::Error {
        let mut error = async_graphql::Error::new(message);
        error.extensions.get_or_insert_default().set("code", self.name());
        error
    }

    /// As an error of the whole GraphQL request.
    pub fn server_error(self, message: impl Into<String>) -> async_graphql::ServerError {
        self.graphql(message).into_server_error(async_graphql::Pos::default())
    }
}

/// An error of plain HTTP: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: ProblemCode,
    /// What is wrong this time; shown to the caller.
    pub detail: String,
}

impl Problem {
    /// An error for the caller; `detail` must hold nothing of another account and nothing personal.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let body = serde_json::json!({
            "type": format!("urn:wasend:problem:{}", self.code.name()),
            "title": self.code.doc(),
            "status": status.as_u16(),
            "detail": self.detail,
            "code": self.code.name(),
        });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.code.add_headers(headers);
        response
    }
}

impl ProblemCode {
    /// What HTTP asks to go with the status.
    pub fn add_headers(self, headers: &mut axum::http::HeaderMap) {
        match self.status() {
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Bearer realm=\"wasend\", error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_in_order() {
        assert!(ProblemCode::ALL.into_iter().enumerate().all(|(index, code)| code as usize == index));
        assert_eq!(ProblemCode::Internal as usize + 1, ProblemCode::ALL.len());
        let names: std::collections::BTreeSet<_> = ProblemCode::ALL.into_iter().map(ProblemCode::name).collect();
        assert_eq!(names.len(), ProblemCode::ALL.len());
    }

    #[tokio::test]
    async fn a_problem_follows_rfc_9457() {
        let response = Problem::new(ProblemCode::Unauthenticated, "an API key is needed").into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], 401);
        assert_eq!(body["code"], "UNAUTHENTICATED");
    }
}
