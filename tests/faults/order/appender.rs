//! A process that appends, and repeats each command until it is answered, also after it was killed itself.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use fastrand::Rng;
use uuid::Uuid;
use wasend_domain::{AccountId, Actor, EventId, EventMetadata, Position, RecordedEvent, StreamId};
use wasend_eventlog::{
    Append, AppendRejection, AppendedRange as Place, CommandId, EventLog, NewEvent, SqlLog, StreamAppend,
};

use super::{Appended, lines, open, this};
use crate::verdict::Found;

/// A stream that every appender wants to write to.
const CONTESTED: u128 = 1;

/// Runs an appender until all its commands are answered; kills it now and then and lets another go on.
pub async fn supervise(url: String, which: usize, commands: u64, mut rng: Rng) -> Appended {
    let name = format!("appender-{which}");
    let mut appended = Appended { name: name.clone(), commands: Vec::new(), killed: 0 };
    while (appended.commands.len() as u64) < commands {
        let (from, to) = (appended.commands.len().to_string(), commands.to_string());
        let mut process = this(&["appender", &url, &name, &from, &to], Stdio::null());
        let mut lines = lines(&mut process);
        let life = Duration::from_millis(rng.u64(500..4_000));
        let reading = async {
            while let Ok(Some(line)) = lines.next_line().await {
                let (first, last) = line.split_once(' ').expect("two positions");
                appended.commands.push((first.parse().expect("a position"), last.parse().expect("a position")));
            }
        };
        if tokio::time::timeout(life, reading).await.is_err() {
            process.kill().await.expect("a child");
            appended.killed += 1;
        }
    }
    appended
}

/// The process: appends the commands that are left and prints where each is.
pub async fn run(url: &str, name: &str, from: u64, to: u64) {
    let log = loop {
        match open(url).await {
            Ok(log) => break log,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let mut rng = Rng::new();
    for n in from..to {
        let place = append(&log, name, n, rng.usize(1..20)).await;
        // A reader of this line knows that the command is done.
        if writeln!(std::io::stdout(), "{} {}", place.first, place.last).is_err() {
            return;
        }
    }
    log.close().await;
}

async fn append(log: &SqlLog, name: &str, n: u64, events: usize) -> Place {
    let account_id = AccountId::from_uuid(Uuid::from_u128(7));
    let stream = |id| StreamId { aggregate_type: "account", aggregate_id: Uuid::from_u128(id) };
    let mut expected = 0;
    loop {
        let streams = vec![
            StreamAppend { stream: stream(Uuid::new_v4().as_u128()), expected: 0, events: new(events) },
            StreamAppend { stream: stream(CONTESTED), expected, events: new(1) },
        ];
        let command_id = CommandId::Repeatable { id: format!("{name}/{n}"), fingerprint: "-".to_owned() };
        let metadata = EventMetadata::by(Actor::Meta);
        match log.append(vec![Append { account_id, command_id, metadata, streams }]).await {
            Ok(mut answers) => match answers.pop() {
                Some(Ok(place)) => return place,
                Some(Err(AppendRejection::Conflict { actual, .. })) => expected = actual,
                other => panic!("{other:?}"),
            },
            // Whether it was written is not known: the same command again tells.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn new(events: usize) -> Vec<NewEvent> {
    let event = |_| NewEvent {
        event_id: EventId::random(),
        event_type: "Appended".to_owned(),
        event_version: "1".to_owned(),
        payload: "{}".to_owned(),
    };
    (0..events).map(event).collect()
}

/// Holds what the processes were answered against what is in the log.
pub fn judge(events: &[RecordedEvent], appended: &[Appended]) -> Found {
    let mut places = BTreeMap::<&str, Vec<Position>>::new();
    for event in events.iter().filter(|event| event.event_type == "Appended") {
        places.entry(&event.command_id).or_default().push(event.position);
    }
    for process in appended {
        for (n, (first, last)) in process.commands.iter().enumerate() {
            let id = format!("{}/{n}", process.name);
            let found = places.remove(id.as_str()).unwrap_or_default();
            if found != (*first..=*last).collect::<Vec<_>>() {
                return Err(format!("{id}, acknowledged from {first} to {last}, is at {found:?}"));
            }
        }
    }
    match places.len() {
        0 => Ok(format!("{} commands", appended.iter().map(|process| process.commands.len()).sum::<usize>())),
        strange => Err(format!("{strange} commands that were never answered")),
    }
}
