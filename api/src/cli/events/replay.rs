//! The state of an aggregate after each of its events, as every decision about it was made on.

use std::pin::Pin;

use serde_json::json;
use wasend_domain::{AccountId, Actor, AggregateVisitor, Position, RecordedEvent, StreamId, visit_aggregate};
use wasend_eventlog::{CqrsEsAdapter, ExecutableAggregate, UpcasterChain, replay as stock_replay};

use super::{CliFailure, EventSelection, print_line};
use crate::bootstrap::OpenStores;

/// Replays one aggregate and prints its state after each event.
pub async fn replay(stores: &OpenStores, filter: &EventSelection) -> Result<(), CliFailure> {
    let Some(aggregate) = &filter.aggregate else {
        return Err(CliFailure::Usage("replay needs --aggregate TYPE:ID".to_owned()));
    };
    let stream = aggregate.stream()?;
    let replaying = visit_aggregate(stream.aggregate_type, ReplayVisitor { stores, stream, filter });
    replaying.ok_or_else(absent)?.await
}

/// Replays the stream as the aggregate that it belongs to.
struct ReplayVisitor<'a> {
    stores: &'a OpenStores,
    stream: StreamId,
    filter: &'a EventSelection,
}

impl<'a> AggregateVisitor for ReplayVisitor<'a> {
    type Output = Pin<Box<dyn Future<Output = Result<(), CliFailure>> + 'a>>;

    fn visit<A>(self) -> Self::Output
    where
        A: ExecutableAggregate + PartialEq,
    {
        Box::pin(steps::<A>(self.stores, self.stream, self.filter))
    }
}

async fn steps<A: ExecutableAggregate + PartialEq>(
    stores: &OpenStores,
    stream: StreamId,
    filter: &EventSelection,
) -> Result<(), CliFailure> {
    for ReplayStep { account_id, position, sequence, event_type, state } in states::<A>(stores, stream).await? {
        if filter.account.is_some_and(|account| account != account_id) {
            return Err(absent());
        }
        let within = filter.from.is_none_or(|from| from <= position) && filter.to.is_none_or(|to| position <= to);
        if within {
            print_line(&json!({"position": position, "sequence": sequence, "type": event_type, "state": state}))?;
        }
    }
    Ok(())
}

/// An aggregate as one of its events left it.
pub struct ReplayStep<A> {
    pub account_id: AccountId,
    pub position: Position,
    pub sequence: u64,
    pub event_type: String,
    pub state: A,
}

/// Folds the aggregate's history step by step, and checks that cqrs-es's own framework and stock repositories, which
/// know nothing of ours, read the same state at the end.
pub async fn states<A: ExecutableAggregate + PartialEq>(
    stores: &OpenStores,
    stream: StreamId,
) -> Result<Vec<ReplayStep<A>>, CliFailure> {
    let events = stores.log.load(&[stream]).await;
    let events = events.map_err(|error| CliFailure::because("the history cannot be read", &error))?;
    let mut state = A::default();
    let mut steps = Vec::with_capacity(events.len());
    for RecordedEvent { account_id, position, sequence, event_type, payload, .. } in events {
        let event = serde_json::from_str::<A::Event>(&payload);
        state.apply(event.map_err(|_| CliFailure::Failed(format!("the event at position {position} is damaged")))?);
        steps.push(ReplayStep { account_id, position, sequence, event_type, state: state.clone() });
    }
    let account_id = steps.first().ok_or_else(absent)?.account_id;
    let stock = CqrsEsAdapter::new(&stores.db, stores.log.clone(), stores.clock.clone(), account_id, Actor::Operator);
    let theirs = stock_replay::<A>(&stock, &UpcasterChain::released(), stream.aggregate_id).await;
    let theirs = theirs.map_err(|error| CliFailure::because("the stock framework cannot read the history", &error))?;
    if theirs == state {
        return Ok(steps);
    }
    Err(CliFailure::Failed("the stock framework reads another state than ours".to_owned()))
}

fn absent() -> CliFailure {
    CliFailure::Failed("there is no such aggregate".to_owned())
}
