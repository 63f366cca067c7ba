//! Waiting until there is nothing left to do: what is still open after that is stuck.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasend_tests::Client;

use crate::ledger::Book;
use crate::meta::Meta;
use crate::verdict::Found;

/// A call that was cut off is given up after 12 seconds, and after 10 more it is shown to people; an erasure waits for
/// it for 16. Sending what was accepted takes as long as it takes.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until everything acknowledged is done.
pub async fn settle(client: &Client, meta: &Meta, book: &Book) -> Found {
    let begun = Instant::now();
    loop {
        let left = left(client, meta, book).await;
        if left.is_empty() {
            return Ok(format!("everything is done {} s after the last request", begun.elapsed().as_secs()));
        }
        if begun.elapsed() > SETTLE_TIMEOUT {
            return Err(format!("still open after {} s: {}", SETTLE_TIMEOUT.as_secs(), left.join(", ")));
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
    let Some(waiting) = data(client, "{ messages(filter: {status: [ACCEPTED]}) { totalCount } }", json!({})).await
    else {
        return vec!["the server does not answer".to_owned()];
    };
    let waiting = waiting["messages"]["totalCount"].as_u64().unwrap_or(u64::MAX);
    if waiting > 0 {
        left.push(format!("{waiting} messages to be sent"));
    }
    match unknown(client, book).await {
        None => left.push("the server does not answer".to_owned()),
        Some(unknown) => {
            let first = unknown.first();
            left.extend(first.map(|id| format!("{} calls without outcome, such as {id}", unknown.len())));
        }
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

/// The messages whose call was begun and has no outcome yet, neither known nor given up. Of an erased person
/// it cannot be told any more which message a late status is about.
async fn unknown(client: &Client, book: &Book) -> Option<Vec<String>> {
    let erased: BTreeSet<&String> = book.erased.values().flat_map(|person| &person.messages).collect();
    let query = "query($after: String) { messages(filter: {status: [ATTEMPTED], unresolved: false}, first: 100,
        after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }";
    let (mut after, mut unknown) = (Value::Null, Vec::new());
    loop {
        let page = data(client, query, json!({"after": after})).await?["messages"].take();
        let ids = page["nodes"].as_array().into_iter().flatten().filter_map(|node| node["id"].as_str());
        unknown.extend(ids.map(str::to_owned).filter(|id| !erased.contains(id)));
        if page["pageInfo"]["hasNextPage"] != json!(true) {
            return Some(unknown);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

async fn data(client: &Client, query: &str, variables: Value) -> Option<Value> {
    let mut answer = client.try_ask(query, variables).await.ok()?;
    answer.get("errors").is_none().then(|| answer["data"].take())
}
