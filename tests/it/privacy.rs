//! No plaintext personal data at rest: a byte search of everything that was written.

use aho_corasick::AhoCorasick;
use serde_json::json;
use wasend_tests::bytes::{Needle, found};
use wasend_tests::vault::{forms, keys, opened};
use wasend_tests::{Engine, Start, World, until};

stories!(nothing_personal_lies_anywhere_in_clear);

const CANARIES: [(&str, &str); 15] = [
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
    ("the reason of a request", "reason-canary-e0f2"),
];

async fn nothing_personal_lies_anywhere_in_clear(engine: Engine) {
    let start = Start::default().with("WASEND_LOG", "debug").with("WASEND_VAULT_ROTATE_AFTER", "0s");
    let mut world = start.on(engine).await;
    let client = world.client();
    let wamids = plant(&world).await;
    let mut needles = needles(&wamids);
    let contact = client.data("{ contact(phone: \"+16505559876\") { id } }", json!({})).await;
    let rows = keys(&world, contact["contact"]["id"].as_str().expect("an id")).await;
    let secrets = opened(world.data.path(), &rows).await;
    assert_eq!(secrets.len(), 1, "the person's key, as whoever has the store and the epoch key gets it");
    needles.extend(secrets.iter().flat_map(|key| forms("a key that is not wrapped", key)));
    assert_eq!(found(&world, &needles).await, [""; 0], "before the erasure");
    let wrapped: Vec<Needle> =
        rows.iter().map(|row| ("a wrapped key".to_owned(), row.3.clone().into_bytes())).collect();
    assert!(!found(&world, &wrapped).await.is_empty(), "the search finds what is there");

    let erasure = json!({"subject": {"phone": "+16505559876"}, "regime": "GDPR", "ground": "CHILD", "reason": "reason-canary-e0f2"});
    let asked = client.mutate("requestErasure", erasure, "request { id } errors { code }").await;
    until("its epoch is over", || async {
        let query = "query($id: ID!) { privacyRequest(id: $id) { epochDestroyedAt } }";
        let request = client.data(query, asked["request"].clone()).await;
        request["privacyRequest"]["epochDestroyedAt"].is_string().then_some(())
    })
    .await;
    let metrics = reqwest::get(format!("{}metrics", world.url)).await.expect("metrics").text().await.expect("text");
    world.stop().await;
    assert_eq!(found(&world, &needles).await, [""; 0], "after the erasure");
    let search = AhoCorasick::new(needles.iter().map(|(_, bytes)| bytes)).expect("a search");
    for (place, text) in [("standard output and log", world.output()), ("metrics", metrics)] {
        let found = search.find(&text).map(|found| &needles[found.pattern().as_usize()].0);
        assert_eq!(found, None, "in {place}");
    }
    // Postgres may keep the wrapped form in dead rows and in its log: nothing that is left opens it.
    assert!(opened(world.data.path(), &rows).await.is_empty());
    if engine == Engine::Sqlite {
        assert_eq!(found(&world, &wrapped).await, [""; 0]);
    }
}

/// Each canary, with and without what surrounds it, in both encodings that could be written.
fn needles(wamids: &[String]) -> Vec<Needle> {
    let bare = wamids.iter().map(|wamid| ("a wamid", wamid.trim_start_matches("wamid.")));
    let texts = CANARIES.into_iter().chain(bare);
    let encoded = |(what, text): (&str, &str)| {
        let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [(what.to_owned(), text.as_bytes().to_vec()), (what.to_owned(), utf16)]
    };
    texts.flat_map(encoded).collect()
}

/// Sends, receives and names things through every endpoint; answers with the wamids.
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
    let refused = json!({"subject": {"phone": "+16505559876"}, "regime": "GDPR", "ground": "CHILD", "exception": "UNIDENTIFIED", "reason": "reason-canary-e0f2"});
    client.mutate("refuseErasure", refused, "errors { code }").await;
    wamids
}
