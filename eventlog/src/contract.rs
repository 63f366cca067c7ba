//! What a log promises, the same for every engine. One suite of contract tests holds each engine to it.
//!
//! - Positions are gapless and in commit order; a reader that has seen position n never later meets a new event at
//!   or below n.
//! - An append is all or nothing over one or more streams, with an expected sequence for each. A stream belongs to the
//!   account that began it; an append of another account meets a conflict.
//! - The same command id within an account is answered with its first result and writes nothing.
//! - An acknowledged event survives `kill -9` and power loss.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use wasend_domain::{AccountId, EventId, EventMetadata, Position, RecordedEvent, StreamId};

/// One event to append. `payload` is stored byte for byte.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub event_id: EventId,
    pub event_type: String,
    pub event_version: String,
    /// The event as JSON.
    pub payload: String,
}

/// Events for one stream.
#[derive(Debug, Clone)]
pub struct StreamAppend {
    pub stream: StreamId,
    /// The sequence of the stream's last event that the decision was based on; 0 for a new stream.
    pub expected: u64,
    pub events: Vec<NewEvent>,
}

/// Which command an append belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandId {
    /// Made for this command alone; it cannot have been seen before, so the log does not look.
    Fresh(String),
    /// May be repeated by its sender. The fingerprint stands for the content: the same id with another one is refused,
    /// and writes nothing either. Of a content that is personal it is a keyed hash, which may be made under another key
    /// when the command is repeated; then the caller judges whether the content is another one. The id does not
    /// have the 36 characters of a UUID.
    Repeatable { id: String, fingerprint: String },
}

/// One command's events, over one or more streams of one account: all or nothing.
#[derive(Debug, Clone)]
pub struct Append {
    pub account_id: AccountId,
    pub command_id: CommandId,
    pub metadata: EventMetadata,
    pub streams: Vec<StreamAppend>,
}

/// Where an append ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedRange {
    /// Of the first event.
    pub first: Position,
    /// Of the last event.
    pub last: Position,
    /// The command had been recorded before: these are the positions of its first time, and nothing was written.
    pub repeated: bool,
}

/// Why one append of a batch was not written. Its neighbours are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendRejection {
    #[error("another command changed the same aggregate first")]
    Conflict { stream: StreamId, actual: u64 },
    #[error("the same command id was used before with another content")]
    CommandReused,
}

/// The log could not do what was asked; nothing is known to be wrong with the request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The database did not answer or refused. After a failed append the outcome is unknown only for repeatable
    /// commands that are then repeated; nothing was acknowledged.
    #[error("the event log is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// What was read is not what was written.
    #[error("the event log is damaged: {0}")]
    Damaged(String),
    /// An append that no engine could store as it is; nothing of the call was written.
    #[error("the append is malformed: {0}")]
    Malformed(&'static str),
    #[error("the event log is closed")]
    Closed,
}

/// Which events a reader wants; the default is all of them.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub account_id: Option<AccountId>,
    pub stream: Option<StreamId>,
    /// Read no further than this position, inclusive.
    pub until: Option<Position>,
}

/// The append-only log of events.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends each of the batch on its own merits in one transaction, and answers in the same order once all that
    /// were accepted are durable. An empty append (no events) is answered at the current head.
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Result<AppendedRange, AppendRejection>>, LogError>;

    /// The whole history of several streams, ordered by stream and sequence; streams without events are left out.
    async fn load(&self, streams: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError>;

    /// The events that a repeatable command recorded when it was first given; none if it is new.
    async fn command(&self, account_id: AccountId, command_id: &str) -> Result<Vec<RecordedEvent>, LogError>;

    /// Those of the ids that are of repeatable commands which recorded events.
    async fn recorded(&self, account_id: AccountId, command_ids: &[String]) -> Result<HashSet<String>, LogError> {
        let mut recorded = HashSet::new();
        for id in command_ids {
            if !self.command(account_id, id).await?.is_empty() {
                recorded.insert(id.clone());
            }
        }
        Ok(recorded)
    }

    /// Events after a position, in order, at most `limit`.
    async fn read(&self, after: Position, limit: usize, filter: &EventFilter) -> Result<Vec<RecordedEvent>, LogError>;

    /// The last committed position, asked of the database: another process may have written.
    async fn head(&self) -> Result<Position, LogError>;

    /// Wakes whenever this process learns that the head has moved: its own commits at once, others' by notification
    /// or poll. The value is a hint that never runs ahead of what can be read.
    fn watch(&self) -> watch::Receiver<Position>;

    /// Finishes what is queued, then refuses further appends.
    async fn close(&self);
}
