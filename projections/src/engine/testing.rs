//! For tests: folds without a database, a log in memory, a clock that is set, databases of a test's own.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;
use wasend_domain::{AccountId, AnyEvent, Clock, EventId, EventMetadata, Position, RecordedEvent, StreamId, Time};
use wasend_eventlog::{Append, AppendRejection, AppendedRange, Db, DbOptions, EventFilter, EventLog, LogError};

use crate::engine::batch::{self, DecodedEvent, NamedBatch};
use crate::engine::build::ProjectionBuild;
use crate::engine::cell::CellValue;
use crate::engine::projection::{PoisonCause, Projection};
use crate::engine::table::{CellReader, TableRecord};

/// Tables in memory, as a fold has filled them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MemoryTables(HashMap<&'static str, BTreeMap<CellValue, Vec<CellValue>>>);

impl MemoryTables {
    /// The record under this id.
    pub fn get<R: TableRecord>(&self, id: &str) -> Option<R> {
        self.all::<R>().into_iter().find(|record| record.id() == id)
    }

    /// In the order of their keys.
    pub fn all<R: TableRecord>(&self) -> Vec<R> {
        let rows = self.0.get(R::TABLE.name).into_iter().flat_map(BTreeMap::values);
        let record = |row: &Vec<CellValue>| {
            R::from_cells(&mut CellReader::new(R::TABLE, row.clone())).expect("a record reads what it writes")
        };
        rows.map(record).collect()
    }

    fn apply(&mut self, build: &ProjectionBuild, events: &[DecodedEvent]) -> Result<(), PoisonCause> {
        let NamedBatch { mut keys, count, poison } = batch::name(build.projection.as_ref(), events);
        if let Some(poison) = poison {
            return Err(poison);
        }
        assert_eq!(count, events.len());
        for (table, ids) in keys.wanted() {
            let rows = self.0.get(table);
            let mut found = ids.into_iter().filter_map(|id| rows?.get(&CellValue::from(id)).cloned());
            found.try_for_each(|row| keys.fill(table, row))?;
        }
        let folded = batch::fold_rows(build, events, &mut keys.into_rows());
        for changes in folded.changes {
            let table = self.0.entry(changes.table).or_default();
            let keyed = |row: Vec<CellValue>| (row[0].clone(), row);
            for (key, row) in changes.inserts.into_iter().map(keyed) {
                assert_eq!(table.insert(key, row), None);
            }
            table.extend(changes.updates.into_iter().map(keyed));
            changes.deletes.into_iter().for_each(|id| drop(table.remove(&CellValue::from(id))));
        }
        folded.poison.map_or(Ok(()), Err)
    }
}

/// Folds a history, one event a batch and all in one batch, and checks that both give the same tables.
pub(crate) fn folded(
    projection: impl Projection,
    history: &[(AnyEvent, RecordedEvent)],
) -> Result<MemoryTables, PoisonCause> {
    let build = ProjectionBuild::serving(&(Arc::new(projection) as Arc<dyn Projection>));
    let decoded = |(event, recorded): &(AnyEvent, RecordedEvent)| DecodedEvent {
        event: Some(event.clone()),
        recorded: recorded.clone(),
    };
    let events: Vec<DecodedEvent> = history.iter().map(decoded).collect();
    let (mut singly, mut at_once) = (MemoryTables::default(), MemoryTables::default());
    events.iter().try_for_each(|event| singly.apply(&build, std::slice::from_ref(event)))?;
    at_once.apply(&build, &events)?;
    // A table from which everything was deleted is as empty as one that never held anything.
    for tables in [&mut singly, &mut at_once] {
        tables.0.retain(|_, rows| !rows.is_empty());
    }
    assert_eq!(singly, at_once, "the fold depends on how the events are batched");
    Ok(singly)
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    /// A clock at one fixed moment of the year 2027.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A log that lives as long as the test.
pub(crate) struct MemoryLog {
    events: Mutex<Vec<RecordedEvent>>,
    head: watch::Sender<Position>,
    pub reads: AtomicU64,
    /// Reads of the event at this position report damage, or do not get it.
    pub bad: Mutex<Option<(Position, EventDamage)>>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventDamage {
    Changed,
    Lost,
}

impl MemoryLog {
    /// A log without events, whose reads succeed.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            head: watch::Sender::new(0),
            reads: AtomicU64::new(0),
            bad: Mutex::default(),
        })
    }

    /// Appends events of a type with payloads; gives the position of the last.
    pub fn push<P: ToString>(&self, events: impl IntoIterator<Item = (&'static str, P)>) -> Position {
        let mut log = self.events.lock().unwrap();
        for (event_type, payload) in events {
            let position = log.len() as u64 + 1;
            log.push(recorded(position, event_type, payload.to_string()));
        }
        let head = log.len() as u64;
        self.head.send_replace(head);
        head
    }
}

/// An event as the log holds it, of an arbitrary account.
pub(crate) fn recorded(position: Position, event_type: &str, payload: String) -> RecordedEvent {
    RecordedEvent {
        position,
        account_id: AccountId::from_uuid(Uuid::nil()),
        aggregate_type: "test".to_owned(),
        aggregate_id: Uuid::nil(),
        sequence: position,
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position))),
        event_type: event_type.to_owned(),
        event_version: "1".to_owned(),
        payload,
        metadata: EventMetadata::default(),
        command_id: position.to_string(),
        recorded_at: Time::from_micros(i64::try_from(position).unwrap()),
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, _: Vec<Append>) -> Result<Vec<Result<AppendedRange, AppendRejection>>, LogError> {
        Err(LogError::Closed)
    }

    async fn load(&self, _: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError> {
        Err(LogError::Closed)
    }

    async fn command(&self, _: AccountId, _: &str) -> Result<Vec<RecordedEvent>, LogError> {
        Err(LogError::Closed)
    }

    async fn read(&self, after: Position, limit: usize, filter: &EventFilter) -> Result<Vec<RecordedEvent>, LogError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let until = filter.until.unwrap_or(Position::MAX);
        let events = self.events.lock().unwrap();
        let wanted = events.iter().skip(usize::try_from(after).unwrap()).take(limit);
        let mut found: Vec<_> = wanted.take_while(|event| event.position <= until).cloned().collect();
        let Some((position, bad)) = *self.bad.lock().unwrap() else { return Ok(found) };
        match (bad, found.iter().position(|event| event.position == position)) {
            (_, None) => Ok(found),
            // As the log: an event that is missing shows by the one after it.
            (EventDamage::Lost, Some(at)) if at + 1 == found.len() => {
                found.pop();
                Ok(found)
            }
            _ => Err(LogError::Damaged(format!("position {position}"))),
        }
    }

    async fn head(&self) -> Result<Position, LogError> {
        Ok(self.events.lock().unwrap().len() as u64)
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    async fn close(&self) {}
}

/// Which database a test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TestEngine {
    Sqlite,
    Postgres,
}

#[expect(clippy::disallowed_methods, reason = "the test run says where its Postgres is")]
fn server() -> String {
    std::env::var("WASEND_TEST_POSTGRES").expect("WASEND_TEST_POSTGRES names a Postgres server")
}

/// A database of a test's own; a SQLite file goes with it.
pub(crate) struct TestDatabase {
    pub db: Db,
    url: String,
    _directory: Option<tempfile::TempDir>,
}

impl TestDatabase {
    /// A database of the engine that is dropped with it; on PostgreSQL it is made beside that of the test server's URL.
    pub async fn new(engine: TestEngine) -> Self {
        match engine {
            TestEngine::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let url = directory.path().join("wasend.db").display().to_string();
                Self { db: Self::open(&url).await, url, _directory: Some(directory) }
            }
            TestEngine::Postgres => {
                let url = server();
                let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
                let name = format!("projections_{}", Uuid::new_v4().simple());
                let pool = sqlx::PgPool::connect_with(options).await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
                pool.close().await;
                let (server, parameters) = url.split_once('?').unwrap_or((&url, ""));
                let (server, _) = server.rsplit_once('/').expect("the URL names a database");
                let url = format!("{server}/{name}?{parameters}");
                Self { db: Self::open(&url).await, url, _directory: None }
            }
        }
    }

    /// The same database, as another node opens it; it goes with the first.
    pub async fn another(&self) -> Self {
        Self { db: Self::open(&self.url).await, url: self.url.clone(), _directory: None }
    }

    async fn open(url: &str) -> Db {
        let log = Db::open(url, &DbOptions::default()).await.unwrap();
        log.models(&DbOptions::default()).await.unwrap()
    }
}
