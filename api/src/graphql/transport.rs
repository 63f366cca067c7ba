//! How GraphQL travels, whatever the schema.
//!
//! | file | holds |
//! |---|---|
//! | [`http`] | GraphQL over HTTP (draft of January 2025): <https://graphql.github.io/graphql-over-http/draft/> |
//! | [`ws`] | graphql-transport-ws: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md> |
//! | [`sse`] | GraphQL over SSE, distinct connections: <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md> |
//! | `params`, `persisted` | what is asked, and documents that are asked for by their hash |
//! | `document_scan`, `selection_limit`, `document_cache` | how much that is before and after it is parsed, and what was parsed before |
//! | `variables`, `input_types`, `selection_rewrite` | defaults, types and conditions, decided before execution |
//! | `cost` | how much an operation costs that costs too much |
//! | `engine` | the port to the schema that executes |
//! | `negotiate`, `response` | in which media type, and what is answered |
//! | [`graphiql`] | the query editor's page |

mod cost;
mod document_cache;
mod document_scan;
mod engine;
pub mod graphiql;
pub mod http;
mod input_types;
mod negotiate;
mod params;
mod persisted;
mod response;
mod selection_limit;
mod selection_rewrite;
mod sse;
mod variables;
mod ws;

#[cfg(test)]
pub(crate) mod fake;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, OperationType},
};
use async_graphql::{Name, Request, Response};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{
    auth::CallerIdentity,
    config,
    http::HttpState,
    problem::{Problem, ProblemCode},
    telemetry::metric,
};

use cost::CostReport;
pub use document_cache::DocumentCache;
pub use engine::{GraphqlEngine, SchemaEngine};
use params::RequestParams;
pub use persisted::PersistedDocuments;
use response::OperationResponse;
use selection_rewrite::{decide, needs_decision, remove_key};
use variables::{check_conditions, complete_variables, selected_operation};

/// How long a query or a mutation may take. Longer than any does whose stores answer.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The position that a request's header asks every query in it to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedPosition(pub wasend_domain::Position);

/// A parsed operation and the caller that it runs for.
struct PreparedOperation {
    request: Request,
    /// None when the request does not say which of the document's operations it means.
    kind: Option<OperationType>,
    /// A key to be taken out of the answer.
    placeholder: Option<Name>,
    /// What to tell where it costs too much.
    cost: CostReport,
}

/// Parses an operation, completes its variables and decides its conditions. `max_complexity` is that of the schema: what
/// selects more things than it allows is not even measured, and what has too many tokens is not even parsed.
async fn prepare(
    mut params: RequestParams,
    identity: &CallerIdentity,
    shell: &HttpState,
) -> Result<PreparedOperation, Box<OperationResponse>> {
    let refused = |refusal| Box::new(OperationResponse::refusal(refusal));
    let persisted = params.resolve_persisted(&identity.caller, &shell.persisted).map_err(refused)?;
    let mut request = params.into_request().data(identity.caller.clone());
    let document = match shell.documents.get(&request.query) {
        Some(document) => document,
        None => parse(&request, shell)?,
    };
    if let Some(hash) = persisted
        && let Some(look) = document_scan::scan_document(&request.query, shell.graphql.max_tokens)
    {
        shell.persisted.keep(&identity.caller, hash, look, &request.query);
    }
    let failed = |errors| Box::new(OperationResponse::of(Response::from_errors(errors)));
    let Some(operation) = selected_operation(&document, request.operation_name.as_deref()) else {
        request.set_parsed_query(document);
        let cost = CostReport::unknown(&shell.graphql);
        return Ok(PreparedOperation { request, kind: None, placeholder: None, cost });
    };
    let kind = Some(operation.node.ty);
    let given = std::mem::take(&mut request.variables);
    request.variables = complete_variables(shell.engine.input_types(), &operation.node, given).map_err(failed)?;
    let cost = CostReport::of(&request, &shell.graphql);
    if !needs_decision(&document, &operation.node, &request.variables) {
        request.set_parsed_query(document);
        return Ok(PreparedOperation { request, kind, placeholder: None, cost });
    }
    let mut whole = Request::new("").variables(request.variables.clone());
    whole.operation_name.clone_from(&request.operation_name);
    whole.set_parsed_query(document.clone());
    shell.engine.validate(whole).await.map_err(failed)?;
    check_conditions(&document, &operation.node).map_err(|error| failed(vec![*error]))?;
    let decided = decide(&document, operation, &request);
    if kind == Some(OperationType::Subscription) && decided.is_empty() {
        let message = "a subscription must select a field, and this one skips all";
        return Err(refused(RequestRefusal::new(ProblemCode::GraphqlValidationFailed, message)));
    }
    request.set_parsed_query(decided.document);
    Ok(PreparedOperation { request, kind, placeholder: decided.placeholder, cost })
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
        let mut response = in_time(engine.run(self.request)).await;
        self.cost.explain(&mut response, engine).await;
        let answer = written(response, self.placeholder.as_ref());
        metrics::histogram!(metric::GRAPHQL_OPERATION_SECONDS, "kind" => kind).record(start.elapsed().as_secs_f64());
        count(kind, &answer);
        answer
    }

    /// The answers of a subscription, counted as long as it runs.
    fn open(self, engine: &Arc<dyn GraphqlEngine>, transport: &'static str) -> BoxStream<'static, OperationResponse> {
        let kind = self.label();
        let running = OpenStream::new(transport);
        let mut answers = engine.open(self.request);
        if self.kind != Some(OperationType::Subscription) {
            let (engine, cost) = (Arc::clone(engine), self.cost);
            let answer = async move {
                let mut response = in_time(async { answers.next().await.unwrap_or_default() }).await;
                cost.explain(&mut response, &*engine).await;
                response
            };
            answers = stream::once(answer).boxed();
        }
        let placeholder = self.placeholder;
        let answers = answers.map(move |response| {
            // Held by the stream, so that it ends with it.
            let _running = &running;
            let answer = written(response, placeholder.as_ref());
            count(kind, &answer);
            answer
        });
        answers.boxed()
    }
}

fn written(mut response: Response, placeholder: Option<&Name>) -> OperationResponse {
    if let Some(key) = placeholder {
        remove_key(&mut response.data, key);
    }
    OperationResponse::of(response)
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

#[cfg(test)]
mod tests;
