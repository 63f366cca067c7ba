//! After an erasure nothing of the person lies on the server's heap.

use serde_json::json;
use wasend_tests::bytes::Needle;
use wasend_tests::vault::{keys, opened};
use wasend_tests::{Client, Engine, Start, World, memory, until};
use wasend_whatsapp::signature::sign;

use super::{contact_id, erase, known};

stories!(nothing_of_the_person_stays_in_memory);

const PHONE: &str = "+16505558765";
const BSUID: &str = "US.98765432109876543210";
const APP_SECRET: &str = "app-secret-of-a-test";
const CANARIES: [(&str, &str); 9] = [
    ("the number", "16505558765"),
    ("the BSUID", BSUID),
    ("the name", "Melpomene-Canary"),
    ("an attribute", "attribute-canary-9d2e"),
    ("a body", "body-canary-1c7b"),
    ("a template variable", "variable-canary-e4a0"),
    ("an inbound body", "inbound-canary-58f3"),
    ("a cell of an import", "import-canary-2b6d"),
    ("the reason of the request", "reason-canary-5d1f"),
];

async fn nothing_of_the_person_stays_in_memory(engine: Engine) {
    // The simulator keeps what it was sent, as Meta does: it belongs to another server.
    let meta = World::start(Engine::Sqlite).await;
    let start = Start::default().with("WASEND_META_BASE_URL", meta.simulator.url()).with("WASEND_HEADER_TIMEOUT", "2s");
    let world = start.on(engine).await;
    let client = world.client();
    let texts = CANARIES.iter().map(|(what, text)| ((*what).to_owned(), text.as_bytes().to_vec()));
    let mut needles: Vec<Needle> = texts.collect();
    plant(&meta, &world).await;
    let id = contact_id(&client, PHONE).await;
    let rows = keys(&world, id.as_str().expect("an id")).await;
    let secrets = opened(world.data.path(), &rows).await;
    assert_eq!(secrets.len(), 1, "the person's key");
    needles.extend(secrets.iter().map(|key| ("the person's key".to_owned(), key.to_vec())));
    // The server knows its directory all the time.
    let known = ("the directory".to_owned(), world.data.path().display().to_string().into_bytes());
    let Some(before) = memory::found(world.id(), &[known]) else {
        eprintln!("skipped: the memory of the server cannot be read here");
        return;
    };
    assert!(!before.is_empty(), "the search finds what is there");
    erase(&client, PHONE).await;
    // What a client's connection has read ends with the connection, which is idle for two seconds here.
    let mut last = Vec::new();
    for _ in 0..20 {
        last = memory::found(world.id(), &needles).expect("it could be read before");
        if last.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    panic!("a minute after the erasure there is still {last:?}");
}

/// The person goes through every endpoint.
async fn plant(meta: &World, world: &World) {
    let client = world.client();
    let digits = "106540352242999";
    let input = json!({"phoneNumberId": digits, "wabaId": "102290129340999", "displayPhoneNumber": "+1 555 078 3881",
        "accessToken": "token-of-a-test", "appSecret": APP_SECRET, "verifyToken": "verify-me"});
    meta.client().mutate("connectNumber", input.clone(), "errors { code }").await;
    let number = client.mutate("connectNumber", input, "number { id }").await["number"]["id"].take();
    let contact = json!({"phone": PHONE, "bsuid": BSUID, "name": "Melpomene-Canary",
        "attributes": [{"name": "note", "value": "attribute-canary-9d2e"}]});
    client.mutate("createContact", contact, "errors { code }").await;
    known(&client, PHONE).await;
    let file = json!({"filename": "people.csv", "content": format!("phone,note\n{PHONE},import-canary-2b6d\n")});
    let begun = client.mutate("importContacts", file, "import { id }").await["import"]["id"].take();
    until("the import ends", || async {
        let import = client.data("query($id: ID!) { import(id: $id) { endedAt } }", json!({"id": begun})).await;
        import["import"]["endedAt"].is_string().then_some(())
    })
    .await;
    let template = json!({"name": "order_update", "language": "en_US", "parameters": [{"text": "variable-canary-e4a0"}, {"text": "2"}]});
    let text = client.send(json!({"numberId": number, "to": PHONE, "text": {"body": "body-canary-1c7b"}})).await;
    client.send(json!({"numberId": number, "to": PHONE, "template": template})).await;
    client.until_status(text["message"]["id"].as_str().expect("an id"), "SUBMITTED").await;
    inbound(&client, digits).await;
    let query =
        "{ contacts { nodes { phone name attributes { value } } } messages { nodes { content { text raw } wamid } } }";
    until("all are there", || async {
        let all = client.data(query, json!({})).await.to_string();
        all.contains("inbound-canary-58f3").then_some(())
    })
    .await;
    let export = client.http.get(format!("{}contacts.csv", client.url)).bearer_auth(&client.key).send().await;
    assert!(export.expect("an answer").text().await.expect("text").contains("import-canary-2b6d"));
}

async fn inbound(client: &Client, digits: &str) {
    let from = PHONE.trim_start_matches('+');
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340999", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": digits},
        "contacts": [{"profile": {"name": "Melpomene-Canary"}, "wa_id": from}],
        "messages": [{"from": from, "id": "wamid.memory", "timestamp": "1700000000", "type": "text", "text": {"body": "inbound-canary-58f3"}}]}}]}]}).to_string();
    let request = client.http.post(format!("{}webhooks/whatsapp", client.url));
    let request = request.header("x-hub-signature-256", sign(APP_SECRET, body.as_bytes()));
    let answer = request.header("content-type", "application/json").body(body).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
}
