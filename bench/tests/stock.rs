//! The stock repositories of sqlite-es and postgres-es read our table as it is. They are in `bench/stock`, a package outside
//! the workspace.

#[path = "../src/accepted.rs"]
#[expect(dead_code, reason = "the benchmark itself uses the rest")]
mod accepted;
#[path = "../src/program.rs"]
mod program;

use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use uuid::Uuid;
use wasend::bootstrap::SystemClock;
use wasend_domain::message::{Command as MessageCommand, Event, Message};
use wasend_domain::{AccountId, Actor, Clock, RecordedEvent, StreamId};
use wasend_eventlog::{
    CommandContext, CommandId, Db, DbOptions, EventFilter, EventLog, SqlLog, UpcasterChain, execute, execute_new,
};
use wasend_tests::database;

#[tokio::test]
async fn the_stock_repository_of_sqlite_reads_our_table_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("log.db");
    compare("sqlite", file.to_str().expect("a path of text")).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "scripts/test says so where Postgres is")]
async fn the_stock_repository_of_postgres_reads_our_table_unchanged() {
    let server = std::env::var("WASEND_TEST_POSTGRES").expect("run the tests with scripts/test");
    let url = database::create(&server, &format!("stock_{}", Uuid::new_v4().simple())).await;
    compare("postgres", &url).await;
    database::remove(&server, &url).await;
}

async fn compare(engine: &str, url: &str) {
    let log = log(url).await;
    let (account, other) = (AccountId::random(), AccountId::random());
    let [first, second] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    accept(&log, account, first).await;
    accept(&log, other, second).await;
    let attempt = MessageCommand::Attempt { attempt: 1, at: SystemClock.now() };
    execute::<Message>(&log, &SystemClock, context(account), first, attempt).await.expect("an attempt");
    let written = log.read(0, 100, &EventFilter::default()).await.expect("the log is read");
    assert_eq!(written.len(), 3);

    let theirs = ask(engine, url, &["events", &format!("events {first}"), &format!("events {second}")]).await;
    let of = |id: Uuid| written.iter().filter(move |event| event.aggregate_id == id);
    assert_eq!(theirs[1], Value::Array(of(first).map(whole).collect()));
    assert_eq!(theirs[2], Value::Array(of(second).map(whole).collect()));
    // Through cqrs-es's decoding: by sequence, whatever the message.
    let mut all = theirs[0].as_array().expect("a list").clone();
    let mut ours: Vec<Value> = written.iter().map(streamed).collect();
    for list in [&mut all, &mut ours] {
        list.sort_by_key(|event| (event["aggregate_id"].to_string(), event["sequence"].as_u64()));
    }
    assert_eq!(all, ours);

    // Nothing of ours was changed by it.
    log.close().await;
    let log = self::log(url).await;
    assert_eq!(log.read(0, 100, &EventFilter::default()).await.expect("the log is read"), written);
    accept(&log, account, Uuid::from_u128(3)).await;
    let stream = StreamId { aggregate_type: "message", aggregate_id: Uuid::from_u128(3) };
    assert_eq!(log.load(&[stream]).await.expect("the log is read")[0].position, 4);
    log.close().await;
    log.db().close().await;
}

async fn log(url: &str) -> SqlLog {
    let db = Db::open(url, &DbOptions::default()).await.expect("the database opens");
    SqlLog::open(db, Arc::new(SystemClock), UpcasterChain::default()).await.expect("the log opens")
}

fn context(account_id: AccountId) -> CommandContext {
    CommandContext { account_id, actor: Actor::Operator, command: CommandId::Fresh(Uuid::new_v4().to_string()) }
}

async fn accept(log: &SqlLog, account: AccountId, id: Uuid) {
    let Event::Accepted { number, contact, kind, template, content, at } = accepted::accepted(SystemClock.now()) else {
        unreachable!("a message begins by being accepted")
    };
    let command = MessageCommand::Accept { number, contact, kind, template, content, at };
    execute_new::<Message>(log, &SystemClock, context(account), id, command).await.expect("a message");
}

/// As the repository reads it.
fn whole(event: &RecordedEvent) -> Value {
    json!({
        "aggregate_id": event.aggregate_id,
        "sequence": event.sequence,
        "aggregate_type": event.aggregate_type,
        "event_type": event.event_type,
        "event_version": event.event_version,
        "payload": serde_json::from_str::<Value>(&event.payload).expect("JSON"),
        "metadata": event.metadata,
    })
}

/// As its stream of all events gives it.
fn streamed(event: &RecordedEvent) -> Value {
    let Value::Object(mut event) = whole(event) else { unreachable!("an object") };
    event.retain(|name, _| ["aggregate_id", "sequence", "payload", "metadata"].contains(&name.as_str()));
    Value::Object(event)
}

/// The answers of the stock repositories' program.
async fn ask(engine: &str, url: &str, orders: &[&str]) -> Vec<Value> {
    let mut process = Command::new(program::stock().await.expect("bench/stock is built"))
        .args([engine, url, "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut input = process.stdin.take().expect("piped");
    for order in orders {
        input.write_all(format!("{order}\n").as_bytes()).await.expect("it listens");
    }
    drop(input);
    let output = process.wait_with_output().await.expect("it ends");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
