//! Every event, once released, is read for ever: `released/*.ndjson` holds one of each kind and version as it was
//! written then. A new version is another line; a line is never changed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::account::{self, AccountKeywords, KeyScope, KeySecret};
use crate::contact::{self, ConsentChannel, ConsentScope, ContactOrigin, ContactPart};
use crate::content::ContentKind;
use crate::message::{self, CancelReason, MessageDirection, MessagePricing, PricingCategory, UsageLine};
use crate::number::{self, MetaIds};
use crate::privacy::{self, KeyDestruction, KeyMark, LegalException, LegalGround, LegalRegime};
use crate::{
    AGGREGATE_TYPES, AccountId, AnyEvent, BlindIndex, DataCategory, Day, EventId, EventMetadata, RecordedEvent, Sealed,
    Time, UnavailableCause, bucket, group, import, inbox,
};

const RELEASED: &str = include_str!("../released/events.ndjson");
const ID: &str = "018f0000-0000-7000-8000-000000000001";

fn id<K>() -> crate::Id<K> {
    ID.parse().unwrap()
}

fn sealed<T>() -> Sealed<T> {
    Sealed::from_parts(id(), Day::from_number(20_000), "AAEC")
}

/// One of each event that this version writes.
fn written() -> Vec<AnyEvent> {
    let at = Time::from_seconds(1_750_000_000);
    let secret = || KeySecret { hash: "00".into(), hint: "wsk_AAAA".into() };
    let scopes = BTreeSet::from([KeyScope::Send, KeyScope::Read]);
    let meta = MetaIds { phone_number_id: "1".into(), waba_id: "2".into() };
    let contacts = [
        contact::Event::Created { source: ContactOrigin::Api, attributes: Some(sealed()) },
        contact::Event::Updated { changed: vec![ContactPart::Name, ContactPart::Attributes], attributes: None },
        contact::Event::OptedOut { via: ConsentChannel::Keyword, scope: ConsentScope::All, at: Some(at) },
        contact::Event::OptedIn { via: ConsentChannel::Meta, scope: ConsentScope::All, at: Some(at) },
        contact::Event::GroupJoined { group: id() },
        contact::Event::GroupLeft { group: id() },
        contact::Event::Erased { request: id() },
        contact::Event::ErasureHeld { request: id() },
        contact::Event::ErasureHoldLifted { request: id() },
        contact::Event::OptedOut { via: ConsentChannel::Suppression, scope: ConsentScope::All, at: Some(at) },
        contact::Event::OptedOut { via: ConsentChannel::Merge, scope: ConsentScope::Marketing, at: Some(at) },
        contact::Event::OptedIn { via: ConsentChannel::Meta, scope: ConsentScope::Marketing, at: Some(at) },
        contact::Event::Absorbed { contact: id() },
        contact::Event::Merged { into: id() },
        contact::Event::Updated { changed: vec![ContactPart::Profile, ContactPart::Phone], attributes: None },
    ];
    let numbers = [
        number::Event::Connected { meta, display: sealed(), credentials: sealed(), base_url: None, rate: 80 },
        number::Event::CredentialsChanged { credentials: sealed() },
        number::Event::RateChanged { rate: 100 },
        number::Event::Stopped { code: Some(190), at },
        number::Event::Resumed { at },
        number::Event::Disconnected { at },
    ];
    let accounts = [
        account::Event::Opened { name: sealed() },
        account::Event::KeyIssued { key: id(), secret: secret(), scopes, label: Some(sealed()) },
        account::Event::KeyRotated { key: id(), secret: secret() },
        account::Event::KeyRevoked { key: id() },
        account::Event::SendingHeld { lost_people: 3, at },
        account::Event::SendingResumed { at },
        account::Event::KeywordsSet(AccountKeywords { stop: Some(vec!["ENOUGH".into()]), start: None }),
    ];
    let groups =
        [group::Event::Created { name: sealed() }, group::Event::Renamed { name: sealed() }, group::Event::Deleted {}];
    let held = |reason, people| inbox::Event::Held { reason, update: sealed(), people, at };
    let updates = [
        held(inbox::KeepReason::UnknownShape, vec![]),
        held(inbox::KeepReason::UnknownShape, vec![id()]),
        held(inbox::KeepReason::UnreadablePerson, vec![]),
        inbox::Event::OptOutListed { at },
    ];
    let mark = |fingerprint: &str| KeyMark { id: "subject".into(), fingerprint: fingerprint.into() };
    let (regime, ground, reason) = (LegalRegime::Gdpr, LegalGround::WithdrawnConsent, Some(sealed()));
    let requests = [
        privacy::Event::Received { subject: id(), absorbed: vec![], regime, ground, reason, due_at: at, at },
        privacy::Event::Received { subject: id(), absorbed: vec![id()], regime, ground, reason: None, due_at: at, at },
        privacy::Event::NothingHeld { at },
        privacy::Event::Refused { exception: LegalException::LegalClaims, at },
        privacy::Event::HoldLifted { at },
        privacy::Event::Executing { at },
        privacy::Event::Fenced { keys: vec![mark("ab")], unreadable: None, at },
        privacy::Event::Fenced { keys: vec![mark("")], unreadable: Some(UnavailableCause::KeyMissing), at },
        privacy::Event::KeysDestroyed {
            fingerprints: vec!["ab".into()],
            destruction: KeyDestruction { number: 1, at },
        },
        privacy::Event::Completed { suppressed: true, at },
        privacy::Event::EpochDestroyed { epoch: 1, at },
        privacy::Event::Repeated { fingerprints: vec!["ab".into()], destruction: KeyDestruction { number: 2, at } },
    ];
    let mut all: Vec<AnyEvent> = messages(at).into_iter().map(|event| AnyEvent::Message(Box::new(event))).collect();
    all.extend(contacts.into_iter().map(AnyEvent::Contact));
    all.extend(numbers.into_iter().map(AnyEvent::Number));
    all.extend(accounts.into_iter().map(AnyEvent::Account));
    all.extend(groups.into_iter().map(AnyEvent::Group));
    all.extend(updates.map(AnyEvent::Inbox));
    all.extend(requests.into_iter().map(AnyEvent::Privacy));
    all.extend(imports(at).into_iter().map(AnyEvent::Import));
    all.extend(buckets(at).into_iter().map(AnyEvent::Bucket));
    all
}

fn messages(at: Time) -> [message::Event; 17] {
    let index = || BlindIndex::from_hex("ab".into());
    let line = UsageLine { category: PricingCategory::new("utility"), delivered: true, billable: true };
    let (number, contact, direction, day) = (id(), id(), MessageDirection::Outbound, at.day());
    [
        message::Event::Accepted {
            number,
            contact,
            kind: ContentKind::Template,
            template: Some("hello_world".into()),
            content: sealed(),
            at,
        },
        message::Event::Attempted { attempt: 1, at },
        message::Event::Submitted { attempt: 1, wamid: sealed(), wamid_index: index(), at },
        message::Event::Held { at },
        message::Event::Deferred { attempt: 1, until: at, code: Some(130_429), at },
        message::Event::OutcomeUnknown { attempt: 1, at },
        message::Event::Unresolved { at },
        message::Event::Sent { at },
        message::Event::Delivered { at },
        message::Event::Read { at },
        message::Event::Failed { code: Some(131_026), class: "permanent".into(), detail: Some(sealed()), at },
        message::Event::Expired { at },
        message::Event::Cancelled { reason: CancelReason::OptedOut, at },
        message::Event::Priced(MessagePricing { at, category: PricingCategory::new("utility"), billable: true }),
        message::Event::Counted { number, direction, day, before: Some(line.clone()), after: line },
        message::Event::Received {
            number,
            contact,
            kind: ContentKind::Text,
            content: sealed(),
            wamid: sealed(),
            wamid_index: index(),
            at,
            sent_at: None,
        },
        message::Event::Received {
            number,
            contact,
            kind: ContentKind::Text,
            content: sealed(),
            wamid: sealed(),
            wamid_index: index(),
            at,
            sent_at: Some(at),
        },
    ]
}

fn buckets(at: Time) -> [bucket::Event; 3] {
    let (category, day, fingerprint) = (DataCategory::UnknownWebhook, Day::from_number(20_000), Some("ab".to_owned()));
    [
        bucket::Event::Fenced { category, day, fingerprint: fingerprint.clone(), at },
        bucket::Event::Destroyed { category, day, destruction: KeyDestruction { number: 1, at } },
        bucket::Event::Repeated { category, day, fingerprint, destruction: KeyDestruction { number: 2, at } },
    ]
}

fn imports(at: Time) -> [import::Event; 7] {
    let counters =
        import::RowCounters { total: 3, created: 1, warnings: 1, erased: 1, unreadable: 1, ..Default::default() };
    let with_blank = import::RowCounters { blank: 1, ..counters };
    let start = import::ImportStart {
        source: sealed(),
        upload: id(),
        content: BlindIndex::from_hex("ab".into()),
        bytes: 100,
        mode: import::MergeMode::CreateOnly,
        dry_run: false,
        group: Some(id()),
        at,
    };
    [
        import::Event::Started(start),
        import::Event::Described { layout: sealed(), at },
        import::Event::ChunkApplied { chunk: 0, rows: 3, bytes: 90, counters, at },
        import::Event::ChunkApplied { chunk: 0, rows: 3, bytes: 90, counters: with_blank, at },
        import::Event::Finished { at },
        import::Event::Failed { code: import::FileError::RowTooLong, at },
        import::Event::Cancelled { at },
    ]
}

/// The line that stands for the event in `released/events.ndjson`.
fn line(event: &AnyEvent) -> Value {
    let payload = serde_json::to_value(event).unwrap()["event"].take();
    let (aggregate, event_type, version) = (event.aggregate_type(), event.event_type(), event.event_version());
    serde_json::json!({"aggregate": aggregate, "type": event_type, "version": version, "payload": payload})
}

fn recorded(line: &Value) -> RecordedEvent {
    let text = |field: &str| line[field].as_str().unwrap().to_owned();
    RecordedEvent {
        position: 1,
        account_id: AccountId::from_uuid(ID.parse().unwrap()),
        aggregate_type: text("aggregate"),
        aggregate_id: ID.parse().unwrap(),
        sequence: 1,
        event_id: EventId::from_uuid(ID.parse().unwrap()),
        event_type: text("type"),
        event_version: text("version"),
        payload: line["payload"].to_string(),
        metadata: EventMetadata::default(),
        command_id: ID.to_owned(),
        recorded_at: Time::from_micros(0),
    }
}

#[test]
fn every_released_event_is_still_read() {
    for line in RELEASED.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let event = AnyEvent::decode(&recorded(&line)).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(
            (event.aggregate_type(), event.event_type().as_str()),
            (line["aggregate"].as_str().unwrap(), line["type"].as_str().unwrap())
        );
    }
}

#[test]
fn what_is_written_today_is_released() {
    let released: Vec<Value> = RELEASED.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in written() {
        let line = line(&event);
        assert!(
            released.contains(&line),
            "add to domain/released/events.ndjson, under a new version if the type is there:\n{line}"
        );
    }
}

#[test]
fn every_aggregate_has_released_events() {
    let released: BTreeSet<String> = RELEASED
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["aggregate"].as_str().unwrap().to_owned())
        .collect();
    let written: BTreeSet<String> = written().iter().map(|event| event.aggregate_type().to_owned()).collect();
    let listed: BTreeSet<String> = AGGREGATE_TYPES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(listed, released);
    assert_eq!(listed, written);
}
