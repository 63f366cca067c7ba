//! `wasend events`.

mod open;
pub mod replay;

use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wasend_domain::{AGGREGATE_TYPES, AccountId, Position, RecordedEvent, StreamId};
use wasend_eventlog as eventlog;

use super::CliFailure;
use crate::bootstrap::OpenStores;
use crate::config::Config;

/// Export or replay the event history as NDJSON
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EventsArguments {
    #[command(flatten)]
    pub filter: EventSelection,
    #[command(subcommand)]
    pub command: Option<EventsCommand>,
}

const EXAMPLES: &str = "\
Examples:
  wasend events > history.ndjson
  wasend events --aggregate message:0199c1d2-7a3b-7c4d-8e5f-0123456789ab
  wasend events --account 0199c1d2-7a3b-7c4d-8e5f-0123456789ab --from 1000 --to 2000
  wasend events --account 0199c1d2-7a3b-7c4d-8e5f-0123456789ab --open --key-file - < key.txt
  wasend events replay --aggregate message:0199c1d2-7a3b-7c4d-8e5f-0123456789ab";

/// Which events.
#[derive(Debug, Clone, Args)]
pub struct EventSelection {
    /// Of this account only
    #[arg(long, global = true, value_name = "ID")]
    pub account: Option<AccountId>,
    /// Of this aggregate only
    #[arg(long, global = true, value_name = "TYPE:ID")]
    pub aggregate: Option<AggregateRef>,
    /// First position
    #[arg(long, global = true, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<Position>,
    /// Last position
    #[arg(long, global = true, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    pub to: Option<Position>,
    /// Open personal values; needs a key with the scope privacy. What was erased stays so
    #[arg(long, global = true, requires = "key_file")]
    pub open: bool,
    /// File that holds the API key, or - for standard input: on the command line others could read it
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// What to do with the events instead of exporting them
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print the state of the aggregates as it was after each event
    Replay,
}

/// One aggregate, as `type:id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateRef {
    pub kind: String,
    pub id: uuid::Uuid,
}

impl FromStr for AggregateRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || "must be an aggregate's type and id, such as message:0199c1d2-…".to_owned();
        let (kind, id) = text.split_once(':').ok_or_else(complaint)?;
        let id = uuid::Uuid::try_parse(id).map_err(|_| complaint())?;
        Ok(Self { kind: kind.to_owned(), id })
    }
}

/// Events read at once.
const EVENTS_PAGE_MAX: usize = 1_000;

/// Prints events, or the states that they fold to, on standard output: one JSON object a line. Errors: a store that
/// cannot be opened or read; a key file that does not fit.
pub async fn run(config: Config, arguments: EventsArguments) -> Result<(), CliFailure> {
    let stores = OpenStores::open(&config.storage).await?;
    let done = match arguments.command {
        None => export(&stores, &arguments.filter).await,
        Some(EventsCommand::Replay) => replay::replay(&stores, &arguments.filter).await,
    };
    stores.close().await;
    done
}

/// Prints the events, one JSON object a line.
async fn export(stores: &OpenStores, filter: &EventSelection) -> Result<(), CliFailure> {
    let opener =
        if filter.open { Some(open::ValueOpener::of(stores, filter.key_file.as_deref()).await?) } else { None };
    let mut wanted = wanted(filter)?;
    if let Some(opener) = &opener {
        // A key opens its own account's history and shows no other.
        if wanted.account_id.is_some_and(|account| account != opener.account_id) {
            return Err(CliFailure::Failed("the key is of another account".to_owned()));
        }
        wanted.account_id = Some(opener.account_id);
    }
    let unreadable = |error| CliFailure::because("the history cannot be read", &error);
    let head = stores.log.head().await.map_err(unreadable)?;
    let mut after = filter.from.unwrap_or(1) - 1;
    loop {
        let events = stores.log.read(after, EVENTS_PAGE_MAX, &wanted).await.map_err(unreadable)?;
        let Some(last) = events.last() else {
            let everything = wanted.account_id.is_none() && wanted.stream.is_none();
            if everything && after < head.min(wanted.until.unwrap_or(head)) {
                let text = format!("the history is damaged: it ends at position {after}, and {head} was its last");
                return Err(CliFailure::Failed(text));
            }
            return Ok(());
        };
        after = last.position;
        for recorded in &events {
            let payload = match &opener {
                Some(opener) => opener.payload(recorded).await?,
                None => parsed(recorded)?,
            };
            print_line(&line(recorded, &payload))?;
        }
    }
}

fn wanted(filter: &EventSelection) -> Result<eventlog::EventFilter, CliFailure> {
    let stream = filter.aggregate.as_ref().map(AggregateRef::stream).transpose()?;
    Ok(eventlog::EventFilter { account_id: filter.account, stream, until: filter.to })
}

impl AggregateRef {
    /// The stream of the aggregate. Errors: no aggregate has this type.
    pub fn stream(&self) -> Result<StreamId, CliFailure> {
        let known = AGGREGATE_TYPES.iter().copied().find(|known| *known == self.kind);
        let unknown = || format!("no aggregate is called {}; there are {}", self.kind, AGGREGATE_TYPES.join(", "));
        let aggregate_type = known.ok_or_else(|| CliFailure::Usage(unknown()))?;
        Ok(StreamId { aggregate_type, aggregate_id: self.id })
    }
}

fn parsed(recorded: &RecordedEvent) -> Result<Value, CliFailure> {
    serde_json::from_str(&recorded.payload)
        .map_err(|_| CliFailure::Failed(format!("the event at position {} is damaged", recorded.position)))
}

fn line(recorded: &RecordedEvent, payload: &Value) -> Value {
    json!({
        "position": recorded.position,
        "eventId": recorded.event_id.to_string(),
        "accountId": recorded.account_id.to_string(),
        "aggregateType": recorded.aggregate_type,
        "aggregateId": recorded.aggregate_id.to_string(),
        "sequence": recorded.sequence,
        "type": recorded.event_type,
        "version": recorded.event_version,
        "recordedAt": recorded.recorded_at.to_string(),
        "commandId": recorded.command_id,
        "metadata": recorded.metadata,
        "payload": payload,
    })
}

/// A reader that closes its end early, such as `head`, ends the command quietly.
fn print_line(value: &Value) -> Result<(), CliFailure> {
    writeln!(std::io::stdout(), "{value}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => CliFailure::because("the output cannot be written", &error),
    })
}
