//! How GraphQL travels, whatever the schema.
//!
//! | file | holds |
//! |---|---|
//! | [`http`] | GraphQL over HTTP (draft of January 2025): <https://graphql.github.io/graphql-over-http/draft/> |
//! | [`ws`] | graphql-transport-ws: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md> |
//! | [`sse`] | GraphQL over SSE, distinct connections: <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md> |
//! | `params`, `document_scan`, `selection_limit`, `document_cache` | what is asked, how much that is before and after it is parsed, and what was parsed before |
//! | `negotiate`, `response` | in which media type, and what is answered |
//! | [`graphiql`] | the query editor's page |

mod document_cache;
mod document_scan;
pub mod graphiql;
pub mod http;
mod negotiate;
mod params;
mod response;
mod selection_limit;
mod sse;
mod ws;

#[cfg(test)]
pub(crate) mod fake;

use std::time::{Duration, Instant};

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, OperationType},
};
use async_graphql::{Executor, Request, Response};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};

use crate::{
    auth::CallerIdentity,
    config,
    http::HttpState,
    problem::{Problem, ProblemCode},
    telemetry::metric,
};

pub use document_cache::DocumentCache;
use params::RequestParams;
use response::OperationResponse;

/// How long a query or a mutation may take. Longer than any does whose stores answer.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Whatever executes operations: any `async_graphql::Schema`, without its type.
pub trait GraphqlEngine: Send + Sync {
    /// A query or a mutation.
    fn run(&self, request: Request) -> BoxFuture<'_, Response>;

    /// A subscription; a query or a mutation gives a stream of one response.
    fn open(&self, request: Request) -> BoxStream<'static, Response>;
}

impl<E: Executor> GraphqlEngine for E {
    fn run(&self, request: Request) -> BoxFuture<'_, Response> {
        Executor::execute(self, request).boxed()
    }

    fn open(&self, request: Request) -> BoxStream<'static, Response> {
        Executor::execute_stream(self, request, None)
    }
}

/// A parsed operation and the caller that it runs for.
struct PreparedOperation {
    request: Request,
    /// None when the request does not say which of the document's operations it means.
    kind: Option<OperationType>,
}

/// `max_complexity` is that of the schema: what selects more things than it allows is not even measured, and
/// what has too many tokens is not even parsed.
fn prepare(
    params: RequestParams,
    identity: &CallerIdentity,
    shell: &HttpState,
) -> Result<PreparedOperation, Box<OperationResponse>> {
    let mut request = params.into_request().data(identity.caller.clone());
    let document = match shell.documents.get(&request.query) {
        Some(document) => document,
        None => parse(&request, shell)?,
    };
    let name = request.operation_name.as_ref();
    let mut operations =
        document.operations.iter().filter(|(known, _)| name.is_none_or(|n| known.is_some_and(|k| k == n)));
    let kind = match (operations.next(), operations.next()) {
        (Some((_, operation)), None) => Some(operation.node.ty),
        _ => None,
    };
    request.set_parsed_query(document);
    Ok(PreparedOperation { request, kind })
}

fn parse(request: &Request, shell: &HttpState) -> Result<ExecutableDocument, Box<OperationResponse>> {
    let config::GraphqlConfig { max_tokens, max_complexity, .. } = *shell.graphql;
    let too_complex =
        |message| Box::new(OperationResponse::refusal(RequestRefusal::new(ProblemCode::QueryTooComplex, message)));
    let look = document_scan::scan_document(&request.query, max_tokens).ok_or_else(|| {
        too_complex(format!(
            "the document has more than {max_tokens} tokens, or one that is too long or too deep; put values into variables"
        ))
    })?;
    let document =
        parse_query(&request.query).map_err(|error| Box::new(OperationResponse::unparsable(error.into())))?;
    if !selection_limit::selects_at_most(&document, max_complexity) {
        return Err(too_complex(format!(
            "the document selects more than {max_complexity} things or too much of the schema, or its fragments go in circles"
        )));
    }
    shell.documents.insert(&request.query, look, &document);
    Ok(document)
}

impl PreparedOperation {
    fn label(&self) -> &'static str {
        match self.kind {
            Some(OperationType::Query) => "query",
            Some(OperationType::Mutation) => "mutation",
            Some(OperationType::Subscription) => "subscription",
            None => "unknown",
        }
    }

    async fn run(self, engine: &dyn GraphqlEngine) -> OperationResponse {
        let (kind, start) = (self.label(), Instant::now());
        let answer = OperationResponse::of(in_time(engine.run(self.request)).await);
        metrics::histogram!(metric::GRAPHQL_OPERATION_SECONDS, "kind" => kind).record(start.elapsed().as_secs_f64());
        count(kind, &answer);
        answer
    }

    /// The answers of a subscription, counted as long as it runs.
    fn open(self, engine: &dyn GraphqlEngine, transport: &'static str) -> BoxStream<'static, OperationResponse> {
        let kind = self.label();
        let running = OpenStream::new(transport);
        let mut answers = engine.open(self.request);
        if self.kind != Some(OperationType::Subscription) {
            answers = stream::once(in_time(async move { answers.next().await.unwrap_or_default() })).boxed();
        }
        let answers = answers.map(move |response| {
            // Held by the stream, so that it ends with it.
            let _running = &running;
            let answer = OperationResponse::of(response);
            count(kind, &answer);
            answer
        });
        answers.boxed()
    }
}

/// The answer of a query or a mutation. Where a store hangs, its client is told after a while, and may repeat.
async fn in_time(answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(OPERATION_TIMEOUT, answer).await.unwrap_or_else(|_| {
        tracing::error!("an operation was given up: it took too long");
        Response::from_errors(vec![
            ProblemCode::Unavailable.server_error("the server cannot answer in time; repeat the request"),
        ])
    })
}

fn count(kind: &'static str, answer: &OperationResponse) {
    metrics::counter!(metric::GRAPHQL_OPERATIONS, "kind" => kind, "outcome" => answer.outcome()).increment(1);
}

/// One stream that is open.
struct OpenStream(&'static str);

impl OpenStream {
    fn new(transport: &'static str) -> Self {
        metrics::gauge!(metric::GRAPHQL_STREAMS, "transport" => transport).increment(1);
        Self(transport)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!(metric::GRAPHQL_STREAMS, "transport" => self.0).decrement(1);
    }
}

/// Why a request is turned away before it is an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RequestRefusal {
    code: ProblemCode,
    message: String,
}

impl From<Problem> for RequestRefusal {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code, message: problem.detail }
    }
}

impl RequestRefusal {
    fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
