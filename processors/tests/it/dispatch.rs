//! The dispatcher against Meta's stand-in over real HTTP.

use std::time::Duration;

use wasend_domain::contact::{ConsentChannel, ConsentScope};
use wasend_domain::message::{DeliveryStatus, Message};
use wasend_domain::{Clock, Personal};
use wasend_processors::{DispatchOptions, Processor};
use wasend_projections::numbers::NumberRow;
use wasend_vault::PersonIdentity;
use wasend_whatsapp::simulator::{HeldOutcome, SimulatedBehaviour};

use crate::world::{World, options};

stories!(
    every_message_reaches_meta_once,
    a_call_that_died_with_its_node_is_never_repeated,
    shutdown_waits_for_calls_and_hands_the_numbers_over,
    of_two_nodes_one_sends_for_a_number,
    a_throttled_number_waits_and_sends_again,
    an_outcome_that_stays_unknown_is_surfaced_and_not_sent_again,
    what_is_never_delivered_expires,
    who_opts_out_before_the_call_gets_nothing,
    a_number_with_a_bad_token_stops_and_resumes_while_others_send,
    what_waits_for_a_disconnected_number_is_withdrawn,
    a_burst_to_one_contact_keeps_nobody_else_waiting,
    a_refusal_is_kept_sealed_and_a_stop_of_marketing_is_heeded,
    another_wa_id_is_learnt,
    nodes_that_die_again_and_again_send_nothing_twice,
);

const ADA: &str = "+16505551234";
const BOB: &str = "+16505559999";
const GRACE: Duration = Duration::from_secs(10);

async fn every_message_reaches_meta_once(world: &World) {
    let dispatcher = world.dispatcher(options());
    let mut messages = Vec::new();
    for index in 0..60 {
        messages.push(world.send(&format!("+1650555{:04}", 1_000 + index)).await);
    }
    for message in &messages {
        let state = world.until_status(*message, DeliveryStatus::Submitted).await;
        assert_eq!((state.attempts, world.taken(*message)), (1, 1));
        assert!(state.wamid_index.is_some());
    }
    dispatcher.shutdown(GRACE).await;
    assert!(world.meta.simulator().summary(0).repeated.is_empty());
}

async fn a_call_that_died_with_its_node_is_never_repeated(world: &World) {
    world.script(ADA, vec![SimulatedBehaviour::Delay { ms: 600_000 }]);
    let died = world.dispatcher(options());
    let lost = world.send(ADA).await;
    world.eventually(|| async { world.taken(lost) == 1 }).await;
    drop(died);
    let next = world.dispatcher(options());
    world.until(lost, |state| state.unknown_since.is_some()).await;
    // The number goes on, and the lost message stays lost.
    let other = world.send(BOB).await;
    world.until_status(other, DeliveryStatus::Submitted).await;
    let state = world.state(lost).await;
    assert_eq!((state.attempts, state.status(), world.taken(lost)), (1, DeliveryStatus::Attempted, 1));
    next.shutdown(GRACE).await;
}

async fn shutdown_waits_for_calls_and_hands_the_numbers_over(world: &World) {
    world.script(ADA, vec![SimulatedBehaviour::Delay { ms: 300 }]);
    // No test could wait for such a lease to expire.
    let long = DispatchOptions { lease: Duration::from_secs(3_600), ..options() };
    let first = world.dispatcher(long.clone());
    let slow = world.send(ADA).await;
    world.eventually(|| async { world.taken(slow) == 1 }).await;
    first.shutdown(GRACE).await;
    assert_eq!(world.state(slow).await.status(), DeliveryStatus::Submitted);
    let second = world.dispatcher(long);
    let message = world.send(BOB).await;
    world.until_status(message, DeliveryStatus::Submitted).await;
    second.shutdown(GRACE).await;
}

async fn of_two_nodes_one_sends_for_a_number(world: &World) {
    let (one, two) = (world.dispatcher(options()), world.dispatcher(options()));
    let mut messages = Vec::new();
    for index in 0..30 {
        messages.push(world.send(&format!("+1650555{:04}", 2_000 + index)).await);
    }
    for message in &messages {
        let state = world.until_status(*message, DeliveryStatus::Submitted).await;
        assert_eq!((state.attempts, world.taken(*message)), (1, 1));
    }
    one.shutdown(GRACE).await;
    let after = world.send(ADA).await;
    world.until_status(after, DeliveryStatus::Submitted).await;
    two.shutdown(GRACE).await;
}

async fn a_throttled_number_waits_and_sends_again(world: &World) {
    let limited = SimulatedBehaviour::RateLimited { code: 130_429, retry_after: Some(2), times: Some(1) };
    world.script(ADA, vec![limited]);
    let dispatcher = world.dispatcher(options());
    let message = world.send(ADA).await;
    let deferred = world.until(message, |state| state.not_before.is_some()).await;
    let asked = deferred.not_before.unwrap();
    let state = world.until_status(message, DeliveryStatus::Submitted).await;
    assert_eq!((state.attempts, world.taken(message)), (2, 1));
    assert!(world.clock.now() >= asked);
    dispatcher.shutdown(GRACE).await;
}

async fn an_outcome_that_stays_unknown_is_surfaced_and_not_sent_again(world: &World) {
    world.script(ADA, vec![SimulatedBehaviour::DropAfter]);
    let (dispatcher, runners) = (world.dispatcher(options()), world.runners());
    let message = world.send(ADA).await;
    let unknown = world.until(message, |state| state.unknown_since.is_some()).await;
    assert!(!unknown.unresolved);
    world.clock.advance(Duration::from_secs(16 * 60));
    let state = world.until(message, |state| state.unresolved).await;
    assert_eq!((state.attempts, state.status(), world.taken(message)), (1, DeliveryStatus::Attempted, 1));
    runners.shutdown(GRACE).await;
    dispatcher.shutdown(GRACE).await;
}

async fn what_is_never_delivered_expires(world: &World) {
    world.script("*", vec![SimulatedBehaviour::Held { then: HeldOutcome::Sent }]);
    let (dispatcher, runners) = (world.dispatcher(options()), world.runners());
    let message = world.send(ADA).await;
    world.until_status(message, DeliveryStatus::Held).await;
    world.clock.advance(Duration::from_secs(32 * 86_400));
    world.until_status(message, DeliveryStatus::Expired).await;
    runners.shutdown(GRACE).await;
    dispatcher.shutdown(GRACE).await;
}

async fn who_opts_out_before_the_call_gets_nothing(world: &World) {
    let contact = world.contact(ADA).await;
    let message = world.send(ADA).await;
    world.commands.opt_out(world.caller, contact, ConsentScope::All, ConsentChannel::Api).await.unwrap();
    let dispatcher = world.dispatcher(options());
    world.until_status(message, DeliveryStatus::Cancelled).await;
    assert_eq!(world.taken(message), 0);
    dispatcher.shutdown(GRACE).await;
}

async fn a_number_with_a_bad_token_stops_and_resumes_while_others_send(world: &World) {
    let other = world.connect("106540352242923").await;
    world.revoke_token(true);
    let dispatcher = world.dispatcher(options());
    let message = world.send(ADA).await;
    world.until(message, |state| state.attempts == 1 && !state.in_flight).await;
    world
        .eventually(|| async {
            let row = world.commands.reads.get::<NumberRow>(&world.number.to_string()).await.unwrap().unwrap();
            row.stop_code == Some(190)
        })
        .await;
    let unaffected = world.send_from(other, BOB).await;
    world.until_status(unaffected, DeliveryStatus::Submitted).await;
    assert_eq!(world.state(message).await.attempts, 1);
    world.revoke_token(false);
    world.commands.resume_number(world.caller, world.number).await.unwrap();
    world.until_status(message, DeliveryStatus::Submitted).await;
    dispatcher.shutdown(GRACE).await;
}

async fn what_waits_for_a_disconnected_number_is_withdrawn(world: &World) {
    let message = world.send(ADA).await;
    world.commands.disconnect_number(world.caller, world.number).await.unwrap();
    let dispatcher = world.dispatcher(options());
    world.until_status(message, DeliveryStatus::Cancelled).await;
    dispatcher.shutdown(GRACE).await;
}

async fn a_burst_to_one_contact_keeps_nobody_else_waiting(world: &World) {
    let mut to_ada = Vec::new();
    for _ in 0..12 {
        to_ada.push(world.send(ADA).await);
    }
    let to_bob = world.send(BOB).await;
    let patient = DispatchOptions { pair_burst: 3, pair_interval: Duration::from_secs(3_600), page: 4, ..options() };
    let dispatcher = world.dispatcher(patient);
    world.until_status(to_bob, DeliveryStatus::Submitted).await;
    let taken: u64 = to_ada.iter().map(|message| world.taken(*message)).sum();
    assert_eq!(taken, 3);
    world.clock.advance(Duration::from_secs(3_600));
    world.eventually(|| async { to_ada.iter().map(|message| world.taken(*message)).sum::<u64>() == 4 }).await;
    dispatcher.shutdown(GRACE).await;
}

async fn a_refusal_is_kept_sealed_and_a_stop_of_marketing_is_heeded(world: &World) {
    world.script(ADA, vec![SimulatedBehaviour::Error { http_status: 400, code: 131_050, times: None }]);
    let dispatcher = world.dispatcher(options());
    let message = world.send(ADA).await;
    let failed = world.until_status(message, DeliveryStatus::Failed).await;
    let failure = failed.failure.unwrap();
    assert_eq!((failure.code, failure.class.as_str()), (Some(131_050), "suppress"));
    // The next one is not even accepted, or withdrawn.
    let contact = failed.origin.unwrap().contact;
    let mut found = wasend_eventlog::load::<wasend_domain::contact::Contact>(
        &*world.commands.log,
        world.caller.account_id,
        &[contact.uuid()],
    )
    .await
    .unwrap();
    assert!(found.remove(&contact.uuid()).unwrap().present().unwrap().state.marketing_opted_out);
    dispatcher.shutdown(GRACE).await;
}

async fn another_wa_id_is_learnt(world: &World) {
    let brazil = "+5511987654321";
    world.script(brazil, vec![SimulatedBehaviour::WaId { wa_id: "551187654321".into() }]);
    let dispatcher = world.dispatcher(options());
    let message = world.send(brazil).await;
    let contact = world.until_status(message, DeliveryStatus::Submitted).await.origin.unwrap().contact;
    let wa_id = PersonIdentity::WaId(Personal::new("551187654321".into()));
    world
        .eventually(|| async {
            world.commands.vault.find(world.caller.account_id, &wa_id).await.unwrap() == Some(contact)
        })
        .await;
    dispatcher.shutdown(GRACE).await;
}

async fn nodes_that_die_again_and_again_send_nothing_twice(world: &World) {
    let slow = (0..100).map(|index| format!("+1650556{:04}", 1_000 + index)).collect::<Vec<_>>();
    let mut messages = Vec::new();
    for (index, phone) in slow.iter().enumerate() {
        world.script(phone, vec![SimulatedBehaviour::Delay { ms: index as u64 * 7 % 200 }]);
        messages.push(world.send(phone).await);
    }
    let short = DispatchOptions { lease: Duration::from_millis(150), ..options() };
    for life in 0..6 {
        let node = world.dispatcher(short.clone());
        tokio::time::sleep(Duration::from_millis(150 + life * 60)).await;
        drop(node);
    }
    let last = world.dispatcher(short);
    for message in &messages {
        let told = |state: &Message| state.submitted || state.unknown_since.is_some();
        assert_eq!(world.until(*message, told).await.attempts, 1);
    }
    last.shutdown(GRACE).await;
    let summary = world.meta.simulator().summary(0);
    assert!(summary.repeated.is_empty());
    let mut submitted = 0;
    for message in &messages {
        submitted += u64::from(world.state(*message).await.submitted);
    }
    assert!(submitted > 0 && submitted <= summary.accepted);
}
