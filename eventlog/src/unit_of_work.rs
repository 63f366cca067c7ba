//! Decisions of one command, over one or more aggregates of any type, gathered into one append.

use uuid::Uuid;
use wasend_domain::{AccountId, Actor, EventId, EventMetadata, StreamId, Time};

use crate::{Append, CommandId, ExecutableAggregate, LoadedAggregate, LogError, NewEvent, StreamAppend};

/// The account that a command is executed for, its actor, and its id.
#[derive(Debug, Clone)]
pub struct CommandContext {
    pub account_id: AccountId,
    pub actor: Actor,
    pub command: CommandId,
}

/// Why a command had no effect. `E` is the aggregate's own refusal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandFailure<E> {
    /// The aggregate refused it.
    #[error("{0}")]
    Refused(E),
    /// The account has nothing under this id.
    #[error("there is nothing under this id")]
    NotFound,
    /// Its id was used before for a command with another content.
    #[error("the same command id was used before with another content")]
    CommandReused,
    /// Others kept changing the same aggregate; it may be tried again.
    #[error("too many others are changing the same thing")]
    Busy,
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What one command is going to append.
#[derive(Debug)]
pub struct UnitOfWork {
    context: CommandContext,
    now: Time,
    streams: Vec<StreamAppend>,
}

impl UnitOfWork {
    /// A unit of work without an event, as of `now`.
    pub const fn new(context: CommandContext, now: Time) -> Self {
        Self { context, now, streams: Vec::new() }
    }

    /// Lets the aggregate decide, and moves it on by the events that follow; a refusal leaves it as it is.
    pub fn decide<A: ExecutableAggregate>(
        &mut self,
        id: Uuid,
        loaded: &mut LoadedAggregate<A>,
        command: A::Command,
    ) -> Result<Vec<A::Event>, CommandFailure<A::Error>> {
        let events = loaded.state.decide(command).map_err(CommandFailure::Refused)?;
        if events.is_empty() {
            return Ok(events);
        }
        let new = events.iter().map(|event| self.event(event)).collect::<Result<Vec<_>, _>>()?;
        let stream = StreamId { aggregate_type: A::TYPE, aggregate_id: id };
        self.streams.push(StreamAppend { stream, expected: loaded.sequence, events: new });
        loaded.sequence += events.len() as u64;
        for event in &events {
            loaded.state.apply(event.clone());
        }
        Ok(events)
    }

    /// Lets the append happen only while the aggregate is as it was loaded, though nothing is recorded about it.
    pub fn expect_unchanged<A: ExecutableAggregate>(&mut self, id: Uuid, loaded: &LoadedAggregate<A>) {
        let stream = StreamId { aggregate_type: A::TYPE, aggregate_id: id };
        self.streams.push(StreamAppend { stream, expected: loaded.sequence, events: Vec::new() });
    }

    fn event(&self, event: &impl cqrs_es::DomainEvent) -> Result<NewEvent, LogError> {
        Ok(NewEvent {
            event_id: EventId::fresh(self.now),
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: serde_json::to_string(event).map_err(|_| LogError::Malformed("an event is not JSON"))?,
        })
    }

    /// Nothing was decided that would have to be recorded.
    pub const fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// What the log is asked to append: all events or none.
    pub fn into_append(self) -> Append {
        Append {
            account_id: self.context.account_id,
            metadata: EventMetadata::by(self.context.actor),
            command_id: self.context.command,
            streams: self.streams,
        }
    }
}
