//! Keys, entries and aliases of people are missing or damaged in the vault: each is told of as such, breaks nothing else,
//! and keeps no person from being erased.

mod erased;
mod moving;

use serde_json::{Value, json};
use wasend_tests::live_backup::change;
use wasend_tests::{Client, Engine, Start, World, until};

stories!(
    queries_lists_and_subscriptions_tell_each_value_of_its_own,
    an_export_is_complete,
    the_terminal_goes_on_after_a_value_that_it_cannot_read,
);

/// Of these the vault loses the first's key and damages the second's.
const PHONES: [&str; 3] = ["+16505554001", "+16505554002", "+16505554003"];
const WHY: [Option<&str>; 3] = [Some("KEY_MISSING"), Some("KEY_DAMAGED"), None];
const NAMES: [&str; 3] = ["Alba", "Berta", "Clara"];

/// A server that three people were sent a message from.
struct Scene {
    world: World,
    contacts: [String; 3],
    messages: [String; 3],
}

impl Scene {
    async fn set(engine: Engine) -> Self {
        let world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
        let client = world.client();
        let (mut contacts, mut messages) = (Vec::new(), Vec::new());
        for (phone, name) in PHONES.into_iter().zip(NAMES) {
            let attributes = json!([{"name": "city", "value": format!("City of {name}")}]);
            let input = json!({"phone": phone, "name": name, "attributes": attributes});
            let made = client.mutate("createContact", input, "contact { id } errors { code }").await;
            contacts.push(made["contact"]["id"].as_str().expect("an id").to_owned());
            let message = client.send_text(&world.number(), phone, &format!("Hello {name}")).await;
            client.until_status(&message, "READ").await;
            messages.push(message);
        }
        let [contacts, messages] = [contacts, messages].map(|ids| ids.try_into().expect("three"));
        Self { world, contacts, messages }
    }

    /// The same server, after a hand was in the vault's store.
    async fn damaged(engine: Engine) -> Self {
        Self::set(engine).await.damage().await
    }

    async fn damage(mut self) -> Self {
        self.world.stop().await;
        change(&self.world, &format!("DELETE FROM keys WHERE subject_id = '{}'", self.contacts[0])).await;
        let garble = "UPDATE keys SET wrapped = 'AAAA' || substr(wrapped, 5) WHERE subject_id";
        change(&self.world, &format!("{garble} = '{}'", self.contacts[1])).await;
        self.world = self.world.restart().await;
        self
    }

    /// The contact of the well person is as it was.
    async fn is_well(&self) {
        let contact = contact(&self.world.client(), &self.contacts[2]).await;
        assert_eq!((&contact["name"], &contact["unavailable"]), (&json!("Clara"), &Value::Null), "{contact}");
    }
}

const FIELDS: &str = "id phone name attributes { value } optedOut unavailable { why reason subjectId } erased { why }";

async fn contact(client: &Client, id: &str) -> Value {
    let query = format!("query($id: ID) {{ contact(id: $id) {{ {FIELDS} }} }}");
    client.data(&query, json!({"id": id})).await["contact"].take()
}

/// What is told of a contact or message, as it is for each of the three.
fn is_told(told: &Value, n: usize, scene: &Scene) {
    let unavailable = &told["unavailable"];
    assert_eq!(unavailable["why"].as_str(), WHY[n], "{told}");
    if WHY[n].is_some() {
        assert_eq!(unavailable["subjectId"], scene.contacts[n], "{told}");
        assert!(!unavailable["reason"].as_str().expect("a reason").is_empty());
    }
}

async fn queries_lists_and_subscriptions_tell_each_value_of_its_own(engine: Engine) {
    let scene = Scene::damaged(engine).await;
    let client = scene.world.client();
    let contacts = client.data(&format!("{{ contacts {{ edges {{ node {{ {FIELDS} }} }} }} }}"), json!({})).await;
    let edges = contacts["contacts"]["edges"].as_array().expect("a list").clone();
    assert_eq!(edges.len(), 3);
    for (n, id) in scene.contacts.iter().enumerate() {
        let listed = edges.iter().map(|edge| &edge["node"]).find(|node| node["id"] == **id).expect("it is listed");
        assert_eq!(*listed, contact(&client, id).await);
        is_told(listed, n, &scene);
        let (name, phone) = if WHY[n].is_none() { (Some(NAMES[n]), Some(PHONES[n])) } else { (None, None) };
        assert_eq!((listed["name"].as_str(), listed["phone"].as_str()), (name, phone), "{listed}");
        assert_eq!(listed["attributes"].is_null(), WHY[n].is_some(), "{listed}");
        assert_eq!(listed["erased"], Value::Null);
        // The number still leads to the same contact.
        let by_phone = client.data("query($p: String) { contact(phone: $p) { id } }", json!({"p": PHONES[n]})).await;
        assert_eq!(by_phone["contact"]["id"], **id);
    }
    let fields = "id status wamid contact { name } content { text unavailable { why subjectId reason } }";
    let messages = client.data(&format!("{{ messages {{ edges {{ node {{ {fields} }} }} }} }}"), json!({})).await;
    let edges = messages["messages"]["edges"].as_array().expect("a list").clone();
    for (n, id) in scene.messages.iter().enumerate() {
        let listed = edges.iter().map(|edge| &edge["node"]).find(|node| node["id"] == **id).expect("it is listed");
        assert_eq!(listed["status"], "READ");
        is_told(&listed["content"], n, &scene);
        let text = WHY[n].is_none().then(|| format!("Hello {}", NAMES[n]));
        assert_eq!(listed["content"]["text"].as_str(), text.as_deref(), "{listed}");
        assert_eq!(listed["wamid"].is_null(), WHY[n].is_some(), "{listed}");
    }
    let changes = "subscription { messageStatusChanged(after: 0) { status message { id contact { name } content { text unavailable { why } } } } }";
    let mut events = client.subscribe_sse(changes, json!({})).await;
    let mut read = Vec::new();
    while read.len() < 3 {
        let event = events.next().await;
        assert!(event.get("errors").is_none(), "{event}");
        let change = &event["data"]["messageStatusChanged"];
        if change["status"] == "READ" {
            let n = scene.messages.iter().position(|id| change["message"]["id"] == **id).expect("one of the three");
            assert_eq!(change["message"]["content"]["unavailable"]["why"].as_str(), WHY[n], "{change}");
            read.push(n);
        }
    }
}

async fn get(client: &Client, path: &str) -> String {
    let answer = client.http.get(format!("{}{path}", client.url)).bearer_auth(&client.key).send().await;
    let answer = answer.expect("the server answers");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("all of it")
}

async fn an_export_is_complete(engine: Engine) {
    let scene = Scene::damaged(engine).await;
    let client = scene.world.client();
    client.mutate("optOut", json!({"contactId": scene.contacts[0]}), "errors { code }").await;
    // The attributes alone are damaged of one more: the rest of the row is there.
    let made = client.mutate("createContact", json!({"phone": "+16505554004", "name": "Dora"}), "contact { id }").await;
    let dora = made["contact"]["id"].as_str().expect("an id");
    let export = get(&client, "contacts.csv").await;
    let lines: Vec<_> = export.lines().collect();
    assert_eq!(lines[0], "\"phone\",\"bsuid\",\"name\",\"opted_out\",\"city\",\"wasend_unavailable\"");
    assert_eq!(lines.len(), 5, "{export}");
    let [alba, berta, _] = &scene.contacts;
    for line in [
        format!("\"\",\"\",\"\",\"true\",\"\",\"KEY_MISSING {alba}\""),
        format!("\"\",\"\",\"\",\"\",\"\",\"KEY_DAMAGED {berta}\""),
        "\"+16505554004\",\"\",\"Dora\",\"\",\"\",\"\"".to_owned(),
    ] {
        assert!(lines.contains(&line.as_str()), "{line} in {export}");
    }
    // The BSUID is what statuses have told.
    let is_clara = |line: &&&str| {
        line.starts_with("\"+16505554003\",\"US.") && line.ends_with("\",\"Clara\",\"\",\"City of Clara\",\"\"")
    };
    assert_eq!(lines.iter().filter(is_clara).count(), 1, "{export}");
    assert!(!export.contains(dora), "the id is told of a contact that cannot be read alone");
    assert!(get(&client, "groups.csv").await.starts_with("\"id\""));
}

async fn the_terminal_goes_on_after_a_value_that_it_cannot_read(engine: Engine) {
    let scene = Scene::damaged(engine).await;
    let secret = scene.world.data.path().join("key.txt");
    std::fs::write(&secret, &scene.world.client().key).expect("a file is written");
    let told = scene.world.run(&["events", "--open", "--key-file", &secret.display().to_string()]).await;
    let all = scene.world.run(&["events"]).await;
    assert_eq!(told.lines().count(), all.lines().count(), "every event is printed");
    let opened: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let accepted: Vec<_> = opened.iter().filter(|event| event["type"] == "MessageAccepted").collect();
    assert_eq!(accepted.len(), 3, "{told}");
    for (n, event) in accepted.into_iter().enumerate() {
        let content =
            event["payload"].as_object().and_then(|payload| payload.values().next()).expect("fields")["content"]
                .clone();
        is_told(&content, n, &scene);
        assert_eq!(content.to_string().contains("Hello"), WHY[n].is_none(), "{content}");
    }
}

async fn erase(client: &Client, subject: Value) -> Value {
    let input = json!({"subject": subject, "regime": "GDPR", "ground": "OBJECTION", "reason": "a letter"});
    // Asking again is answered with the first request, once the lists show it.
    let id = until("the request is listed", || async {
        let fields = "request { id } errors { code field message }";
        let mut asked = client.mutate("requestErasure", input.clone(), fields).await;
        assert_eq!(asked["errors"], json!([]), "{asked}");
        Some(asked["request"]["id"].take()).filter(|id| !id.is_null())
    })
    .await;
    let query = "query($id: ID!) { privacyRequest(id: $id) { id contactId state suppressed reason keyFingerprints repeatedAt unavailable { why } } }";
    until("the request is completed", || async {
        let request = client.data(query, json!({"id": id})).await["privacyRequest"].take();
        (request["state"] == "COMPLETED").then_some(request)
    })
    .await
}
