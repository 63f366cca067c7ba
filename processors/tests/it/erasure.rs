//! Erasures among everything else that happens, and what they cost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use proptest::collection::vec;
use proptest::prelude::*;
use wasend_commands::import::ImportContacts;
use wasend_commands::message::{ContentDraft, SendBatcher, SendMessage, SendTarget, TextDraft};
use wasend_commands::privacy::ErasureInput;
use wasend_commands::{CommandError, RefusalCode};
use wasend_domain::contact::{ConsentChannel, ConsentScope};
use wasend_domain::content::{InboundContent, OutboundContent};
use wasend_domain::import::{MergeMode, NumberNotation};
use wasend_domain::message::{DeliveryStatus, MessageDirection};
use wasend_domain::phone::PhoneNumber;
use wasend_domain::privacy::{LegalGround, LegalRegime, PrivacyRequest, RequestReason, RequestState};
use wasend_domain::{Opened, Personal, PersonalValue, PrivacyRequestId, Sealed, SubjectId};
use wasend_eventlog::{EventFilter, StreamLookup, load};
use wasend_processors::{ImportOptions, Processor};
use wasend_projections::messages::MessageRow;
use wasend_projections::{CellValue, RebuildOptions};
use wasend_vault::PersonIdentity;

use crate::cases;
use crate::log::Counting;
use crate::people::contacts;
use crate::world::{World, options};

stories!(among_everything_else_an_erasure_is_whole, the_work_of_an_erasure_does_not_grow_with_the_history);

const GRACE: Duration = Duration::from_secs(10);

/// Something that happens around an erasure.
#[derive(Debug, Clone, Copy)]
enum Act {
    Send,
    SendToContact,
    Inbound,
    Import,
    EraseAgain,
    OptOut,
    Rebuild,
}

fn acts() -> impl Strategy<Value = Vec<(Act, u64)>> {
    let act = prop_oneof![
        3 => Just(Act::Send),
        2 => Just(Act::SendToContact),
        3 => Just(Act::Inbound),
        2 => Just(Act::Import),
        1 => Just(Act::EraseAgain),
        1 => Just(Act::OptOut),
        1 => Just(Act::Rebuild),
    ];
    vec((act, 0..80_u64), 4..16)
}

fn erasure(contact: SubjectId) -> ErasureInput {
    ErasureInput {
        phone: None,
        bsuid: None,
        contact_id: Some(contact.to_string()),
        regime: LegalRegime::Gdpr,
        ground: LegalGround::WithdrawnConsent,
        reason: Some(Personal::new("a letter".into())),
    }
}

async fn act(world: &World, act: Act, phone: &str, old: SubjectId, request: PrivacyRequestId) {
    let (commands, caller) = (&world.commands, world.caller);
    let intake = SendBatcher::new(Arc::clone(commands));
    let text = TextDraft { body: Personal::new("hello".into()), preview_url: false };
    let message = |to: SendTarget| SendMessage {
        number_id: world.number.to_string(),
        to,
        content: ContentDraft { text: Some(text.clone()), template: None },
        idempotency_key: None,
    };
    let refused = |error: CommandError| match error {
        CommandError::Refused(refusals) => refusals[0].code,
        unavailable @ CommandError::Unavailable(_) => panic!("{unavailable:?}"),
    };
    match act {
        Act::Send => {
            let sent = intake.send_message(caller, message(SendTarget::Address(Personal::new(phone.into())))).await;
            let code = sent.err().map(refused);
            assert!(
                matches!(code, None | Some(RefusalCode::Erased | RefusalCode::OptedOut | RefusalCode::Busy)),
                "{code:?}"
            );
        }
        Act::SendToContact => {
            let sent = intake.send_message(caller, message(SendTarget::Contact(old.to_string()))).await;
            let code = sent.err().map(refused);
            assert!(matches!(code, None | Some(RefusalCode::Erased | RefusalCode::OptedOut)), "{code:?}");
        }
        Act::Inbound => world.inbound(&phone[1..], &["Hi".to_owned()]).await,
        Act::Import => {
            let input = ImportContacts {
                filename: Personal::new("x.csv".into()),
                content: Some(Personal::new(format!("phone,name,city\n{phone},Ada,London\n"))),
                upload: None,
                group: None,
                mode: MergeMode::Update,
                dry_run: false,
                columns: Personal::new(vec![]),
                region: None,
                numbers: NumberNotation::AsWritten,
                encoding: None,
            };
            commands.import_contacts(caller, input).await.unwrap();
        }
        Act::EraseAgain => {
            let again = commands.request_erasure(caller, erasure(old)).await.unwrap();
            assert_eq!(again.value, request, "the same request");
        }
        Act::OptOut => {
            let done = commands.opt_out(caller, old, ConsentScope::All, ConsentChannel::Api).await;
            assert!(matches!(done.err().map(refused), None | Some(RefusalCode::Erased)));
        }
        Act::Rebuild => {
            let rebuilt = world.projector.rebuild("messages", &RebuildOptions { force: false }).await;
            // Another one may be under way.
            assert!(rebuilt.is_err() || rebuilt.is_ok_and(|report| report.is_equal()));
        }
    }
}

async fn state(world: &World, request: PrivacyRequestId) -> RequestState {
    let log = &*world.commands.log;
    let mut found = load::<PrivacyRequest>(log, world.caller.account_id, &[request.uuid()]).await.unwrap();
    found.remove(&request.uuid()).and_then(StreamLookup::present).unwrap().state.state
}

async fn among_everything_else_an_erasure_is_whole(world: &World) {
    let dispatcher = world.dispatcher(options());
    let erasures = world.erasures(&world.commands);
    let soon = ImportOptions { tick: Duration::from_millis(20), ..ImportOptions::default() };
    let importer = world.importer(&world.commands, &soon);
    for (case, (acts, begun)) in cases(world.share(12), &(acts(), 0..40_u64)).into_iter().enumerate() {
        let phone = format!("+1650555{case:04}");
        world.send(&phone).await;
        let old =
            world.commands.vault.find(world.caller.account_id, &PersonIdentity::phone(&phone)).await.unwrap().unwrap();
        let (asked, told) = tokio::sync::watch::channel(None);
        let erase = async {
            tokio::time::sleep(Duration::from_millis(begun)).await;
            let done = world.commands.request_erasure(world.caller, erasure(old)).await.unwrap();
            asked.send(Some(done.value)).unwrap();
            world.eventually(|| async { state(world, done.value).await == RequestState::Completed }).await;
            done.value
        };
        let others: Vec<BoxFuture<'_, ()>> = acts
            .iter()
            .map(|(what, after)| {
                let (phone, mut told) = (phone.as_str(), told.clone());
                async move {
                    tokio::time::sleep(Duration::from_millis(*after)).await;
                    // Only a second request has to wait for the first one.
                    let request = match what {
                        Act::EraseAgain => told.wait_for(Option::is_some).await.unwrap().unwrap(),
                        _ => PrivacyRequestId::random(),
                    };
                    act(world, *what, phone, old, request).await;
                }
                .boxed()
            })
            .collect();
        let (request, _) = futures::join!(erase, join_all(others));
        is_whole(world, &phone, old, request).await;
    }
    importer.shutdown(GRACE).await;
    erasures.shutdown(GRACE).await;
    dispatcher.shutdown(GRACE).await;
    assert!(world.meta.simulator().summary(0).repeated.is_empty(), "nothing was sent twice");
    for projection in wasend_projections::all() {
        let report = world.projector.rebuild(projection.name(), &RebuildOptions { force: false }).await.unwrap();
        assert!(report.is_equal(), "{report:?}");
    }
}

/// Nothing of the erased person can be read, nothing came after the fence, and the present contact is another person.
async fn is_whole(world: &World, phone: &str, old: SubjectId, request: PrivacyRequestId) {
    let (commands, account) = (&world.commands, world.caller.account_id);
    let why = format!("erasure request {request}");
    let head = commands.log.head().await.unwrap();
    world.projector.wait_for(head, GRACE).await.unwrap();
    assert!(matches!(commands.vault.identity(account, old).await, Ok(Opened::Erased(erased)) if erased.why == why));
    let filter = EventFilter { account_id: Some(account), ..EventFilter::default() };
    let events = commands.log.read(0, 1_000_000, &filter).await.unwrap();
    let of_old: Vec<_> = events.iter().filter(|event| event.aggregate_id == old.uuid()).collect();
    let fence = of_old.last().unwrap();
    assert_eq!(fence.event_type, "ContactErased", "the contact's last event");
    let rows: Vec<MessageRow> =
        commands.reads.fetch("WHERE contact_id = $1 ORDER BY id", &[CellValue::text(&old)]).await.unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert!(!matches!(row.status(), DeliveryStatus::Accepted | DeliveryStatus::Attempted), "{:?}", row.status());
        let first = events.iter().find(|event| event.aggregate_id.to_string() == row.id).unwrap();
        assert!(first.position < fence.position, "nothing is accepted after the fence");
        match row.origin().unwrap().direction {
            MessageDirection::Outbound => is_erased::<OutboundContent>(world, &row.content, &why).await,
            MessageDirection::Inbound => is_erased::<InboundContent>(world, &row.content, &why).await,
        }
    }
    let reasons = events.iter().filter(|event| event.aggregate_id == request.uuid());
    let reason = reasons.filter_map(|event| {
        let event: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
        event["Received"]["reason"].as_str().map(str::to_owned)
    });
    for reason in reason.collect::<Vec<_>>() {
        is_erased::<RequestReason>(world, &reason, &why).await;
    }
    // The present owner of the number began after it, and is one person.
    let now = commands.vault.find(account, &PersonIdentity::phone(phone)).await.unwrap();
    assert_ne!(now, Some(old));
    let mut bearers = BTreeMap::new();
    for (subject, contact) in contacts(world, world.caller).await {
        if contact.erased.is_none() {
            let person = commands.vault.identity(account, subject).await.unwrap().value().unwrap().into_exposed();
            let digits = PhoneNumber::parse(person.phone().unwrap()).unwrap();
            assert_eq!(bearers.insert(digits, subject), None);
        }
    }
    let digits = PhoneNumber::parse(phone).unwrap();
    assert!(bearers.get(&digits).is_none_or(|bearer| Some(*bearer) == now));
}

async fn is_erased<T: PersonalValue>(world: &World, sealed: &str, why: &str) {
    let sealed = Sealed::<T>::parse(sealed).unwrap();
    let opened = world.commands.vault.open(world.caller.account_id, &sealed).await.unwrap();
    assert!(matches!(opened, Opened::Erased(erased) if erased.why == why));
}

async fn the_work_of_an_erasure_does_not_grow_with_the_history(world: &World) {
    let mut works = Vec::new();
    for (phone, messages) in [("+16505550010", 10), ("+16505551000", 1_000)] {
        let texts: Vec<_> = (0..messages).map(|n| format!("Message {n}")).collect();
        for texts in texts.chunks(500) {
            world.inbound(&phone[1..], texts).await;
        }
        let log = world.commands.log.clone();
        let counting = Arc::new(Counting { inner: log.clone(), work: Mutex::default() });
        let commands = world.over(counting.clone());
        let contact =
            commands.vault.find(world.caller.account_id, &PersonIdentity::phone(phone)).await.unwrap().unwrap();
        let before = log.head().await.unwrap();
        let erasures = world.erasures(&commands);
        let request = commands.request_erasure(world.caller, erasure(contact)).await.unwrap().value;
        world.eventually(|| async { state(world, request).await == RequestState::Completed }).await;
        erasures.shutdown(GRACE).await;
        let head = log.head().await.unwrap();
        world.projector.wait_for(head, GRACE).await.unwrap();
        let all = [CellValue::text(&contact)];
        let rows: Vec<MessageRow> = commands.reads.fetch("WHERE contact_id = $1", &all).await.unwrap();
        assert_eq!(rows.len(), messages);
        assert!(rows.iter().all(|row| row.position <= before), "no message is touched");
        assert!(is_forgotten(world, &rows).await);
        works.push((counting.work.lock().unwrap().clone(), head - before));
    }
    let steps = ["ContactErased", "ErasureReceived", "ErasureExecuting", "ErasureFenced", "ErasureKeysDestroyed"];
    let appended: BTreeMap<_, _> =
        steps.into_iter().chain(["ErasureCompleted"]).map(|step| (step.to_owned(), 1)).collect();
    for (work, events) in works {
        assert_eq!((work.appended, events), (appended.clone(), 6));
        // No history is longer than the request's own.
        assert!(work.longest <= 5, "{}", work.longest);
    }
}

async fn is_forgotten(world: &World, rows: &[MessageRow]) -> bool {
    let sealed: Vec<_> = rows.iter().map(|row| Sealed::<InboundContent>::parse(&row.content).unwrap()).collect();
    let opened = world.commands.vault.open_many(world.caller.account_id, &sealed).await.unwrap();
    opened.into_iter().all(|opened| matches!(opened, Opened::Erased(_)))
}
