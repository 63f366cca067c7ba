//! Waiting until there is nothing left to do: what is still open after that is stuck.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasend_tests::Client;

use crate::ledger::Book;
use crate::meta::Meta;
use crate::verdict::Found;

/// A call that was cut off is given up after 12 seconds, and after 10 more it is shown to people; an erasure waits for
/// it for 16. Sending what was accepted takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until everything acknowledged is done.
pub async fn settle(client: &Client, meta: &Meta, book: &Book) -> Found {
    let begun = Instant::now();
    loop {
        let left = left(client, meta, book).await;
        if left.is_empty() {
            return Ok(format!("everything is done {} s after the last request", begun.elapsed().as_secs()));
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("still open after {} s: {}", PATIENCE.as_secs(), left.join(", ")));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What is still to be done.
async fn left(client: &Client, meta: &Meta, book: &Book) -> Vec<String> {
    let mut left = Vec::new();
    if meta.pending() > 0 {
        left.push(format!("{} statuses to be told by Meta", meta.pending()));
    }
    let query = "{ waiting: messages(filter: {status: [ACCEPTED]}) { totalCount }
        unknown: messages(filter: {status: [ATTEMPTED], unresolved: false}, first: 1) { totalCount nodes { id } } }";
    let Some(open) = data(client, query, json!({})).await else { return vec!["the server does not answer".to_owned()] };
    let count = |name: &str| open[name]["totalCount"].as_u64().unwrap_or(u64::MAX);
    if count("waiting") > 0 {
        left.push(format!("{} messages to be sent", count("waiting")));
    }
    // Of somebody who was erased nobody can tell any more which message a late status is about.
    let erased = book.erased.values().flat_map(|person| &person.messages).count() as u64;
    if count("unknown") > erased {
        left.push(format!("{} calls without outcome, such as {}", count("unknown"), open["unknown"]["nodes"][0]["id"]));
    }
    for id in &book.imports {
        let import = data(client, "query($id: ID!) { import(id: $id) { state } }", json!({"id": id})).await;
        let state = import.map(|mut import| import["import"]["state"].take()).unwrap_or_default();
        if state != "DONE" {
            left.push(format!("import {id} is {state}"));
        }
    }
    for id in book.erased.values().filter_map(|person| person.request.as_ref()) {
        let request = data(client, "query($id: ID!) { privacyRequest(id: $id) { state } }", json!({"id": id})).await;
        let state = request.map(|mut request| request["privacyRequest"]["state"].take()).unwrap_or_default();
        if state != "COMPLETED" {
            left.push(format!("request {id} is {state}"));
        }
    }
    left.truncate(8);
    left
}

async fn data(client: &Client, query: &str, variables: Value) -> Option<Value> {
    let mut answer = client.try_ask(query, variables).await.ok()?;
    answer.get("errors").is_none().then(|| answer["data"].take())
}
