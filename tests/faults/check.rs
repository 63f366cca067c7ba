//! What must hold after any fault, once everything is done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wasend_tests::{Client, World};

use crate::ledger::Book;
use crate::meta::Meta;
use crate::subscriber::{Subscriber, Topic};
use crate::verdict::{Found, Verdict};

/// One line of `wasend events`.
struct Event {
    position: u64,
    kind: String,
    aggregate: String,
    stream: (String, u64),
    command: String,
}

/// The history, as the command line tells it.
pub struct History(Vec<Event>);

impl History {
    pub async fn read(world: &World) -> Self {
        let printed = world.run(&["events"]).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = |line: &str| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            Event {
                position: event["position"].as_u64().expect("a position"),
                kind: text(&event["type"]),
                aggregate: text(&event["aggregateId"]),
                stream: (
                    format!("{}/{}", event["aggregateType"], event["aggregateId"]),
                    event["sequence"].as_u64().expect("a sequence"),
                ),
                command: text(&event["commandId"]),
            }
        };
        Self(printed.lines().map(event).collect())
    }

    pub fn positions(&self) -> Vec<u64> {
        self.0.iter().map(|event| event.position).collect()
    }

    /// Positions without gap, and in each stream sequences without gap.
    pub fn is_gapless(&self) -> Found {
        let mut tips = BTreeMap::<&str, u64>::new();
        for (event, position) in self.0.iter().zip(1..) {
            if event.position != position {
                return Err(format!("position {position} is missing"));
            }
            let tip = tips.entry(&event.stream.0).or_default();
            if event.stream.1 != *tip + 1 {
                return Err(format!("{} goes from {tip} to {}", event.stream.0, event.stream.1));
            }
            *tip += 1;
        }
        Ok(format!("{} events in {} streams", self.0.len(), tips.len()))
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(move |event| event.kind == kind)
    }

    /// Every acknowledged command once, and no command that was not acknowledged in the end: its sender repeated it.
    pub fn holds_once(&self, book: &Book) -> Found {
        let mut accepted = BTreeMap::<&str, Vec<u64>>::new();
        self.of("MessageAccepted").for_each(|e| accepted.entry(&e.aggregate).or_default().push(e.position));
        for (id, acknowledged) in &book.messages {
            match accepted.get(id.as_str()).map(Vec::as_slice) {
                Some([position]) if position <= acknowledged => {}
                other => return Err(format!("message {id}, acknowledged at {acknowledged}, is at {other:?}")),
            }
        }
        let counts = [
            ("messages", accepted.len(), book.messages.len()),
            ("texts written in", self.of("MessageReceived").count(), book.received),
            ("files", self.of("ImportFinished").count(), self.of("ImportStarted").count()),
            ("erasures", self.of("ErasureCompleted").count(), book.erased.len()),
        ];
        if let Some((what, found, acknowledged)) = counts.iter().find(|(_, found, expected)| found != expected) {
            return Err(format!("{found} {what} in the log, {acknowledged} acknowledged"));
        }
        let started: BTreeSet<_> = self.of("ImportStarted").map(|event| &event.aggregate).collect();
        if let Some(id) = book.imports.iter().find(|id| !started.contains(id)) {
            return Err(format!("import {id} was acknowledged and is not in the log"));
        }
        // A command's events are one append: they stand together.
        let mut ended = BTreeSet::new();
        for pair in self.0.windows(2).filter(|pair| pair[0].command != pair[1].command) {
            if !ended.insert(&pair[0].command) {
                return Err(format!("command {} was recorded twice", pair[0].command));
            }
        }
        Ok(counts.map(|(what, found, _)| format!("{found} {what}")).join(", "))
    }
}

/// Everything, after everything is done.
pub async fn all(
    verdict: &mut Verdict,
    world: &World,
    client: &Client,
    meta: &Meta,
    book: &Book,
    (statuses, audit): (&Subscriber, &Subscriber),
) {
    verdict.held("requests are answered as documented", answered(book));
    let history = History::read(world).await;
    verdict.held("positions and sequences are gapless", history.is_gapless());
    verdict.held("what was acknowledged is in the log exactly once", history.holds_once(book));
    verdict.held("nothing was sent twice", sent_once(meta, book));
    verdict.held("what is unresolved never reached Meta", unresolved(client, meta, book).await);
    verdict.held("nobody is lost, nobody is there twice", people(client, book).await);
    verdict.held("the audit was heard whole", heard(audit, &history.positions()).await);
    verdict.held("the statuses were heard whole", heard_statuses(client, statuses).await);
    verdict.held("who was erased stays erased", erased(client, book).await);
    verdict.held("every projection equals a rebuild", rebuilt(world).await);
    verdict.held("who was erased stays erased after the rebuild", erased(client, book).await);
    verdict.check("the server never panicked", !world.output().contains("\"panic\""), "by its log");
}

fn answered(book: &Book) -> Found {
    match book.broken.first() {
        None => Ok(format!("{} repeated for want of an answer, {} to see", book.unanswered, book.repeated)),
        Some(first) => Err(format!("{} were not, first: {first}", book.broken.len())),
    }
}

fn sent_once(meta: &Meta, book: &Book) -> Found {
    let summary = meta.summary();
    let unknown = summary.counts.keys().filter(|id| !book.messages.contains_key(*id)).count();
    if unknown > 0 {
        return Err(format!("Meta was given {unknown} messages that nobody asked for"));
    }
    match summary.repeated.len() {
        0 => Ok(format!("Meta was given {} messages", summary.accepted)),
        twice => Err(format!("{twice} messages")),
    }
}

/// Meta tells of everything that it was given, so a message that stays unresolved is one that it was not given.
async fn unresolved(client: &Client, meta: &Meta, book: &Book) -> Found {
    let counts = meta.summary().counts;
    let erased: BTreeSet<&String> = book.erased.values().flat_map(|person| &person.messages).collect();
    let query = "query($after: String) { messages(first: 100, after: $after, filter: {direction: OUTBOUND,
        status: [ACCEPTED, ATTEMPTED, SUBMITTED, HELD, SENT, DELIVERED, FAILED, EXPIRED]}) {
        nodes { id status unresolved } pageInfo { hasNextPage endCursor } } }";
    let (mut after, mut unresolved) = (Value::Null, 0);
    loop {
        let page = client.data(query, json!({"after": after})).await["messages"].take();
        for message in page["nodes"].as_array().into_iter().flatten() {
            let id = message["id"].as_str().unwrap_or_default().to_owned();
            if erased.contains(&id) {
                continue;
            }
            if counts.contains_key(&id) || message["unresolved"] != json!(true) {
                return Err(format!("{message}, which Meta has {} times", counts.get(&id).unwrap_or(&0)));
            }
            unresolved += 1;
        }
        if page["pageInfo"]["hasNextPage"] != json!(true) {
            return Ok(format!("{unresolved} of them; all others were read"));
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

async fn people(client: &Client, book: &Book) -> Found {
    let count = client.data("{ contacts { totalCount } }", json!({})).await["contacts"]["totalCount"].as_u64();
    let expected = book.people.len() as u64;
    if count == Some(expected) { Ok(format!("{expected} people")) } else { Err(format!("{count:?} of {expected}")) }
}

/// Waits until a subscriber has heard of the last event, and holds what it heard against what there is.
pub async fn heard(subscriber: &Subscriber, expected: &[u64]) -> Found {
    let last = expected.last().copied().unwrap_or(0);
    let waiting = async {
        while subscriber.last() < last {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    // Who has not heard by then has missed it.
    drop(tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await);
    subscriber.judge(expected)
}

/// Another subscriber that listens to the settled server from the beginning hears what there is.
pub async fn heard_statuses(client: &Client, subscriber: &Subscriber) -> Found {
    let query = "subscription { messageStatusChanged(after: 0) { position } }";
    let mut events = client.subscribe_sse(query, json!({})).await;
    let mut expected = Vec::new();
    let silence = std::time::Duration::from_secs(3);
    while let Ok(Some(event)) = tokio::time::timeout(silence, events.try_next()).await {
        expected.extend(event["data"]["messageStatusChanged"]["position"].as_u64());
    }
    heard(subscriber, &expected).await
}

async fn erased(client: &Client, book: &Book) -> Found {
    let mut messages = 0;
    for (phone, person) in &book.erased {
        let found = client.data("query($p: String) { contact(phone: $p) { id } }", json!({"p": phone})).await;
        if !found["contact"].is_null() {
            return Err("the phone number of somebody who was erased leads to a contact".to_owned());
        }
        for id in &person.messages {
            let message = client.message(id, "wamid content { text erased { why } } contact { phone name }").await;
            let gone = [&message["content"]["text"], &message["contact"]["phone"], &message["contact"]["name"]];
            if gone.iter().any(|field| !field.is_null()) || message["content"]["erased"].is_null() {
                return Err(format!("message {id} can be read"));
            }
            messages += 1;
        }
    }
    Ok(format!("{} people with {messages} messages", book.erased.len()))
}

/// Rebuilds every read model, which compares it with the one that serves.
pub async fn rebuilt(world: &World) -> Found {
    let listed = world.run(&["projections", "list"]).await;
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    for name in &names {
        let (ok, report, complaint) = world.try_run(&["projections", "rebuild", name]).await;
        let differs =
            report.lines().any(|line| line.contains("equal,") && !line.contains(" 0 different, 0 missing, 0 added"));
        if !ok || differs {
            return Err(format!("{name}: {report}{complaint}"));
        }
    }
    Ok(names.join(", "))
}

/// The two subscribers that listen during a test.
pub fn subscribers(nodes: &[Client]) -> (Subscriber, Subscriber) {
    (Subscriber::start(nodes.to_vec(), Topic::Statuses), Subscriber::start(nodes.to_vec(), Topic::Audit))
}
