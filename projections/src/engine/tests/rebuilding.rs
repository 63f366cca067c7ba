//! Rebuilding while the log grows, and finding what a fold has lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::ledger::{Balances, Fault, House, both, expected, odd, options, random_events};
use super::on_both;
use crate::engine::testing::{MemoryLog, StillClock, TestDatabase, TestEngine};
use crate::{BuildState, RebuildError, RebuildOptions, rebuild};

on_both!(
    a_rebuild_is_equal_and_switched_while_events_come,
    a_rebuild_beside_a_running_server_finds_lost_events,
    a_poisoned_projection_is_mended_by_a_rebuild,
    a_rebuild_that_stops_at_an_event_leaves_the_tables_as_they_are,
);

async fn a_rebuild_is_equal_and_switched_while_events_come(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let house = House::start(&own, &log, both(Balances::right()), 20).await;
    let stop = Arc::new(AtomicBool::new(false));
    let appending = tokio::spawn({
        let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
        async move {
            let mut events = Vec::new();
            while !stop.load(Ordering::SeqCst) || events.len() < 300 {
                let more = random_events(events.len() as u64, 5);
                log.push(more.clone());
                events.extend(more);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            events
        }
    });
    house.reaches(100).await;
    for _ in 0..3 {
        let report = house.projector.rebuild("balances", &RebuildOptions::default()).await.unwrap();
        assert!(report.is_equal() && report.switched, "{report:?}");
        assert!(report.compared_at >= 100);
        assert_eq!(report.tables.iter().map(|table| table.table).collect::<Vec<_>>(), ["balances", "entries"]);
        assert!(report.tables.iter().all(|table| table.equal > 0));
    }
    stop.store(true, Ordering::SeqCst);
    let events = appending.await.unwrap();
    house.reaches(events.len() as u64).await;
    house.status("balances", |status| status.state == BuildState::Live && status.lag == 0).await;
    assert_eq!(house.totals().await, expected(&events));
    assert_eq!(house.projector.status().await.unwrap().len(), 2, "nothing is left of the rebuilds");
    let unknown = house.projector.rebuild("nothing", &RebuildOptions::default()).await;
    assert!(matches!(unknown, Err(RebuildError::Unknown(_))));
}

async fn a_rebuild_beside_a_running_server_finds_lost_events(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let events = random_events(11, 200);
    log.push(events.clone());
    let house = House::start(&own, &log, both(Balances::with(Fault::Lossy)), 20).await;
    house.reaches(200).await;
    let lossy = house.totals().await;
    // Another process, whose code loses nothing.
    let db = own.another().await.db;
    let right = Balances::right();
    let run = |force| {
        let settings = (options(30), RebuildOptions { force });
        let (db, log, right) = (db.clone(), Arc::clone(&log), Arc::clone(&right));
        async move { rebuild(db, log, &right, StillClock::new(), (settings.0, &settings.1)).await.unwrap() }
    };
    let report = run(false).await;
    assert!(!report.is_equal() && !report.switched);
    let entries = report.tables.iter().find(|table| table.table == "entries").unwrap();
    let lost = events.iter().enumerate().filter(|(at, (kind, _))| (at + 1) % 7 == 0 && *kind == "deposited").count();
    assert_eq!((entries.added, entries.missing, entries.different), (lost as u64, 0, 0));
    assert_eq!(entries.first.len(), 10);
    assert_eq!(house.totals().await, lossy);
    assert!(run(true).await.switched);
    assert_eq!(house.totals().await, expected(&events));
    // The server goes on with the tables that were switched.
    let position = log.push(random_events(5, 1));
    house.reaches(position).await;
    house.status("balances", |status| status.lag == 0).await;
}

async fn a_poisoned_projection_is_mended_by_a_rebuild(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let mut events = random_events(2, 20);
    events.push(odd());
    events.extend(random_events(3, 20));
    log.push(events.clone());
    let house = House::start(&own, &log, both(Balances::with(Fault::Refuses)), 7).await;
    house.status("balances", |status| status.state == BuildState::Poisoned).await;
    house.projector.shutdown().await;
    let right = Balances::right();
    let settings = (options(30), &RebuildOptions::default());
    let report = rebuild(own.db.clone(), log.clone(), &right, StillClock::new(), settings).await.unwrap();
    assert_eq!((report.compared_at, report.is_equal(), report.switched), (20, true, true));
    let house = House::start(&own, &log, both(right), 7).await;
    house.status("balances", |status| status.state == BuildState::Live && status.lag == 0).await;
    assert_eq!(house.totals().await, expected(&events));
}

async fn a_rebuild_that_stops_at_an_event_leaves_the_tables_as_they_are(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let mut events = random_events(2, 20);
    events.push(odd());
    let position = log.push(events.clone());
    let house = House::start(&own, &log, both(Balances::right()), 7).await;
    house.reaches(position).await;
    let broken = Balances::with(Fault::Refuses);
    let settings = (options(30), &RebuildOptions { force: true });
    let failed = rebuild(own.db.clone(), log.clone(), &broken, StillClock::new(), settings).await;
    assert!(matches!(failed, Err(RebuildError::Poisoned { position: 21, .. })), "{failed:?}");
    assert_eq!(house.totals().await, expected(&events));
    assert_eq!(house.projector.status().await.unwrap().len(), 2);
}
