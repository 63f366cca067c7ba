//! How a command ends when it is not carried out: refused, with what is wrong and where; or failed, through no fault
//! of the caller's.

use std::fmt;
use std::sync::Arc;

use wasend_domain::UnavailableValue;
use wasend_domain::content::InvalidContent;
use wasend_eventlog::{CommandFailure, LogError};
use wasend_projections::engine::sql::StoreError;
use wasend_vault::VaultError;

/// What is wrong with a command. The names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    Required,
    TooLong,
    Invalid,
    InvalidPhone,
    InvalidTemplate,
    MissingParameter,
    TooMany,
    OutOfRange,
    NotFound,
    Duplicate,
    OptedOut,
    NumberDisconnected,
    NotCancellable,
    LastAdminKey,
    IdempotencyKeyReused,
    Erased,
    ErasureHeld,
    SendingHeld,
    Unreadable,
    Busy,
}

impl RefusalCode {
    /// Every code, in the order of the reference.
    pub const ALL: [Self; 20] = [
        Self::Required,
        Self::TooLong,
        Self::Invalid,
        Self::InvalidPhone,
        Self::InvalidTemplate,
        Self::MissingParameter,
        Self::TooMany,
        Self::OutOfRange,
        Self::NotFound,
        Self::Duplicate,
        Self::OptedOut,
        Self::NumberDisconnected,
        Self::NotCancellable,
        Self::LastAdminKey,
        Self::IdempotencyKeyReused,
        Self::Erased,
        Self::ErasureHeld,
        Self::SendingHeld,
        Self::Unreadable,
        Self::Busy,
    ];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "REQUIRED",
            Self::TooLong => "TOO_LONG",
            Self::Invalid => "INVALID",
            Self::InvalidPhone => "INVALID_PHONE",
            Self::InvalidTemplate => "INVALID_TEMPLATE",
            Self::MissingParameter => "MISSING_PARAMETER",
            Self::TooMany => "TOO_MANY",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::NotFound => "NOT_FOUND",
            Self::Duplicate => "DUPLICATE",
            Self::OptedOut => "OPTED_OUT",
            Self::NumberDisconnected => "NUMBER_DISCONNECTED",
            Self::NotCancellable => "NOT_CANCELLABLE",
            Self::LastAdminKey => "LAST_ADMIN_KEY",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::Erased => "ERASED",
            Self::ErasureHeld => "ERASURE_HELD",
            Self::SendingHeld => "SENDING_HELD",
            Self::Unreadable => "UNREADABLE",
            Self::Busy => "BUSY",
        }
    }

    /// One line for the reference of errors.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Required => "The field is missing or empty.",
            Self::TooLong => "The text is longer than allowed; the message gives both lengths in characters.",
            Self::Invalid => "The value does not have the form that the field needs.",
            Self::InvalidPhone => "The recipient is neither a possible phone number in international form nor a BSUID.",
            Self::InvalidTemplate => {
                "There is no approved template of this name and language, or its name is malformed."
            }
            Self::MissingParameter => "A variable of the template is missing, blank or too many were given.",
            Self::TooMany => "More items in one call than allowed.",
            Self::OutOfRange => "The number lies outside the allowed range.",
            Self::NotFound => "The account has nothing under this id.",
            Self::Duplicate => "The account has such a thing already.",
            Self::OptedOut => "The recipient has opted out of messages from this account.",
            Self::NumberDisconnected => "The number to send from is disconnected.",
            Self::NotCancellable => "The message has been tried already, or the import has ended.",
            Self::LastAdminKey => "It is the last key that may administer the account.",
            Self::IdempotencyKeyReused => "The idempotency key was used before for a request with another content.",
            Self::Erased => "The personal data that this needs was erased.",
            Self::ErasureHeld => {
                "A refused request for erasure holds the person's data; the message names it, and `liftErasureHold` ends it."
            }
            Self::SendingHeld => {
                "Nothing is sent for the account until the operator has decided: the vault was restored and may lack opt-outs."
            }
            Self::Unreadable => {
                "A key or value that this needs is missing or damaged in the vault; the object's `unavailable` says which. The person can be erased."
            }
            Self::Busy => "Many others are changing the same thing; try again.",
        }
    }
}

/// One thing that is wrong, and with which field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub field: Option<String>,
    pub code: RefusalCode,
    /// For people; names no personal data.
    pub message: String,
}

impl Refusal {
    /// A refusal of one field of the input.
    pub fn new(field: &str, code: RefusalCode, message: impl fmt::Display) -> Self {
        Self { field: Some(field.to_owned()), code, message: message.to_string() }
    }

    /// The refusal where the account has nothing under the id.
    pub fn not_found(field: &str, what: &str) -> Self {
        Self::new(field, RefusalCode::NotFound, format_args!("there is no such {what}"))
    }

    /// The refusal where a key or value is missing or damaged.
    pub fn unreadable(field: &str, unavailable: UnavailableValue) -> Self {
        Self::new(field, RefusalCode::Unreadable, unavailable)
    }

    /// The refusal for a text that the domain did not accept.
    pub fn content(field: &str, error: &InvalidContent) -> Self {
        let code = match error {
            InvalidContent::Empty => RefusalCode::Required,
            InvalidContent::TooLong { .. } => RefusalCode::TooLong,
            InvalidContent::TemplateName => RefusalCode::InvalidTemplate,
            InvalidContent::Language | InvalidContent::Nul => RefusalCode::Invalid,
            InvalidContent::MissingParameter(_)
            | InvalidContent::ParameterCount { .. }
            | InvalidContent::UnknownParameter(_) => RefusalCode::MissingParameter,
        };
        Self::new(field, code, error)
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// Everything that is wrong with it. Nothing was changed.
    #[error("refused")]
    Refused(Vec<Refusal>),
    /// A store or the network failed; it may be tried again.
    #[error("unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl CommandError {
    /// The failure of a store or of the network; the cause is logged and not shown.
    pub fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(error))
    }

    /// Maps an aggregate's refusal; everything else has one meaning for all aggregates.
    pub fn of<E: std::error::Error + Copy>(
        failure: CommandFailure<E>,
        field: &str,
        code: impl FnOnce(E) -> RefusalCode,
    ) -> Self {
        match failure {
            CommandFailure::Refused(error) => Refusal::new(field, code(error), error).into(),
            CommandFailure::NotFound => {
                Refusal::new(field, RefusalCode::NotFound, "there is nothing under this id").into()
            }
            CommandFailure::CommandReused => {
                let text = "this key was used before for a request with another content";
                Refusal::new("idempotencyKey", RefusalCode::IdempotencyKeyReused, text).into()
            }
            CommandFailure::Busy => {
                Refusal::new(field, RefusalCode::Busy, "many others are changing the same thing").into()
            }
            CommandFailure::Log(error) => error.into(),
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}
impl From<LogError> for CommandError {
    fn from(error: LogError) -> Self {
        Self::unavailable(error)
    }
}
impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error)
    }
}
impl From<VaultError> for CommandError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Erased(_) => {
                Self::Refused(vec![Refusal { field: None, code: RefusalCode::Erased, message: error.to_string() }])
            }
            VaultError::Unavailable(_) | VaultError::UnknownSubject => {
                Self::Refused(vec![Refusal { field: None, code: RefusalCode::Unreadable, message: error.to_string() }])
            }
            other => Self::unavailable(other),
        }
    }
}
impl From<wasend_vault::VaultFailure> for CommandError {
    fn from(error: wasend_vault::VaultFailure) -> Self {
        Self::unavailable(error)
    }
}
