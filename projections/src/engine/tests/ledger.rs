//! Two small projections over a log of deposits: balances with their entries, and a tally of all events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wasend_domain::{AnyEvent, Position, RecordedEvent, group};

use crate::engine::record::table_record;
use crate::engine::testing::{MemoryLog, StillClock, TestDatabase};
use crate::{BatchKeys, BatchRows, FoldError, Projection, Projector, ProjectorOptions, Table, TableRecord};

table_record! {
    /// What one holder has.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Balance in "balances" indexed by [["total DESC", "id"], ["note"]] {
        key pub id: String,
        pub total: i64,
        pub note: Option<String>,
        pub last: Option<i64>,
        pub order: String,
    }
}

table_record! {
    /// One deposit.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Entry in "entries" indexed by [] {
        position pub position: Position,
        pub amount: i64,
    }
}

table_record! {
    /// How many events there were.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tally in "tally" indexed by [] {
        key pub id: String,
        pub events: i64,
    }
}

/// What is wrong with the code of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Loses every seventh event.
    Lossy,
    /// Cannot fold events of the type `odd`.
    Refuses,
    /// Panics at them, after it has changed a row.
    Panics,
    /// Uses a row that it has not named.
    Forgets,
}

pub struct Balances {
    pub fault: Fault,
    pub version: u32,
}

impl Balances {
    pub fn right() -> Arc<dyn Projection> {
        Self::with(Fault::None)
    }

    pub fn with(fault: Fault) -> Arc<dyn Projection> {
        Arc::new(Self { fault, version: 1 })
    }
}

/// `{"account", "amount", "note"}`.
fn parts(recorded: &RecordedEvent) -> (String, i64, Option<String>) {
    let payload: Value = serde_json::from_str(&recorded.payload).unwrap();
    let text = |name: &str| payload[name].as_str().map(ToOwned::to_owned);
    (text("account").unwrap_or_default(), payload["amount"].as_i64().unwrap_or(0), text("note"))
}

impl Projection for Balances {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn tables(&self) -> &'static [&'static Table] {
        &[Balance::TABLE, Entry::TABLE]
    }

    fn keys(&self, _: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if self.fault != Fault::Forgets || recorded.event_type != "odd" {
            keys.touch::<Balance>(parts(recorded).0);
        }
    }

    fn fold(&self, _: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let (account, amount, note) = parts(recorded);
        let odd = recorded.event_type == "odd";
        if self.fault == Fault::Refuses && odd {
            return Err(FoldError("an odd event"));
        }
        if self.fault == Fault::Lossy && recorded.position.is_multiple_of(7) {
            return Ok(());
        }
        let known = rows.get::<Balance>(&account).cloned();
        if recorded.event_type == "closed" {
            rows.delete::<Balance>(&account);
            return Ok(());
        }
        let total = known.map_or(0, |balance| balance.total) + amount;
        let last = (amount != 0).then_some(amount);
        rows.put(Balance { order: account.clone(), id: account, total, note, last });
        rows.put(Entry { position: recorded.position, amount });
        assert!(self.fault != Fault::Panics || !odd, "an odd event");
        Ok(())
    }
}

pub struct Tallies;

impl Projection for Tallies {
    fn name(&self) -> &'static str {
        "tallies"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> &'static [&'static Table] {
        &[Tally::TABLE]
    }

    fn keys(&self, _: &AnyEvent, _: &RecordedEvent, keys: &mut BatchKeys) {
        keys.touch::<Tally>("all");
    }

    fn fold(&self, _: &AnyEvent, _: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let events = rows.get::<Tally>("all").map_or(0, |tally| tally.events);
        rows.put(Tally { id: "all".to_owned(), events: events + 1 });
        Ok(())
    }
}

pub fn both(balances: Arc<dyn Projection>) -> Vec<Arc<dyn Projection>> {
    vec![balances, Arc::new(Tallies)]
}

pub fn deposit(account: &str, amount: i64) -> (&'static str, Value) {
    ("deposited", json!({"account": account, "amount": amount}))
}

pub fn closed(account: &str) -> (&'static str, Value) {
    ("closed", json!({"account": account}))
}

pub fn odd() -> (&'static str, Value) {
    ("odd", json!({"account": "odd", "amount": 1}))
}

/// Whatever the payload: the projections here read it themselves.
pub fn decode(recorded: &RecordedEvent) -> Option<AnyEvent> {
    (recorded.event_type != "undecodable").then_some(AnyEvent::Group(group::Event::Deleted {}))
}

pub fn options(batch: usize) -> ProjectorOptions {
    ProjectorOptions { batch, bulk: batch, poll: Duration::from_millis(20), decode, ..ProjectorOptions::default() }
}

/// A started engine with what it runs on.
pub struct House {
    pub projector: Arc<Projector>,
    pub log: Arc<MemoryLog>,
    pub clock: Arc<StillClock>,
}

impl House {
    pub async fn start(
        own: &TestDatabase,
        log: &Arc<MemoryLog>,
        projections: Vec<Arc<dyn Projection>>,
        batch: usize,
    ) -> Self {
        Self::with_clock(own, log, projections, batch, StillClock::new()).await
    }

    pub async fn with_clock(
        own: &TestDatabase,
        log: &Arc<MemoryLog>,
        projections: Vec<Arc<dyn Projection>>,
        batch: usize,
        clock: Arc<StillClock>,
    ) -> Self {
        let (db, log) = (own.db.clone(), Arc::clone(log));
        let started = Projector::start(db, Arc::clone(&log) as _, projections, Arc::clone(&clock) as _, options(batch));
        Self { projector: started.await.unwrap(), log, clock }
    }

    pub async fn reaches(&self, position: Position) {
        let reached = self.projector.wait_for(position, Duration::from_secs(60)).await;
        assert_eq!(reached, Ok(()), "{:?}", self.projector.status().await);
    }

    pub async fn totals(&self) -> BTreeMap<String, i64> {
        let all: Vec<Balance> = self.projector.reads().fetch("ORDER BY id", &[]).await.unwrap();
        all.into_iter().map(|balance| (balance.id, balance.total)).collect()
    }

    pub async fn tally(&self) -> i64 {
        self.projector.reads().get::<Tally>("all").await.unwrap().map_or(0, |tally| tally.events)
    }

    /// Waits until a projection's status is as wanted.
    pub async fn status(
        &self,
        name: &str,
        wanted: impl Fn(&crate::ProjectionStatus) -> bool,
    ) -> crate::ProjectionStatus {
        for _ in 0..3_000 {
            let all = self.projector.status().await.unwrap();
            if let Some(status) = all.into_iter().find(|status| status.name == name && wanted(status)) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} did not come into the wanted state: {:?}", self.projector.status().await);
    }
}

/// Deposits and closings of a few accounts, the same for the same seed.
pub fn random_events(seed: u64, count: usize) -> Vec<(&'static str, Value)> {
    let state = AtomicU64::new(seed | 1);
    let next = |below: u64| {
        let now = state.load(Ordering::Relaxed).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.store(now, Ordering::Relaxed);
        (now >> 33) % below
    };
    let event = || {
        let account = format!("account-{}", next(9));
        if next(10) == 0 { closed(&account) } else { deposit(&account, i64::try_from(next(50)).unwrap() - 10) }
    };
    (0..count).map(|_| event()).collect()
}

/// What the balances must be after these events.
pub fn expected(events: &[(&'static str, Value)]) -> BTreeMap<String, i64> {
    let mut totals = BTreeMap::new();
    for (kind, payload) in events {
        let account = payload["account"].as_str().unwrap().to_owned();
        if *kind == "closed" {
            totals.remove(&account);
        } else {
            *totals.entry(account).or_default() += payload["amount"].as_i64().unwrap();
        }
    }
    totals
}
