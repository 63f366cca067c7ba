//! The four parameters of a GraphQL request, strictly typed: a wrong type is refused, never taken for an absent value.

use async_graphql::{Request, Variables};
use serde_json::{Map, Value};
use url::form_urlencoded;
use wasend_whatsapp::json;

use super::persisted::{DocumentHash, PersistedDocuments};
use super::{RequestRefusal, RequestedPosition};
use crate::auth::RequestCaller;
use crate::problem::ProblemCode;

/// One operation as the client sent it: document, name, variables and extensions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestParams {
    /// Empty until [`RequestParams::resolve_persisted`] where only a hash was sent.
    query: String,
    persisted: Option<DocumentHash>,
    operation_name: Option<String>,
    variables: Map<String, Value>,
    extensions: Map<String, Value>,
    position: Option<RequestedPosition>,
}

fn bad(message: impl Into<String>) -> RequestRefusal {
    RequestRefusal::new(ProblemCode::BadRequest, message)
}

impl RequestParams {
    /// From the members of a JSON object; others than the four are left for later versions of the specification.
    pub fn from_json(value: Value) -> Result<Self, RequestRefusal> {
        let Value::Object(mut members) = value else {
            return Err(bad("a GraphQL request is a JSON object"));
        };
        let extensions = object(members.remove("extensions"), "extensions")?;
        let persisted = extensions.get("persistedQuery").filter(|extension| !extension.is_null());
        let persisted = persisted.map(DocumentHash::of_extension).transpose()?;
        let query = match members.remove("query") {
            Some(Value::String(query)) => query,
            None | Some(Value::Null) if persisted.is_some() => String::new(),
            Some(_) => return Err(bad("\"query\" must be a string")),
            None => return Err(bad("\"query\" is missing")),
        };
        let operation_name = match members.remove("operationName") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(bad("\"operationName\" must be a string")),
        };
        let variables = object(members.remove("variables"), "variables")?;
        Ok(Self { query, persisted, operation_name, variables, extensions, position: None })
    }

    /// Takes the document of a hash that came without one. Gives the hash of one that came with it, to be kept. Errors:
    /// PERSISTED_QUERY_NOT_FOUND, and BAD_REQUEST for a hash of another document.
    pub fn resolve_persisted(
        &mut self,
        caller: &RequestCaller,
        documents: &PersistedDocuments,
    ) -> Result<Option<DocumentHash>, RequestRefusal> {
        let Some(hash) = self.persisted else { return Ok(None) };
        if self.query.is_empty() {
            documents.find(caller, hash)?.as_ref().clone_into(&mut self.query);
            return Ok(None);
        }
        PersistedDocuments::check(hash, &self.query)?;
        Ok(Some(hash))
    }

    /// From a URL's query string; an empty parameter is as good as none, except `query`.
    pub fn from_query(text: &str) -> Result<Self, RequestRefusal> {
        let mut members = Map::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if !matches!(&*name, "query" | "operationName" | "variables" | "extensions") {
                continue;
            }
            // The decoder puts this character in the place of what is not UTF-8.
            if value.contains('\u{fffd}') && !text.to_ascii_lowercase().contains("%ef%bf%bd") {
                return Err(bad(format!("{name:?} is not UTF-8")));
            }
            let value = match &*name {
                "query" => Value::String(value.into_owned()),
                _ if value.is_empty() => Value::Null,
                "operationName" => Value::String(value.into_owned()),
                _ => serde_json::from_str(&value).map_err(|_| bad(format!("{name:?} is not JSON")))?,
            };
            if members.insert(name.clone().into_owned(), value).is_some() {
                return Err(bad(format!("{name:?} is given twice")));
            }
        }
        Self::from_json(Value::Object(members))
    }

    /// Has every query show at least a position.
    #[must_use]
    pub fn at_position(self, position: Option<RequestedPosition>) -> Self {
        Self { position, ..self }
    }

    /// The request for async-graphql; an empty operation name is none.
    pub fn into_request(self) -> Request {
        let mut request = Request::new(self.query).variables(Variables::from_json(Value::Object(self.variables)));
        if let Some(position) = self.position {
            request = request.data(position);
        }
        request.operation_name = self.operation_name.filter(|name| !name.is_empty());
        for (name, value) in self.extensions {
            // A JSON value always is a GraphQL value.
            if let Ok(value) = async_graphql::Value::from_json(value) {
                request.extensions.insert(name, value);
            }
        }
        request
    }
}

fn object(value: Option<Value>, name: &str) -> Result<Map<String, Value>, RequestRefusal> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(bad(format!("{name:?} must be an object"))),
    }
}

/// Most values in a body: a full bulk call of messages with all their variables has a fifth.
const VALUES_MAX: usize = 500_000;
/// Bytes that a value takes in memory, whatever it is.
pub const VALUE_BYTES: usize = 128;

/// How many values the JSON has, before memory is taken for them. Errors: PAYLOAD_TOO_LARGE.
pub fn values(body: &[u8]) -> Result<usize, RequestRefusal> {
    let values = json::values(body);
    if values > VALUES_MAX {
        let message = format!("the body has more than {VALUES_MAX} values");
        return Err(RequestRefusal::new(ProblemCode::PayloadTooLarge, message));
    }
    Ok(values)
}

/// The operations of one HTTP body: one, or a batch of at most `max`. The flag tells which.
pub fn from_body(body: &[u8], max: usize) -> Result<(Vec<RequestParams>, bool), RequestRefusal> {
    // Some programs put a byte order mark before what they write (RFC 8259, 8.1, lets a reader pass over it).
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?;
    let value: Value = serde_json::from_str(text).map_err(|error| bad(format!("the body is not JSON: {error}")))?;
    let Value::Array(items) = value else {
        return Ok((vec![RequestParams::from_json(value)?], false));
    };
    if max < 2 {
        return Err(RequestRefusal::new(ProblemCode::BatchTooLarge, "batches are turned off; send one operation"));
    }
    if items.is_empty() || items.len() > max {
        let message = format!("a batch holds 1 to {max} operations; this one holds {}", items.len());
        return Err(RequestRefusal::new(ProblemCode::BatchTooLarge, message));
    }
    Ok((items.into_iter().map(RequestParams::from_json).collect::<Result<_, _>>()?, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_types_are_refused() {
        for wrong in [
            json!(null),
            json!("{ a }"),
            json!({}),
            json!({"query": null}),
            json!({"query": 1}),
            json!({"query": "{a}", "operationName": 1}),
            json!({"query": "{a}", "variables": "{}"}),
            json!({"query": "{a}", "variables": []}),
            json!({"query": "{a}", "extensions": true}),
        ] {
            assert_eq!(RequestParams::from_json(wrong.clone()).unwrap_err().code, ProblemCode::BadRequest, "{wrong}");
        }
        let nulls = json!({"query": "{a}", "operationName": null, "variables": null, "extensions": null, "id": 1});
        assert!(RequestParams::from_json(nulls).is_ok());
    }

    #[test]
    fn a_query_string_is_as_strict() {
        let params =
            RequestParams::from_query("query=%7Ba%7D&operationName=&variables=%7B%22x%22%3A1%7D&other=1").unwrap();
        assert_eq!((params.query.as_str(), params.variables["x"].as_u64()), ("{a}", Some(1)));
        for wrong in ["", "variables={}", "query=a&query=b", "query=a&variables=x", "query=a&variables=1", "query=%FF"]
        {
            assert!(RequestParams::from_query(wrong).is_err(), "{wrong}");
        }
        assert!(RequestParams::from_query("query=%EF%BF%BD").is_ok());
    }

    #[test]
    fn batches_are_bounded() {
        let batch = |n: usize| serde_json::to_vec(&vec![json!({"query": "{a}"}); n]).unwrap();
        assert_eq!(from_body(&batch(2), 2).unwrap().0.len(), 2);
        for (n, max) in [(0, 2), (3, 2), (1, 1)] {
            assert_eq!(from_body(&batch(n), max).unwrap_err().code, ProblemCode::BatchTooLarge);
        }
        assert_eq!(from_body(b"\xef\xbb\xbf{\"query\": \"{a}\"}", 2).unwrap().0.len(), 1);
        assert_eq!(from_body(b"\xff", 2).unwrap_err().code, ProblemCode::BadRequest);
        assert_eq!(from_body(b"{", 2).unwrap_err().code, ProblemCode::BadRequest);
    }
}
