use std::time::Duration;

use futures::{Stream, StreamExt};
use serde_json::{Value, json};

use super::World;

const WATCH: &str = "subscription($after: Position, $filter: MessageStatusFilter) {
    messageStatusChanged(after: $after, filter: $filter) { position fact status message { id status } } }";
const AUDIT: &str = "subscription($after: Position) { auditEvents(after: $after) { position eventType } }";

async fn next(stream: &mut (impl Stream<Item = Value> + Unpin)) -> Value {
    tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap()
}

async fn positions(stream: &mut (impl Stream<Item = Value> + Unpin), field: &str, count: usize) -> Vec<u64> {
    let mut positions = Vec::with_capacity(count);
    for _ in 0..count {
        let event = next(stream).await;
        positions.push(event["data"][field]["position"].as_u64().unwrap_or_else(|| panic!("{event}")));
    }
    positions
}

#[tokio::test]
async fn changes_are_told_live_and_again_from_a_position() {
    let world = World::new().await;
    let (client, other) = (world.account().await, world.account().await);
    let (number, others) = (client.number().await, other.number().await);
    let early = client.send(&number, "+16505550100", "x").await;
    let mut live = client.watch(WATCH, json!({ "after": early["position"] }));
    other.send(&others, "+16505550100", "x").await;
    let sent = client.send(&number, "+16505550101", "x").await;
    let told = next(&mut live).await;
    let change = &told["data"]["messageStatusChanged"];
    assert_eq!(change["message"], json!({ "id": sent["message"]["id"], "status": "ACCEPTED" }), "{told}");
    client.cancel(&sent["message"]["id"]).await;
    let told = next(&mut live).await["data"]["messageStatusChanged"].take();
    assert_eq!((&told["status"], &told["fact"]), (&json!("CANCELLED"), &json!("MessageCancelled")));

    // Every message is shown as it was: the first of the three changes was an acceptance.
    let after = early["position"].as_u64().unwrap() - 1;
    let mut again = client.watch(WATCH, json!({ "after": after }));
    let mut seen = vec![];
    for _ in 0..3 {
        seen.push(next(&mut again).await["data"]["messageStatusChanged"]["message"]["status"].take());
    }
    assert_eq!(seen, ["ACCEPTED", "ACCEPTED", "CANCELLED"]);
    let filter = json!({ "messageIds": [sent["message"]["id"]], "statuses": ["CANCELLED"], "direction": "OUTBOUND" });
    let mut one = client.watch(WATCH, json!({ "after": 0, "filter": filter }));
    assert_eq!(next(&mut one).await["data"]["messageStatusChanged"]["position"], told["position"]);
    drop((live, again, one));
    world.close().await;
}

#[tokio::test]
async fn without_a_position_only_what_is_to_come_is_told() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let early = client.send(&number, "+16505550100", "x").await["position"].as_u64().unwrap();
    world.app.projector.wait_for(early, Duration::from_secs(20)).await.unwrap();
    let mut live = client.watch(WATCH, json!({}));
    // It begins at some moment while messages are sent.
    let told = loop {
        let sending = async {
            client.send(&number, "+16505550101", "x").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        tokio::select! {
            told = next(&mut live) => break told,
            () = sending => {}
        }
    };
    assert!(told["data"]["messageStatusChanged"]["position"].as_u64().unwrap() > early, "{told}");
    drop(live);
    world.close().await;
}

#[tokio::test]
async fn a_position_to_come_is_refused_and_one_just_given_out_is_waited_for() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let mut ahead = client.watch(WATCH, json!({ "after": 1_000_000 }));
    assert_eq!(next(&mut ahead).await["errors"][0]["extensions"]["code"], "INVALID_INPUT");
    let sent = client.send(&number, "+16505550100", "x").await;
    let mut watch = client.watch(WATCH, json!({ "after": sent["position"] }));
    client.cancel(&sent["message"]["id"]).await;
    assert_eq!(next(&mut watch).await["data"]["messageStatusChanged"]["status"], "CANCELLED");
    drop((ahead, watch));
    world.close().await;
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_misses_and_repeats_nothing() {
    let world = World::new().await;
    let client = world.account().await;
    let number = client.number().await;
    let send_query = "mutation($input: SendMessagesInput!) { sendMessages(input: $input) { position } }";
    let send = async || {
        let message = json!({ "numberId": number, "to": "+16505550100", "text": { "body": "x" } });
        let input = json!({ "messages": vec![message; 20] });
        client.ask(send_query, json!({ "input": input })).await["sendMessages"]["position"].as_u64().unwrap()
    };
    let mut watch = client.watch(AUDIT, json!({ "after": 0 }));
    let mut told = positions(&mut watch, "auditEvents", 2).await;
    let mut last = 0;
    // More batches than wait for it, each told on its own.
    for _ in 0..40 {
        last = send().await;
        world.app.projector.wait_for(last, Duration::from_secs(20)).await.unwrap();
    }
    let total = client.ask("{ auditTrail { totalCount } }", json!({})).await["auditTrail"]["totalCount"].as_u64();
    let rest = usize::try_from(total.unwrap()).unwrap() - told.len();
    told.extend(positions(&mut watch, "auditEvents", rest).await);
    assert!(told.is_sorted_by(|one, next| one < next));
    assert_eq!(told.last(), Some(&last));
    drop(watch);
    world.close().await;
}
