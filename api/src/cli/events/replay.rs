//! The state of an aggregate after each of its events, as every decision about it was made on.

use cqrs_es::Aggregate as _;
use serde_json::json;
use wasend_domain::account::Account;
use wasend_domain::contact::Contact;
use wasend_domain::group::Group;
use wasend_domain::inbox::Inbox;
use wasend_domain::message::Message;
use wasend_domain::number::Number;
use wasend_domain::privacy::PrivacyRequest;
use wasend_domain::{Actor, StreamId};
use wasend_eventlog::{Executable, Stock, Upcasters, replay as stock_replay};

use super::{Failure, Filter, print_line};
use crate::house::Stores;

/// Every kind of aggregate.
pub const TYPES: [&str; 7] =
    [Account::TYPE, Number::TYPE, Contact::TYPE, Group::TYPE, Message::TYPE, Inbox::TYPE, PrivacyRequest::TYPE];

/// Replays one aggregate and prints its state after each event.
pub async fn replay(stores: &Stores, filter: &Filter) -> Result<(), Failure> {
    let Some(aggregate) = &filter.aggregate else {
        return Err(Failure::Usage("replay needs --aggregate TYPE:ID".to_owned()));
    };
    let stream = aggregate.stream()?;
    match stream.aggregate_type {
        Account::TYPE => steps::<Account>(stores, stream, filter).await,
        Number::TYPE => steps::<Number>(stores, stream, filter).await,
        Contact::TYPE => steps::<Contact>(stores, stream, filter).await,
        Group::TYPE => steps::<Group>(stores, stream, filter).await,
        Message::TYPE => steps::<Message>(stores, stream, filter).await,
        PrivacyRequest::TYPE => steps::<PrivacyRequest>(stores, stream, filter).await,
        _ => steps::<Inbox>(stores, stream, filter).await,
    }
}

async fn steps<A: Executable + PartialEq>(stores: &Stores, stream: StreamId, filter: &Filter) -> Result<(), Failure> {
    let events = stores.log.load(&[stream]).await;
    let events = events.map_err(|error| Failure::because("the history cannot be read", &error))?;
    let Some(first) = events.first().filter(|event| filter.account.is_none_or(|account| account == event.account_id))
    else {
        return Err(Failure::Failed("there is no such aggregate".to_owned()));
    };
    let mut state = A::default();
    for recorded in &events {
        let event = serde_json::from_str::<A::Event>(&recorded.payload);
        state.apply(
            event.map_err(|_| Failure::Failed(format!("the event at position {} is damaged", recorded.position)))?,
        );
        let within = filter.from.is_none_or(|from| from <= recorded.position)
            && filter.to.is_none_or(|to| recorded.position <= to);
        if within {
            let (position, sequence) = (recorded.position, recorded.sequence);
            print_line(
                &json!({"position": position, "sequence": sequence, "type": recorded.event_type, "state": state}),
            )?;
        }
    }
    // The same history through cqrs-es's own framework and stock repositories, which know nothing of ours.
    let (log, clock) = (stores.log.clone(), stores.clock.clone());
    let stock = Stock::new(&stores.db, log, clock, first.account_id, Actor::Operator);
    let theirs = stock_replay::<A>(&stock, &Upcasters::default(), stream.aggregate_id).await;
    let theirs = theirs.map_err(|error| Failure::because("the stock framework cannot read the history", &error))?;
    if theirs == state {
        return Ok(());
    }
    Err(Failure::Failed("the stock framework reads another state than ours".to_owned()))
}
