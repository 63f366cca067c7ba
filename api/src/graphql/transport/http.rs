//! GraphQL over HTTP.

use async_graphql::parser::types::OperationType;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    Answer, Prepared, Refusal, graphiql,
    negotiate::{Media, has_json_body, negotiate},
    params::{self, Params},
    prepare, sse, ws,
};
use crate::{
    auth::{Caller, Denied, Identity},
    http::{
        Shell, body,
        held::hold,
        quota::{Charge, Permit},
    },
    problem::Code,
    telemetry::metric,
};

const ANSWERS: [Media; 3] = [Media::ResponseJson, Media::Json, Media::EventStream];
const ANSWERS_OR_PAGE: [Media; 4] = [Media::ResponseJson, Media::Json, Media::EventStream, Media::Html];
/// Largest body without a key: introspection is all that it can ask for.
const ANONYMOUS_BODY: usize = 64 << 10;
const STREAM: [Media; 1] = [Media::EventStream];

/// GET and POST of `/graphql`: operations, the WebSocket, and a page for browsers.
pub async fn graphql(State(shell): State<Shell>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if ws::is_handshake(&parts) {
        return match identify(&shell, &parts).await {
            Ok(identity) => ws::upgrade(shell, parts, identity).await,
            Err(denied) => refuse(denied, Media::Json),
        };
    }
    let asks = parts.method == Method::POST || parts.uri.query().is_some_and(|query| query.contains("query="));
    let offered: &[Media] = if asks { &ANSWERS } else { &ANSWERS_OR_PAGE };
    answer(&shell, parts, body, offered).await
}

/// GET and POST of `/graphql/stream`: server-sent events only.
pub async fn stream(State(shell): State<Shell>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    answer(&shell, parts, body, &STREAM).await
}

async fn answer(shell: &Shell, parts: Parts, body: Body, offered: &[Media]) -> Response {
    let Some(media) = negotiate(&parts.headers, offered) else {
        let message = "Accept must allow application/graphql-response+json, application/json or text/event-stream";
        return refuse(Refusal::new(Code::NotAcceptable, message), Media::Json);
    };
    if media == Media::Html {
        return graphiql::page();
    }
    match execute(shell, &parts, body, media).await {
        Ok(response) => response,
        Err(refusal) => refuse(refusal, media),
    }
}

async fn execute(shell: &Shell, parts: &Parts, body: Body, media: Media) -> Result<Response, Refusal> {
    let identity = identify(shell, parts).await?;
    let mut charge = shell.quotas.body(&identity.caller);
    let (mut operations, is_batch) = read(shell, parts, body, &identity, &mut charge).await?;
    if is_batch {
        if media == Media::EventStream {
            return Err(Refusal::new(Code::BadRequest, "a batch cannot be streamed; send one operation"));
        }
        let turn = turn(shell, &identity, media).await?;
        return Ok(hold(batch(shell, operations, &identity, media).await, (turn, charge)));
    }
    let Some(params) = operations.pop() else {
        return Err(Refusal::new(Code::BadRequest, "the request holds no operation"));
    };
    let turn = turn(shell, &identity, media).await?;
    let prepared = match prepare(params, &identity, shell) {
        Ok(prepared) => prepared,
        Err(answer) if media == Media::EventStream => return Ok(hold(sse::only(&answer), turn)),
        Err(answer) => return Ok(write(&answer, media)),
    };
    // A link or an image tag could otherwise change something.
    if parts.method == Method::GET && prepared.kind == Some(OperationType::Mutation) {
        return Err(Refusal::new(Code::MethodNotAllowed, "a mutation must be sent with POST"));
    }
    if media == Media::EventStream {
        return Ok(hold(sse::respond(shell, identity, prepared), turn));
    }
    Ok(hold(write(&run(shell, prepared).await, media), (turn, charge)))
}

/// What a request holds until its answer is sent, so that a client that does not read its answers can ask for no more
/// than its share.
async fn turn(shell: &Shell, identity: &Identity, media: Media) -> Result<Permit, Refusal> {
    Ok(match media {
        Media::EventStream => shell.quotas.stream(&identity.caller)?,
        _ => shell.quotas.operation(&identity.caller).await?,
    })
}

/// One after the other, as GraphQL executes the fields of a mutation.
async fn batch(shell: &Shell, operations: Vec<Params>, identity: &Identity, media: Media) -> Response {
    let mut bodies = Vec::with_capacity(operations.len());
    for params in operations {
        let answer = match prepare(params, identity, shell) {
            Ok(prepared) => run(shell, prepared).await,
            Err(answer) => *answer,
        };
        bodies.push(answer.json());
    }
    let content_type = HeaderValue::from_static(media.content_type());
    ([(header::CONTENT_TYPE, content_type)], format!("[{}]", bodies.join(","))).into_response()
}

async fn run(shell: &Shell, prepared: Prepared) -> Answer {
    if prepared.kind == Some(OperationType::Subscription) {
        let message = "a subscription needs a WebSocket (graphql-transport-ws) or Accept: text/event-stream";
        return Answer::refusal(Refusal::new(Code::BadRequest, message));
    }
    prepared.run(&*shell.engine).await
}

async fn read(
    shell: &Shell,
    parts: &Parts,
    body: Body,
    identity: &Identity,
    charge: &mut Charge,
) -> Result<(Vec<Params>, bool), Refusal> {
    if parts.method != Method::POST {
        return Ok((vec![Params::from_query(parts.uri.query().unwrap_or(""))?], false));
    }
    if !has_json_body(&parts.headers) {
        let message = "Content-Type must be application/json in UTF-8";
        return Err(Refusal::new(Code::UnsupportedMediaType, message));
    }
    let limit = match identity.caller {
        Caller::Holder(_) => shell.graphql.body_limit,
        Caller::Anonymous => shell.graphql.body_limit.min(ANONYMOUS_BODY),
    };
    let body = body::read(&parts.headers, body, limit, shell.http.body_timeout, charge).await?;
    charge.grow(body.len() + params::values(&body)? * params::VALUE_BYTES)?;
    params::from_body(&body, shell.graphql.max_batch)
}

async fn identify(shell: &Shell, parts: &Parts) -> Result<Identity, Refusal> {
    Ok(Identity::of_headers(&*shell.authenticator, &parts.headers).await?)
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let reason = if denied == Denied::Invalid { "invalid" } else { "unavailable" };
        metrics::counter!(metric::AUTH_DENIED, "reason" => reason).increment(1);
        Self::new(denied.code(), denied.to_string())
    }
}

fn refuse(refusal: Refusal, media: Media) -> Response {
    // A client that asked for events gets the refusal as JSON: no stream was begun.
    let media = if media == Media::EventStream { Media::Json } else { media };
    write(&Answer::refusal(refusal), media)
}

fn write(answer: &Answer, media: Media) -> Response {
    let content_type = HeaderValue::from_static(media.content_type());
    let mut response = (answer.status(media), [(header::CONTENT_TYPE, content_type)], answer.json()).into_response();
    if let Some(code) = answer.refused() {
        code.add_headers(response.headers_mut());
        if code == Code::MethodNotAllowed {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
    }
    response
}

#[cfg(test)]
mod tests;
