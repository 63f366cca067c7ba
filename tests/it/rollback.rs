//! The vault's store is put back to an earlier copy: what was erased since stays erased.

use std::time::Duration;

use serde_json::{Value, json};
use wasend_tests::live_backup::{LiveBackup, change};
use wasend_tests::vault::{keys, opened};
use wasend_tests::{Client, Engine, Start, World, until};

use crate::import::import;

stories!(
    a_vault_rolled_back_under_a_running_server_gives_nothing_away,
    a_counter_that_imports_raised_hides_no_erased_person,
    two_imports_between_a_rollback_and_the_restart_hide_no_erased_person,
    asking_again_for_an_erased_person_destroys_a_key_that_is_back,
);

stories_of_nodes!(every_node_notices_a_vault_that_was_rolled_back);

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

async fn contact_id(client: &Client, phone: &str) -> String {
    let contact = client.data("query($p: String) { contact(phone: $p) { id } }", json!({"p": phone})).await;
    contact["contact"]["id"].as_str().expect("an id").to_owned()
}

async fn erase(client: &Client, subject: Value) -> Value {
    let input = json!({"subject": subject, "regime": "GDPR", "ground": "OBJECTION"});
    client.mutate("requestErasure", input, "request { id } errors { code }").await["request"]["id"].take()
}

async fn until_request(client: &Client, id: &Value, what: &str, wanted: impl Fn(&Value) -> bool) {
    until(what, || async {
        let query = "query($id: ID!) { privacyRequest(id: $id) { state repeatedAt } }";
        let answer = client.ask(query, json!({"id": id})).await;
        wanted(&answer["data"]["privacyRequest"]).then_some(())
    })
    .await;
}

async fn erased(client: &Client, phone: &str) -> Value {
    let id = erase(client, json!({"phone": phone})).await;
    until_request(client, &id, "it is completed", |request| request["state"] == "COMPLETED").await;
    id
}

/// Everything that the API says about a message and its recipient.
async fn all_about(client: &Client, message: &str) -> Value {
    let fields = "wamid content { text raw } contact { id phone name }";
    client.ask(&format!("query($id: ID!) {{ message(id: $id) {{ {fields} }} }}"), json!({"id": message})).await
}

fn gives_away(answer: &Value) -> bool {
    let text = answer.to_string();
    text.contains("Hello") || text.contains(PHONE.trim_start_matches('+')) || text.contains("wamid.")
}

async fn readiness(world: &World) -> Value {
    let answer = wasend_tests::client::http().get(format!("{}readyz", world.url)).send().await.expect("it answers");
    answer.json().await.expect("JSON")
}

async fn until_open(world: &World, message: &str) {
    until("the vault opens again", || async {
        let answer = all_about(&world.client(), message).await;
        (answer["data"]["message"]["content"]["text"] == "Hello").then_some(())
    })
    .await;
    assert_eq!(readiness(world).await["checks"]["vault"], true);
}

async fn a_vault_rolled_back_under_a_running_server_gives_nothing_away(engine: Engine) {
    let mut world = world(engine).await;
    let (gone, kept) = (sent(&world, PHONE).await, sent(&world, NEIGHBOUR).await);
    let client = world.client();
    let subject = contact_id(&client, PHONE).await;
    assert!(gives_away(&all_about(&client, &gone).await), "before the erasure it can be read");
    // The store's anchor in the log passes what statuses taught of the recipients: an identity that a known contact got after
    // the copy was made holds sending.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let backup = LiveBackup::of(&world).await;
    let request = erased(&client, PHONE).await;

    backup.restore(&world).await;
    for _ in 0..40 {
        let answer = all_about(&client, &gone).await;
        assert!(!gives_away(&answer), "{answer}");
    }
    until_request(&client, &request, "it is repeated", |request| request["repeatedAt"].is_string()).await;
    until_open(&world, &kept).await;
    assert!(!gives_away(&all_about(&client, &gone).await));
    let rows = keys(&world, &subject).await;
    assert!(opened(world.data.path(), &rows).await.is_empty(), "the keys are destroyed again");
    assert!(world.output().contains("the vault is suspended"), "{}", world.output());
    sent(&world, "+16505552222").await;

    // The terminal opens and wraps nothing of a store that was put back.
    world.kill().await;
    backup.restore(&world).await;
    let secret = world.data.path().join("key.txt");
    std::fs::write(&secret, &client.key).expect("a file is written");
    let secret = secret.display().to_string();
    for command in [&["vault", "rotate"][..], &["events", "--open", "--key-file", &secret]] {
        let (ok, printed, complaint) = world.try_run(command).await;
        assert!(!ok && complaint.contains("earlier copy"), "{complaint}");
        assert!(!printed.contains("Hello"));
    }
    world = world.restart().await;
    until_open(&world, &kept).await;
    assert!(!gives_away(&all_about(&world.client(), &gone).await));
    world.run(&["vault", "rotate"]).await;
    assert!(!gives_away(&all_about(&world.client(), &gone).await));
}

async fn a_counter_that_imports_raised_hides_no_erased_person(engine: Engine) {
    let mut world = world(engine).await;
    let gone = sent(&world, PHONE).await;
    let client = world.client();
    let backup = LiveBackup::of(&world).await;
    let request = erased(&client, PHONE).await;
    world.kill().await;
    backup.restore(&world).await;
    // As the keys of two imports do, which are destroyed when they end.
    change(&world, "UPDATE destructions SET number = number + 7").await;
    let secret = world.data.path().join("key.txt");
    std::fs::write(&secret, &client.key).expect("a file is written");
    let (ok, ..) = world.try_run(&["events", "--open", "--key-file", &secret.to_string_lossy()]).await;
    assert!(!ok, "nothing is opened before the server has erased again");
    world = world.restart().await;
    let client = world.client();
    assert!(!gives_away(&all_about(&client, &gone).await));
    until_request(&client, &request, "it is repeated", |request| request["repeatedAt"].is_string()).await;
    let told = world.run(&["events", "--open", "--key-file", &secret.to_string_lossy()]).await;
    assert!(told.contains("ErasureRepeated") && !told.contains("Hello"), "{told}");
}

async fn two_imports_between_a_rollback_and_the_restart_hide_no_erased_person(engine: Engine) {
    let mut world = world(engine).await;
    let (gone, kept) = (sent(&world, PHONE).await, sent(&world, NEIGHBOUR).await);
    let client = world.client();
    let subject = contact_id(&client, PHONE).await;
    let backup = LiveBackup::of(&world).await;
    let request = erased(&client, PHONE).await;
    backup.restore(&world).await;
    until_open(&world, &kept).await;
    for number in 1..=2 {
        let content = format!("phone,name\n+1650555700{number},Neighbour\n");
        assert_eq!(import(&client, json!({"content": content})).await["created"], 1);
    }
    world.kill().await;
    world = world.restart().await;
    let client = world.client();
    assert!(!gives_away(&all_about(&client, &gone).await));
    assert!(opened(world.data.path(), &keys(&world, &subject).await).await.is_empty(), "the keys are destroyed");
    assert_eq!(erase(&client, json!({"contactId": subject})).await, request);
    assert!(!gives_away(&all_about(&client, &gone).await));
}

async fn asking_again_for_an_erased_person_destroys_a_key_that_is_back(engine: Engine) {
    let world = world(engine).await;
    let gone = sent(&world, PHONE).await;
    let client = world.client();
    let subject = contact_id(&client, PHONE).await;
    let before = keys(&world, &subject).await;
    let request = erased(&client, PHONE).await;
    for (id, _, _, wrapped) in &before {
        change(&world, &format!("UPDATE keys SET wrapped = '{wrapped}' WHERE id = '{id}'")).await;
        change(&world, &format!("DELETE FROM destroyed_keys WHERE id = '{id}'")).await;
    }
    assert!(!opened(world.data.path(), &keys(&world, &subject).await).await.is_empty(), "the keys are back");
    assert_eq!(erase(&client, json!({"contactId": subject})).await, request);
    until_request(&client, &request, "it is repeated", |request| request["repeatedAt"].is_string()).await;
    assert!(opened(world.data.path(), &keys(&world, &subject).await).await.is_empty());
    assert!(!gives_away(&all_about(&client, &gone).await));
}

async fn every_node_notices_a_vault_that_was_rolled_back(engine: Engine) {
    let one = world(engine).await;
    let other = one.another_node(one.data.path()).await;
    let (gone, kept) = (sent(&one, PHONE).await, sent(&one, NEIGHBOUR).await);
    let backup = LiveBackup::of(&one).await;
    let request = erased(&one.client(), PHONE).await;
    backup.restore(&one).await;
    for _ in 0..20 {
        for node in [&one, &other] {
            let answer = all_about(&node.client(), &gone).await;
            assert!(!gives_away(&answer), "{answer}");
        }
    }
    for node in [&one, &other] {
        until_open(node, &kept).await;
        assert!(!gives_away(&all_about(&node.client(), &gone).await));
    }
    until_request(&one.client(), &request, "it is repeated", |request| request["repeatedAt"].is_string()).await;
}
