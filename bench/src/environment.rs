//! The machine and the engines, as they say themselves.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use wasend_eventlog::Db;

use crate::bench::Bench;
use crate::stock::{self, Stock};

/// What decides whether a commit of Postgres is on the disk, and what else its speed depends on.
const POSTGRES: [&str; 7] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_connections",
];

pub async fn print(bench: &Bench) -> anyhow::Result<()> {
    let mut facts = machine(bench).await?;
    for engine in bench.engines() {
        let store = bench.store(engine).await?;
        let db = store.open().await?;
        match &db {
            Db::Sqlite(sqlite) => {
                facts.push(("sqlite", sqlite_settings(sqlite.pool()).await?.into()));
                let peer_store = bench.store(engine).await?;
                let peer = Stock::open(&peer_store, 1, None).await?;
                facts.push(("peer on sqlite", stock::name(engine).into()));
                facts.push(("sqlite of the peer", peer.about().await?.into()));
                drop(peer);
                peer_store.remove().await?;
            }
            Db::Postgres(pool) => {
                facts.push(("postgres", postgres_settings(pool).await?.into()));
                facts.push(("peer on postgres", stock::name(engine).into()));
            }
        }
        db.close().await;
        store.remove().await?;
    }
    bench.report.environment(&facts)
}

async fn machine(bench: &Bench) -> anyhow::Result<Vec<(&'static str, Value)>> {
    let directory = bench.directory.path();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let profile = if cfg!(debug_assertions) { "debug: figures mean nothing" } else { "release" };
    Ok(vec![
        ("wasend", json!(format!("{}, {profile}", env!("CARGO_PKG_VERSION")))),
        ("cores", json!(std::thread::available_parallelism()?.get())),
        ("cpu", json!(after(&cpus, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()))),
        ("memory", json!(after(&memory, "MemTotal").unwrap_or_default())),
        ("system", json!(std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim())),
        ("filesystem", json!(filesystem(directory).unwrap_or_else(|| "unknown".to_owned()))),
        ("fdatasync_us", json!(fsync(directory).await?)),
    ])
}

/// Of the mount that the directory lies on: a figure from a filesystem in memory says nothing about durability.
fn filesystem(directory: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let mount = mounts.filter(|(place, _)| directory.starts_with(place)).max_by_key(|(place, _)| place.len())?;
    Some(format!("{} at {}", mount.1, mount.0))
}

/// The median time in microseconds until 4 KiB at the end of a file are on the disk.
pub async fn fsync(directory: &Path) -> anyhow::Result<u64> {
    let mut file = tempfile::tempfile_in(directory)?;
    let measuring = tokio::task::spawn_blocking(move || {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while times.len() < 100 && (times.is_empty() || begun.elapsed() < Duration::from_millis(300)) {
            file.seek(SeekFrom::End(0))?;
            file.write_all(&[0x5a; 4096])?;
            let start = Instant::now();
            file.sync_data()?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        anyhow::Ok(times[times.len() / 2])
    });
    Ok(u64::try_from(measuring.await??.as_micros())?)
}

async fn sqlite_settings(pool: &SqlitePool) -> anyhow::Result<String> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await?;
    let synchronous = ["OFF", "NORMAL", "FULL", "EXTRA"].get(usize::try_from(synchronous)?).unwrap_or(&"?");
    Ok(format!("{version}, journal_mode={journal}, synchronous={synchronous}"))
}

async fn postgres_settings(pool: &PgPool) -> anyhow::Result<String> {
    let mut settings = Vec::new();
    for name in POSTGRES {
        let value: String = sqlx::query_scalar(AssertSqlSafe(format!("SHOW {name}"))).fetch_one(pool).await?;
        settings.push(format!("{name}={value}"));
    }
    Ok(settings.join(", "))
}
