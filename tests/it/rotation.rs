//! Epochs of the vault's keys end, and with them what old copies of the vault could tell.

use serde_json::{Value, json};
use wasend_tests::vault::{Backup, epoch_key, keys, opened};
use wasend_tests::{Client, Engine, Start, World, until};

stories!(
    an_erasure_ends_its_epoch,
    the_terminal_ends_an_epoch_beside_a_running_server,
    a_kill_while_an_epoch_ends_is_survived,
    a_restored_vault_is_erased_again,
    an_old_copy_of_the_vault_is_refused_once_its_epoch_is_over,
);

stories_of_nodes!(a_node_without_the_new_key_is_named_and_waited_for);

const PHONE: &str = "+16505554321";
const NEIGHBOUR: &str = "+16505551111";
const FIELDS: &str = "id state keysDestroyedAt epoch epochDestroyedAt repeatedAt";

async fn ask(client: &Client, phone: &str) -> Value {
    let input = json!({"subject": {"phone": phone}, "regime": "GDPR", "ground": "OBJECTION"});
    client.mutate("requestErasure", input, "request { id } errors { code }").await["request"]["id"].take()
}

/// The request, once it looks as wanted.
async fn until_request(client: &Client, id: &Value, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let query = format!("query($id: ID!) {{ privacyRequest(id: $id) {{ {FIELDS} }} }}");
    until(what, || async {
        let request = client.data(&query, json!({"id": id})).await["privacyRequest"].take();
        wanted(&request).then_some(request)
    })
    .await
}

async fn completed(client: &Client, id: &Value) -> Value {
    until_request(client, id, "it is completed", |request| request["state"] == "COMPLETED").await
}

async fn epoch_over(client: &Client, id: &Value) -> Value {
    until_request(client, id, "its epoch is over", |request| request["epochDestroyedAt"].is_string()).await
}

async fn text(client: &Client, message: &str) -> Value {
    client.message(message, "content { text }").await["content"]["text"].take()
}

/// A message to a person, sent.
async fn sent(world: &World, phone: &str) -> String {
    let message = world.client().send_text(&world.number(), phone, "Hello").await;
    world.client().until_status(&message, "READ").await;
    message
}

async fn contact_id(client: &Client, phone: &str) -> String {
    let contact = client.data("query($p: String) { contact(phone: $p) { id } }", json!({"p": phone})).await;
    contact["contact"]["id"].as_str().expect("an id").to_owned()
}

async fn an_erasure_ends_its_epoch(engine: Engine) {
    let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "0s").on(engine).await;
    let client = world.client();
    let (gone, kept) = (sent(&world, PHONE).await, sent(&world, NEIGHBOUR).await);
    let id = ask(&client, PHONE).await;
    let done = epoch_over(&client, &id).await;
    assert_eq!((&done["state"], &done["epoch"], &done["repeatedAt"]), (&json!("COMPLETED"), &json!(1), &json!(null)));
    assert!(!epoch_key(&world, 1).exists() && epoch_key(&world, 2).exists());
    world.stop().await;
    let world = world.restart().await;
    let client = world.client();
    assert_eq!((text(&client, &gone).await, text(&client, &kept).await), (json!(null), json!("Hello")));
    sent(&world, "+16505552222").await;
    // The next one ends the next.
    let id = ask(&client, NEIGHBOUR).await;
    assert_eq!(epoch_over(&client, &id).await["epoch"], 2);
    assert_eq!(text(&client, &kept).await, json!(null));
    let report = world.run(&["projections", "rebuild", "privacy"]).await;
    assert!(report.contains(" 0 different, 0 missing, 0 added"), "{report}");
}

async fn the_terminal_ends_an_epoch_beside_a_running_server(engine: Engine) {
    let world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
    let client = world.client();
    let kept = sent(&world, NEIGHBOUR).await;
    sent(&world, PHONE).await;
    let id = ask(&client, PHONE).await;
    assert_eq!(completed(&client, &id).await["epochDestroyedAt"], json!(null));
    let status = world.run(&["vault", "status"]).await;
    assert!(status.contains("current") && status.contains("waits for the end of the current epoch"), "{status}");
    let sending = async {
        for n in 0..20 {
            client.send_text(&world.number(), &format!("+165055530{n:02}"), "Hello").await;
        }
    };
    let (told, ()) = futures::join!(world.run(&["vault", "rotate"]), sending);
    assert!(told.contains("The key of epoch 1 is destroyed"), "{told}");
    assert_eq!(epoch_over(&client, &id).await["epoch"], 1);
    assert_eq!(text(&client, &kept).await, "Hello");
    let status = world.run(&["vault", "status"]).await;
    assert!(status.contains("destroyed") && !status.contains("waits"), "{status}");
    world.run(&["vault", "rotate"]).await;
    let late = sent(&world, "+16505553333").await;
    assert_eq!((text(&client, &kept).await, text(&client, &late).await), (json!("Hello"), json!("Hello")));
}

async fn a_kill_while_an_epoch_ends_is_survived(engine: Engine) {
    let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "0s").on(engine).await;
    let kept = sent(&world, NEIGHBOUR).await;
    for round in 0..4_u64 {
        let (client, phone) = (world.client(), format!("+1650555700{round}"));
        sent(&world, &phone).await;
        let id = ask(&client, &phone).await;
        completed(&client, &id).await;
        tokio::time::sleep(std::time::Duration::from_millis(round * 150)).await;
        world.kill().await;
        world = world.restart().await;
        let client = world.client();
        epoch_over(&client, &id).await;
        assert_eq!(text(&client, &kept).await, "Hello");
    }
    let files = std::fs::read_dir(world.data.path()).expect("a directory").flatten();
    let keys: Vec<_> =
        files.map(|file| file.file_name()).filter(|name| name.to_string_lossy().contains("epoch")).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
}

async fn a_restored_vault_is_erased_again(engine: Engine) {
    let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
    let (gone, kept) = (sent(&world, PHONE).await, sent(&world, NEIGHBOUR).await);
    let subject = contact_id(&world.client(), PHONE).await;
    world.client().mutate("optOut", json!({"phone": PHONE}), "errors { code }").await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    world = world.restart().await;
    let client = world.client();
    let id = ask(&client, PHONE).await;
    completed(&client, &id).await;
    let secret = world.data.path().join("key.txt");
    std::fs::write(&secret, &client.key).expect("a file is written");
    world.stop().await;

    backup.restore(&world).await;
    let rows = keys(&world, &subject).await;
    assert!(!opened(world.data.path(), &rows).await.is_empty(), "the keys are back, and can be opened");
    let (ok, _, complaint) = world.try_run(&["events", "--open", "--key-file", &secret.to_string_lossy()]).await;
    assert!(!ok && complaint.contains("earlier copy"), "{complaint}");
    world = world.restart().await;
    let client = world.client();
    assert_eq!((text(&client, &gone).await, text(&client, &kept).await), (json!(null), json!("Hello")));
    let request = until_request(&client, &id, "it is told", |request| request["repeatedAt"].is_string()).await;
    assert_eq!((&request["state"], &request["epochDestroyedAt"]), (&json!("COMPLETED"), &json!(null)));
    let rows = keys(&world, &subject).await;
    assert!(opened(world.data.path(), &rows).await.is_empty());
    let warnings = |world: &World| world.output().matches("earlier copy than the log").count();
    let warned = warnings(&world);
    assert!(warned > 0, "{}", world.output());
    let send = json!({"numberId": world.number(), "to": PHONE, "text": {"body": "Offer"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "OPTED_OUT", "and the opt-out is kept");
    world.run(&["vault", "rotate"]).await;
    epoch_over(&client, &id).await;

    // Once is enough.
    world.stop().await;
    world = world.restart().await;
    assert_eq!(warnings(&world), warned);
    let told = world.run(&["events", "--open", "--key-file", &secret.to_string_lossy()]).await;
    assert_eq!(told.matches("\"ErasureRepeated\"").count(), 1);
}

async fn an_old_copy_of_the_vault_is_refused_once_its_epoch_is_over(engine: Engine) {
    let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
    sent(&world, PHONE).await;
    let subject = contact_id(&world.client(), PHONE).await;
    world.stop().await;
    let backup = Backup::of(&world).await;
    world = world.restart().await;
    let id = ask(&world.client(), PHONE).await;
    completed(&world.client(), &id).await;
    world.run(&["vault", "rotate"]).await;
    world.stop().await;
    backup.restore(&world).await;
    let complaint = world.refusal().await;
    assert!(complaint.contains("needs the key of epoch 1, and the one at hand is of epoch 2"), "{complaint}");
    let rows = keys(&world, &subject).await;
    assert!(!rows.is_empty() && opened(world.data.path(), &rows).await.is_empty());
}

async fn a_node_without_the_new_key_is_named_and_waited_for(engine: Engine) {
    let world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
    let message = sent(&world, NEIGHBOUR).await;
    let theirs = tempfile::tempdir().expect("a directory is made");
    let file = |epoch| theirs.path().join(format!("epoch-{epoch}.key"));
    std::fs::copy(epoch_key(&world, 1), file(1)).expect("a copy");
    let other = world.another_node(theirs.path()).await;
    let (ok, _, complaint) = world.try_run(&["vault", "rotate", "--wait", "3"]).await;
    let directory = theirs.path().display().to_string();
    assert!(!ok && complaint.contains(&directory) && complaint.contains("epoch-2.key"), "{complaint}");
    for client in [world.client(), other.client()] {
        assert_eq!(text(&client, &message).await, "Hello");
    }
    std::fs::copy(epoch_key(&world, 2), file(2)).expect("a copy");
    // The servers go on by themselves.
    until("the last key is gone everywhere", || async {
        (!file(1).exists() && !epoch_key(&world, 1).exists()).then_some(())
    })
    .await;
    for client in [world.client(), other.client()] {
        assert_eq!(text(&client, &message).await, "Hello");
    }
    let late = sent(&world, "+16505553333").await;
    until("both read what is new", || async { (text(&other.client(), &late).await == "Hello").then_some(()) }).await;
}
