//! Reading: filters, sets of streams, upcasting, damage.

use cqrs_es::persist::SemanticVersionEventUpcaster;
use serde_json::json;
use uuid::Uuid;
use wasend_domain::{Actor, EventMetadata};
use wasend_eventlog::{Append, EventFilter, EventLog, LogError, UpcasterChain, with_db};

use crate::harness::{Home, NOW, account, append, fresh, part, repeatable, stream};

crate::on_every_engine!(
    an_event_is_read_as_it_was_written,
    filters_narrow,
    a_thousand_streams_at_once,
    each_of_many_loads_at_once_gets_its_own,
    old_events_are_read_as_new,
    nonsense_is_reported_as_damage,
    what_was_lost_or_changed_on_the_disk_is_damage,
);

async fn an_event_is_read_as_it_was_written(home: Home) {
    let log = home.log().await;
    let mut append = append(repeatable("c", "f"), vec![part(stream(1), 0, 1)]);
    // Neither the order of the keys, nor spaces, nor repeated keys are touched.
    append.streams[0].events[0].payload = "{ \"b\":1,\"a\" : 1.50,\"b\":\"\\u0000 'λ\" }".into();
    log.append(vec![append.clone()]).await.unwrap()[0].as_ref().unwrap();
    let event = log.load(&[stream(1)]).await.unwrap().remove(0);
    let written = &append.streams[0].events[0];
    assert_eq!(event.payload, written.payload);
    assert_eq!((event.position, event.sequence, event.recorded_at), (1, 1, NOW));
    assert_eq!((event.account_id, event.event_id), (account(1), written.event_id));
    assert_eq!((event.aggregate_type.as_str(), event.aggregate_id), ("account", Uuid::from_u128(1)));
    assert_eq!((event.event_type.as_str(), event.event_version.as_str()), ("Deposited", "1.0"));
    assert_eq!(event.metadata, EventMetadata::by(Actor::Meta).with_fingerprint("f".into()));
    assert_eq!(event.command_id, "c");
}

async fn filters_narrow(home: Home) {
    let log = home.log().await;
    for n in 0..6 {
        let append = append(fresh(), vec![part(stream(n % 4), u64::try_from(n / 4).unwrap(), 1)]);
        log.append(vec![Append { account_id: account(1 + n % 2), ..append }]).await.unwrap()[0].as_ref().unwrap();
    }
    let positions = async |after, limit, filter: EventFilter| {
        let events = log.read(after, limit, &filter).await.unwrap();
        events.iter().map(|event| event.position).collect::<Vec<_>>()
    };
    let all = EventFilter::default;
    assert_eq!(positions(0, 100, all()).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(positions(2, 2, all()).await, [3, 4]);
    assert!(positions(6, 2, all()).await.is_empty());
    assert_eq!(positions(2, 100, EventFilter { until: Some(4), ..all() }).await, [3, 4]);
    assert_eq!(positions(0, 100, EventFilter { account_id: Some(account(2)), ..all() }).await, [2, 4, 6]);
    assert_eq!(positions(0, 100, EventFilter { stream: Some(stream(1)), ..all() }).await, [2, 6]);
    let neither = EventFilter { account_id: Some(account(1)), stream: Some(stream(1)), until: None };
    assert!(positions(0, 100, neither).await.is_empty());
    let both = EventFilter { account_id: Some(account(2)), stream: Some(stream(1)), until: Some(4) };
    assert_eq!(positions(0, 100, both).await, [2]);
}

async fn a_thousand_streams_at_once(home: Home) {
    let log = home.log().await;
    let count = 2_500;
    let batch = (0..count).map(|n| append(fresh(), vec![part(stream(n), 0, 2)])).collect();
    assert!(log.append(batch).await.unwrap().iter().all(Result::is_ok));
    let mut streams: Vec<_> = (0..count).rev().map(stream).collect();
    streams.extend([stream(3), stream(1_000_000)]);
    let events = log.load(&streams).await.unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.aggregate_id.as_u128(), event.sequence)).collect();
    assert_eq!(found, (0..count).flat_map(|n| [(n, 1), (n, 2)]).collect::<Vec<_>>());
    assert_eq!(log.load(&[]).await.unwrap(), []);
}

async fn each_of_many_loads_at_once_gets_its_own(home: Home) {
    let log = home.log().await;
    for n in 1..=20 {
        log.append(vec![append(fresh(), vec![part(stream(n), 0, 2)])]).await.unwrap()[0].as_ref().unwrap();
    }
    // Some ask for the same, some for several in any order, some for what there is not.
    let asked: Vec<Vec<_>> = (1..=90).map(|n| vec![stream(n % 25), stream(n % 7)]).collect();
    let answers = futures::future::join_all(asked.iter().map(|streams| log.load(streams))).await;
    for (streams, events) in asked.iter().zip(answers) {
        let mut wanted: Vec<_> = streams.iter().filter(|s| (1..=20).contains(&s.aggregate_id.as_u128())).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let wanted = wanted.iter().flat_map(|s| [(s.aggregate_id, 1), (s.aggregate_id, 2)]).collect::<Vec<_>>();
        let found: Vec<_> = events.unwrap().iter().map(|event| (event.aggregate_id, event.sequence)).collect();
        assert_eq!(found, wanted);
    }
}

async fn old_events_are_read_as_new(home: Home) {
    let upcaster = |version: &str, amount: u64| {
        let upcast = move |_| json!({"Deposited": {"amount": amount}});
        Box::new(SemanticVersionEventUpcaster::new("Deposited", version, Box::new(upcast)))
    };
    let log = home.log_with(UpcasterChain::new(vec![upcaster("1.1.0", 5), upcaster("2.0.0", 6)])).await;
    log.append(vec![append(repeatable("c", "f"), vec![part(stream(1), 0, 1)])]).await.unwrap()[0].as_ref().unwrap();
    let loaded = log.load(&[stream(1)]).await.unwrap();
    assert_eq!(loaded[0].payload, r#"{"Deposited":{"amount":6}}"#);
    assert_eq!(loaded[0].event_version, "2.0.0");
    assert_eq!(log.read(0, 1, &EventFilter::default()).await.unwrap(), loaded);
    assert_eq!(log.command(account(1), "c").await.unwrap(), loaded);
    let plain = home.log().await.load(&[stream(1)]).await.unwrap();
    assert_eq!(plain[0].event_version, "1.0");
}

async fn nonsense_is_reported_as_damage(home: Home) {
    let log = home.log().await;
    log.append(vec![append(fresh(), vec![part(stream(1), 0, 1)])]).await.unwrap()[0].as_ref().unwrap();
    let damage = "UPDATE events SET account_id = 'secret'";
    with_db!(log.db(), pool => { sqlx::query(damage).execute(pool).await.unwrap(); });
    let error = log.read(0, 10, &EventFilter::default()).await.unwrap_err();
    assert!(matches!(&error, LogError::Damaged(text) if !text.contains("secret")), "{error:?}");
}

async fn what_was_lost_or_changed_on_the_disk_is_damage(home: Home) {
    let log = home.log().await;
    log.append(vec![append(fresh(), vec![part(stream(1), 0, 3)])]).await.unwrap()[0].as_ref().unwrap();
    let damaged = async |damage: &'static str| {
        with_db!(log.db(), pool => { sqlx::query(damage).execute(pool).await.unwrap(); });
        let error = log.read(0, 10, &EventFilter::default()).await.unwrap_err();
        assert!(matches!(&error, LogError::Damaged(_)), "{error:?}");
        error.to_string()
    };
    assert!(damaged("DELETE FROM events WHERE position = 2").await.contains("position 2"));
    // Postgres checksums its pages.
    if let Home::Sqlite(_) = &home {
        let error = damaged("UPDATE events SET payload = replace(payload, '1', '2') WHERE position = 1").await;
        assert!(error.contains("position 1"), "{error}");
        let loaded = log.load(&[stream(1)]).await.unwrap_err();
        assert!(matches!(loaded, LogError::Damaged(_)), "{loaded:?}");
    }
}
