//! How GraphQL travels, whatever the schema.
//!
//! | file | holds |
//! |---|---|
//! | [`http`] | GraphQL over HTTP (draft of January 2025): <https://graphql.github.io/graphql-over-http/draft/> |
//! | [`ws`] | graphql-transport-ws: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md> |
//! | [`sse`] | GraphQL over SSE, distinct connections: <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md> |
//! | `params`, `lexis`, `breadth`, `documents` | what is asked, how much that is before and after it is parsed, and what was parsed before |
//! | `negotiate`, `answer` | in which media type, and what is answered |

mod answer;
mod breadth;
mod documents;
pub mod graphiql;
pub mod http;
mod lexis;
mod negotiate;
mod params;
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
    auth::Identity,
    config,
    http::Shell,
    problem::{Code, Problem},
    telemetry::metric,
};

use answer::Answer;
pub use documents::Documents;
use params::Params;

/// How long a query or a mutation may take. Longer than any does whose stores answer.
const LONGEST: Duration = Duration::from_secs(30);

/// Whatever executes operations: any `async_graphql::Schema`, without its type.
pub trait Engine: Send + Sync {
    /// A query or a mutation.
    fn run(&self, request: Request) -> BoxFuture<'_, Response>;

    /// A subscription; a query or a mutation gives a stream of one response.
    fn open(&self, request: Request) -> BoxStream<'static, Response>;
}

impl<E: Executor> Engine for E {
    fn run(&self, request: Request) -> BoxFuture<'_, Response> {
        Executor::execute(self, request).boxed()
    }

    fn open(&self, request: Request) -> BoxStream<'static, Response> {
        Executor::execute_stream(self, request, None)
    }
}

/// A parsed operation and the caller that it runs for.
struct Prepared {
    request: Request,
    /// None when the request does not say which of the document's operations it means.
    kind: Option<OperationType>,
}

/// `max_complexity` is that of the schema: what selects more things than it allows is not even measured, and
/// what has too many tokens is not even parsed.
fn prepare(params: Params, identity: &Identity, shell: &Shell) -> Result<Prepared, Box<Answer>> {
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
    Ok(Prepared { request, kind })
}

fn parse(request: &Request, shell: &Shell) -> Result<ExecutableDocument, Box<Answer>> {
    let config::GraphQl { max_tokens, max_complexity, .. } = *shell.graphql;
    let too_complex = |message| Box::new(Answer::refusal(Refusal::new(Code::QueryTooComplex, message)));
    let look = lexis::look(&request.query, max_tokens).ok_or_else(|| {
        too_complex(format!(
            "the document has more than {max_tokens} tokens, or one that is too long or too deep; put values into variables"
        ))
    })?;
    let document = parse_query(&request.query).map_err(|error| Box::new(Answer::unparsable(error.into())))?;
    if !breadth::selects_at_most(&document, max_complexity) {
        return Err(too_complex(format!(
            "the document selects more than {max_complexity} things or too much of the schema, or its fragments go in circles"
        )));
    }
    shell.documents.keep(&request.query, look, &document);
    Ok(document)
}

impl Prepared {
    fn label(&self) -> &'static str {
        match self.kind {
            Some(OperationType::Query) => "query",
            Some(OperationType::Mutation) => "mutation",
            Some(OperationType::Subscription) => "subscription",
            None => "unknown",
        }
    }

    async fn run(self, engine: &dyn Engine) -> Answer {
        let (kind, start) = (self.label(), Instant::now());
        let answer = Answer::of(in_time(engine.run(self.request)).await);
        metrics::histogram!(metric::GRAPHQL_OPERATION_SECONDS, "kind" => kind).record(start.elapsed().as_secs_f64());
        count(kind, &answer);
        answer
    }

    /// The answers of a subscription, counted as long as it runs.
    fn open(self, engine: &dyn Engine, transport: &'static str) -> BoxStream<'static, Answer> {
        let kind = self.label();
        let running = Running::new(transport);
        let mut answers = engine.open(self.request);
        if self.kind != Some(OperationType::Subscription) {
            answers = stream::once(in_time(async move { answers.next().await.unwrap_or_default() })).boxed();
        }
        let answers = answers.map(move |response| {
            // Held by the stream, so that it ends with it.
            let _running = &running;
            let answer = Answer::of(response);
            count(kind, &answer);
            answer
        });
        answers.boxed()
    }
}

/// The answer of a query or a mutation. Where a store hangs, its client is told after a while, and may repeat.
async fn in_time(answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(LONGEST, answer).await.unwrap_or_else(|_| {
        tracing::error!("an operation was given up: it took too long");
        Response::from_errors(vec![
            Code::Unavailable.server_error("the server cannot answer in time; repeat the request"),
        ])
    })
}

fn count(kind: &'static str, answer: &Answer) {
    metrics::counter!(metric::GRAPHQL_OPERATIONS, "kind" => kind, "outcome" => answer.outcome()).increment(1);
}

/// One stream that is open.
struct Running(&'static str);

impl Running {
    fn new(transport: &'static str) -> Self {
        metrics::gauge!(metric::GRAPHQL_STREAMS, "transport" => transport).increment(1);
        Self(transport)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        metrics::gauge!(metric::GRAPHQL_STREAMS, "transport" => self.0).decrement(1);
    }
}

/// Why a request is turned away before it is an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: Code,
    message: String,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code, message: problem.detail }
    }
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
