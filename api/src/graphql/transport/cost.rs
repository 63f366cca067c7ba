//! What an operation costs that costs more than is allowed. async-graphql measures it and tells only that it is too much,
//! so that such an operation is measured again.

use async_graphql::parser::parse_query;
use async_graphql::{Request, Response, ServerError, Value, Variables};

use super::engine::GraphqlEngine;
use super::selection_rewrite::{decide, needs_decision};
use super::variables::selected_operation;
use crate::config::GraphqlConfig;
use crate::problem::ProblemCode;

/// Longest document that is measured again, in bytes.
const MEASURED_BYTES_MAX: usize = 256 << 10;
/// Most values of variables with which it is measured again.
const MEASURED_VALUES_MAX: usize = 10_000;

/// What is kept of an operation to say what it costs.
pub struct CostReport {
    max_complexity: usize,
    max_depth: usize,
    operation: Option<(String, Option<String>, Variables)>,
}

impl CostReport {
    /// Tells the limits alone.
    pub fn unknown(limits: &GraphqlConfig) -> Self {
        Self { max_complexity: limits.max_complexity, max_depth: limits.max_depth, operation: None }
    }

    /// Of an operation whose variables are complete.
    pub fn of(request: &Request, limits: &GraphqlConfig) -> Self {
        let mut left = MEASURED_VALUES_MAX;
        let is_small = request.query.len() <= MEASURED_BYTES_MAX
            && request.variables.values().all(|value| count_down(value, &mut left));
        let operation =
            is_small.then(|| (request.query.clone(), request.operation_name.clone(), request.variables.clone()));
        Self { operation, ..Self::unknown(limits) }
    }

    /// Puts the cost and the limit into the error of an operation that was refused for it.
    pub async fn explain(self, response: &mut Response, engine: &dyn GraphqlEngine) {
        let Some(error) = response.errors.first_mut().filter(|error| error.path.is_empty()) else { return };
        let message = if error.message.starts_with("Query is too complex") {
            let max = self.max_complexity;
            let cost = match self.operation {
                Some(operation) => measure(operation, engine).await.map(|cost| cost.to_string()),
                None => None,
            };
            let cost = cost.unwrap_or_else(|| format!("more than {max}"));
            format!("the operation costs {cost}, and at most {max} is allowed: ask for smaller pages or fewer fields")
        } else if error.message.starts_with("Query is nested too deep") {
            format!("the operation is nested deeper than the {} levels that are allowed", self.max_depth)
        } else {
            return;
        };
        *error = ServerError { locations: Vec::new(), ..ProblemCode::QueryTooComplex.server_error(message) };
    }
}

/// Whether a value has no more values in it than are left.
fn count_down(value: &Value, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    match value {
        Value::List(items) => items.iter().all(|item| count_down(item, left)),
        Value::Object(fields) => fields.values().all(|field| count_down(field, left)),
        _ => true,
    }
}

async fn measure(
    (query, name, variables): (String, Option<String>, Variables),
    engine: &dyn GraphqlEngine,
) -> Option<usize> {
    let mut request = Request::new(query).variables(variables);
    request.operation_name = name;
    let document = parse_query(&request.query).ok()?;
    let operation = selected_operation(&document, request.operation_name.as_deref())?;
    let document = if needs_decision(&document, &operation.node, &request.variables) {
        decide(&document, operation, &request).document
    } else {
        document
    };
    request.set_parsed_query(document);
    engine.validate(request).await.ok()
}
