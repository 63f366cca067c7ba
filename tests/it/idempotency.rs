//! Idempotency keys of messages to people who are erased: neither the log nor the answers tell content or recipient.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hkdf::HkdfExtract;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wasend_domain::content::OutboundContent;
use wasend_tests::bytes::{Needle, found};
use wasend_tests::vault::{KeyRow, keys, opened};
use wasend_tests::{Client, Engine, Start, World, until};

use crate::damage::change;
use crate::erasure::known;

stories!(
    a_used_key_tells_nothing_of_a_person_who_is_erased,
    a_fingerprint_of_an_earlier_version_compares_until_the_person_is_erased,
    the_hash_of_a_file_dies_with_the_file,
);

const PHONE: &str = "+16505554321";
const BODY: &str = "Your appointment is on Monday";
const KEY: &str = "appointment-17";

/// The request with other parts.
fn with(input: &Value, changes: Value) -> Value {
    let mut input = input.clone();
    let Value::Object(changes) = changes else { panic!("an object is needed") };
    for (name, value) in changes {
        input[name] = value;
    }
    input
}

/// The only error of a send: its code and field.
fn refusal(answer: &Value) -> (String, String) {
    let errors = answer["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), &answer["message"]), (1, &json!(null)), "{answer}");
    let text = |name: &str| errors[0][name].as_str().expect("a text").to_owned();
    (text("code"), text("field"))
}

fn of_key(code: &str) -> (String, String) {
    (code.to_owned(), "idempotencyKey".to_owned())
}

/// Erases the person, and waits until the epoch is over too.
async fn erase(client: &Client, phone: &str) {
    let input = json!({"subject": {"phone": phone}, "regime": "GDPR", "ground": "OBJECTION"});
    let asked = client.mutate("requestErasure", input, "request { id } errors { code }").await;
    until("its epoch is over", || async {
        let query = "query($id: ID!) { privacyRequest(id: $id) { state epochDestroyedAt } }";
        let request = client.data(query, asked["request"].clone()).await["privacyRequest"].take();
        (request["state"] == "COMPLETED" && request["epochDestroyedAt"].is_string()).then_some(())
    })
    .await;
}

/// What the fingerprint of a message is made of.
fn content(number: &str, phone: &str, body: &str) -> String {
    json!([number, phone, OutboundContent::text(body, false).expect("a text")]).to_string()
}

/// A keyed hash as the vault makes it.
fn hash(key: &[u8], domain: &str, value: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(b"wasend/index/v1");
    mac.update(&(domain.len() as u64).to_be_bytes());
    mac.update(domain.as_bytes());
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The key under which a subject's fingerprints are made, of the account's key and the subject's.
fn fingerprint_key(roots: [&[u8; 32]; 2], account: Uuid, subject: Uuid) -> [u8; 32] {
    let mut extract = HkdfExtract::<Sha256>::new(None);
    for root in roots {
        extract.input_ikm(root);
    }
    let mut key = [0; 32];
    let info: [&[u8]; 3] = [b"wasend/fingerprint/v1", account.as_bytes(), subject.as_bytes()];
    extract.finalize().1.expand_multi_info(&info, &mut key).expect("a key");
    key
}

/// Every hash of the values that can be made with the keys which a thief of the vault and its key files opens: under
/// each key itself, and under what is derived of each two for any subject.
async fn guesses(world: &World, values: &[String]) -> Vec<Needle> {
    let rows = keys(world, "").await;
    let account = rows.iter().find_map(|row| row.0.strip_prefix("account/")).expect("the account's key");
    let account = account.parse().expect("an id");
    let subject = |row: &KeyRow| row.0.strip_prefix("subject/")?.split('/').nth(1)?.parse().ok();
    let subjects: BTreeSet<Uuid> = rows.iter().filter_map(subject).collect();
    assert!(!subjects.is_empty());
    let opened = opened(world.data.path(), &rows).await;
    assert!(opened.len() > 3, "the living keys open");
    let mut hashes = Vec::new();
    for value in values {
        for key in &opened {
            hashes.extend(["fingerprint", "command", "import"].map(|domain| hash(key, domain, value)));
            let pairs = opened.iter().flat_map(|other| subjects.iter().map(move |subject| (other, subject)));
            let derived = pairs.map(|(other, subject)| fingerprint_key([key, other], account, *subject));
            hashes.extend(derived.map(|key| hash(&key, "fingerprint", value)));
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into_iter().map(|hash| (hash.clone(), hash.into_bytes())).collect()
}

async fn position(client: &Client) -> Value {
    client.data("{ position }", json!({})).await["position"].take()
}

async fn a_used_key_tells_nothing_of_a_person_who_is_erased(engine: Engine) {
    let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "0s").on(engine).await;
    let (client, number) = (world.client(), world.number());
    let input = json!({"numberId": number, "to": PHONE, "text": {"body": BODY}, "idempotencyKey": KEY});
    let first = client.send(input.clone()).await;
    assert_eq!((&first["errors"], &first["repeated"]), (&json!([]), &json!(false)), "{first}");
    let again = client.send(with(&input, json!({"to": "+1 (650) 555-4321"}))).await;
    assert_eq!((&again["message"]["id"], &again["repeated"]), (&first["message"]["id"], &json!(true)));
    // Whether the recipient is known or not.
    let neighbours = client.send_text(&number, "+16505551111", "Hello").await;
    let wrong = [
        json!({"text": {"body": "Your appointment is on Tuesday"}}),
        json!({"to": "+16505551111"}),
        json!({"to": "+16505552222"}),
    ];
    for changes in &wrong {
        let refused = client.send(with(&input, changes.clone())).await;
        assert_eq!(refusal(&refused), of_key("IDEMPOTENCY_KEY_REUSED"));
    }
    client.until_status(&neighbours, "READ").await;
    client.until_status(first["message"]["id"].as_str().expect("an id"), "READ").await;
    let contact = known(&client, PHONE).await.as_str().expect("an id").to_owned();
    let values = [content(&number, PHONE, BODY)];
    let needles = guesses(&world, &values).await;
    assert!(!found(&world, &needles).await.is_empty(), "while the person lives the search finds the fingerprint");

    erase(&client, PHONE).await;
    let people = keys(&world, "subject/").await.len();
    let before = position(&client).await;
    for changes in [json!({}), json!({"contactId": contact, "to": null})].iter().chain(&wrong) {
        let refused = client.send(with(&input, changes.clone())).await;
        assert_eq!(refusal(&refused), of_key("ERASED"), "{changes}");
    }
    assert_eq!(position(&client).await, before, "nothing is recorded");
    assert_eq!(keys(&world, "subject/").await.len(), people, "and nobody is made known again");
    let many = [with(&input, json!({"text": {"body": "No"}})), input.clone()];
    let answers = client.mutate("sendMessages", json!({"messages": many}), "results { errors { code } }").await;
    for result in answers["results"].as_array().expect("results") {
        assert_eq!(result["errors"][0]["code"], "ERASED");
    }
    // Who comes with the number now is another person, and the key is still the first one's.
    let changes = json!({"idempotencyKey": "appointment-18", "text": {"body": "Welcome"}});
    let new = client.send(with(&input, changes)).await;
    assert_eq!((&new["errors"], &new["repeated"]), (&json!([]), &json!(false)), "{new}");
    for changes in [json!({})].iter().chain(&wrong) {
        assert_eq!(refusal(&client.send(with(&input, changes.clone())).await), of_key("ERASED"), "{changes}");
    }
    client.until_status(new["message"]["id"].as_str().expect("an id"), "READ").await;
    world.stop().await;
    let needles = guesses(&world, &values).await;
    assert_eq!(found(&world, &needles).await, [""; 0], "no key that is left makes the fingerprint again");
}

async fn a_fingerprint_of_an_earlier_version_compares_until_the_person_is_erased(engine: Engine) {
    let mut world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "0s").on(engine).await;
    let number = world.number();
    let input = json!({"numberId": number, "to": PHONE, "text": {"body": BODY}, "idempotencyKey": KEY});
    let first = world.client().send(input.clone()).await;
    world.client().until_status(first["message"]["id"].as_str().expect("an id"), "READ").await;
    world.stop().await;
    // As versions before this one recorded it: under the account's key, 64 digits.
    let index = opened(world.data.path(), &keys(&world, "index/").await).await;
    let [index] = index.as_slice() else { panic!("one account") };
    let old = hash(index, "fingerprint", &content(&number, PHONE, BODY));
    let update = if engine == Engine::Postgres {
        format!("UPDATE events SET metadata = regexp_replace(metadata::text, 's1:[0-9a-f]{{64}}', '{old}')::json")
    } else {
        format!(
            "UPDATE events SET checksum = NULL, \
                metadata = substr(metadata, 1, instr(metadata, 's1:') - 1) || '{old}' || \
                           substr(metadata, instr(metadata, 's1:') + 67) \
              WHERE instr(metadata, 's1:') > 0"
        )
    };
    change(&world, &update).await;
    let world = world.restart().await;
    let client = world.client();
    assert!(!found(&world, &[("the old form".to_owned(), old.into_bytes())]).await.is_empty());
    let again = client.send(input.clone()).await;
    assert_eq!((&again["message"]["id"], &again["repeated"]), (&first["message"]["id"], &json!(true)), "{again}");
    let wrong = with(&input, json!({"text": {"body": "No"}}));
    assert_eq!(refusal(&client.send(wrong.clone()).await), of_key("IDEMPOTENCY_KEY_REUSED"));
    erase(&client, PHONE).await;
    for input in [input, wrong] {
        assert_eq!(refusal(&client.send(input).await), of_key("ERASED"));
    }
}

async fn the_hash_of_a_file_dies_with_the_file(engine: Engine) {
    let world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "0s").on(engine).await;
    let client = world.client();
    let file = format!("phone,name\n{PHONE},Persephone\n");
    let input = json!({"filename": "one.csv", "content": file});
    let begun = client.mutate("importContacts", input, "import { id }").await;
    until("the import ends", || async {
        let import = client.data("query($id: ID!) { import(id: $id) { endedAt } }", begun["import"].clone()).await;
        import["import"]["endedAt"].is_string().then_some(())
    })
    .await;
    known(&client, PHONE).await;
    erase(&client, PHONE).await;
    let digest = [BASE64_STANDARD.encode(Sha256::digest(file.as_bytes()))];
    until("no key that is left makes the hash of the file again", || async {
        let needles = guesses(&world, &digest).await;
        found(&world, &needles).await.is_empty().then_some(())
    })
    .await;
}
