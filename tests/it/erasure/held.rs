//! A refused request holds the person's data.

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World};

use super::{contact_id, erase, known, request};

stories!(a_refused_request_holds_the_data_until_it_is_lifted, a_refusal_of_what_is_erased_is_refused);

const PHONE: &str = "+16505554322";
const REQUEST: &str = "request { id state exception holds holdLiftedAt } position errors { code field message }";

async fn refuse(client: &Client, exception: &str) -> Value {
    let input = json!({"subject": {"phone": PHONE}, "regime": "GDPR", "ground": "OBJECTION", "exception": exception});
    client.mutate("refuseErasure", input, REQUEST).await
}

async fn holds(client: &Client) -> Value {
    let query = "query($p: String) { contact(phone: $p) { erasureHolds } }";
    client.data(query, json!({"p": PHONE})).await["contact"]["erasureHolds"].take()
}

async fn a_refused_request_holds_the_data_until_it_is_lifted(engine: Engine) {
    let mut world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": PHONE, "name": "Ada"}), "errors { code }").await;
    known(&client, PHONE).await;
    let unidentified = refuse(&client, "UNIDENTIFIED").await;
    assert_eq!((&unidentified["errors"], &unidentified["request"]["holds"]), (&json!([]), &json!(false)));
    assert_eq!(holds(&client).await, json!([]));
    let claims = refuse(&client, "LEGAL_CLAIMS").await;
    let law = refuse(&client, "LEGAL_OBLIGATION").await;
    let ids = [&claims["request"]["id"], &law["request"]["id"]];
    assert_eq!(claims["request"]["holds"], true, "{claims}");
    assert_eq!(holds(&client).await, json!(ids));
    for subject in [json!({"phone": PHONE}), json!({"contactId": contact_id(&client, PHONE).await})] {
        let held = request(&client, subject).await;
        assert_eq!(held["errors"][0]["code"], "ERASURE_HELD", "{held}");
        assert_eq!((&held["request"], &held["position"]), (&Value::Null, &Value::Null));
    }
    let held = json!({"subject": {"phone": PHONE}, "regime": "CCPA", "ground": "CONSUMER_REQUEST"});
    let held = client.mutate("requestErasure", held, "errors { message }").await;
    let message = held["errors"][0]["message"].as_str().expect("a message");
    assert!(ids.iter().any(|id| message.contains(id.as_str().expect("an id"))), "it names the refusal: {message}");
    // The hold is a fact of the log.
    world.kill().await;
    let world = world.restart().await;
    let client = world.client();
    assert_eq!(request(&client, json!({"phone": PHONE})).await["errors"][0]["code"], "ERASURE_HELD");
    let none = client.mutate("liftErasureHold", json!({"id": unidentified["request"]["id"]}), REQUEST).await;
    assert_eq!(none["errors"][0]["code"], "INVALID", "{none}");
    let (other, _) = world.another_account().await;
    for id in [ids[0].clone(), json!("x"), json!(uuid::Uuid::new_v4().to_string())] {
        let strange = other.mutate("liftErasureHold", json!({"id": id}), REQUEST).await;
        assert_eq!(strange["errors"][0]["code"], "NOT_FOUND", "{strange}");
    }
    let mut positions = Vec::new();
    for _ in 0..2 {
        let lifted = client.mutate("liftErasureHold", json!({"id": ids[0]}), REQUEST).await;
        assert_eq!((&lifted["errors"], &lifted["request"]["holds"]), (&json!([]), &json!(false)), "{lifted}");
        assert!(lifted["request"]["holdLiftedAt"].is_string() && lifted["request"]["state"] == "REFUSED");
        positions.push(lifted["position"].clone());
    }
    assert_eq!(positions[0], positions[1], "lifting twice is one fact");
    assert_eq!(holds(&client).await, json!([ids[1]]));
    assert_eq!(request(&client, json!({"phone": PHONE})).await["errors"][0]["code"], "ERASURE_HELD");
    client.mutate("liftErasureHold", json!({"id": ids[1]}), REQUEST).await;
    assert_eq!(holds(&client).await, json!([]));
    assert_eq!(erase(&client, PHONE).await["state"], "COMPLETED");
}

async fn a_refusal_of_what_is_erased_is_refused(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    let contact = known(&client, PHONE).await;
    let erased = erase(&client, PHONE).await;
    let input = json!({"subject": {"contactId": contact}, "regime": "GDPR", "ground": "OBJECTION", "exception": "LEGAL_CLAIMS"});
    let refused = client.mutate("refuseErasure", input, "request { id } errors { code field message }").await;
    assert_eq!((&refused["errors"][0]["code"], &refused["request"]), (&json!("ERASED"), &Value::Null));
    let message = refused["errors"][0]["message"].as_str().expect("a message");
    assert!(message.contains(erased["id"].as_str().expect("an id")), "{message}");
}
