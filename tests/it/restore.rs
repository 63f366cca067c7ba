//! A vault or a log is restored from an earlier copy: what went with it is found, and told.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use wasend_tests::live_backup::LiveBackup;
use wasend_tests::vault::{Backup, epoch_key};
use wasend_tests::{Client, Engine, Start, World, until};

use crate::erasure::{erase, known};

stories!(
    an_opt_out_of_a_person_whom_a_restored_vault_does_not_know_holds_sending,
    an_opt_out_that_outlived_a_lost_person_holds_sending,
    an_opt_out_of_a_person_who_was_no_contact_holds_sending,
    a_vault_that_is_restored_under_a_running_server_holds_sending,
    a_restored_vault_that_lost_no_person_sends_on,
    an_epoch_key_that_is_put_back_is_refused,
    a_log_older_than_the_vault_is_refused_until_it_is_accepted,
);

const PHONE: &str = "+16505554321";
const NEIGHBOUR: &str = "+16505551111";

/// A server whose epochs do not end by themselves.
async fn world(engine: Engine) -> World {
    Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await
}

async fn sent(world: &World, phone: &str) -> String {
    let message = world.client().send_text(&world.number(), phone, "Hello").await;
    world.client().until_status(&message, "READ").await;
    message
}

async fn says_stop(world: &World, phone: &str) {
    let message = json!({"phone_number_id": world.phone_number_id().await, "from": &phone[1..], "text": "STOP"});
    world.simulator.inbound(message).await;
    until("the opt-out is shown", || async {
        let query = "query($p: String) { contact(phone: $p) { optedOut } }";
        let contact = world.client().data(query, json!({"p": phone})).await;
        (contact["contact"]["optedOut"] == true).then_some(())
    })
    .await;
}

async fn hold(client: &Client) -> Value {
    client.data("{ account { sendingHold { since lostPeople } } }", json!({})).await["account"]["sendingHold"].take()
}

/// What is answered to a message.
async fn refusal(world: &World, phone: &str) -> Value {
    let send = json!({"numberId": world.number(), "to": phone, "text": {"body": "Offer"}});
    world.client().send(send).await.pointer("/errors/0/code").cloned().unwrap_or_default()
}

async fn calls(world: &World) -> usize {
    world.simulator.messages().await.to_string().matches("Offer").count()
}

/// Nothing is sent until the operator has decided; then it is.
async fn is_held(world: &World, lost_people: u64) {
    let client = world.client();
    assert_eq!(hold(&client).await["lostPeople"], lost_people, "{}", world.output());
    for phone in [PHONE, NEIGHBOUR] {
        assert_eq!(refusal(world, phone).await, "SENDING_HELD");
    }
    assert_eq!(calls(world).await, 0, "nobody is written to");
    assert!(world.output().contains("nothing is sent for the account"), "{}", world.output());
    let account = client.data("{ account { id } }", json!({})).await["account"]["id"].take();
    let account = account.as_str().expect("an id");
    world.run(&["vault", "resume-sending", account]).await;
    until("sending goes on", || async { refusal(world, NEIGHBOUR).await.is_null().then_some(()) }).await;
    until("it is sent", || async { (calls(world).await > 0).then_some(()) }).await;
    assert_eq!(hold(&client).await, json!(null));
}

async fn an_opt_out_of_a_person_whom_a_restored_vault_does_not_know_holds_sending(engine: Engine) {
    let mut world = world(engine).await;
    sent(&world, NEIGHBOUR).await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    world = world.restart().await;
    says_stop(&world, PHONE).await;
    assert_eq!(refusal(&world, PHONE).await, "OPTED_OUT");
    let lost = known(&world.client(), PHONE).await;
    world.kill().await;
    backup.restore(&world).await;
    world = world.restart().await;
    let told = world.run(&["vault", "lost"]).await;
    assert!(told.contains("1 people are unknown to the vault, 1 of them opted out"), "{told}");
    let lost = format!("{}  opted out", lost.as_str().expect("an id"));
    assert!(told.contains(&lost), "{told}");
    is_held(&world, 1).await;
    // It is decided once.
    world.stop().await;
    world = world.restart().await;
    assert_eq!(hold(&world.client()).await, json!(null));
}

async fn an_opt_out_that_outlived_a_lost_person_holds_sending(engine: Engine) {
    let mut world = world(engine).await;
    sent(&world, NEIGHBOUR).await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    world = world.restart().await;
    says_stop(&world, PHONE).await;
    erase(&world.client(), PHONE).await;
    assert_eq!(refusal(&world, PHONE).await, "OPTED_OUT");
    world.kill().await;
    backup.restore(&world).await;
    world = world.restart().await;
    is_held(&world, 1).await;
}

async fn an_opt_out_of_a_person_who_was_no_contact_holds_sending(engine: Engine) {
    let mut world = world(engine).await;
    sent(&world, NEIGHBOUR).await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    world = world.restart().await;
    let id = world.phone_number_id().await;
    let preference =
        json!({"wa_id": &PHONE[1..], "category": "marketing_messages", "value": "stop", "timestamp": 1_800_000_000});
    let value = json!({"messaging_product": "whatsapp", "user_preferences": [preference],
        "metadata": {"display_phone_number": "1", "phone_number_id": id}});
    let changes = json!([{"field": "user_preferences", "value": value}]);
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).to_string();
    for _ in 0..2 {
        assert_eq!(world.simulator.raw(&id, &body).await["webhook_status"], 200);
    }
    let template = json!({"name": "summer_sale", "language": "en_US", "parameters": [{"text": "Ada"}]});
    let offer = json!({"numberId": world.number(), "to": PHONE, "template": template});
    assert_eq!(world.client().send(offer).await["errors"][0]["code"], "OPTED_OUT");
    world.kill().await;
    world = world.restart().await;
    assert_eq!(hold(&world.client()).await, json!(null), "a crash loses nothing");
    world.kill().await;
    backup.restore(&world).await;
    world = world.restart().await;
    is_held(&world, 0).await;
}

async fn a_vault_that_is_restored_under_a_running_server_holds_sending(engine: Engine) {
    let world = world(engine).await;
    sent(&world, NEIGHBOUR).await;
    let backup = LiveBackup::of(&world).await;
    says_stop(&world, PHONE).await;
    // A message that waits when the vault is put back is not sent either.
    world.client().mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let waiting = world.client().send_text(&world.number(), NEIGHBOUR, "Offer").await;
    backup.restore(&world).await;
    until("sending is held", || async {
        let answer = world.client().ask("{ account { sendingHold { lostPeople } } }", json!({})).await;
        (answer["data"]["account"]["sendingHold"]["lostPeople"] == 1).then_some(())
    })
    .await;
    world.client().mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    is_held(&world, 1).await;
    world.client().until_status(&waiting, "READ").await;
}

async fn a_restored_vault_that_lost_no_person_sends_on(engine: Engine) {
    let mut world = world(engine).await;
    sent(&world, NEIGHBOUR).await;
    says_stop(&world, PHONE).await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    world = world.restart().await;
    erase(&world.client(), PHONE).await;
    world.kill().await;
    backup.restore(&world).await;
    world = world.restart().await;
    assert_eq!(hold(&world.client()).await, json!(null));
    assert_eq!(refusal(&world, PHONE).await, "OPTED_OUT", "it is restored from the log");
    assert_eq!(refusal(&world, NEIGHBOUR).await, json!(null));
    assert!(world.run(&["vault", "lost"]).await.contains("knows everybody"));
}

/// What a server says that comes up and serves nothing; it is stopped again.
async fn held(world: &mut World) -> String {
    world.start_held().await.unwrap_or_else(|why| panic!("{why}"));
    let ready = wasend_tests::client::http().get(format!("{}readyz", world.url)).send().await.expect("it answers");
    assert_eq!(ready.status(), 503);
    world.stop().await;
    world.output()
}

fn put_back(path: &Path, key: &[u8]) {
    std::fs::write(path, key).expect("it is written");
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).expect("it is its owner's alone");
}

async fn ended(client: &Client, request: &Value) -> Value {
    let query = "query($id: ID!) { privacyRequest(id: $id) { epochDestroyedAt repeatedAt } }";
    client.data(query, json!({"id": request})).await["privacyRequest"].take()
}

async fn an_epoch_key_that_is_put_back_is_refused(engine: Engine) {
    let mut world = world(engine).await;
    sent(&world, PHONE).await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    let old = std::fs::read(epoch_key(&world, 1)).expect("a key");
    world = world.restart().await;
    let client = world.client();
    let request = erase(&client, PHONE).await["id"].take();
    world.run(&["vault", "rotate"]).await;
    let before = until("its epoch is over", || async {
        let told = ended(&client, &request).await;
        told["epochDestroyedAt"].is_string().then_some(told)
    })
    .await;
    world.stop().await;
    let later = LiveBackup::of(&world).await;
    let current = std::fs::read(epoch_key(&world, 2)).expect("a key");
    backup.restore(&world).await;
    put_back(&epoch_key(&world, 1), &old);
    std::fs::remove_file(epoch_key(&world, 2)).expect("it is taken away");
    let complaint = held(&mut world).await;
    assert!(complaint.contains("the keys of all epochs up to 1 are destroyed: one was put back"), "{complaint}");
    let (ok, _, complaint) = world.try_run(&["vault", "rotate"]).await;
    assert!(!ok && complaint.contains("one was put back"), "{complaint}");

    later.restore(&world).await;
    put_back(&epoch_key(&world, 2), &current);
    put_back(&epoch_key(&world, 1), &old);
    world = world.restart().await;
    assert_eq!(ended(&world.client(), &request).await, before, "what was proven stays so");
    assert!(!epoch_key(&world, 1).exists(), "the old key is destroyed again");
    assert!(world.output().contains("a destroyed epoch key was put back"), "{}", world.output());
}

async fn a_log_older_than_the_vault_is_refused_until_it_is_accepted(engine: Engine) {
    let mut world = world(engine).await;
    sent(&world, PHONE).await;
    let subject = known(&world.client(), PHONE).await;
    let backup = LiveBackup::of_log(&world).await;
    erase(&world.client(), PHONE).await;
    world.kill().await;
    backup.restore(&world).await;
    for side in ["log-models.db", "log-models.db-wal", "log-models.db-shm"] {
        // PostgreSQL has them in the copy.
        drop(std::fs::remove_file(world.data.path().join(side)));
    }
    let complaint = held(&mut world).await;
    assert!(complaint.contains("the log is older than the vault"), "{complaint}");
    let (ok, _, complaint) = world.try_run(&["account", "create", "--name", "Another"]).await;
    assert!(!ok && complaint.contains("the log is older than the vault"), "{complaint}");
    let told = world.run(&["vault", "accept-log"]).await;
    assert!(told.contains("goes on with this log"), "{told}");
    world = world.restart().await;
    let client = world.client();
    let send = json!({"numberId": world.number(), "contactId": subject, "text": {"body": "Offer"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "ERASED");
    let input =
        json!({"subject": {"contactId": subject}, "regime": "GDPR", "ground": "OBJECTION", "reason": "once more"});
    // Read models that another process folded until it was killed show the request only when they go on.
    let id = until("it can be asked for again", || async {
        let asked = client.mutate("requestErasure", input.clone(), "request { id } errors { code }").await;
        assert_eq!(asked["errors"], json!([]), "{asked}");
        asked["request"]["id"].is_string().then(|| asked["request"]["id"].clone())
    })
    .await;
    until("it is completed", || async {
        let query = "query($id: ID!) { privacyRequest(id: $id) { state } }";
        let answer = client.data(query, json!({"id": id})).await;
        (answer["privacyRequest"]["state"] == "COMPLETED").then_some(())
    })
    .await;
    sent(&world, PHONE).await;
}
