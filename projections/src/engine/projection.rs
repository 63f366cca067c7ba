//! What a read model implements: which rows an event touches, and what becomes of each.

use wasend_domain::{AnyEvent, RecordedEvent};

use crate::engine::batch_rows::{BatchKeys, BatchRows};
use crate::engine::table::{DamagedRow, Table};

/// A pure fold of the log into tables: no clock, no randomness, no I/O. Every event is offered in the order of the
/// log, each exactly once, whatever the sizes of the batches.
pub trait Projection: Send + Sync + 'static {
    /// At most 20 bytes, lower case; a label of metrics and spans.
    fn name(&self) -> &'static str;

    /// Raised whenever the tables or the fold change, so that the new ones are built beside those that serve.
    fn version(&self) -> u32;

    /// Every table of every record that the fold uses; no other projection has one of the same name.
    fn tables(&self) -> &'static [&'static Table];

    /// Names the rows that `fold` may use for this event.
    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys);

    /// Folds one event into the rows. An error stops this projection at this event until its code is mended.
    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError>;
}

/// Why an event cannot be folded. Made of fixed texts, so that no personal data can be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FoldError(pub &'static str);

/// How [`PoisonCause::LogDamaged`] begins, by which the registry's text of it is known.
pub(crate) const LOG_IS_DAMAGED: &str = "the log is damaged";

/// Why a projection stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoisonCause {
    #[error("the event cannot be decoded")]
    Undecodable,
    #[error("the fold refused the event: {0}")]
    Refused(#[from] FoldError),
    #[error("the fold panicked")]
    Panicked,
    #[error("the fold used a row of {0} that it had not named")]
    Unnamed(&'static str),
    #[error("the fold uses the table {0}, which is not among the projection's tables")]
    Undeclared(&'static str),
    #[error("the fold made a row of {table} that cannot be stored: {why}")]
    Unstorable { table: &'static str, why: &'static str },
    #[error("{0}")]
    Damaged(#[from] DamagedRow),
    #[error("the database refused the rows: {0}")]
    Rejected(String),
    /// By the log's own account of it, which begins like that of no other poison.
    #[error("{begin}: {0}", begin = LOG_IS_DAMAGED)]
    LogDamaged(String),
}
