//! People who cannot be read can be erased.

use wasend_tests::live_backup::LiveBackup;

use super::*;

stories!(
    people_who_cannot_be_read_are_erased_by_id_and_by_number,
    people_whom_a_restored_vault_does_not_know_are_erased,
    a_damaged_alias_keeps_no_one_from_being_erased,
);

async fn is_erased(scene: &Scene, n: usize, request: &Value) {
    let client = scene.world.client();
    let why = json!(format!("erasure request {}", request["id"].as_str().expect("an id")));
    let contact = contact(&client, &scene.contacts[n]).await;
    assert_eq!((&contact["erased"]["why"], &contact["unavailable"]), (&why, &Value::Null), "{contact}");
    let message = client.message(&scene.messages[n], "content { text erased { why } unavailable { why } } wamid").await;
    assert_eq!(message["content"], json!({"text": null, "erased": {"why": why}, "unavailable": null}));
    assert_eq!(message["wamid"], Value::Null);
}

async fn people_who_cannot_be_read_are_erased_by_id_and_by_number(engine: Engine) {
    let mut scene = Scene::set(engine).await;
    let backup = LiveBackup::of(&scene.world).await;
    scene = scene.damage().await;
    let client = scene.world.client();
    client.mutate("optOut", json!({"phone": PHONES[1]}), "errors { code }").await;
    let refused =
        client.mutate("updateContact", json!({"id": scene.contacts[1], "name": "B"}), "errors { code field }").await;
    assert_eq!(refused["errors"], json!([{"code": "UNREADABLE", "field": "id"}]));

    let one = erase(&client, json!({"contactId": scene.contacts[0]})).await;
    let two = erase(&client, json!({"phone": PHONES[1]})).await;
    assert_eq!((&one["contactId"], &two["contactId"]), (&json!(scene.contacts[0]), &json!(scene.contacts[1])));
    assert_eq!((&one["keyFingerprints"], &one["reason"]), (&json!([]), &Value::Null), "there was no key");
    assert_eq!(two["keyFingerprints"].as_array().expect("a list").len(), 1);
    for (n, request) in [&one, &two].into_iter().enumerate() {
        is_erased(&scene, n, request).await;
    }
    scene.is_well().await;
    // The number that the request named keeps its opt-out.
    let late = json!({"numberId": scene.world.number(), "to": PHONES[1], "text": {"body": "x"}});
    assert_eq!(client.send(late).await["errors"][0]["code"], "OPTED_OUT");
    let events = scene.world.run(&["events"]).await;
    let fences: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|event| event["type"] == "ErasureFenced")
        .map(|mut event| event["payload"]["Fenced"].take())
        .collect();
    assert_eq!(fences.len(), 2, "{events}");
    for (fence, why) in fences.iter().zip(["KEY_MISSING", "KEY_DAMAGED"]) {
        assert_eq!(fence["unreadable"], why, "{fence}");
        assert_eq!(fence["keys"][0]["fingerprint"] == "", why == "KEY_MISSING", "{fence}");
    }

    // A copy of the vault in which their keys are well brings neither back.
    scene.world.kill().await;
    backup.restore(&scene.world).await;
    scene.world = scene.world.restart().await;
    for (n, request) in [&one, &two].into_iter().enumerate() {
        is_erased(&scene, n, request).await;
    }
    scene.is_well().await;
}

async fn people_whom_a_restored_vault_does_not_know_are_erased(engine: Engine) {
    let world = Start::default().with("WASEND_VAULT_ROTATE_AFTER", "off").on(engine).await;
    let client = world.client();
    let kept = client.send_text(&world.number(), PHONES[2], "Hello Clara").await;
    client.until_status(&kept, "READ").await;
    let backup = LiveBackup::of(&world).await;
    let lost = client.send_text(&world.number(), PHONES[0], "Hello Alba").await;
    client.until_status(&lost, "READ").await;
    let id = client.message(&lost, "contactId").await["contactId"].take();
    let mut world = world;
    world.kill().await;
    backup.restore(&world).await;
    world = world.restart().await;
    let client = world.client();
    let told = contact(&client, id.as_str().expect("an id")).await;
    assert_eq!((&told["unavailable"]["why"], &told["unavailable"]["subjectId"]), (&json!("KEY_MISSING"), &id));
    assert_eq!(get(&client, "contacts.csv").await.lines().count(), 3);
    let request = erase(&client, json!({"contactId": id})).await;
    let told = contact(&client, id.as_str().expect("an id")).await;
    assert_eq!((&told["unavailable"], &told["erased"].is_object()), (&Value::Null, &true), "{told} {request}");
    let message = client.message(&kept, "content { text }").await;
    assert_eq!(message["content"]["text"], "Hello Clara");
}

async fn a_damaged_alias_keeps_no_one_from_being_erased(engine: Engine) {
    let mut scene = Scene::set(engine).await;
    scene.world.stop().await;
    let [alba, berta, clara] = scene.contacts.clone();
    for id in [alba, clara] {
        change(&scene.world, &format!("UPDATE aliases SET subject_id = 'x' || subject_id WHERE subject_id = '{id}'"))
            .await;
    }
    change(&scene.world, &format!("DELETE FROM aliases WHERE subject_id = '{berta}'")).await;
    scene.world = scene.world.restart().await;
    let client = scene.world.client();
    for n in [0, 1] {
        let request = erase(&client, json!({"phone": PHONES[n]})).await;
        assert_eq!(request["contactId"], scene.contacts[n]);
        is_erased(&scene, n, &request).await;
        let query = "query($p: String) { contacts(filter: {phone: $p}) { totalCount } }";
        let found = client.data(query, json!({"p": PHONES[n]})).await;
        assert_eq!(found["contacts"]["totalCount"], 0, "no contact bears it any more");
    }
    // A message to the number of the third goes to the contact that there is.
    let sent = client.send_text(&scene.world.number(), PHONES[2], "Again").await;
    client.until_status(&sent, "READ").await;
    assert_eq!(client.message(&sent, "contactId").await["contactId"], scene.contacts[2]);
    scene.is_well().await;
}
