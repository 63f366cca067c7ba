//! What Meta reports in a form that is not understood: kept for a short time, and no longer than the people that it names.

use serde_json::{Value, json};
use wasend::bootstrap::OpenStores;
use wasend::config::{ConfigSources, load};
use wasend_domain::content::{CustomerLabel, RawWebhook};
use wasend_domain::{AccountId, Actor, Day, EventId, EventMetadata, InboxId, Personal, Sealed, StreamId};
use wasend_eventlog::{Append, CommandId, NewEvent, StreamAppend};
use wasend_tests::clock::ServerClock;
use wasend_tests::live_backup::LiveBackup;
use wasend_tests::vault::{keys, opened};
use wasend_tests::{Client, Engine, Start, World, until};

use crate::erasure::{erase, known};

stories!(
    it_dies_with_the_person_whom_it_names,
    one_that_names_several_people_dies_with_the_first_of_them,
    one_about_a_person_who_is_erased_is_counted_and_not_kept,
    it_dies_when_its_time_is_over_also_in_a_vault_that_is_restored,
    what_an_older_version_kept_is_opened_as_before,
);

const PHONE: &str = "+16505554321";
const DIGITS: &str = "16505554321";
const OTHER: &str = "4915112345678";
const STRANGER: &str = "16505557777";

/// A body with one change of a field that no version knows.
fn parrots(number: &str, value: Value) -> String {
    let mut value = value;
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": number});
    body(&json!({"field": "parrots", "value": value}))
}

fn messages(number: &str, value: Value) -> String {
    let mut value = value;
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": number});
    body(&json!({"field": "messages", "value": value}))
}

fn body(change: &Value) -> String {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).to_string()
}

async fn post(world: &World, body: &str) {
    let id = world.phone_number_id().await;
    assert_eq!(world.simulator.raw(&id, body).await["webhook_status"], 200, "{body} {}", world.output());
}

/// The history with everything opened that can be.
async fn told(world: &World, client: &Client) -> String {
    let (ok, told, complaint) = try_told(world, client).await;
    assert!(ok, "{complaint}");
    told
}

async fn try_told(world: &World, client: &Client) -> (bool, String, String) {
    let key = world.data.path().join("key.txt");
    std::fs::write(&key, &client.key).expect("a file is written");
    world.try_run(&["events", "--open", "--key-file", &key.to_string_lossy()]).await
}

async fn kept(world: &World) -> usize {
    world.run(&["events"]).await.matches("\"WebhookKept\"").count()
}

async fn metric(world: &World, line: &str) -> f64 {
    let text = reqwest::get(format!("{}metrics", world.url)).await.expect("metrics").text().await.expect("text");
    text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
}

async fn it_dies_with_the_person_whom_it_names(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let message = client.send_text(&world.number(), PHONE, "Hello").await;
    client.until_status(&message, "READ").await;
    let wamid = client.message(&message, "wamid").await["wamid"].take();
    let id = world.phone_number_id().await;
    let bodies = [
        parrots(&id, json!({"from": DIGITS, "song": "canary-1"})),
        parrots(&id, json!({"nested": [{"wa_id": 16_505_554_321_u64}], "song": "canary-2"})),
        parrots(&id, json!({"message_id": wamid, "song": "canary-3"})),
        parrots(&id, json!({"song": "canary-4, call +1 650 555 4321 or 16505554321"})),
        parrots(&id, json!({"contacts": {DIGITS: {"name": "canary-5"}}})),
        parrots(&id, json!({"recipient_id": "+1 (650) 555-4321", "song": "canary-6"})),
        // Words and shapes that are not understood within what is.
        messages(&id, json!({"statuses": [{"id": wamid, "status": "canary-7", "timestamp": "1700000000"}]})),
        messages(&id, json!({"statuses": [{"id": "x", "status": "canary-8", "biz_opaque_callback_data": message}]})),
        messages(&id, json!({"statuses": [{"id": "x", "status": "sent", "recipient_id": DIGITS, "song": "canary-9"}]})),
        messages(
            &id,
            json!({"messages": [{"id": "x", "type": "text", "text": {"body": "canary-10"}, "context": {"id": wamid}}]}),
        ),
        messages(&id, json!({"messages": [{"type": "text", "from": DIGITS, "text": {"body": "canary-11"}}]})),
        messages(&id, json!({"user_preferences": [{"wa_id": DIGITS, "category": "c", "value": "canary-12"}]})),
        messages(&id, json!({"calls": {"from": DIGITS, "song": "canary-13"}})),
        // A sibling that is not connected here.
        body(&json!({"field": "messages", "value": {
            "metadata": {"phone_number_id": id}, "statuses": "canary-14", "to": DIGITS}})),
        json!({"of_no_form": [{"user": DIGITS}], "song": "canary-15"}).to_string(),
        // Parts that name no person themselves, beside others that do.
        messages(&id, json!({"contacts": [{"wa_id": DIGITS}], "songs": [{"text": "canary-16"}]})),
        messages(&id, json!({"contacts": [{"wa_id": DIGITS}], "messages": [{"id": "y", "type": "canary-17"}]})),
    ];
    for body in &bodies {
        post(&world, body).await;
    }
    post(&world, &parrots(&id, json!({"from": STRANGER, "song": "stranger-canary"}))).await;
    let before = told(&world, &client).await;
    for n in 1..=bodies.len() {
        let ends = ['\\', ','];
        assert!(ends.iter().any(|end| before.contains(&format!("canary-{n}{end}"))), "canary-{n} is kept: {before}");
    }
    let count = kept(&world).await;
    post(&world, &bodies[0]).await;
    assert_eq!(kept(&world).await, count, "the same again is kept once");
    let people = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(people["contacts"]["totalCount"], 1, "nobody is made known");

    let request = erase(&client, PHONE).await;
    let after = told(&world, &client).await;
    assert!(!after.contains("canary-"), "{after}");
    assert!(!after.contains("6505554321") && !after.contains("555-4321"), "{after}");
    let why = format!("erasure request {}", request["id"].as_str().expect("an id"));
    assert!(after.contains(&why));
    assert!(after.contains("stranger-canary"), "what names others is not touched");
}

async fn one_that_names_several_people_dies_with_the_first_of_them(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for phone in [PHONE, "+4915112345678"] {
        client.mutate("createContact", json!({"phone": phone}), "errors { code }").await;
        known(&client, phone).await;
    }
    let id = world.phone_number_id().await;
    let both =
        parrots(&id, json!({"to": OTHER, "flock": [{"from": DIGITS}, {"from": STRANGER}], "song": "canary-both"}));
    let one = parrots(&id, json!({"from": OTHER, "song": "canary-one"}));
    for body in [&both, &one, &both] {
        post(&world, body).await;
    }
    assert_eq!(kept(&world).await, 2);
    let before = told(&world, &client).await;
    assert!(before.contains("canary-both") && before.contains("canary-one"));
    erase(&client, PHONE).await;
    let after = told(&world, &client).await;
    assert!(!after.contains("canary-both") && !after.contains(DIGITS) && !after.contains(STRANGER), "{after}");
    assert!(after.contains("canary-one"));
    erase(&client, "+4915112345678").await;
    let after = told(&world, &client).await;
    assert!(!after.contains("canary-one") && !after.contains(OTHER), "{after}");
}

async fn one_about_a_person_who_is_erased_is_counted_and_not_kept(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let message = client.send_text(&world.number(), PHONE, "Hello").await;
    client.until_status(&message, "READ").await;
    let wamid = client.message(&message, "wamid").await["wamid"].take();
    erase(&client, PHONE).await;
    let id = world.phone_number_id().await;
    // Who opted out without being known, and is not known now.
    let opt_out =
        json!({"wa_id": OTHER, "category": "marketing_messages", "value": "stop", "timestamp": 1_700_000_000});
    post(&world, &messages(&id, json!({"user_preferences": [opt_out]}))).await;
    let late = [
        parrots(&id, json!({"from": DIGITS, "song": "canary"})),
        parrots(&id, json!({"from": DIGITS, "timestamp": "4000000000", "song": "canary"})),
        parrots(&id, json!({"message_id": wamid, "song": "canary"})),
        parrots(&id, json!({"flock": [{"from": STRANGER}, {"from": DIGITS}]})),
        parrots(&id, json!({"from": OTHER})),
        messages(&id, json!({"statuses": [{"id": "x", "status": "flown", "biz_opaque_callback_data": message}]})),
    ];
    for body in &late {
        post(&world, body).await;
    }
    assert_eq!(kept(&world).await, 0);
    assert!(metric(&world, "wasend_webhook_updates_total{kind=\"erased\"}").await >= 6.0);
    // The number belongs to a new person now: what is of a later moment is kept, what may be of an earlier is not.
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    known(&client, PHONE).await;
    post(&world, &parrots(&id, json!({"from": DIGITS, "song": "early", "timestamp": "1700000000"}))).await;
    post(&world, &parrots(&id, json!({"from": DIGITS, "song": "some time"}))).await;
    assert_eq!(kept(&world).await, 0);
    post(&world, &parrots(&id, json!({"from": DIGITS, "song": "late", "timestamp": "4000000000"}))).await;
    assert_eq!(kept(&world).await, 1);
}

async fn trail(client: &Client) -> Vec<String> {
    let query = "{ auditTrail(filter: {aggregateType: \"bucket\"}) { edges { node { eventType actor } } } }";
    let trail = client.data(query, json!({})).await;
    let edges = trail["auditTrail"]["edges"].as_array().expect("edges").clone();
    assert!(edges.iter().all(|edge| edge["node"]["actor"] == "system:retention"));
    edges.iter().map(|edge| edge["node"]["eventType"].as_str().expect("a word").to_owned()).collect()
}

async fn until_trail(client: &Client, steps: &[&str]) {
    until("the trail says so", || async { (trail(client).await == steps).then_some(()) }).await;
}

async fn it_dies_when_its_time_is_over_also_in_a_vault_that_is_restored(engine: Engine) {
    let clock = ServerClock::new().await;
    let start = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").with("WASEND_WEBHOOKS_UNKNOWN_TTL", "2d");
    let mut world = clock.of(start).on(engine).await;
    let client = world.client();
    let id = world.phone_number_id().await;
    post(&world, &parrots(&id, json!({"from": STRANGER, "song": "old-canary"}))).await;
    clock.set(1);
    post(&world, &parrots(&id, json!({"from": STRANGER, "song": "young-canary"}))).await;
    assert!(told(&world, &client).await.contains("old-canary"), "it is kept");
    let backup = LiveBackup::of(&world).await;
    let rows = keys(&world, "unknown_webhook").await;
    assert_eq!(opened(world.data.path(), &rows).await.len(), 2);

    clock.set(3);
    until_trail(&client, &["BucketFenced", "BucketDestroyed"]).await;
    assert!(metric(&world, "wasend_retention_keys_destroyed_total").await >= 1.0);
    let after = told(&world, &client).await;
    assert!(!after.contains("old-canary") && after.contains("young-canary"), "{after}");
    assert!(after.contains("retention of unknown_webhook of "), "{after}");
    let rows = keys(&world, "unknown_webhook").await;
    assert_eq!(opened(world.data.path(), &rows).await.len(), 1, "the key of the later day");

    // The store is put back under the running server.
    backup.restore(&world).await;
    until_trail(&client, &["BucketFenced", "BucketDestroyed", "BucketRepeated"]).await;
    until("the vault opens again", || async {
        let (ok, told, _) = try_told(&world, &client).await;
        assert!(!told.contains("old-canary"), "{told}");
        (ok && told.contains("young-canary")).then_some(())
    })
    .await;
    assert_eq!(opened(world.data.path(), &keys(&world, "unknown_webhook").await).await.len(), 1);

    // And while it is off: the terminal opens nothing of it, and the next start destroys it before anything is served.
    world.kill().await;
    backup.restore(&world).await;
    let (ok, told_of, complaint) = try_told(&world, &client).await;
    assert!(!ok && complaint.contains("earlier copy"), "{complaint}");
    assert!(!told_of.contains("canary"));
    world = world.restart().await;
    let client = world.client();
    let after = told(&world, &client).await;
    assert!(!after.contains("old-canary") && after.contains("young-canary"), "{after}");
    assert_eq!(opened(world.data.path(), &keys(&world, "unknown_webhook").await).await.len(), 1);
    let replayed = json!(after.lines().filter(|line| line.contains("\"BucketRepeated\"")).count());
    assert_eq!(replayed, 2);

    // Everything goes in the end, also of a store that was put back.
    clock.set(20);
    until("the later day is over", || async {
        let told = told(&world, &client).await;
        (!told.contains("canary")).then_some(())
    })
    .await;
    post(&world, &parrots(&id, json!({"from": STRANGER, "song": "new-canary"}))).await;
    assert!(told(&world, &client).await.contains("new-canary"));
}

async fn what_an_older_version_kept_is_opened_as_before(engine: Engine) {
    let mut world = World::start(engine).await;
    let client = world.client();
    let opened = world.run(&["events", "--to", "1"]).await;
    let opened: Value = serde_json::from_str(&opened).expect("the account's first event");
    let account: AccountId = opened["accountId"].as_str().expect("an id").parse().expect("an id");
    let name = opened["payload"]["Opened"]["name"].as_str().expect("a sealed name");
    let subject = Sealed::<CustomerLabel>::parse(name).expect("a sealed name").subject();
    world.stop().await;

    // As released versions wrote it.
    let data_dir = world.data.path().display().to_string();
    let database = world.database.clone().map(|url| ("database_url", url));
    let flags = [("data_dir", data_dir)].into_iter().chain(database).collect();
    let config = load(ConfigSources { flags, ..ConfigSources::default() }).expect("the settings are right");
    let stores = OpenStores::open(&config.storage).await.expect("the stores open");
    stores.open_vault().await.expect("nothing was erased");
    let raw = Personal::new(RawWebhook(json!({"from": STRANGER, "song": "canary-of-old"}).to_string()));
    let raw = stores.vault.seal(account, subject, &raw, Day::from_number(19_000)).await.expect("it is sealed");
    let payload = json!({"Kept": {"at": 1_750_000_000_000_000_i64, "raw": raw, "reason": "unknown_shape"}});
    let event = NewEvent {
        event_id: EventId::random(),
        event_type: "WebhookKept".to_owned(),
        event_version: "1".to_owned(),
        payload: payload.to_string(),
    };
    let stream = StreamId { aggregate_type: "inbox", aggregate_id: InboxId::random().uuid() };
    let append = Append {
        account_id: account,
        command_id: CommandId::Fresh(EventId::random().to_string()),
        metadata: EventMetadata::by(Actor::Meta),
        streams: vec![StreamAppend { stream, expected: 0, events: vec![event] }],
    };
    let answer = stores.log.append(vec![append]).await.expect("the log answers").pop();
    answer.expect("one").expect("it is appended");
    stores.close().await;

    let world = world.restart().await;
    assert!(told(&world, &client).await.contains("canary-of-old"));
    let aggregate = format!("inbox:{}", stream.aggregate_id);
    let replayed = world.run(&["events", "replay", "--aggregate", &aggregate]).await;
    assert!(replayed.contains("\"kept\":true"), "{replayed}");
    let projections = world.run(&["projections", "list"]).await;
    assert!(!projections.contains("poisoned"), "{projections}");
}
