//! How a comparison of the vault with the log is refused.

use wasend_commands::CommandError;
use wasend_domain::Position;

/// Why the store cannot be taken for the one that belongs to the log.
#[derive(Debug, thiserror::Error)]
pub enum ComparisonRefused {
    #[error(
        "the list of erasure requests stopped at the event at position {0}: nothing is opened before it can be read"
    )]
    Poisoned(Position),
    #[error("the list of erasure requests shows events up to position {shown}, and the log has {head}")]
    Behind { shown: Position, head: Position },
    #[error(
        "the vault's store is an earlier copy than the history, with keys of {0} people who are erased: start the server, \
         which destroys them again"
    )]
    NotApplied(usize),
    #[error(
        "the vault's store is of epoch {found}, and the history says that the keys of all epochs up to {destroyed} are \
         destroyed: one was put back. Destroy it, and restore a copy of the vault that was made later"
    )]
    EpochReturned { found: i64, destroyed: i64 },
    #[error(
        "the log is older than the vault, or is another one ({}): the vault knows its event at position {position}, and the \
         log ends at {head}. Restore a later copy of the log, or take it as it is with `wasend vault accept-log`",
        if *is_another { "it has another event there" } else { "it lacks that event" }
    )]
    LogBehind { position: Position, head: Position, is_another: bool },
}

impl ComparisonRefused {
    /// Whether only the operator can end it: no server starts.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::EpochReturned { .. } | Self::LogBehind { .. })
    }

    /// The refusal behind a failure, if there is one.
    pub fn behind(error: &CommandError) -> Option<&Self> {
        match error {
            CommandError::Unavailable(cause) => cause.downcast_ref(),
            CommandError::Refused(_) => None,
        }
    }
}
