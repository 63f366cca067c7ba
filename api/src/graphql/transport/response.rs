//! A GraphQL response as the specification spells it: a request that was not executed has no `data`, every error has a
//! code, and a fault tells no more than that it was one.

use std::collections::BTreeMap;

use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, PathSegment, Response, ServerError, Value};
use axum::http::StatusCode;
use serde::Serialize;

use super::{RequestRefusal, negotiate::ResponseMedia};
use crate::problem::ProblemCode;

/// The answer to one operation, with faults of the server already withheld from the client.
#[derive(Debug)]
pub struct OperationResponse {
    data: Value,
    errors: Vec<ServerError>,
    extensions: BTreeMap<String, Value>,
    /// Set when nothing was executed.
    refused: Option<ProblemCode>,
}

/// Most errors that an answer tells; a document can have one in every token.
const ERRORS_MAX: usize = 100;
/// Longest message of an error, in characters.
const MESSAGE_MAX: usize = 1_000;
/// Longest line of the document that an error quotes, in bytes.
const QUOTE_MAX: usize = 200;

/// Whether a scope is missing for a field below the root, all of which can be null.
fn is_withheld(error: &ServerError) -> bool {
    let scope = error.extensions.as_ref().and_then(|extensions| extensions.get("scope"));
    scope.is_some() && error.path.len() > 1
}

/// Puts null where the path leads and nothing is. The executor leaves out a field that its guard refuses, and gives null
/// for an object of which no field is left; the specification has null in the place of the field.
fn put_null(value: &mut Value, path: &[PathSegment]) {
    match (path, value) {
        ([PathSegment::Field(name), rest @ ..], value) => {
            if *value == Value::Null {
                *value = Value::Object(IndexMap::new());
            }
            if let Value::Object(fields) = value {
                put_null(fields.entry(Name::new(name)).or_insert(Value::Null), rest);
            }
        }
        ([PathSegment::Index(index), rest @ ..], Value::List(values)) => {
            if let Some(value) = values.get_mut(*index) {
                put_null(value, rest);
            }
        }
        _ => {}
    }
}

#[derive(Serialize)]
struct ResponseBody<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl OperationResponse {
    /// The answer to show: unknown errors are logged and replaced, and at most [`ERRORS_MAX`] are told.
    pub fn of(response: Response) -> Self {
        let Response { mut data, mut errors, mut extensions, .. } = response;
        let withheld = errors.iter().filter(|error| is_withheld(error));
        withheld.for_each(|error| put_null(&mut data, &error.path));
        if errors.len() > ERRORS_MAX {
            extensions.insert("errorsLeftOut".to_owned(), Value::from(errors.len() - ERRORS_MAX));
            errors.truncate(ERRORS_MAX);
        }
        errors.iter_mut().for_each(describe);
        // A field's error has a path; an error of the whole request has none.
        let refused = match errors.first() {
            Some(first) if data == Value::Null && errors.iter().all(|error| error.path.is_empty()) => Some(code(first)),
            _ => None,
        };
        Self { data, errors, extensions, refused }
    }

    /// The answer to a request that was refused before it was executed.
    pub fn refusal(refusal: RequestRefusal) -> Self {
        let error = ServerError { locations: Vec::new(), ..refusal.code.server_error(refusal.message) };
        Self { data: Value::Null, errors: vec![error], extensions: BTreeMap::new(), refused: Some(refusal.code) }
    }

    /// The answer to a document that is not GraphQL: GRAPHQL_PARSE_FAILED, with long lines of the document left out.
    pub fn unparsable(error: ServerError) -> Self {
        // The parser quotes the whole line, which may be the whole document.
        let lines: Vec<_> = error.message.lines().filter(|line| line.len() <= QUOTE_MAX).collect();
        let described = ServerError {
            locations: error.locations,
            ..ProblemCode::GraphqlParseFailed.server_error(lines.join("\n"))
        };
        Self::of(Response::from_errors(vec![described]))
    }

    /// Makes an answer of which nothing is there, because no key was presented, an error of the whole request.
    #[must_use]
    pub fn refused_without_key(mut self) -> Self {
        let name = ProblemCode::Unauthenticated;
        let is_empty = match &self.data {
            Value::Null => true,
            Value::Object(fields) => fields.values().all(|value| *value == Value::Null),
            _ => false,
        };
        if is_empty && !self.errors.is_empty() && self.errors.iter().all(|error| code(error) == name) {
            self.refused = Some(name);
        }
        self
    }

    /// Whether nothing was executed.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// What to count it as.
    pub fn outcome(&self) -> &'static str {
        match (self.refused, self.errors.is_empty()) {
            (Some(_), _) => "refused",
            (None, true) => "ok",
            (None, false) => "errors",
        }
    }

    /// The specification's section "Status Codes": the older media type hides what a document did wrong behind a 200,
    /// because old clients take anything else for an answer of some intermediary.
    pub fn status(&self, media: ResponseMedia) -> StatusCode {
        match (self.refused, media) {
            (None, _) => StatusCode::OK,
            (
                Some(
                    ProblemCode::GraphqlParseFailed
                    | ProblemCode::GraphqlValidationFailed
                    | ProblemCode::PersistedQueryNotFound
                    | ProblemCode::QueryTooComplex,
                ),
                ResponseMedia::Json,
            ) => StatusCode::OK,
            (Some(code), _) => code.status(),
        }
    }

    /// The code for which nothing was executed; none when the operation ran.
    pub fn refused(&self) -> Option<ProblemCode> {
        self.refused
    }

    /// The body: `data` is left out when nothing was executed.
    pub fn json(&self) -> String {
        let data = self.refused.is_none().then_some(&self.data);
        serialise(&ResponseBody { errors: &self.errors, data, extensions: &self.extensions })
    }

    /// The errors alone, as graphql-transport-ws's `error` message wants them.
    pub fn errors_json(&self) -> String {
        serialise(&self.errors)
    }
}

fn serialise(value: &impl Serialize) -> String {
    // Keys are texts and values are JSON already: only a number that JSON cannot hold could fail here.
    serde_json::to_string(value).unwrap_or_else(|_| {
        r#"{"errors":[{"message":"the response cannot be written","extensions":{"code":"INTERNAL"}}]}"#.to_owned()
    })
}

fn code(error: &ServerError) -> ProblemCode {
    let name = match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(name)) => name.as_str(),
        _ => "",
    };
    ProblemCode::ALL.into_iter().find(|code| code.name() == name).unwrap_or(ProblemCode::GraphqlValidationFailed)
}

/// Gives a code to an error that has none: those of the GraphQL library, and faults that a resolver let through.
fn describe(error: &mut ServerError) {
    if error.message.len() > MESSAGE_MAX {
        // It quotes what the caller sent.
        error.message = error.message.chars().take(MESSAGE_MAX).chain(['…']).collect();
    }
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return;
    }
    let code = if error.path.is_empty() { of_request(&error.message) } else { of_field(&error.message) };
    if code == ProblemCode::Internal {
        // Its text was not written for the caller's eyes, and may hold anything.
        tracing::error!(path = ?error.path, "a resolver failed without a code");
        "internal error".clone_into(&mut error.message);
    }
    error.extensions.get_or_insert_default().set("code", code.name());
}

fn of_request(message: &str) -> ProblemCode {
    let limits =
        ["Query is too complex", "Query is nested too deep", "The recursion depth", "The number of directives"];
    if limits.iter().any(|limit| message.starts_with(limit)) {
        ProblemCode::QueryTooComplex
    } else {
        ProblemCode::GraphqlValidationFailed
    }
}

fn of_field(message: &str) -> ProblemCode {
    let inputs = [
        "Failed to parse \"",
        "Expected input type \"",
        "Invalid value for argument",
        "The \"first\"",
        "The \"last\"",
        // One that the operation declares as needed, and that was not sent.
        "Variable ",
    ];
    if inputs.iter().any(|input| message.starts_with(input)) {
        ProblemCode::InvalidInput
    } else {
        ProblemCode::Internal
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::ErrorExtensions;

    use super::*;

    fn at_field(message: &str) -> OperationResponse {
        let mut error = ServerError::new(message, None);
        error.path = vec![PathSegment::Field("a".to_owned())];
        OperationResponse::of(Response::from_errors(vec![error]))
    }

    #[test]
    fn a_fault_tells_nothing_about_itself() {
        let json = at_field("row of +16505551234 not found").json();
        assert_eq!(
            json,
            r#"{"errors":[{"message":"internal error","path":["a"],"extensions":{"code":"INTERNAL"}}],"data":null}"#
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_the_callers_fault() {
        let json = at_field(r#"Expected input type "TextInput", found "x". (occurred while parsing "Input")"#).json();
        assert!(json.contains(r#""code":"INVALID_INPUT""#), "{json}");
        let json = at_field("Variable input is not defined.").json();
        assert!(json.contains(r#""code":"INVALID_INPUT""#), "{json}");
    }

    #[test]
    fn a_request_that_was_not_executed_has_no_data() {
        let answer = OperationResponse::of(Response::from_errors(vec![ServerError::new("Unknown field", None)]));
        assert!(answer.is_refused());
        assert_eq!(
            answer.json(),
            r#"{"errors":[{"message":"Unknown field","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}"#
        );
    }

    #[test]
    fn errors_are_told_in_proportion() {
        let long = ServerError::new("z".repeat(5_000), None);
        let json = OperationResponse::of(Response::from_errors(vec![long; 150])).json();
        assert_eq!((json.matches("\"message\"").count(), json.matches('z').count()), (100, 100_000));
        assert!(json.contains(r#""extensions":{"errorsLeftOut":50}"#), "the rest is counted");
        let quoting = OperationResponse::unparsable(ServerError::new(
            format!(" --> 1:9\n1 | {}\n = expected name", "{a".repeat(900)),
            None,
        ));
        assert!(quoting.json().contains("expected name") && quoting.json().len() < 200);
    }

    #[test]
    fn the_status_depends_on_the_media_type() {
        let invalid = OperationResponse::of(Response::from_errors(vec![ServerError::new("Unknown field", None)]));
        assert_eq!(invalid.status(ResponseMedia::Json), StatusCode::OK);
        assert_eq!(invalid.status(ResponseMedia::ResponseJson), StatusCode::BAD_REQUEST);
        assert_eq!(at_field("x").status(ResponseMedia::ResponseJson), StatusCode::OK);
        let refused = OperationResponse::refusal(RequestRefusal::new(ProblemCode::BadRequest, "x"));
        assert_eq!(refused.status(ResponseMedia::Json), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_withheld_field_is_null_where_the_executor_left_it_out() {
        let error = |path: &[PathSegment]| {
            let forbidden = ProblemCode::Forbidden.graphql("the API key lacks the scope READ");
            let forbidden = forbidden.extend_with(|_, extensions| extensions.set("scope", "READ"));
            ServerError { path: path.to_vec(), ..forbidden.into_server_error(async_graphql::Pos::default()) }
        };
        let field = |name: &str| PathSegment::Field(name.to_owned());
        let data = async_graphql::value!({"list": [{"id": 1, "who": null}, {"id": 2}], "set": 1});
        let mut response = Response::new(data);
        response.errors = vec![
            error(&[field("list"), PathSegment::Index(0), field("who"), field("name")]),
            error(&[field("list"), PathSegment::Index(1), field("name")]),
            error(&[field("list"), PathSegment::Index(7), field("name")]),
            error(&[field("set"), field("name")]),
            error(&[field("root")]),
        ];
        let data = OperationResponse::of(response).data;
        let expected =
            async_graphql::value!({"list": [{"id": 1, "who": {"name": null}}, {"id": 2, "name": null}], "set": 1});
        assert_eq!(data, expected);
    }
}
