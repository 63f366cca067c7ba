//! A separate database for every test.

use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;
use uuid::Uuid;
use wasend_domain::{AccountId, Actor, Clock, EventId, EventMetadata, StreamId, Time};
use wasend_eventlog::{
    Append, CommandContext, CommandId, Db, DbOptions, NewEvent, SqlLog, StreamAppend, UpcasterChain,
};

/// Always the same moment.
pub struct Stopped;

pub const NOW: Time = Time::from_seconds(1_795_400_000);

impl Clock for Stopped {
    fn now(&self) -> Time {
        NOW
    }
}

/// Where a test's database lives; it can be opened any number of times.
#[derive(Clone)]
pub enum Home {
    Sqlite(Arc<TempDir>),
    Postgres { server: Box<PgConnectOptions>, name: String },
}

impl Home {
    pub fn sqlite() -> Self {
        Self::Sqlite(Arc::new(tempfile::tempdir().unwrap()))
    }

    #[expect(clippy::disallowed_methods, reason = "where the test server is, is said by the environment")]
    pub async fn postgres() -> Self {
        let url = std::env::var("WASEND_TEST_POSTGRES").expect("WASEND_TEST_POSTGRES is the URL of a test server");
        let server = PgConnectOptions::from_str(&url).unwrap();
        let name = format!("wasend_log_{}", Uuid::new_v4().simple());
        let mut connection = server.connect().await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        connection.close().await.unwrap();
        Self::Postgres { server: Box::new(server), name }
    }

    pub async fn drop_database(self) {
        if let Self::Postgres { server, name } = self {
            let mut connection = server.connect().await.unwrap();
            connection.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
        }
    }

    pub async fn db(&self) -> Db {
        let options = DbOptions { connections: 8, ..DbOptions::default() };
        match self {
            Self::Sqlite(folder) => {
                Db::open(folder.path().join("wasend.db").to_str().unwrap(), &options).await.unwrap()
            }
            Self::Postgres { server, name } => {
                Db::open_postgres(PgConnectOptions::clone(server).database(name), &options).await.unwrap()
            }
        }
    }

    pub async fn log(&self) -> Arc<SqlLog> {
        self.log_with(UpcasterChain::default()).await
    }

    pub async fn log_with(&self, upcasters: UpcasterChain) -> Arc<SqlLog> {
        Arc::new(SqlLog::open(self.db().await, Arc::new(Stopped), upcasters).await.unwrap())
    }
}

pub fn account(n: u128) -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(n))
}

pub fn stream(n: u128) -> StreamId {
    StreamId { aggregate_type: "account", aggregate_id: Uuid::from_u128(n) }
}

pub fn fresh() -> CommandId {
    CommandId::Fresh(Uuid::new_v4().to_string())
}

pub fn repeatable(id: &str, fingerprint: &str) -> CommandId {
    CommandId::Repeatable { id: id.into(), fingerprint: fingerprint.into() }
}

pub fn context(n: u128, command: CommandId) -> CommandContext {
    CommandContext { account_id: account(n), actor: Actor::System("test"), command }
}

pub fn part(stream: StreamId, expected: u64, events: usize) -> StreamAppend {
    let event = |n| NewEvent {
        event_id: EventId::random(),
        event_type: "Deposited".into(),
        event_version: "1.0".into(),
        payload: format!("{{\"Deposited\": {{ \"b\":1,\"amount\":{n} }} }}"),
    };
    StreamAppend { stream, expected, events: (0..events).map(event).collect() }
}

pub fn append(command_id: CommandId, streams: Vec<StreamAppend>) -> Append {
    Append { account_id: account(1), command_id, metadata: EventMetadata::by(Actor::Meta), streams }
}

/// One event on a stream that nothing was written to yet.
pub fn new_stream() -> Append {
    append(fresh(), vec![part(stream(Uuid::new_v4().as_u128()), 0, 1)])
}
