//! GraphQL over HTTP.

use async_graphql::parser::types::OperationType;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    OperationResponse, PreparedOperation, RequestRefusal, RequestedPosition, graphiql,
    negotiate::{ResponseMedia, has_json_body, negotiate},
    params::{self, RequestParams},
    prepare, sse, ws,
};
use crate::{
    auth::{CallerIdentity, KeyDenied, RequestCaller},
    http::{
        HttpState, body,
        guarded_body::guard_body,
        quota::{MemoryCharge, OperationPermit},
    },
    problem::ProblemCode,
    telemetry::metric,
};

const ANSWERS: [ResponseMedia; 3] = [ResponseMedia::ResponseJson, ResponseMedia::Json, ResponseMedia::EventStream];
const ANSWERS_OR_PAGE: [ResponseMedia; 4] =
    [ResponseMedia::ResponseJson, ResponseMedia::Json, ResponseMedia::EventStream, ResponseMedia::Html];
/// Largest body without a key: introspection is all that it can ask for.
const ANONYMOUS_BODY: usize = 64 << 10;
/// In answers: up to where the account has written. In requests: what queries are to show.
pub const POSITION: HeaderName = HeaderName::from_static("wasend-position");
const STREAM: [ResponseMedia; 1] = [ResponseMedia::EventStream];

/// GET and POST of `/graphql`: operations, the WebSocket, and a page for browsers.
pub async fn graphql(State(shell): State<HttpState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if ws::is_handshake(&parts) {
        return match identify(&shell, &parts).await {
            Ok(identity) => ws::upgrade(shell, parts, identity).await,
            Err(denied) => refuse(denied, ResponseMedia::Json),
        };
    }
    let asks = |query: &str| query.contains("query=") || query.contains("extensions=");
    let asks = parts.method == Method::POST || parts.uri.query().is_some_and(asks);
    let offered: &[ResponseMedia] = if asks { &ANSWERS } else { &ANSWERS_OR_PAGE };
    answer(&shell, parts, body, offered).await
}

/// GET and POST of `/graphql/stream`: server-sent events only.
pub async fn stream(State(shell): State<HttpState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    answer(&shell, parts, body, &STREAM).await
}

async fn answer(shell: &HttpState, parts: Parts, body: Body, offered: &[ResponseMedia]) -> Response {
    let Some(media) = negotiate(&parts.headers, offered) else {
        let message = "Accept must allow application/graphql-response+json, application/json or text/event-stream";
        return refuse(RequestRefusal::new(ProblemCode::NotAcceptable, message), ResponseMedia::Json);
    };
    if media == ResponseMedia::Html {
        return graphiql::page();
    }
    match execute(shell, &parts, body, media).await {
        Ok(response) => response,
        Err(refusal) => refuse(refusal, media),
    }
}

async fn execute(
    shell: &HttpState,
    parts: &Parts,
    body: Body,
    media: ResponseMedia,
) -> Result<Response, RequestRefusal> {
    let identity = identify(shell, parts).await?;
    let position = requested_position(&parts.headers)?;
    let mut charge = shell.quotas.body(&identity.caller);
    let (operations, is_batch) = read(shell, parts, body, &identity, &mut charge).await?;
    let mut operations: Vec<_> = operations.into_iter().map(|params| params.at_position(position)).collect();
    if is_batch {
        if media == ResponseMedia::EventStream {
            return Err(RequestRefusal::new(ProblemCode::BadRequest, "a batch cannot be streamed; send one operation"));
        }
        let turn = acquire_permit(shell, &identity, media).await?;
        let answer = batch(shell, operations, &identity, media).await;
        return Ok(guard_body(with_position(answer, shell, &identity), (turn, charge)));
    }
    let Some(params) = operations.pop() else {
        return Err(RequestRefusal::new(ProblemCode::BadRequest, "the request holds no operation"));
    };
    let turn = acquire_permit(shell, &identity, media).await?;
    let prepared = match prepare(params, &identity, shell).await {
        Ok(prepared) => prepared,
        Err(answer) if media == ResponseMedia::EventStream => return Ok(guard_body(sse::only(&answer), turn)),
        Err(answer) => return Ok(write(&answer, media)),
    };
    // A link or an image tag could otherwise change something.
    if parts.method == Method::GET && prepared.kind == Some(OperationType::Mutation) {
        return Err(RequestRefusal::new(ProblemCode::MethodNotAllowed, "a mutation must be sent with POST"));
    }
    if media == ResponseMedia::EventStream {
        return Ok(guard_body(sse::respond(shell, identity, prepared), turn));
    }
    let mut answer = run(shell, prepared).await;
    // With the older media type it stays an answer of 200, which its clients expect.
    if media == ResponseMedia::ResponseJson && matches!(identity.caller, RequestCaller::Anonymous) {
        answer = answer.refused_without_key();
    }
    let answer = write(&answer, media);
    Ok(guard_body(with_position(answer, shell, &identity), (turn, charge)))
}

/// The position that queries are to show, from the request's header. Errors: BAD_REQUEST.
fn requested_position(headers: &HeaderMap) -> Result<Option<RequestedPosition>, RequestRefusal> {
    let Some(value) = headers.get(POSITION) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let position = position.filter(|position| i64::try_from(*position).is_ok());
    let wrong = || RequestRefusal::new(ProblemCode::BadRequest, "WASend-Position must be a position: a whole number");
    position.map(|position| Some(RequestedPosition(position))).ok_or_else(wrong)
}

/// Says up to where the caller's account has written through this server, for requests to others.
fn with_position(mut response: Response, shell: &HttpState, identity: &CallerIdentity) -> Response {
    let RequestCaller::Holder(holder) = &identity.caller else { return response };
    if let Some(position) = shell.own_writes.last(holder.account_id) {
        response.headers_mut().insert(POSITION, position.into());
    }
    response
}

/// What a request holds until its answer is sent, so that a client that does not read its answers can ask for no more
/// than its share.
async fn acquire_permit(
    shell: &HttpState,
    identity: &CallerIdentity,
    media: ResponseMedia,
) -> Result<OperationPermit, RequestRefusal> {
    Ok(match media {
        ResponseMedia::EventStream => shell.quotas.stream(&identity.caller)?,
        _ => shell.quotas.operation(&identity.caller).await?,
    })
}

/// One after the other, as GraphQL executes the fields of a mutation.
async fn batch(
    shell: &HttpState,
    operations: Vec<RequestParams>,
    identity: &CallerIdentity,
    media: ResponseMedia,
) -> Response {
    let mut bodies = Vec::with_capacity(operations.len());
    for params in operations {
        let answer = match prepare(params, identity, shell).await {
            Ok(prepared) => run(shell, prepared).await,
            Err(answer) => *answer,
        };
        bodies.push(answer.json());
    }
    let content_type = HeaderValue::from_static(media.content_type());
    ([(header::CONTENT_TYPE, content_type)], format!("[{}]", bodies.join(","))).into_response()
}

async fn run(shell: &HttpState, prepared: PreparedOperation) -> OperationResponse {
    if prepared.kind == Some(OperationType::Subscription) {
        let message = "a subscription needs a WebSocket (graphql-transport-ws) or Accept: text/event-stream";
        return OperationResponse::refusal(RequestRefusal::new(ProblemCode::BadRequest, message));
    }
    prepared.run(&*shell.engine).await
}

async fn read(
    shell: &HttpState,
    parts: &Parts,
    body: Body,
    identity: &CallerIdentity,
    charge: &mut MemoryCharge,
) -> Result<(Vec<RequestParams>, bool), RequestRefusal> {
    if parts.method != Method::POST {
        return Ok((vec![RequestParams::from_query(parts.uri.query().unwrap_or(""))?], false));
    }
    if !has_json_body(&parts.headers) {
        let message = "Content-Type must be application/json in UTF-8";
        return Err(RequestRefusal::new(ProblemCode::UnsupportedMediaType, message));
    }
    let limit = match identity.caller {
        RequestCaller::Holder(_) => shell.graphql.body_limit,
        RequestCaller::Anonymous => shell.graphql.body_limit.min(ANONYMOUS_BODY),
    };
    let body = body::read(&parts.headers, body, limit, shell.http.body_timeout, charge).await?;
    charge.grow(body.len() + params::values(&body)? * params::VALUE_BYTES)?;
    params::from_body(&body, shell.graphql.max_batch)
}

async fn identify(shell: &HttpState, parts: &Parts) -> Result<CallerIdentity, RequestRefusal> {
    Ok(CallerIdentity::of_headers(&*shell.authenticator, &parts.headers).await?)
}

impl From<KeyDenied> for RequestRefusal {
    fn from(denied: KeyDenied) -> Self {
        let reason = if denied == KeyDenied::Invalid { "invalid" } else { "unavailable" };
        metrics::counter!(metric::AUTH_DENIED, "reason" => reason).increment(1);
        Self::new(denied.code(), denied.to_string())
    }
}

fn refuse(refusal: RequestRefusal, media: ResponseMedia) -> Response {
    // A client that asked for events gets the refusal as JSON: no stream was begun.
    let media = if media == ResponseMedia::EventStream { ResponseMedia::Json } else { media };
    write(&OperationResponse::refusal(refusal), media)
}

fn write(answer: &OperationResponse, media: ResponseMedia) -> Response {
    let content_type = HeaderValue::from_static(media.content_type());
    let mut response = (answer.status(media), [(header::CONTENT_TYPE, content_type)], answer.json()).into_response();
    if let Some(code) = answer.refused() {
        code.add_headers(response.headers_mut());
        if code == ProblemCode::MethodNotAllowed {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
    }
    response
}

#[cfg(test)]
mod tests;
