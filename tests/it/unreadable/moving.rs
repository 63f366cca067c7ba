//! What is sent to, written by and imported about people who cannot be read.

use super::*;

stories!(
    a_message_to_one_who_cannot_be_read_fails_and_its_neighbours_are_sent,
    credentials_that_cannot_be_read_stop_their_number_alone,
    an_import_passes_over_those_who_cannot_be_read,
    what_they_write_is_kept_and_the_rest_of_the_webhook_is_taken_in,
);

async fn a_message_to_one_who_cannot_be_read_fails_and_its_neighbours_are_sent(engine: Engine) {
    let mut scene = Scene::set(engine).await;
    let (client, number) = (scene.world.client(), scene.world.number());
    client.mutate("pauseNumber", json!({"id": number}), "errors { code }").await;
    let mut waiting = Vec::new();
    for phone in PHONES {
        waiting.push(client.send_text(&number, phone, "Waiting").await);
    }
    scene = scene.damage().await;
    let client = scene.world.client();
    client.mutate("resumeNumber", json!({"id": number}), "errors { code }").await;
    client.until_status(&waiting[2], "READ").await;
    for message in &waiting[..2] {
        client.until_status(message, "FAILED").await;
        let failed = client.message(message, "attempts error { code class detail }").await;
        assert_eq!(failed, json!({"attempts": 1, "error": {"code": null, "class": "unreadable", "detail": null}}));
    }
    // A batch stands and falls message by message, by id and by number.
    let to = |n: usize| json!({"numberId": number, "contactId": scene.contacts[n], "text": {"body": "By id"}});
    let by_number = json!({"numberId": number, "to": PHONES[1], "text": {"body": "By number"}});
    let messages = json!({"messages": [to(0), to(2), by_number]});
    let sent = client
        .mutate("sendMessages", messages, "results { message { id } errors { code field } } errors { code }")
        .await;
    let errors: Vec<_> = (0..3).map(|n| sent["results"][n]["errors"][0].clone()).collect();
    let refused = |field: &str| json!({"code": "UNREADABLE", "field": field});
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(fields[0].ends_with("contactId") && fields[1].is_empty() && fields[2].ends_with("to"), "{sent}");
    assert_eq!((&errors[0], &errors[2]), (&refused(&fields[0]), &refused(&fields[2])), "{sent}");
    client.until_status(sent["results"][1]["message"]["id"].as_str().expect("accepted"), "READ").await;
}

async fn credentials_that_cannot_be_read_stop_their_number_alone(engine: Engine) {
    let mut world = World::start(engine).await;
    let (other, others_number) = world.another_account().await;
    let account = world.client().data("{ account { id } }", json!({})).await["account"]["id"].take();
    world.stop().await;
    let account = account.as_str().expect("an id");
    change(&world, &format!("DELETE FROM keys WHERE id LIKE 'bucket/{account}/credential/%'")).await;
    world = world.restart().await;
    let client = world.client();
    let other = Client::new(&world.url, &other.key);
    let waiting = client.send_text(&world.number(), PHONES[0], "Waiting").await;
    let sent = other.send_text(&others_number, PHONES[1], "Hello").await;
    other.until_status(&sent, "READ").await;
    let handshake = "webhooks/whatsapp?hub.mode=subscribe&hub.challenge=12345&hub.verify_token=verify-me";
    assert_eq!(get(&client, handshake).await, "12345", "the other account's token");
    assert_eq!(client.message(&waiting, "status attempts").await, json!({"status": "ACCEPTED", "attempts": 0}));

    let given = json!({"id": world.number(), "accessToken": "another", "verifyToken": "another"});
    let refused = client.mutate("updateNumberCredentials", given.clone(), "errors { code }").await;
    assert_eq!(refused["errors"][0]["code"], "UNREADABLE", "what stays cannot be read: {refused}");
    let mut given = given;
    given["appSecret"] = json!("another");
    let done = client.mutate("updateNumberCredentials", given, "errors { code message }").await;
    assert_eq!(done["errors"], json!([]));
    until("the message is tried", || async {
        (client.message(&waiting, "attempts").await["attempts"] != 0).then_some(())
    })
    .await;
}

async fn an_import_passes_over_those_who_cannot_be_read(engine: Engine) {
    let scene = Scene::damaged(engine).await;
    let client = scene.world.client();
    let [alba, berta, clara] = PHONES;
    let content = format!(
        "phone,name,opted_out\n{alba},New A,true\n{berta},New B,\n{berta},New B,\n{clara},New C,\n+16505554009,New D,\n"
    );
    let input = json!({"filename": "people.csv", "content": content});
    let begun = client.mutate("importContacts", input, "import { id } errors { code }").await;
    let id = begun["import"]["id"].as_str().expect("an id").to_owned();
    let query = "query($id: ID!) { import(id: $id) { state counters { total created updated unreadable invalid duplicateInFile } } }";
    let import = until("the import ends", || async {
        let import = client.data(query, json!({"id": id})).await["import"].take();
        (import["state"] == "DONE").then_some(import)
    })
    .await;
    let expected = json!({"total": 5, "created": 1, "updated": 1, "unreadable": 2, "invalid": 0, "duplicateInFile": 1});
    assert_eq!(import["counters"], expected);
    let report = get(&client, &format!("imports/{id}/errors.csv")).await;
    assert_eq!(report.matches("CONTACT_UNREADABLE").count(), 2, "{report}");
    assert!(report.contains("DUPLICATE_IN_FILE"), "{report}");
    assert!(!report.contains("New") && !report.contains("1650"), "nothing of theirs is kept: {report}");
    assert_eq!(contact(&client, &scene.contacts[2]).await["name"], "New C");
    let told = contact(&client, &scene.contacts[0]).await;
    assert_eq!((&told["optedOut"], &told["unavailable"]["why"]), (&json!(true), &json!("KEY_MISSING")), "{told}");
}

async fn what_they_write_is_kept_and_the_rest_of_the_webhook_is_taken_in(engine: Engine) {
    let scene = Scene::damaged(engine).await;
    let (world, client) = (&scene.world, scene.world.client());
    let id = world.phone_number_id().await;
    let texts = ["Hi", "STOP", "Well"];
    let messages: Vec<_> = PHONES
        .iter()
        .zip(texts)
        .enumerate()
        .map(|(n, (phone, text))| {
            let from = phone.trim_start_matches('+');
            json!({"from": from, "id": format!("wamid.in{n}"), "timestamp": "1700000000", "type": "text", "text": {"body": text}})
        })
        .collect();
    let status = |n: usize| json!({"id": format!("wamid.out{n}"), "status": "read", "timestamp": "1700000000", "biz_opaque_callback_data": scene.messages[n]});
    let value = json!({"messaging_product": "whatsapp", "metadata": {"display_phone_number": "1", "phone_number_id": id},
        "messages": messages, "statuses": [status(0), status(2)]});
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
    for _ in 0..2 {
        assert_eq!(world.simulator.raw(&id, &body.to_string()).await["webhook_status"], 200, "{}", world.output());
    }
    let query = "{ messages(filter: {direction: INBOUND}) { edges { node { content { text } contactId } } } }";
    let found = until("the third's message is there", || async {
        let found = client.data(query, json!({})).await["messages"]["edges"].take();
        found[0]["node"].is_object().then_some(found)
    })
    .await;
    assert_eq!(found, json!([{"node": {"content": {"text": "Well"}, "contactId": scene.contacts[2]}}]));
    let kept = world.run(&["events"]).await;
    let kept: Vec<_> = kept.lines().filter(|line| line.contains("unreadable_person")).collect();
    assert_eq!(kept.len(), 2, "each once, however often it comes: {kept:?}");
    // A word about being written to counts all the same.
    until("the second is opted out", || async {
        (contact(&client, &scene.contacts[1]).await["optedOut"] == true).then_some(())
    })
    .await;
    let contacts = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(contacts["contacts"]["totalCount"], 3, "no new contact comes of it");
}
