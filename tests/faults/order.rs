//! One order of events for all: appenders and readers in separate processes on one database, while others
//! hold the head of the log, roll back, are cut off and killed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use wasend_domain::{Clock, Position, RecordedEvent, Time};
use wasend_eventlog::{Db, DbOptions, EventFilter, EventLog, SqlLog, UpcasterChain, with_db};
use wasend_tests::Engine;

use crate::cluster::Cluster;
use crate::process;
use crate::verdict::Verdict;

pub mod appender;
pub mod reader;

const APPENDERS: usize = 4;

/// The moment is of no matter here.
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Time {
        Time::from_seconds(0)
    }
}

pub async fn open(url: &str) -> Result<SqlLog, String> {
    let db = Db::open(url, &DbOptions::default()).await.map_err(|error| error.to_string())?;
    SqlLog::open(db, Arc::new(Epoch), UpcasterChain::default()).await.map_err(|error| error.to_string())
}

/// What a reader has seen, in short.
#[derive(Default)]
pub struct Seen {
    pub count: u64,
    hasher: DefaultHasher,
}

impl Seen {
    /// Nothing may be left out, come again or come late.
    pub fn add(&mut self, event: &RecordedEvent) -> Result<(), String> {
        if event.position != self.count + 1 {
            return Err(format!("position {} came after {}", event.position, self.count));
        }
        self.count = event.position;
        (event.position, event.event_id.to_string(), &event.payload).hash(&mut self.hasher);
        Ok(())
    }

    pub fn told(&self) -> String {
        format!("{} events, {:016x}", self.count, self.hasher.finish())
    }
}

pub async fn run(verdict: &mut Verdict, engine: Engine, commands: u64, seed: u64) {
    let cluster = (engine == Engine::Postgres).then(|| Cluster::start(None));
    let directory = tempfile::tempdir().expect("a directory is made");
    let url = match &cluster {
        Some(cluster) => cluster.fresh_database("faults").await,
        None => directory.path().join("log.db").display().to_string(),
    };
    let log = open(&url).await.expect("the log opens");
    let mut readers: Vec<(&str, Child)> = Vec::new();
    for way in ["poll", "follow", "poll", "follow"] {
        readers.push((way, this(&["reader", &url, way], Stdio::piped())));
    }
    let disturbing = tokio::spawn(disturb(url.clone(), engine, seed));
    let mut appenders = JoinSet::new();
    for which in 0..APPENDERS {
        let rng = Rng::with_seed(seed + which as u64);
        appenders.spawn(appender::supervise(url.clone(), which, commands / APPENDERS as u64, rng));
    }
    let killing = tokio::spawn(kill_backends(cluster, Rng::with_seed(seed)));
    let appended = appenders.join_all().await;
    disturbing.abort();
    let (restarts, cluster) = end(killing).await;
    let disturbed = disturbing.await.is_err_and(|error| error.is_cancelled());
    verdict.check("the disturbances lasted as long as the test", disturbed, "held heads, rollbacks, slow commits");
    let killed: u32 = appended.iter().map(|appended| appended.killed).sum();
    Verdict::note(format!("{killed} appenders killed, {restarts} processes of PostgreSQL"));
    let events = everything(&log).await;
    verdict.held("every acknowledged command is there once", appender::judge(&events, &appended));
    let mut whole = Seen::default();
    let order = events.iter().try_for_each(|event| whole.add(event));
    verdict.held("positions are gapless", order.map(|()| format!("{} events", whole.count)));
    for (way, mut reader) in readers {
        // The end of its input tells it that nothing more will come.
        drop(reader.stdin.take());
        let output = reader.wait_with_output().await.expect("a reader");
        let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let equal = output.status.success() && told == whole.told();
        verdict.check(&format!("a reader that {way}s missed, repeated and reordered nothing"), equal, told);
    }
    log.close().await;
    drop(cluster);
}

async fn end(killing: tokio::task::JoinHandle<(u32, Option<Cluster>)>) -> (u32, Option<Cluster>) {
    killing.await.expect("it ends by itself")
}

async fn everything(log: &SqlLog) -> Vec<RecordedEvent> {
    let read = async || log.read(0, usize::MAX, &EventFilter::default()).await.ok();
    wasend_tests::until("the log can be read", read).await
}

/// This program again, as another process.
pub fn this(arguments: &[&str], stdin: Stdio) -> Child {
    let program = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new(program);
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("it starts")
}

/// The lines of a process, as they come.
pub fn lines(child: &mut Child) -> tokio::io::Lines<BufReader<tokio::process::ChildStdout>> {
    BufReader::new(child.stdout.take().expect("piped")).lines()
}

/// Ends connections' processes, by which PostgreSQL gives up all others as well and recovers.
async fn kill_backends(cluster: Option<Cluster>, mut rng: Rng) -> (u32, Option<Cluster>) {
    let mut killed = 0;
    if let Some(cluster) = &cluster {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(rng.u64(800..2_500))).await;
            if let Some(backend) = rng.choice(cluster.backends("faults")) {
                process::signal("KILL", &[backend]);
                killed += 1;
            }
        }
    }
    (killed, cluster)
}

/// A client that holds the head of the log for a while: to give up, to be cut off, or to write an event slowly, as
/// any node may.
async fn disturb(url: String, engine: Engine, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let db = loop {
        if let Ok(db) = Db::open(&url, &DbOptions { connections: 2, ..DbOptions::default() }).await {
            break db;
        }
    };
    loop {
        tokio::time::sleep(Duration::from_millis(rng.u64(20..150))).await;
        let (slowly, keeps, cuts) = (Duration::from_millis(rng.u64(5..120)), rng.bool(), rng.u8(0..4) == 0);
        // The database may be away: then there is nothing to disturb.
        drop(hold(&db, engine, slowly, keeps).await);
        if let (Db::Postgres(pool), true) = (&db, cuts) {
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults' \
                AND application_name = 'wasend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2";
            drop(sqlx::query(others).execute(pool).await);
        }
    }
}

async fn hold(db: &Db, engine: Engine, slowly: Duration, keeps: bool) -> Result<(), sqlx::Error> {
    let (begin, lock) = match engine {
        Engine::Sqlite => ("BEGIN IMMEDIATE", ""),
        Engine::Postgres => ("BEGIN", " FOR UPDATE"),
    };
    let lock = format!("SELECT position FROM log_head WHERE id = 1{lock}");
    with_db!(db, pool => {
        let mut tx = pool.begin_with(begin).await?;
        let (head,): (i64,) = sqlx::query_as(AssertSqlSafe(lock)).fetch_one(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(by_hand(head + 1))).execute(&mut *tx).await?;
        let moved = format!("UPDATE log_head SET position = {} WHERE id = 1", head + 1);
        sqlx::query(AssertSqlSafe(moved)).execute(&mut *tx).await?;
        tokio::time::sleep(slowly).await;
        if keeps { tx.commit().await } else { tx.rollback().await }
    })
}

/// An event as the log writes it.
fn by_hand(position: i64) -> String {
    let id = || uuid::Uuid::new_v4();
    format!(
        "INSERT INTO events (position, account_id, aggregate_type, aggregate_id, sequence, event_id, event_type, \
         event_version, payload, metadata, command_id, recorded_at) VALUES ({position}, '{}', 'account', '{}', 1, '{}', \
         'Disturbed', '1', '{{}}', '{{\"actor\":\"meta\"}}', '{}', 0)",
        id(),
        id(),
        id(),
        id()
    )
}

/// Positions that a process said were given to its commands.
pub struct Appended {
    pub name: String,
    pub commands: Vec<(Position, Position)>,
    pub killed: u32,
}
