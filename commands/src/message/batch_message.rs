//! What is known of one message on its way through a batch.

use wasend_domain::{Personal, SubjectId};

use super::validate::CheckedMessage;

/// One message on its way through the batch.
pub(super) struct BatchMessage {
    /// Its place in what the client sent.
    pub index: usize,
    pub checked: CheckedMessage,
    /// Whether it is marketing, or may be: Meta could not be asked for the template's category.
    pub is_marketing: bool,
    /// What it may be repeated as.
    pub command: Option<RepeatableCommand>,
    /// The recipient, where it is known.
    pub subject: Option<SubjectId>,
}

/// The id of a command that may be repeated, and the content that it stands for.
pub(super) struct RepeatableCommand {
    pub id: String,
    pub content: Personal<String>,
}
