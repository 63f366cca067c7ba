//! A person is erased.

mod held;
mod memory;
mod survived;

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, Start, World, until};

stories!(
    a_person_is_erased,
    what_waits_is_cancelled_and_what_is_under_way_is_waited_for,
    late_webhooks_are_counted_and_not_kept,
    the_same_number_is_somebody_new,
    an_opt_out_outlives_the_person,
    keywords_opt_out_and_in,
    requests_are_checked,
    whoever_names_the_person_and_by_whichever_law_the_steps_are_the_same,
    no_door_tells_of_the_person_any_more,
    a_request_about_an_unknown_person_is_answered,
);

const PHONE: &str = "+16505554321";
const FIELDS: &str = "request { id state dueAt contactId } position errors { code field }";

async fn request(client: &Client, subject: Value) -> Value {
    let input =
        json!({"subject": subject, "regime": "GDPR", "ground": "WITHDRAWN_CONSENT", "reason": "reason-canary-5d1f"});
    client.mutate("requestErasure", input, FIELDS).await
}

async fn until_completed(client: &Client, id: &Value) -> Value {
    let query = "query($id: ID!) { privacyRequest(id: $id) { id state reason erased { why } keyFingerprints suppressed endedAt } }";
    until("the request is completed", || async {
        let request = client.data(query, json!({"id": id})).await["privacyRequest"].take();
        (request["state"] == "COMPLETED").then_some(request)
    })
    .await
}

pub async fn erase(client: &Client, phone: &str) -> Value {
    let asked = request(client, json!({"phone": phone})).await;
    assert_eq!(asked["errors"], json!([]), "{asked}");
    until_completed(client, &asked["request"]["id"]).await
}

async fn contact_id(client: &Client, phone: &str) -> Value {
    client.data("query($p: String) { contact(phone: $p) { id } }", json!({"p": phone})).await["contact"]["id"].take()
}

/// The contact's id, once the read models know it.
pub async fn known(client: &Client, phone: &str) -> Value {
    until("the contact is known", || async { Some(contact_id(client, phone).await).filter(|id| !id.is_null()) }).await
}

async fn phone_number_id(world: &World) -> String {
    let query = "query($id: ID!) { number(id: $id) { phoneNumberId } }";
    let number = world.client().data(query, json!({"id": world.number()})).await;
    number["number"]["phoneNumberId"].as_str().expect("digits").to_owned()
}

async fn metric(world: &World, line: &str) -> f64 {
    let text = reqwest::get(format!("{}metrics", world.url)).await.expect("metrics").text().await.expect("text");
    text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
}

async fn a_person_is_erased(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let contact = json!({"phone": PHONE, "name": "Persephone-Canary", "attributes": [{"name": "note", "value": "attribute-canary-0b1e"}]});
    client.mutate("createContact", contact, "errors { code }").await;
    let message = client.send_text(&world.number(), PHONE, "body-canary-7f3a").await;
    client.until_status(&message, "READ").await;
    let usage = "{ usage(period: {from: \"2026-01-01\", to: \"2026-12-31\"}) { messages delivered } }";
    let before = client.ask(usage, json!({})).await;
    let id = known(&client, PHONE).await;
    let asked = request(&client, json!({"phone": PHONE})).await;
    assert_eq!(asked["request"]["contactId"], id);
    let (again, by_id) = (request(&client, json!({"contactId": id})).await, asked["request"]["id"].clone());
    assert_eq!(again["request"]["id"], by_id, "the same request");
    let done = until_completed(&client, &by_id).await;
    let why = format!("erasure request {}", by_id.as_str().expect("an id"));
    assert_eq!((&done["reason"], &done["erased"]["why"]), (&json!(null), &json!(why)));
    assert_eq!(done["keyFingerprints"].as_array().expect("a list").len(), 1);
    let twice = request(&client, json!({"contactId": id})).await;
    assert_eq!((&twice["request"]["id"], &twice["request"]["state"]), (&by_id, &json!("COMPLETED")));

    let query = "query($id: ID) { contact(id: $id) { phone name attributes { name } erased { since why } } }";
    let contact = client.data(query, json!({"id": id})).await["contact"].take();
    assert_eq!([&contact["phone"], &contact["name"], &contact["attributes"]], [&json!(null); 3]);
    assert_eq!(contact["erased"]["why"], json!(why));
    let seen = client.message(&message, "status content { text erased { why } } wamid").await;
    assert_eq!((&seen["status"], &seen["content"]["text"]), (&json!("READ"), &json!(null)), "{seen}");
    assert_eq!((&seen["wamid"], &seen["content"]["erased"]["why"]), (&json!(null), &json!(why)));
    assert_eq!(contact_id(&client, PHONE).await, json!(null), "the number leads nowhere");
    assert_eq!(client.ask(usage, json!({})).await["data"], before["data"], "the usage stays");
    let trail = client
        .data(
            "{ auditTrail(filter: {aggregateType: \"privacy_request\"}) { edges { node { eventType } } } }",
            json!({}),
        )
        .await;
    let kinds: Vec<_> = trail["auditTrail"]["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|e| e["node"]["eventType"].clone())
        .collect();
    let steps = ["ErasureReceived", "ErasureExecuting", "ErasureFenced", "ErasureKeysDestroyed", "ErasureCompleted"];
    assert_eq!(json!(kinds), json!(steps));
    let key = world.data.path().join("key.txt");
    std::fs::write(&key, &client.key).expect("a file is written");
    let told = world.run(&["events", "--open", "--key-file", &key.to_string_lossy()]).await;
    std::fs::remove_file(&key).expect("it was written");
    for canary in ["reason-canary", "body-canary", "attribute-canary", "Persephone", "6505554321"] {
        assert!(!told.contains(canary) && !world.output().contains(canary), "{canary}");
    }
    assert!(told.contains(&why));
}

async fn what_waits_is_cancelled_and_what_is_under_way_is_waited_for(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    world.simulator.script(PHONE, json!([{"type": "delay", "ms": 1500}, {"type": "skip_all"}]), Some(1)).await;
    let under_way = client.send_text(&world.number(), PHONE, "Slow").await;
    client.until_status(&under_way, "ATTEMPTED").await;
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let waiting = client.send_text(&world.number(), PHONE, "Waits").await;
    let id = known(&client, PHONE).await;
    let asked = request(&client, json!({"phone": PHONE})).await;
    let refused = client.send(json!({"numberId": world.number(), "contactId": id, "text": {"body": "No"}})).await;
    assert_eq!(refused["errors"][0]["code"], "ERASED", "{refused}");
    until_completed(&client, &asked["request"]["id"]).await;
    let waiting = client.message(&waiting, "status").await;
    assert_eq!(waiting["status"], "CANCELLED");
    let under_way = client.message(&under_way, "status").await["status"].take();
    assert!(under_way != "ATTEMPTED" && under_way != "ACCEPTED", "{under_way}");
    client.mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    assert_eq!(world.simulator.messages().await["accepted"], 1);
}

async fn late_webhooks_are_counted_and_not_kept(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let message = client.send_text(&world.number(), PHONE, "Hello").await;
    client.until_status(&message, "READ").await;
    let wamid = client.message(&message, "wamid").await["wamid"].take();
    erase(&client, PHONE).await;
    let id = phone_number_id(&world).await;
    let before = world.run(&["events"]).await.lines().count();
    for callback in [json!(message), json!(null)] {
        let status = json!({"id": wamid, "status": "delivered", "timestamp": "1700000000", "recipient_id": "16505554321", "biz_opaque_callback_data": callback});
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
            "messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": id}, "statuses": [status]}}]}]});
        assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200);
    }
    assert_eq!(world.run(&["events"]).await.lines().count(), before, "nothing is kept");
    assert!(metric(&world, "wasend_webhook_updates_total{kind=\"erased\"}").await >= 2.0);
}

async fn the_same_number_is_somebody_new(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.send_text(&world.number(), PHONE, "Hello").await;
    let old = known(&client, PHONE).await;
    erase(&client, PHONE).await;
    let id = phone_number_id(&world).await;
    let posted =
        world.simulator.inbound(json!({"phone_number_id": id, "from": "16505554321", "text": "Hi again"})).await;
    assert_eq!(posted["webhook_status"], 200);
    let new = known(&client, PHONE).await;
    assert_ne!(new, old);
    let query = "query($id: ID!) { messages(filter: {contactId: $id}) { totalCount } }";
    assert_eq!(client.data(query, json!({"id": new})).await["messages"]["totalCount"], 1, "without a past");
    let message = client.send_text(&world.number(), PHONE, "Welcome").await;
    client.until_status(&message, "READ").await;
    // From a file as well.
    erase(&client, PHONE).await;
    let file = format!("phone,name\n{PHONE},Ada\n");
    client.mutate("importContacts", json!({"filename": "x.csv", "content": file}), "errors { code }").await;
    let newest = known(&client, PHONE).await;
    assert!(newest != new && newest != old);
    assert_eq!(client.data(query, json!({"id": newest})).await["messages"]["totalCount"], 0);
}

async fn an_opt_out_outlives_the_person(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    client.mutate("optOut", json!({"phone": PHONE}), "errors { code }").await;
    assert_eq!(erase(&client, PHONE).await["suppressed"], true);
    let send = json!({"numberId": world.number(), "to": PHONE, "text": {"body": "Offer"}});
    assert_eq!(client.send(send.clone()).await["errors"][0]["code"], "OPTED_OUT");
    assert_eq!(contact_id(&client, PHONE).await, json!(null), "a refusal makes nobody known");
    let made = client
        .mutate("createContact", json!({"phone": PHONE}), "contact { optedOut optedOutVia } errors { code }")
        .await;
    assert_eq!(made["contact"], json!({"optedOut": true, "optedOutVia": "SUPPRESSION"}));
    assert_eq!(client.send(send).await["errors"][0]["code"], "OPTED_OUT");
    client.mutate("optIn", json!({"phone": PHONE}), "errors { code }").await;
    let message = client.send_text(&world.number(), PHONE, "Welcome back").await;
    client.until_status(&message, "READ").await;
}

async fn keywords_opt_out_and_in(engine: Engine) {
    let world = Start::default().with("WASEND_CONTACTS_STOP_WORDS", "STOP,Aufhören").on(engine).await;
    let (client, id) = (world.client(), phone_number_id(&world).await);
    let words = [("stop it", false), (" aufHÖREN ", true), ("start", false), ("Stop", true)];
    for (n, (said, opted_out)) in (1_700_000_000..).zip(words) {
        let message = json!({"phone_number_id": id, "from": "16505554321", "text": said, "timestamp": n});
        world.simulator.inbound(message).await;
        let query = "query($p: String) { contact(phone: $p) { optedOut optedOutVia } }";
        until(said, || async {
            let contact = client.data(query, json!({"p": PHONE})).await["contact"].take();
            (contact["optedOut"] == opted_out && (!opted_out || contact["optedOutVia"] == "KEYWORD")).then_some(())
        })
        .await;
    }
    let refused = client.send(json!({"numberId": world.number(), "to": PHONE, "text": {"body": "Offer"}})).await;
    assert_eq!(refused["errors"][0]["code"], "OPTED_OUT");
}

async fn requests_are_checked(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    let (id, other) = (known(&client, PHONE).await, uuid::Uuid::new_v4().to_string());
    for (subject, ground, code, field) in [
        (json!({}), "OBJECTION", "REQUIRED", "subject"),
        (json!({"phone": PHONE, "contactId": id}), "OBJECTION", "INVALID", "subject"),
        (json!({"phone": "12"}), "OBJECTION", "INVALID_PHONE", "subject.phone"),
        (json!({"contactId": other}), "OBJECTION", "NOT_FOUND", "subject.contactId"),
        (json!({"contactId": "x"}), "OBJECTION", "NOT_FOUND", "subject.contactId"),
        (json!({"phone": PHONE}), "CONSUMER_REQUEST", "INVALID", "ground"),
    ] {
        let input = json!({"subject": subject, "regime": "GDPR", "ground": ground});
        let answer = client.mutate("requestErasure", input, FIELDS).await;
        assert_eq!(answer["errors"][0], json!({"code": code, "field": field}), "{answer}");
    }
    let refuse = json!({"subject": {"phone": PHONE}, "regime": "CCPA", "ground": "CONSUMER_REQUEST", "exception": "LEGAL_CLAIMS"});
    let refused = client.mutate("refuseErasure", refuse, "request { state exception } errors { code }").await;
    assert_eq!(refused["request"], json!({"state": "REFUSED", "exception": "LEGAL_CLAIMS"}));
    assert_eq!(contact_id(&client, PHONE).await, id, "nothing else changed");
    let (stranger, _) = world.another_account().await;
    assert_eq!(request(&stranger, json!({"contactId": id})).await["errors"][0]["code"], "NOT_FOUND");
    let key = client.mutate("issueApiKey", json!({"scopes": ["READ", "SEND"]}), "secret errors { code }").await;
    let reader = Client::new(&world.url, key["secret"].as_str().expect("a secret"));
    let ask = "mutation { requestErasure(input: {subject: {phone: \"+16505554321\"}, regime: GDPR, ground: CHILD}) { position } }";
    until("the key is known", || async { (reader.error_code(ask, json!({})).await == "FORBIDDEN").then_some(()) })
        .await;
}

async fn whoever_names_the_person_and_by_whichever_law_the_steps_are_the_same(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let mut steps = Vec::new();
    for (n, (named, regime, ground)) in [
        ("phone", "GDPR", "OBJECTION"),
        ("bsuid", "GDPR", "UNLAWFUL"),
        ("contactId", "GDPR", "CHILD"),
        ("phone", "CCPA", "CONSUMER_REQUEST"),
        ("bsuid", "CCPA", "CONSUMER_REQUEST"),
        ("contactId", "CCPA", "CONSUMER_REQUEST"),
    ]
    .into_iter()
    .enumerate()
    {
        let (phone, bsuid) = (format!("+1650555100{n}"), format!("US.100{n}"));
        let input = json!({"phone": phone, "bsuid": bsuid, "name": "Ada"});
        let made = client.mutate("createContact", input, "contact { id } errors { code }").await;
        let id = made["contact"]["id"].clone();
        let subject = match named {
            "phone" => json!({"phone": phone}),
            "bsuid" => json!({"bsuid": bsuid}),
            _ => json!({"contactId": id}),
        };
        let before = client.data("{ position }", json!({})).await["position"].as_u64().expect("a position");
        let input = json!({"subject": subject, "regime": regime, "ground": ground});
        let asked = client.mutate("requestErasure", input, FIELDS).await;
        assert_eq!((&asked["errors"], &asked["request"]["contactId"]), (&json!([]), &id), "{asked}");
        until_completed(&client, &asked["request"]["id"]).await;
        let events = world.run(&["events", "--from", &(before + 1).to_string()]).await;
        let types = events.lines().filter_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            Some(event["type"].as_str()?.to_owned())
        });
        let is_step = |name: &String| name.starts_with("Erasure") || name == "ContactErased";
        steps.push(types.filter(is_step).collect::<Vec<_>>());
        let other = match named {
            "phone" => json!({"bsuid": bsuid}),
            _ => json!({"phone": phone}),
        };
        let query = "query($f: ContactFilter) { contacts(filter: $f) { totalCount } }";
        let found = client.data(query, json!({"f": other})).await;
        assert_eq!(found["contacts"]["totalCount"], 0, "nothing leads to them");
    }
    let all = [
        "ContactErased",
        "ErasureCompleted",
        "ErasureExecuting",
        "ErasureFenced",
        "ErasureKeysDestroyed",
        "ErasureReceived",
    ];
    for mut steps in steps {
        steps.sort_unstable();
        assert_eq!(steps, all);
    }
}

async fn no_door_tells_of_the_person_any_more(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let group = client.mutate("createGroup", json!({"name": "Friends"}), "group { id }").await["group"]["id"].take();
    let file = format!("phone,name,note\n{PHONE},Persephone,canary-1\n+16505551001,Bob,\n");
    let input = json!({"filename": "x.csv", "content": file, "groupId": group});
    client.mutate("importContacts", input, "errors { code }").await;
    let id = known(&client, PHONE).await;
    let message = client.send_text(&world.number(), PHONE, "canary-2").await;
    client.until_status(&message, "READ").await;
    let number = phone_number_id(&world).await;
    world.simulator.inbound(json!({"phone_number_id": number, "from": &PHONE[1..], "text": "canary-3"})).await;
    let group = group.as_str().expect("an id").to_owned();
    let exports = ["contacts.csv".to_owned(), format!("contacts.csv?groupId={group}")];
    let told = async || {
        let mut told = String::new();
        for path in &exports {
            let answer = client.http.get(format!("{}{path}", client.url)).bearer_auth(&client.key).send().await;
            told += &answer.expect("an answer").text().await.expect("text");
        }
        let query = "query($id: ID) { contact(id: $id) { phone bsuid name attributes { value } } \
            messages(filter: {contactId: $id}) { nodes { content { text } wamid } } }";
        told += &client.data(query, json!({"id": id})).await.to_string();
        let mut socket = client.connect_ws().await;
        let watch = "subscription($to: ID) { messageStatusChanged(filter: {contactId: $to}, after: \"0\") \
            { message { contact { phone name } content { text } } } }";
        socket.subscribe("1", watch, json!({"to": id})).await;
        told += &socket.next().await.to_string();
        told
    };
    let canaries = ["canary-1", "canary-2", "canary-3", "Persephone", &PHONE[1..]];
    until("everything is told", || async {
        let told = told().await;
        canaries.iter().all(|canary| told.contains(canary)).then_some(())
    })
    .await;
    erase(&client, PHONE).await;
    let told = told().await;
    assert!(canaries.iter().all(|canary| !told.contains(canary)), "{told}");
    assert!(told.contains("+16505551001"), "the others are still there");
}

async fn a_request_about_an_unknown_person_is_answered(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let asked = request(&client, json!({"phone": PHONE})).await;
    assert_eq!(asked["errors"], json!([]), "{asked}");
    let query = "query($id: ID!) { privacyRequest(id: $id) { state heldNothing endedAt keyFingerprints suppressed } }";
    let shown = until("the request is shown", || async {
        let shown = client.data(query, json!({"id": asked["request"]["id"]})).await["privacyRequest"].take();
        (shown["state"] == "COMPLETED").then_some(shown)
    })
    .await;
    assert_eq!((&shown["heldNothing"], &shown["keyFingerprints"]), (&json!(true), &json!([])), "{shown}");
    assert!(shown["endedAt"].is_string(), "{shown}");
    // What was written before the request makes no one known; what is written later does.
    let id = phone_number_id(&world).await;
    let now = wasend_domain::Clock::now(&wasend::bootstrap::SystemClock).micros() / 1_000_000;
    for (n, at) in [(0, now - 600), (1, now + 1)] {
        let message = json!({"from": PHONE[1..], "id": format!("wamid.{n}"), "timestamp": at.to_string(),
            "type": "text", "text": {"body": "hi"}});
        let value = json!({"messaging_product": "whatsapp", "messages": [message],
            "metadata": {"display_phone_number": "1", "phone_number_id": id}});
        let body = json!({"object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
        assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200);
        match n {
            0 => assert_eq!(contact_id(&client, PHONE).await, json!(null)),
            _ => drop(known(&client, PHONE).await),
        }
    }
    // By an id of no contact there is no person to answer.
    let unknown = wasend_domain::SubjectId::random().to_string();
    assert_eq!(request(&client, json!({"contactId": unknown})).await["errors"][0]["code"], "NOT_FOUND");
}
