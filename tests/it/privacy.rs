//! No plaintext personal data at rest: a byte search of everything that was written.

use std::path::Path;

use aho_corasick::AhoCorasick;
use serde_json::json;
use wasend_tests::{Engine, Start, World, until};

stories!(nothing_personal_lies_anywhere_in_clear);

const CANARIES: [(&str, &str); 14] = [
    ("the number", "16505559876"),
    ("the number without its country", "6505559876"),
    ("the number as people write it", "650-555-9876"),
    ("the number with spaces", "650 555 9876"),
    ("the number of who wrote in", "4915199988877"),
    ("a name", "Persephone-Canary"),
    ("a body", "body-canary-7f3a"),
    ("an inbound body", "inbound-canary-91c2"),
    ("a template variable", "variable-canary-44d0"),
    ("an attribute", "attribute-canary-0b1e"),
    ("a label", "label-canary-5a5a"),
    ("a cell of an import", "import-canary-c0de"),
    ("a cell of a row that was refused", "refused-canary-77aa"),
    ("the name of a file", "filename-canary-31d9"),
];

async fn nothing_personal_lies_anywhere_in_clear(engine: Engine) {
    let mut world = Start::default().with("WASEND_LOG", "debug").on(engine).await;
    let wamids = plant(&world).await;
    let metrics = reqwest::get(format!("{}metrics", world.url)).await.expect("metrics").text().await.expect("text");
    world.stop().await;

    let mut places = vec![
        ("standard output and log".to_owned(), world.output().into_bytes()),
        ("metrics".to_owned(), metrics.into_bytes()),
    ];
    collect(world.data.path(), &mut places);
    if engine == Engine::Postgres {
        checkpoint(world.database.as_deref().expect("a database")).await;
        collect(Path::new(&postgres_data()), &mut places);
    }
    assert!(places.len() > 4, "there is something to search");
    let needles = needles(&wamids);
    let search = AhoCorasick::new(needles.iter().map(|(_, bytes)| bytes)).expect("a search");
    for (place, bytes) in &places {
        if let Some(found) = search.find(bytes) {
            panic!("{} lies in {place}", needles[found.pattern().as_usize()].0);
        }
    }
}

/// Each canary, with and without what surrounds it, in both encodings that could be written.
fn needles(wamids: &[String]) -> Vec<(&str, Vec<u8>)> {
    let bare = wamids.iter().map(|wamid| ("a wamid", wamid.trim_start_matches("wamid.")));
    let texts = CANARIES.into_iter().chain(bare);
    let encoded = |(what, text): (&'static str, &str)| {
        let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [(what, text.as_bytes().to_vec()), (what, utf16)]
    };
    texts.flat_map(encoded).collect()
}

/// Sends, receives and names things through every door; answers with the wamids.
async fn plant(world: &World) -> Vec<String> {
    let client = world.client();
    let contact = json!({"phone": "+1 650-555-9876", "name": "Persephone-Canary", "attributes": [{"name": "note", "value": "attribute-canary-0b1e"}]});
    client.mutate("createContact", contact, "errors { code }").await;
    client.mutate("createGroup", json!({"name": "label-canary-5a5a"}), "errors { code }").await;
    client.mutate("issueApiKey", json!({"scopes": ["READ"], "label": "label-canary-5a5a"}), "errors { code }").await;
    for content in [
        "phone,name,x\n+16505559876,import-canary-c0de,import-canary-c0de\nnone,refused-canary-77aa,",
        "x\nimport-canary-c0de",
    ] {
        let input = json!({"filename": "filename-canary-31d9.csv", "content": content});
        let begun = client.mutate("importContacts", input, "import { id }").await;
        until("the import ends", || async {
            let import = client.data("query($id: ID!) { import(id: $id) { endedAt } }", begun["import"].clone()).await;
            import["import"]["endedAt"].is_string().then_some(())
        })
        .await;
    }
    let one = client.send_text(&world.number(), "+1 650 555 9876", "body-canary-7f3a").await;
    let template = json!({"name": "order_update", "language": "en_US", "parameters": [{"text": "variable-canary-44d0"}, {"text": "2"}]});
    let two = client.send(json!({"numberId": world.number(), "to": "+16505559876", "template": template, "idempotencyKey": "to-16505559876"})).await;
    let two = two["message"]["id"].as_str().expect("an id").to_owned();
    client.until_status(&one, "READ").await;
    client.until_status(&two, "READ").await;
    world.simulator.script("+16505559876", json!([{"type": "failed", "code": 131_026}]), None).await;
    let three = client.send_text(&world.number(), "+16505559876", "body-canary-7f3a").await;
    client.until_status(&three, "FAILED").await;
    // Refused and malformed input leaves traces as little as what is accepted.
    client.send(json!({"numberId": world.number(), "to": "650 555 9876", "text": {"body": "body-canary-7f3a"}})).await;
    client.ask("query { contact(phone: \"+16505559876\") { nonsense } }", json!({})).await;
    client.ask("mutation { sendMessage(input: {to: \"+16505559876\"}) { position } }", json!({})).await;
    let id = client.data("{ numbers(first: 1) { edges { node { phoneNumberId } } } }", json!({})).await;
    let id = id["numbers"]["edges"][0]["node"]["phoneNumberId"].as_str().expect("digits").to_owned();
    let inbound = json!({"phone_number_id": id, "from": "4915199988877", "name": "Persephone-Canary", "text": "inbound-canary-91c2"});
    let inbound = world.simulator.inbound(inbound).await;
    world.simulator.raw(&id, &json!({"odd": "inbound-canary-91c2", "of": "4915199988877"}).to_string()).await;
    world.simulator.raw(&id, "{\"inbound-canary-91c2\": 4915199988877,").await;
    let messages = world.simulator.messages().await;
    let wamids = messages["messages"].as_array().expect("messages").iter().map(|message| &message["wamid"]);
    let wamids: Vec<_> =
        wamids.chain([&inbound["wamid"]]).map(|wamid| wamid.as_str().expect("a wamid").to_owned()).collect();
    assert!(wamids.len() >= 4);
    let erasure = json!({"subject": {"phone": "+16505559876"}, "regime": "GDPR", "ground": "CHILD", "reason": "body-canary-7f3a"});
    client.mutate("requestErasure", erasure, "errors { code }").await;
    wamids
}

fn collect(directory: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, places);
        } else if let Ok(bytes) = std::fs::read(&path) {
            places.push((path.display().to_string(), bytes));
        }
    }
}

/// Brings what Postgres holds in memory to its files.
async fn checkpoint(url: &str) {
    use sqlx::{Connection, Executor};
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the database answers");
    connection.execute("CHECKPOINT").await.expect("a checkpoint");
}

#[expect(clippy::disallowed_methods, reason = "scripts/test says so where Postgres keeps its files")]
fn postgres_data() -> String {
    std::env::var("WASEND_TEST_POSTGRES_DATA").expect("run the tests with scripts/test")
}
