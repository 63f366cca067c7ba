//! What every row is given.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use wasend_eventlog::{Db, DbOptions};
use wasend_tests::{Engine, database};

use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::report::Report;

pub struct Bench {
    pub arguments: Arguments,
    pub report: Report,
    /// Everything on disk, but for Postgres's own data.
    pub directory: TempDir,
    cluster: Option<Cluster>,
}

/// A new, empty database.
pub struct Store {
    pub engine: Engine,
    /// `postgres://…`, or the path of a SQLite file.
    pub url: String,
    server: Option<String>,
}

impl Bench {
    pub async fn start(arguments: Arguments) -> anyhow::Result<Self> {
        let private = arguments.postgres.is_none() && arguments.engine != Some(Engine::Sqlite);
        let cluster = if private { Some(Cluster::start().await?) } else { None };
        let directory = tempfile::Builder::new().prefix("wasend-bench").tempdir()?;
        Ok(Self { report: Report::new(arguments.json), arguments, directory, cluster })
    }

    /// Ends what was started; the directory goes when this is dropped.
    pub async fn stop(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }

    pub fn engines(&self) -> Vec<Engine> {
        self.arguments.engine.map_or_else(|| vec![Engine::Sqlite, Engine::Postgres], |engine| vec![engine])
    }

    /// How long a round takes.
    pub fn round(&self, full: Duration, quick: Duration) -> Duration {
        self.arguments.seconds.unwrap_or(if self.arguments.quick { quick } else { full })
    }

    pub fn clients(&self, default: &[usize]) -> Vec<usize> {
        if self.arguments.clients.is_empty() { default.to_vec() } else { self.arguments.clients.clone() }
    }

    pub fn sizes(&self, default: &[u64]) -> Vec<u64> {
        if self.arguments.size.is_empty() { default.to_vec() } else { self.arguments.size.clone() }
    }

    pub fn postgres(&self) -> Option<&str> {
        self.arguments.postgres.as_deref().or(self.cluster.as_ref().map(|cluster| cluster.url.as_str()))
    }

    pub async fn store(&self, engine: Engine) -> anyhow::Result<Store> {
        let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
        match engine {
            Engine::Sqlite => {
                let url = self.directory.path().join(name).to_string_lossy().into_owned();
                Ok(Store { engine, url, server: None })
            }
            Engine::Postgres => {
                let server = self.postgres().context("no PostgreSQL was started")?.to_owned();
                let url = database::create(&server, &name).await;
                Ok(Store { engine, url, server: Some(server) })
            }
        }
    }
}

impl Store {
    /// Its URL if it is on Postgres.
    pub fn postgres(&self) -> Option<&str> {
        self.server.as_ref().map(|_| self.url.as_str())
    }

    pub async fn open(&self) -> anyhow::Result<Db> {
        Ok(Db::open(&self.url, &DbOptions::default()).await?)
    }

    /// Frees the disk before the next row fills it.
    pub async fn remove(self) -> anyhow::Result<()> {
        match self.server {
            Some(server) => database::remove(&server, &self.url).await,
            None => {
                for tail in ["", "-wal", "-shm"] {
                    let file = PathBuf::from(format!("{}{tail}", self.url));
                    if file.exists() {
                        std::fs::remove_file(file)?;
                    }
                }
            }
        }
        Ok(())
    }
}
