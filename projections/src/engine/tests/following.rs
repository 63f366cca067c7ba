//! Following the log: exactly once, in any batches, whatever happens to one projection.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wasend_domain::{AnyEvent, RecordedEvent};

use super::ledger::{
    Balance, Balances, Entry, Fault, House, Tallies, Tally, both, closed, deposit, expected, odd, options,
    random_events,
};
use super::on_both;
use crate::engine::testing::{EventDamage, MemoryLog, TestDatabase, TestEngine};
use crate::{
    BatchKeys, BatchRows, BuildState, FoldError, Projection, Projector, StartError, Table, TableRecord, WaitTimedOut,
};

on_both!(
    every_event_is_folded_once_across_restarts,
    a_poisoned_event_stops_its_projection_alone,
    a_mended_projection_goes_on_where_it_stopped,
    a_panicking_or_forgetful_fold_is_poisoned_and_leaves_no_trace,
    an_event_that_cannot_be_decoded_stops_all_and_loses_nothing,
    a_damaged_log_is_folded_up_to_the_damage_and_stops_all_there,
    a_log_without_its_last_event_stops_all_before_it,
    a_new_projection_catches_up_and_joins,
    an_earlier_copy_of_the_log_is_folded_anew,
    changed_tables_need_a_new_version,
    waiting_ends_when_the_position_is_reached_or_the_time_is_up,
);

/// Any batch sizes and any moments of restart give the tables that the events say.
async fn every_event_is_folded_once_across_restarts(engine: TestEngine) {
    let own = TestDatabase::new(engine).await;
    let runs = prop::collection::vec((1_usize..40, 0_usize..60), 1..5);
    let strategy = (any::<u64>(), runs);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let version = std::sync::atomic::AtomicU32::new(0);
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        runner.run(&strategy, |(seed, runs)| {
            // Each case has separate tables.
            let version = 1 + version.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            handle.block_on(restarts(&own, version, seed, &runs));
            Ok(())
        })
    })
    .unwrap();
}

async fn restarts(own: &TestDatabase, version: u32, seed: u64, runs: &[(usize, usize)]) {
    let log = MemoryLog::new();
    let events = random_events(seed, runs.iter().map(|(_, count)| count).sum());
    let mut rest = events.as_slice();
    for (batch, count) in runs {
        let projection: Arc<dyn Projection> = Arc::new(Balances { fault: Fault::None, version });
        let house = House::start(own, &log, vec![projection], *batch).await;
        let (now, later) = rest.split_at(*count);
        let position = house.log.push(now.to_vec());
        // Stopped before or after all is folded.
        if seed.is_multiple_of(2) || later.is_empty() {
            house.reaches(position).await;
        }
        house.projector.shutdown().await;
        rest = later;
        if rest.is_empty() {
            assert_eq!(house.totals().await, expected(&events));
            let entries = house.projector.reads().count::<Entry>("", &[]).await.unwrap();
            assert_eq!(entries, events.iter().filter(|(kind, _)| *kind == "deposited").count() as u64);
        }
    }
}

async fn a_poisoned_event_stops_its_projection_alone(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    log.push([deposit("a", 1), deposit("b", 2), odd(), deposit("a", 4)]);
    let house = House::start(&own, &log, both(Balances::with(Fault::Refuses)), 100).await;
    house.reaches(4).await;
    let stopped = house.status("balances", |status| status.state == BuildState::Poisoned).await;
    assert_eq!((stopped.position, stopped.error_position, stopped.lag), (2, Some(3), 2));
    assert_eq!(stopped.error.as_deref(), Some("the fold refused the event: an odd event"));
    assert_eq!(house.totals().await, [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
    assert_eq!(house.tally().await, 4);
    let position = house.log.push([deposit("a", 8)]);
    house.reaches(position).await;
    assert_eq!(house.tally().await, 5);
    assert_eq!(house.totals().await["a"], 1);
}

async fn a_mended_projection_goes_on_where_it_stopped(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let events = [deposit("a", 1), odd(), deposit("a", 4), closed("odd")];
    log.push(events.clone());
    let house = House::start(&own, &log, both(Balances::with(Fault::Refuses)), 100).await;
    house.status("balances", |status| status.state == BuildState::Poisoned).await;
    house.projector.shutdown().await;
    let house = House::start(&own, &log, both(Balances::right()), 100).await;
    let mended = house.status("balances", |status| status.state == BuildState::Live && status.lag == 0).await;
    assert_eq!((mended.error, mended.error_position), (None, None));
    assert_eq!(house.totals().await, expected(&events));
    assert_eq!(house.tally().await, 4);
}

async fn a_panicking_or_forgetful_fold_is_poisoned_and_leaves_no_trace(engine: TestEngine) {
    for (fault, error) in [
        (Fault::Panics, "the fold panicked"),
        (Fault::Forgets, "the fold used a row of balances that it had not named"),
    ] {
        let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
        log.push([deposit("a", 1), odd(), deposit("a", 2)]);
        let house = House::start(&own, &log, both(Balances::with(fault)), 100).await;
        let stopped = house.status("balances", |status| status.state == BuildState::Poisoned).await;
        assert_eq!((stopped.position, stopped.error_position), (1, Some(2)));
        assert_eq!(stopped.error.as_deref(), Some(error));
        assert_eq!(house.projector.reads().count::<Balance>("", &[]).await.unwrap(), 1);
        assert_eq!(house.projector.reads().count::<Entry>("", &[]).await.unwrap(), 1);
        house.projector.shutdown().await;
    }
}

async fn an_event_that_cannot_be_decoded_stops_all_and_loses_nothing(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    log.push([deposit("a", 1), ("undecodable", serde_json::Value::Null), deposit("a", 2)]);
    let house = House::start(&own, &log, both(Balances::right()), 100).await;
    for name in ["balances", "tallies"] {
        let stopped = house.status(name, |status| status.state == BuildState::Poisoned).await;
        assert_eq!((stopped.position, stopped.error_position), (1, Some(2)));
    }
    assert_eq!((house.totals().await["a"], house.tally().await), (1, 1));
}

async fn a_damaged_log_is_folded_up_to_the_damage_and_stops_all_there(engine: TestEngine) {
    for (bad, batch) in
        [(EventDamage::Changed, 100), (EventDamage::Lost, 100), (EventDamage::Changed, 2), (EventDamage::Lost, 1)]
    {
        let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
        log.push((0..9).map(|_| deposit("a", 1)));
        *log.bad.lock().unwrap() = Some((6, bad));
        let house = House::start(&own, &log, both(Balances::right()), batch).await;
        for name in ["balances", "tallies"] {
            let stopped = house.status(name, |status| status.state == BuildState::Poisoned).await;
            assert_eq!(
                (stopped.position, stopped.error_position, stopped.log_is_damaged),
                (5, Some(6), true),
                "{bad:?}"
            );
        }
        assert_eq!((house.totals().await["a"], house.tally().await), (5, 5));
        house.projector.shutdown().await;
        // A log that was put back is folded from there on.
        *log.bad.lock().unwrap() = None;
        let house = House::start(&own, &log, both(Balances::right()), batch).await;
        // The stop of before is not taken for one of now.
        assert!(house.projector.status().await.unwrap().iter().all(|status| status.state != BuildState::Poisoned));
        house.reaches(9).await;
        assert_eq!((house.totals().await["a"], house.tally().await), (9, 9));
        house.projector.shutdown().await;
    }
}

async fn a_log_without_its_last_event_stops_all_before_it(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let head = log.push((0..3).map(|_| deposit("a", 1)));
    *log.bad.lock().unwrap() = Some((head, EventDamage::Lost));
    let house = House::start(&own, &log, both(Balances::right()), 100).await;
    let stopped = house.status("balances", |status| status.state == BuildState::Poisoned).await;
    assert_eq!((stopped.position, stopped.error_position, stopped.log_is_damaged), (2, Some(3), true));
}

async fn a_new_projection_catches_up_and_joins(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let mut events = random_events(3, 500);
    log.push(events.clone());
    let house = House::start(&own, &log, vec![Arc::new(Tallies)], 50).await;
    house.reaches(500).await;
    house.projector.shutdown().await;
    let house = House::start(&own, &log, both(Balances::right()), 7).await;
    for seed in 0..20 {
        let more = random_events(seed, 10);
        let position = house.log.push(more.clone());
        events.extend(more);
        // The projections that live do not wait for the newcomer.
        house.reaches(position).await;
    }
    house.status("balances", |status| status.state == BuildState::Live && status.lag == 0).await;
    assert_eq!(house.totals().await, expected(&events));
    assert_eq!(house.tally().await, 700);
}

/// The balances with other tables.
struct Changed;
impl Projection for Changed {
    fn name(&self) -> &'static str {
        "balances"
    }
    fn version(&self) -> u32 {
        1
    }
    fn tables(&self) -> &'static [&'static Table] {
        &[Tally::TABLE]
    }
    fn keys(&self, _: &AnyEvent, _: &RecordedEvent, _: &mut BatchKeys) {}
    fn fold(&self, _: &AnyEvent, _: &RecordedEvent, _: &mut BatchRows) -> Result<(), FoldError> {
        Ok(())
    }
}

/// Where the log's file was restored from a backup, but not that of the read models.
async fn an_earlier_copy_of_the_log_is_folded_anew(engine: TestEngine) {
    let (own, log, copy) = (TestDatabase::new(engine).await, MemoryLog::new(), MemoryLog::new());
    let events = random_events(23, 200);
    log.push(events.clone());
    let house = House::start(&own, &log, both(Balances::right()), 20).await;
    house.reaches(200).await;
    house.projector.shutdown().await;
    drop(house);
    copy.push(events[..90].to_vec());
    let house = House::start(&own, &copy, both(Balances::right()), 20).await;
    house.reaches(90).await;
    assert_eq!(house.totals().await, expected(&events[..90]));
}

async fn changed_tables_need_a_new_version(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let house = House::start(&own, &log, vec![Balances::right()], 50).await;
    house.projector.shutdown().await;
    let options = options(1);
    let started =
        Projector::start(own.db.clone(), Arc::clone(&log) as _, vec![Arc::new(Changed)], house.clock.clone(), options);
    assert!(matches!(started.await, Err(StartError::Changed(id)) if id == "balances_v1"));
}

async fn waiting_ends_when_the_position_is_reached_or_the_time_is_up(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let house = House::start(&own, &log, both(Balances::right()), 50).await;
    assert_eq!(house.projector.wait_for(1, Duration::from_millis(50)).await, Err(WaitTimedOut));
    let waiting = tokio::spawn({
        let projector = Arc::clone(&house.projector);
        async move { projector.wait_for(2, Duration::from_secs(60)).await }
    });
    house.log.push([deposit("a", 1)]);
    house.log.push([deposit("a", 1)]);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(house.totals().await["a"], 2);
}
