//! How refusals and failures reach a client: a refusal as data in the payload, a failure as a GraphQL error.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, Result, ServerResult, SimpleObject, Value,
    parser::types::Field,
    registry::{Deprecation, MetaEnumValue, MetaType, Registry},
};
use wasend_commands::{CommandError, Refusal, RefusalCode as Refused};
use wasend_domain::Id;

use crate::problem::ProblemCode;

/// Why a mutation did nothing.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct UserError {
    pub code: ErrorCode,
    /// Which field of the input it is about, such as `text.body` or `messages.3.to`.
    pub field: Option<String>,
    /// For people.
    pub message: String,
}

impl UserError {
    /// Puts the field below another one.
    #[must_use]
    pub fn below(mut self, parent: &str) -> Self {
        self.field = Some(match self.field {
            Some(field) => format!("{parent}.{field}"),
            None => parent.to_owned(),
        });
        self
    }
}

impl From<Refusal> for UserError {
    fn from(Refusal { field, code, message }: Refusal) -> Self {
        // One text, whether the id is malformed, unknown or another account's.
        let message = if code == Refused::NotFound { code.about().to_owned() } else { message };
        Self { code: ErrorCode(code), field, message }
    }
}

/// What is wrong with a command, in the word that clients branch on. Its values are those of the commands' own list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub Refused);

impl OutputType for ErrorCode {
    fn type_name() -> Cow<'static, str> {
        "ErrorCode".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let value = |code: Refused| MetaEnumValue {
            name: code.name().to_owned(),
            description: Some(code.about().to_owned()),
            deprecation: Deprecation::NoDeprecated,
            visible: None,
            inaccessible: false,
            tags: vec![],
            directive_invocations: vec![],
        };
        registry.create_output_type::<Self, _>(async_graphql::registry::MetaTypeId::Enum, |_| MetaType::Enum {
            name: Self::type_name().into_owned(),
            description: Some("What is wrong with a mutation's input, in the word that clients branch on.".to_owned()),
            enum_values: Refused::ALL.into_iter().map(|code| (code.name().to_owned(), value(code))).collect(),
            visible: None,
            inaccessible: false,
            tags: vec![],
            rust_typename: Some(std::any::type_name::<Self>()),
            directive_invocations: vec![],
            requires_scopes: vec![],
        })
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::Enum(async_graphql::Name::new(self.0.name())))
    }
}

/// What came of a command: a refusal is the payload's to tell, a failure ends the field.
pub fn outcome<T>(result: Result<T, CommandError>) -> Result<Result<T, Vec<UserError>>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(CommandError::Refused(refusals)) => Ok(Err(refusals.into_iter().map(UserError::from).collect())),
        Err(CommandError::Unavailable(source)) => Err(unavailable(source)),
    }
}

/// A store or the network failed. What exactly is for the operator alone.
pub fn unavailable(error: impl std::fmt::Display) -> async_graphql::Error {
    tracing::error!(%error, "a request could not be answered");
    ProblemCode::Unavailable.graphql("the server cannot answer for now; repeat the request after a while")
}

/// An argument is not acceptable.
pub fn invalid(message: impl Into<String>) -> async_graphql::Error {
    ProblemCode::InvalidInput.graphql(message)
}

/// Reads an id of a mutation's input; what is malformed is refused like an id of nothing.
pub fn id<K>(field: &str, what: &str, text: &str) -> Result<Id<K>, CommandError> {
    text.parse().map_err(|_| Refusal::not_found(field, what).into())
}

/// Says which field of the input a code of refusal is about, where the command calls it otherwise.
pub fn about(error: CommandError, code: Refused, field: &str) -> CommandError {
    let rename = |mut refusal: Refusal| {
        if refusal.code == code {
            refusal.field = Some(field.to_owned());
        }
        refusal
    };
    match error {
        CommandError::Refused(refusals) => CommandError::Refused(refusals.into_iter().map(rename).collect()),
        failed @ CommandError::Unavailable(_) => failed,
    }
}

#[cfg(test)]
mod tests {
    use wasend_domain::ids::kind;

    use super::*;

    #[test]
    fn a_refusal_is_data_and_a_failure_an_error() {
        let refused: Result<(), _> = Err(Refusal::new("text.body", Refused::TooLong, "is too long").into());
        let errors = outcome(refused).unwrap().unwrap_err();
        let error = errors.into_iter().next().unwrap().below("messages.3");
        assert_eq!((error.code.0, error.field.as_deref()), (Refused::TooLong, Some("messages.3.text.body")));
        assert_eq!(error.message, "is too long");
        let failed: Result<(), _> = Err(CommandError::unavailable(std::io::Error::other("secret detail")));
        let error = outcome(failed).unwrap_err();
        assert!(!error.message.contains("secret"));
        assert_eq!(error.extensions.unwrap().get("code"), Some(&"UNAVAILABLE".into()));
    }

    #[test]
    fn what_is_not_there_is_told_in_one_way() {
        let malformed = outcome(id::<kind::MessageTag>("id", "message", "x")).unwrap().unwrap_err();
        let absent: Result<(), _> = Err(Refusal::new("id", Refused::NotFound, "there is nothing under this id").into());
        assert_eq!(malformed, outcome(absent).unwrap().unwrap_err());
    }

    #[test]
    fn a_field_gets_the_name_of_the_input() {
        let error = about(Refusal::not_found("id", "contact").into(), Refused::NotFound, "contactId");
        let errors = outcome::<()>(Err(error)).unwrap().unwrap_err();
        assert_eq!(errors[0].field.as_deref(), Some("contactId"));
    }
}
