//! Words on consent count by the moment at which they were said, in whatever order and however often they arrive.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock as _;
use wasend_tests::{Client, Engine, World, until};

use crate::erasure::{erase, known};

stories!(
    words_in_any_order_and_repetition_end_in_the_same_consent,
    a_replayed_opt_in_does_not_undo_a_suppression,
    an_opt_out_of_a_person_who_is_not_known_is_kept,
    a_moment_in_the_future_counts_from_its_receipt,
);

const PHONE: &str = "+16505554321";

/// How a word arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Door {
    Keyword,
    Preference,
    /// Error 131050 of a message; an opt-out whatever the word says.
    Status,
}

#[derive(Debug, Clone)]
struct Word {
    opted_out: bool,
    door: Door,
    at: i64,
}

fn now() -> i64 {
    SystemClock.now().micros() / 1_000_000
}

/// A webhook about one number, as Meta would sign it again and again.
fn webhook(phone_number_id: &str, field: &str, list: &str, item: &Value) -> String {
    let mut value = json!({"messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "1", "phone_number_id": phone_number_id}});
    value[list] = json!([item]);
    let changes = json!([{"field": field, "value": value}]);
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).to_string()
}

fn body(id: &str, phone: &str, word: &Word, wamid: &str) -> String {
    let digits = &phone[1..];
    match word.door {
        Door::Keyword => {
            let text = if word.opted_out { "STOP" } else { "START" };
            let message = json!({"from": digits, "id": wamid, "timestamp": word.at.to_string(), "type": "text", "text": {"body": text}});
            webhook(id, "messages", "messages", &message)
        }
        Door::Preference => {
            let value = if word.opted_out { "stop" } else { "resume" };
            let preference = json!({"wa_id": digits, "detail": "User requested", "category": "marketing_messages",
                "value": value, "timestamp": word.at});
            webhook(id, "user_preferences", "user_preferences", &preference)
        }
        Door::Status => {
            let status = json!({"id": wamid, "status": "failed", "timestamp": word.at.to_string(), "recipient_id": digits,
                "errors": [{"code": 131_050, "title": "User has stopped marketing messages"}]});
            webhook(id, "messages", "statuses", &status)
        }
    }
}

async fn post(world: &World, id: &str, body: &str) {
    assert_eq!(world.simulator.raw(id, body).await["webhook_status"], 200, "{body}");
}

async fn say(world: &World, id: &str, opted_out: bool, door: Door, at: i64) {
    let wamid = format!("wamid.{}", uuid::Uuid::new_v4());
    post(world, id, &body(id, PHONE, &Word { opted_out, door, at }, &wamid)).await;
}

/// What an acceptance says, which looks at the log and the vault themselves.
async fn is_opted_out(world: &World, phone: &str) -> bool {
    let send = json!({"numberId": world.number(), "to": phone, "text": {"body": "Offer"}});
    let answer = world.client().send(send).await;
    let code = answer["errors"][0]["code"].as_str();
    assert!(matches!(code, None | Some("OPTED_OUT")), "{answer}");
    code.is_some()
}

async fn contact(client: &Client, phone: &str) -> Value {
    let query = "query($p: String) { contact(phone: $p) { optedOut optedOutVia } }";
    client.data(query, json!({"p": phone})).await["contact"].take()
}

fn words() -> impl Strategy<Value = (Vec<Word>, Option<bool>, Vec<usize>)> {
    let door = prop::sample::select(vec![Door::Keyword, Door::Preference, Door::Status]);
    let word = (any::<bool>(), door, 0..5_i64).prop_map(|(opted_out, door, at)| Word {
        opted_out: opted_out || door == Door::Status,
        door,
        at,
    });
    (prop::collection::vec(word, 2..6), prop::option::weighted(0.3, any::<bool>())).prop_flat_map(|(words, api)| {
        let all: Vec<_> = (0..=words.len()).collect();
        let again = prop::collection::vec(0..words.len(), 0..6);
        let arrivals = again.prop_map(move |again| [all.clone(), again].concat()).prop_shuffle();
        (Just(words), Just(api), arrivals)
    })
}

async fn words_in_any_order_and_repetition_end_in_the_same_consent(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), world.phone_number_id().await);
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let mut runner = TestRunner::deterministic();
    for case in 0..25 {
        let (words, api, arrivals) = words().new_tree(&mut runner).expect("a case").current();
        let (phone, base) = (format!("+1650555{case:04}"), now() - 1_000);
        client.mutate("createContact", json!({"phone": phone}), "errors { code }").await;
        let moved: Vec<_> = words.iter().map(|word| Word { at: base + word.at, ..word.clone() }).collect();
        for arrival in &arrivals {
            let Some(said) = moved.get(*arrival) else {
                if let Some(opted_out) = api {
                    let field = if opted_out { "optOut" } else { "optIn" };
                    let done = client.mutate(field, json!({"phone": phone}), "errors { code }").await;
                    assert_eq!(done["errors"], json!([]));
                }
                continue;
            };
            post(&world, &id, &body(&id, &phone, said, &format!("wamid.{case}.{arrival}"))).await;
        }
        let last = words.iter().max_by_key(|word| (word.at, word.opted_out)).expect("a word").opted_out;
        let expected = api.unwrap_or(last);
        assert_eq!(is_opted_out(&world, &phone).await, expected, "{words:?} {api:?} {arrivals:?}");
        until("it is shown", || async { (contact(&client, &phone).await["optedOut"] == expected).then_some(()) }).await;
    }
}

async fn a_replayed_opt_in_does_not_undo_a_suppression(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id, base) = (world.client(), world.phone_number_id().await, now() - 100);
    let start = body(&id, PHONE, &Word { opted_out: false, door: Door::Keyword, at: base }, "wamid.first");
    post(&world, &id, &start).await;
    known(&client, PHONE).await;
    say(&world, &id, true, Door::Keyword, base + 50).await;
    assert!(is_opted_out(&world, PHONE).await);
    assert_eq!(erase(&client, PHONE).await["suppressed"], true);
    let events = world.run(&["events"]).await.lines().count();
    // The same again, and what was said before the opt-out and arrives only now.
    post(&world, &id, &start).await;
    say(&world, &id, false, Door::Keyword, base + 20).await;
    say(&world, &id, false, Door::Preference, base + 20).await;
    say(&world, &id, false, Door::Preference, base + 50).await;
    assert_eq!(world.run(&["events"]).await.lines().count(), events, "nothing is recorded");
    assert_eq!(contact(&client, PHONE).await, json!(null), "nobody is made known");
    assert!(is_opted_out(&world, PHONE).await);
    // Said after the opt-out, and late as well.
    say(&world, &id, false, Door::Keyword, base + 60).await;
    assert_eq!(contact(&client, PHONE).await, json!(null), "nobody is made known");
    assert!(!is_opted_out(&world, PHONE).await);
}

async fn an_opt_out_of_a_person_who_is_not_known_is_kept(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id, base) = (world.client(), world.phone_number_id().await, now() - 100);
    for door in [Door::Preference, Door::Status] {
        say(&world, &id, true, door, base + 10).await;
        assert_eq!(contact(&client, PHONE).await, json!(null));
        assert!(is_opted_out(&world, PHONE).await, "{door:?}");
        say(&world, &id, false, Door::Preference, base).await;
        assert!(is_opted_out(&world, PHONE).await, "{door:?}");
        let made = client
            .mutate("createContact", json!({"phone": PHONE}), "contact { optedOut optedOutVia } errors { code }")
            .await;
        assert_eq!(made["contact"], json!({"optedOut": true, "optedOutVia": "SUPPRESSION"}));
        say(&world, &id, false, Door::Keyword, base + 5).await;
        assert!(is_opted_out(&world, PHONE).await, "{door:?}");
        say(&world, &id, false, Door::Keyword, base + 20).await;
        assert!(!is_opted_out(&world, PHONE).await, "{door:?}");
        erase(&client, PHONE).await;
    }
}

async fn a_moment_in_the_future_counts_from_its_receipt(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), world.phone_number_id().await);
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    let far = now() + 1_000_000_000;
    say(&world, &id, true, Door::Preference, now() - 100).await;
    assert!(is_opted_out(&world, PHONE).await);
    say(&world, &id, false, Door::Preference, far).await;
    assert!(!is_opted_out(&world, PHONE).await);
    // Meta's moments are whole seconds, and within one the opt-out wins.
    say(&world, &id, true, Door::Keyword, now()).await;
    assert!(is_opted_out(&world, PHONE).await);
    let second = now();
    until("the second is over", || async { (now() > second + 1).then_some(()) }).await;
    say(&world, &id, false, Door::Preference, far).await;
    assert!(is_opted_out(&world, PHONE).await, "the same word, repeated later");
    say(&world, &id, false, Door::Preference, now()).await;
    assert!(!is_opted_out(&world, PHONE).await);
}
