//! Several nodes on one database: one folds, the others follow and take over.

use std::sync::Arc;
use std::time::Duration;

use super::ledger::{Balances, Fault, House, both, deposit, expected, random_events};
use super::on_both;
use crate::engine::testing::{MemoryLog, StillClock, TestDatabase, TestEngine};
use crate::{BuildState, Leases, Projection};

on_both!(
    one_owner_has_a_lease_until_it_ends,
    a_follower_hears_of_progress_and_takes_over,
    nodes_that_believe_in_the_same_lease_fold_once,
    two_versions_are_kept_side_by_side,
);

async fn one_owner_has_a_lease_until_it_ends(engine: TestEngine) {
    let (own, clock) = (TestDatabase::new(engine).await, StillClock::new());
    let leases = Leases::new(own.db.clone());
    let ttl = Duration::from_secs(10);
    let acquire = |owner: &'static str| {
        let (leases, clock) = (leases.clone(), Arc::clone(&clock));
        async move { leases.acquire(clock.as_ref(), "number/1", owner, ttl).await.unwrap() }
    };
    assert_eq!(acquire("a").await, Some(1));
    assert_eq!((acquire("b").await, acquire("a").await), (None, Some(1)));
    clock.advance(ttl);
    assert_eq!(acquire("b").await, None, "a lease lasts until its end, inclusive");
    clock.advance(Duration::from_micros(1));
    assert_eq!((acquire("b").await, acquire("a").await), (Some(2), None));
    leases.release(&["number/1".to_owned()], "a").await.unwrap();
    assert_eq!(acquire("a").await, None, "only the owner gives a lease back");
    leases.release(&["number/1".to_owned()], "b").await.unwrap();
    assert_eq!(acquire("a").await, Some(3));
    let names = ["number/1", "number/2"].map(ToOwned::to_owned);
    let granted = leases.acquire_all(clock.as_ref(), &names, "b", ttl).await.unwrap();
    assert_eq!(granted, [None, Some(1)]);
}

async fn a_follower_hears_of_progress_and_takes_over(engine: TestEngine) {
    let (own, log, clock) = (TestDatabase::new(engine).await, MemoryLog::new(), StillClock::new());
    let first = House::with_clock(&own, &log, both(Balances::right()), 5, Arc::clone(&clock)).await;
    let mut events = random_events(1, 100);
    first.reaches(log.push(events.clone())).await;
    let other = own.another().await;
    let second = House::with_clock(&other, &log, both(Balances::right()), 5, Arc::clone(&clock)).await;
    second.reaches(100).await;
    let more = random_events(2, 100);
    let position = log.push(more.clone());
    events.extend(more);
    second.reaches(position).await;
    // Given back at once when a node stops.
    first.projector.shutdown().await;
    let more = random_events(3, 100);
    let position = log.push(more.clone());
    events.extend(more);
    second.reaches(position).await;
    assert_eq!(second.totals().await, expected(&events));
    assert_eq!(second.tally().await, 300);
    second.projector.shutdown().await;
}

/// The clock of one node runs ahead of the lease, so that it takes the lease from a node that goes on writing.
async fn nodes_that_believe_in_the_same_lease_fold_once(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let (slow, fast) = (StillClock::new(), StillClock::new());
    let first = House::with_clock(&own, &log, both(Balances::right()), 3, slow).await;
    let other = own.another().await;
    let second = House::with_clock(&other, &log, both(Balances::right()), 4, Arc::clone(&fast)).await;
    let mut events = Vec::new();
    for seed in 0..30 {
        let more = random_events(seed, 20);
        let position = log.push(more.clone());
        events.extend(more);
        fast.advance(Duration::from_secs(4));
        if seed % 3 == 0 {
            second.reaches(position).await;
        }
    }
    first.reaches(600).await;
    second.reaches(600).await;
    assert_eq!(second.totals().await, expected(&events));
    assert_eq!(second.tally().await, 600);
    first.projector.shutdown().await;
    second.projector.shutdown().await;
}

async fn two_versions_are_kept_side_by_side(engine: TestEngine) {
    let (own, log, clock) = (TestDatabase::new(engine).await, MemoryLog::new(), StillClock::new());
    log.push((0..50).map(|n| deposit("a", n)));
    let old = House::with_clock(&own, &log, both(Balances::right()), 10, Arc::clone(&clock)).await;
    old.reaches(50).await;
    let newer: Arc<dyn Projection> = Arc::new(Balances { fault: Fault::None, version: 2 });
    let new = House::with_clock(&own, &log, both(newer), 10, Arc::clone(&clock)).await;
    new.status("balances", |status| status.version == 2 && status.state == BuildState::Live).await;
    let position = log.push([deposit("a", 1)]);
    old.reaches(position).await;
    new.reaches(position).await;
    assert_eq!((old.totals().await["a"], new.totals().await["a"]), (1_226, 1_226));
    assert_eq!((old.tally().await, new.tally().await), (51, 51));
    old.projector.shutdown().await;
    new.projector.shutdown().await;
}
