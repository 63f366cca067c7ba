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
    the_api_keeps_the_opt_out_of_a_person_who_is_not_known,
    marketing_that_waits_is_not_sent_to_a_person_who_stopped_it,
    a_moment_in_the_future_counts_from_its_receipt,
    the_button_against_marketing_stops_marketing_alone,
    an_account_has_words_of_its_own,
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

/// Which messages a person does not want.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    All,
    Marketing,
}

/// What an acceptance says, which looks at the log and the vault themselves.
async fn is_opted_out(world: &World, phone: &str, level: Level) -> bool {
    let send = match level {
        Level::All => json!({"numberId": world.number(), "to": phone, "text": {"body": "Hello"}}),
        Level::Marketing => {
            let template = json!({"name": "summer_sale", "language": "en_US", "parameters": [{"text": "Ada"}]});
            json!({"numberId": world.number(), "to": phone, "template": template})
        }
    };
    let answer = world.client().send(send).await;
    let code = answer["errors"][0]["code"].as_str();
    assert!(matches!(code, None | Some("OPTED_OUT")), "{answer}");
    code.is_some()
}

async fn contact(client: &Client, phone: &str) -> Value {
    let query = "query($p: String) { contact(phone: $p) { optedOut optedOutVia marketingOptedOut } }";
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
        let (all, marketing) = expected(&words, api);
        assert_eq!(is_opted_out(&world, &phone, Level::All).await, all, "{words:?} {api:?} {arrivals:?}");
        let refused = is_opted_out(&world, &phone, Level::Marketing).await;
        assert_eq!(refused, marketing, "{words:?} {api:?} {arrivals:?}");
        until("it is shown", || async {
            let shown = contact(&client, &phone).await;
            (shown["optedOut"] == all && shown["marketingOptedOut"] == marketing).then_some(())
        })
        .await;
    }
}

/// Whether no message is wanted, and whether no marketing is: by the latest word at each level. A word over the API is
/// later than all others.
fn expected(words: &[Word], api: Option<bool>) -> (bool, bool) {
    let last = |concerns: fn(&Word) -> bool| {
        let concerned = words.iter().filter(|word| concerns(word));
        concerned.max_by_key(|word| (word.at, word.opted_out)).is_some_and(|word| word.opted_out)
    };
    let all = api.unwrap_or_else(|| last(|word| word.door == Door::Keyword));
    let marketing = api != Some(false) && last(|word| word.door != Door::Keyword || !word.opted_out);
    (all, all || marketing)
}

async fn a_replayed_opt_in_does_not_undo_a_suppression(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id, base) = (world.client(), world.phone_number_id().await, now() - 100);
    let start = body(&id, PHONE, &Word { opted_out: false, door: Door::Keyword, at: base }, "wamid.first");
    post(&world, &id, &start).await;
    known(&client, PHONE).await;
    say(&world, &id, true, Door::Keyword, base + 50).await;
    assert!(is_opted_out(&world, PHONE, Level::All).await);
    assert_eq!(erase(&client, PHONE).await["suppressed"], true);
    let events = world.run(&["events"]).await.lines().count();
    // The same again, and what was said before the opt-out and arrives only now.
    post(&world, &id, &start).await;
    say(&world, &id, false, Door::Keyword, base + 20).await;
    say(&world, &id, false, Door::Preference, base + 20).await;
    say(&world, &id, false, Door::Preference, base + 50).await;
    assert_eq!(world.run(&["events"]).await.lines().count(), events, "nothing is recorded");
    assert_eq!(contact(&client, PHONE).await, json!(null), "nobody is made known");
    assert!(is_opted_out(&world, PHONE, Level::All).await);
    // Said after the opt-out, and late as well.
    say(&world, &id, false, Door::Keyword, base + 60).await;
    assert_eq!(contact(&client, PHONE).await, json!(null), "nobody is made known");
    assert!(!is_opted_out(&world, PHONE, Level::All).await);
}

async fn an_opt_out_of_a_person_who_is_not_known_is_kept(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id, base) = (world.client(), world.phone_number_id().await, now() - 100);
    for door in [Door::Preference, Door::Status] {
        say(&world, &id, true, door, base + 10).await;
        assert_eq!(contact(&client, PHONE).await, json!(null));
        assert!(is_opted_out(&world, PHONE, Level::Marketing).await, "{door:?}");
        say(&world, &id, false, Door::Preference, base).await;
        assert!(is_opted_out(&world, PHONE, Level::Marketing).await, "{door:?}");
        let made = client
            .mutate("createContact", json!({"phone": PHONE}), "contact { optedOut marketingOptedOut } errors { code }")
            .await;
        assert_eq!(made["contact"], json!({"optedOut": false, "marketingOptedOut": true}));
        assert!(!is_opted_out(&world, PHONE, Level::All).await, "{door:?}");
        say(&world, &id, false, Door::Keyword, base + 5).await;
        assert!(is_opted_out(&world, PHONE, Level::Marketing).await, "{door:?}");
        say(&world, &id, false, Door::Keyword, base + 20).await;
        assert!(!is_opted_out(&world, PHONE, Level::Marketing).await, "{door:?}");
        erase(&client, PHONE).await;
    }
}

async fn the_api_keeps_the_opt_out_of_a_person_who_is_not_known(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let fields = "contact { id } position errors { code field }";
    for (n, scope) in [(1, "ALL"), (2, "MARKETING")] {
        let (phone, bsuid) = (format!("+1650555110{n}"), format!("US.1{n}"));
        for input in [json!({"phone": phone, "scope": scope}), json!({"bsuid": bsuid, "scope": scope})] {
            let done = client.mutate("optOut", input, fields).await;
            assert_eq!(done, json!({"contact": null, "position": null, "errors": []}));
        }
        for to in [&phone, &bsuid] {
            assert!(is_opted_out(&world, to, Level::Marketing).await, "{to} {scope}");
            assert_eq!(is_opted_out(&world, to, Level::All).await, scope == "ALL", "{to} {scope}");
        }
    }
    let unknown = client.mutate("optIn", json!({"phone": "+16505551199"}), fields).await;
    assert_eq!(unknown["errors"][0], json!({"code": "NOT_FOUND", "field": "phone"}));
    for input in [json!({}), json!({"phone": "+16505551199", "bsuid": "US.9"}), json!({"bsuid": "9"})] {
        let refused = client.mutate("optOut", input, fields).await;
        assert_eq!(refused["errors"].as_array().map(Vec::len), Some(1), "{refused}");
    }
}

async fn marketing_that_waits_is_not_sent_to_a_person_who_stopped_it(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), world.phone_number_id().await);
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    client.mutate("pauseNumber", json!({"id": world.number()}), "errors { code }").await;
    let template = |name: &str, parameters: Value| {
        json!({"numberId": world.number(), "to": PHONE,
            "template": {"name": name, "language": "en_US", "parameters": parameters}})
    };
    let offer = client.send(template("summer_sale", json!([{"text": "Ada"}]))).await["message"]["id"].take();
    let utility = client.send(template("hello_world", json!([]))).await["message"]["id"].take();
    let reply = client.send_text(&world.number(), PHONE, "Here is your answer").await;
    say(&world, &id, true, Door::Preference, now()).await;
    client.mutate("resumeNumber", json!({"id": world.number()}), "errors { code }").await;
    client.until_status(offer.as_str().expect("an id"), "CANCELLED").await;
    client.until_status(utility.as_str().expect("an id"), "READ").await;
    client.until_status(&reply, "READ").await;
}

async fn a_moment_in_the_future_counts_from_its_receipt(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), world.phone_number_id().await);
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    let far = now() + 1_000_000_000;
    say(&world, &id, true, Door::Preference, now() - 100).await;
    assert!(is_opted_out(&world, PHONE, Level::Marketing).await);
    say(&world, &id, false, Door::Preference, far).await;
    assert!(!is_opted_out(&world, PHONE, Level::Marketing).await);
    // Meta's moments are whole seconds, and within one the opt-out wins.
    say(&world, &id, true, Door::Preference, now()).await;
    assert!(is_opted_out(&world, PHONE, Level::Marketing).await);
    let second = now();
    until("the second is over", || async { (now() > second + 1).then_some(()) }).await;
    say(&world, &id, false, Door::Preference, far).await;
    assert!(is_opted_out(&world, PHONE, Level::Marketing).await, "the same word, repeated later");
    say(&world, &id, false, Door::Preference, now()).await;
    assert!(!is_opted_out(&world, PHONE, Level::Marketing).await);
}

async fn the_button_against_marketing_stops_marketing_alone(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), world.phone_number_id().await);
    client.mutate("createContact", json!({"phone": PHONE}), "errors { code }").await;
    let said = |kind: &str, content: Value| {
        let mut message = json!({"from": &PHONE[1..], "id": format!("wamid.{}", uuid::Uuid::new_v4()),
            "timestamp": now().to_string(), "type": kind});
        message[kind] = content;
        webhook(&id, "messages", "messages", &message)
    };
    // Typed, it is no word on consent.
    post(&world, &id, &said("text", json!({"body": "Parar promoções"}))).await;
    assert!(!is_opted_out(&world, PHONE, Level::Marketing).await);
    for text in ["Parar promoções", "Stop promotions"] {
        post(&world, &id, &said("button", json!({"payload": text, "text": text}))).await;
        assert!(is_opted_out(&world, PHONE, Level::Marketing).await, "{text}");
        assert!(!is_opted_out(&world, PHONE, Level::All).await, "{text}");
    }
    until("it is shown", || async {
        let shown = contact(&client, PHONE).await;
        (shown["optedOut"] == false && shown["marketingOptedOut"] == true).then_some(())
    })
    .await;
}

async fn an_account_has_words_of_its_own(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), world.phone_number_id().await);
    let says = async |phone: &str, text: &str, at: i64| {
        let message = json!({"from": phone[1..], "id": format!("wamid.{}", uuid::Uuid::new_v4()),
            "timestamp": at.to_string(), "type": "text", "text": {"body": text}});
        post(&world, &id, &webhook(&id, "messages", "messages", &message)).await;
        is_opted_out(&world, phone, Level::All).await
    };
    let fields = "account { consentKeywords { stop start isDefault } } errors { code field }";
    let set = client.mutate("setConsentKeywords", json!({"stop": ["Enough", "Basta!"]}), fields).await;
    let shown = &set["account"]["consentKeywords"];
    assert_eq!((&shown["stop"], &shown["isDefault"]), (&json!(["Enough", "Basta!"]), &json!(false)), "{set}");
    assert!(says("+16505551401", "BASTA", now() - 50).await, "a word of the account's own");
    assert!(!says("+16505551402", "STOP", now()).await, "no longer a word");
    assert!(!says("+16505551401", "start", now()).await, "the other list is still the server's");
    let (other, _) = world.another_account().await;
    let query = "{ account { consentKeywords { isDefault } } }";
    assert_eq!(other.data(query, json!({})).await["account"]["consentKeywords"]["isDefault"], true);
    for (input, code, field) in [
        (json!({"stop": ["go"], "start": ["GO!"]}), "DUPLICATE", "start.0"),
        (json!({"stop": ["ok", "!!"]}), "INVALID", "stop.1"),
        (json!({"start": [""]}), "REQUIRED", "start.0"),
        (json!({"stop": vec!["word"; 201]}), "TOO_MANY", "stop"),
        (json!({"stop": ["x".repeat(41)]}), "TOO_LONG", "stop.0"),
    ] {
        let refused = client.mutate("setConsentKeywords", input, fields).await;
        assert_eq!(refused["errors"][0], json!({"code": code, "field": field}), "{refused}");
    }
    let back = client.mutate("setConsentKeywords", json!({}), fields).await;
    assert_eq!(back["account"]["consentKeywords"]["isDefault"], true);
    assert!(says("+16505551403", "Stop.", now()).await);
}
