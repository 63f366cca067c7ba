//! `wasend demo`: the main job, an import and an erasure, played against a store that is thrown away, and told. It fails
//! if anything is not as it says.

mod client;

use cqrs_es::Aggregate as _;
use serde_json::{Value, json};
use wasend_domain::StreamId;
use wasend_domain::message::Message;

use super::events::replay::states;
use super::{CliFailure, serve};
use crate::bootstrap::OpenStores;
use crate::config::{Config, ListenAddress, StorageConfig};

use client::DemoClient;

const RECIPIENT: &str = "+16505551234";
const PEOPLE: &str = "phone,name,city\n\
    +16505551234,Ada,London\n\
    +5511987654321,Bia,Recife\n\
    +551187654321,Bia in the old spelling,Recife\n\
    9.19812E+11,A number that Excel changed,Delhi\n";

/// Starts a server on a temporary directory with the simulator, and tells each step on standard output. Errors: the
/// first step that fails or takes longer than [`client::DEMO_STEP_TIMEOUT`].
pub async fn run(mut config: Config) -> Result<(), CliFailure> {
    let directory = tempfile::tempdir().map_err(|error| CliFailure::because("no temporary store", &error))?;
    config.storage.data_dir = directory.path().to_owned();
    config.storage.database_url = None;
    config.storage.vault_database_url = None;
    config.storage.epoch_key_dir = None;
    config.meta.base_url = None;
    config.simulator.enabled = true;
    config.http.listen = ListenAddress::default();
    config.http.metrics_listen = None;
    let storage = config.storage.clone();
    let server = serve::start(config).await?;
    if let Some(why) = server.held {
        return Err(CliFailure::Failed(why));
    }
    let Some(welcome) = server.welcome else { return Err(CliFailure::Failed("the store was not empty".to_owned())) };
    let doors = tokio::spawn(server.doors);
    let number = welcome.number.map(|number| number.to_string()).unwrap_or_default();
    let client = DemoClient::new(server.url, welcome.secret)?;
    println!("A server runs on {} with an empty store and a simulator of Meta.\n", client.url);
    let told = async {
        let message = a_message_is_sent(&client, &number, &storage).await?;
        contacts_are_imported(&client).await?;
        a_person_is_erased(&client, &message).await
    };
    let told = told.await;
    server.life.stop();
    let closed = doors.await.map_err(|error| CliFailure::because("the server did not stop", &error));
    told.and(closed)?;
    println!("\nDone. `wasend serve` starts a server to keep.");
    Ok(())
}

/// The message's id.
async fn a_message_is_sent(client: &DemoClient, number: &str, storage: &StorageConfig) -> Result<String, CliFailure> {
    println!("1. Somebody watches: subscription messageStatusChanged, over server-sent events.\n");
    let mut watching = client.watch(WATCH).await?;

    println!("2. A message is sent: mutation sendMessage to {RECIPIENT}.");
    let input = json!({"numberId": number, "to": RECIPIENT, "text": {"body": "Your parcel arrives today."},
        "idempotencyKey": "parcel-1"});
    let sent = client.ask(SEND, json!({"input": input})).await?["sendMessage"].take();
    let id = text(&sent["message"]["id"]).to_owned();
    println!("   accepted as {id} at position {}\n", sent["position"]);

    println!("3. It travels:");
    loop {
        let change = watching.next().await?;
        let change = &change["messageStatusChanged"];
        println!("   position {:>3}  {}", change["position"], text(&change["message"]["status"]));
        if change["message"]["status"] == "READ" {
            break;
        }
    }

    println!("\n4. The same request again, with the same idempotency key, sends nothing:");
    let again = client.ask(SEND, json!({"input": input})).await?["sendMessage"].take();
    println!("   repeated: {}, the message is {}\n", again["repeated"], again["message"]["id"]);
    check(again["repeated"] == true && again["message"]["id"] == *id, "the second request repeats the first")?;

    println!("5. Its usage is counted once:");
    let usage = usage(client, &id).await?;
    println!("   {usage}\n");
    check(usage["lines"][0]["messages"] == 1, "one message is counted")?;

    println!("6. The audit trail says who did what:");
    let steps = trail(client, &id).await?;
    check(steps.iter().any(|step| step == "MessageAccepted"), "the trail begins with the message")?;

    println!("\n7. Its history, replayed from the log, gives the same state again:");
    let stores = OpenStores::open(storage).await?;
    let aggregate_id = id.parse().map_err(|_| CliFailure::Failed("no message id".to_owned()))?;
    let stream = StreamId { aggregate_type: Message::TYPE, aggregate_id };
    let steps = states::<Message>(&stores, stream).await;
    stores.close().await;
    let steps = steps?;
    for step in &steps {
        println!("   {:>3}  {:<20} -> {}", step.position, step.event_type, step.state.status().name());
    }
    let shown = client.ask(MESSAGE, json!({"id": id})).await?["message"].take();
    let (status, body) = (&shown["status"], &shown["content"]["text"]);
    println!("   the read model says {status}; the body, opened for this key: {body}");
    let replayed = steps.last().map(|step| step.state.status().name());
    check(replayed == shown["status"].as_str(), "the replayed state is the one that is shown")?;
    Ok(id)
}

async fn contacts_are_imported(client: &DemoClient) -> Result<(), CliFailure> {
    println!("\n8. A file of contacts is looked at: mutation previewImport. Nothing is written.");
    let seen = client.ask(PREVIEW, json!({"input": {"content": PEOPLE}})).await?["previewImport"]["preview"].take();
    println!("   {}", seen["layout"]);
    let rows = seen["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        println!("   {row}");
    }
    check(seen["layout"]["columns"][0]["field"] == "PHONE", "the column of the numbers is recognised")?;
    check(rows.iter().any(|row| row["outcome"] == "KNOWN"), "the recipient of the message is known")?;

    println!("\n   It is imported: mutation importContacts, mode UPDATE.");
    let input = json!({"filename": "people.csv", "content": PEOPLE, "mode": "UPDATE"});
    let id = client.ask(IMPORT, json!({"input": input})).await?["importContacts"]["import"]["id"].take();
    let ended = client.until(IMPORTED, json!({"id": id}), |answer| answer["import"]["state"] == "DONE").await?;
    let counters = &ended["import"]["counters"];
    println!("   {counters}");
    let expected = json!({"total": 4, "created": 1, "updated": 1, "duplicateInFile": 1, "invalid": 1});
    check(*counters == expected, "of four rows two are contacts, one is somebody twice, one is no number")?;
    println!("   its report, GET /imports/{{id}}/errors.csv:");
    let report = client.file(&format!("imports/{}/errors.csv", text(&id))).await?;
    report.lines().for_each(|line| println!("   {line}"));
    check(report.contains("DUPLICATE_IN_FILE") && report.contains("PHONE_SCIENTIFIC"), "the report tells both rows")
}

async fn a_person_is_erased(client: &DemoClient, message: &str) -> Result<(), CliFailure> {
    println!("\n9. A person is erased: mutation requestErasure for {RECIPIENT}. Before, their data reads:");
    let contact = client.ask(FIND, json!({"phone": RECIPIENT})).await?["contact"]["id"].take();
    let about = json!({"contact": contact, "message": message});
    let before = client.ask(ABOUT, about.clone()).await?;
    println!("   {before}");
    check(before["contact"]["name"] == "Ada" && before["message"]["content"]["text"].is_string(), "all of it reads")?;
    let counted = usage(client, message).await?;
    let input = json!({"subject": {"contactId": contact}, "regime": "GDPR", "ground": "WITHDRAWN_CONSENT"});
    let asked = client.ask(ERASE, json!({"input": input})).await?["requestErasure"]["request"].take();
    let completed = |answer: &Value| answer["privacyRequest"]["state"] == "COMPLETED";
    client.until(REQUEST, json!({"id": asked["id"]}), completed).await?;

    println!("   After it:");
    let after = client.ask(ABOUT, about).await?;
    println!("   {after}");
    let gone = [&after["contact"]["phone"], &after["contact"]["name"], &after["message"]["content"]["text"]];
    check(gone.iter().all(|value| value.is_null()), "none of it reads any more")?;
    let why = [&after["contact"]["erased"]["why"], &after["message"]["content"]["erased"]["why"]];
    check(why.iter().all(|why| text(why).ends_with(text(&asked["id"]))), "it says under which request")?;
    let found = client.ask(FIND, json!({"phone": RECIPIENT})).await?["contact"].take();
    check(found.is_null(), "the number leads to nobody")?;
    check(usage(client, message).await? == counted, "the usage stays as it was")?;

    println!("   The audit trail says that it was done, not whose it was:");
    let steps = trail(client, text(&asked["id"])).await?;
    check(steps.last().is_some_and(|step| step == "ErasureCompleted"), "the trail ends with the erasure")
}

/// Fails where the server does something else than the demo says.
fn check(holds: bool, what: &str) -> Result<(), CliFailure> {
    if holds { Ok(()) } else { Err(CliFailure::Failed(format!("this is not so: {what}"))) }
}

/// The usage of the day on which the message was accepted.
async fn usage(client: &DemoClient, message: &str) -> Result<Value, CliFailure> {
    let position = client.ask("{ position }", Value::Null).await?["position"].take();
    let accepted = client.ask(ACCEPTED, json!({"id": message})).await?["message"]["acceptedAt"].take();
    let day = text(&accepted).chars().take(10).collect::<String>();
    Ok(client.ask(USAGE, json!({"day": day, "at": position})).await?["usage"].take())
}

/// Prints what happened to an aggregate, and gives the types of the events.
async fn trail(client: &DemoClient, aggregate: &str) -> Result<Vec<String>, CliFailure> {
    let audit = client.ask(AUDIT, json!({"id": aggregate})).await?["auditTrail"].take();
    let nodes = audit["edges"].as_array().into_iter().flatten().map(|edge| &edge["node"]);
    let told = |node: &Value| {
        println!("   {:>3}  {:<20} {}", node["position"], text(&node["eventType"]), text(&node["actor"]));
        text(&node["eventType"]).to_owned()
    };
    Ok(nodes.map(told).collect())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) \
    { message { id status } position repeated errors { code field message } } }";
const WATCH: &str = "subscription { messageStatusChanged { position message { id status } } }";
const ACCEPTED: &str = "query($id: ID!) { message(id: $id) { acceptedAt } }";
const USAGE: &str = "query($day: Date!, $at: Position) { usage(period: {from: $day, to: $day}, minPosition: $at) \
    { lines { direction category day messages delivered billable } } }";
const AUDIT: &str = "query($id: String) { auditTrail(first: 50, filter: {aggregateId: $id}) \
    { edges { node { position eventType actor } } } }";
const MESSAGE: &str = "query($id: ID!) { message(id: $id) { status content { text } } }";
const PREVIEW: &str = "mutation($input: PreviewImportInput!) { previewImport(input: $input) { preview { \
    layout { encoding delimiter columns { header field } } rows { line outcome phone name fault { code } } } } }";
const IMPORT: &str = "mutation($input: ImportContactsInput!) { importContacts(input: $input) \
    { import { id } errors { code field message } } }";
const IMPORTED: &str = "query($id: ID!) { import(id: $id) \
    { state counters { total created updated duplicateInFile invalid } } }";
const FIND: &str = "query($phone: String) { contact(phone: $phone) { id } }";
const ABOUT: &str = "query($contact: ID, $message: ID!) { contact(id: $contact) { phone name erased { why } } \
    message(id: $message) { content { text erased { why } } } }";
const ERASE: &str = "mutation($input: RequestErasureInput!) { requestErasure(input: $input) \
    { request { id } errors { code field message } } }";
const REQUEST: &str = "query($id: ID!) { privacyRequest(id: $id) { state } }";
