//! A vault of one's own for each test and engine.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions};
use tempfile::TempDir;
use wasend_domain::{
    AccountId, Clock, DataCategory, Day, Opened, Personal, PersonalValue, Sealed, SubjectId, Time, UnavailableCause,
};
use wasend_vault::{FileEpoch, NewPerson, PersonIdentity, StoreOptions, Vault, VaultFailure, VaultOptions};

pub const TODAY: Day = Day::from_number(20_000);

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Body(pub String);
impl PersonalValue for Body {
    const FIELD: &'static str = "test.body";
    const CATEGORY: DataCategory = DataCategory::Content;
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Other(pub String);
impl PersonalValue for Other {
    const FIELD: &'static str = "test.other";
    const CATEGORY: DataCategory = DataCategory::Content;
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Label(pub String);
impl PersonalValue for Label {
    const FIELD: &'static str = "test.label";
    const CATEGORY: DataCategory = DataCategory::Label;
}

pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}
impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A data directory and, on Postgres, a database; outlives the vaults opened in it.
pub struct House {
    pub directory: TempDir,
    pub database: Option<String>,
    pub clock: Arc<TestClock>,
}

impl House {
    pub fn epoch_directory(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    pub async fn try_vault(&self) -> Result<Arc<Vault>, VaultFailure> {
        self.vault_with_keys_in(&self.epoch_directory()).await
    }

    pub async fn vault_with_keys_in(&self, keys: &std::path::Path) -> Result<Arc<Vault>, VaultFailure> {
        Vault::start(VaultOptions {
            store: match &self.database {
                Some(url) => StoreOptions::Postgres(url.clone()),
                None => StoreOptions::Sqlite(self.directory.path().join("vault.db")),
            },
            epoch: Arc::new(FileEpoch::in_directory(keys)),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            cached_keys: 10_000,
        })
        .await
    }

    /// Opens the vault: another node on Postgres, another process on SQLite.
    pub async fn vault(&self) -> Arc<Vault> {
        self.try_vault().await.unwrap()
    }

    /// Opens the vault with a new account.
    pub async fn with_account(&self) -> (Arc<Vault>, AccountId) {
        let (vault, account) = (self.vault().await, AccountId::random());
        vault.create_account(account).await.unwrap();
        (vault, account)
    }
}

/// Tells the story on SQLite and on Postgres.
pub async fn on_both(story: impl AsyncFn(&House)) {
    on([None, Some(create_database().await)], story).await;
}

/// Tells a story of nodes with directories of their own, which only Postgres has.
pub async fn on_postgres(story: impl AsyncFn(&House)) {
    on([Some(create_database().await)], story).await;
}

async fn on(databases: impl IntoIterator<Item = Option<String>>, story: impl AsyncFn(&House)) {
    for database in databases {
        let house = House {
            directory: tempfile::tempdir().unwrap(),
            database,
            clock: Arc::new(TestClock(AtomicI64::new(20_000 * 86_400_000_000))),
        };
        story(&house).await;
        if let Some(url) = &house.database {
            drop_database(url).await;
        }
    }
}

fn server() -> url::Url {
    #[expect(clippy::disallowed_methods, reason = "the test server is named by the environment")]
    let server = std::env::var("WASEND_TEST_POSTGRES").expect("WASEND_TEST_POSTGRES: the URL of a test server");
    server.parse().unwrap()
}

async fn create_database() -> String {
    let name = format!("vault_{}", uuid::Uuid::new_v4().simple());
    execute(&format!("CREATE DATABASE {name}")).await;
    let mut url = server();
    url.set_path(&name);
    url.into()
}

async fn drop_database(url: &str) {
    let url: url::Url = url.parse().unwrap();
    execute(&format!("DROP DATABASE {} WITH (FORCE)", url.path().trim_start_matches('/'))).await;
}

async fn execute(sql: &str) {
    let options: PgConnectOptions = server().as_str().parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

pub fn body(text: &str) -> Personal<Body> {
    Personal::new(Body(text.to_owned()))
}

pub fn person(phone: &str) -> NewPerson {
    NewPerson { identities: vec![PersonIdentity::phone(phone)], ..NewPerson::default() }
}

pub async fn subject(vault: &Vault, account: AccountId, phone: &str) -> SubjectId {
    vault.subject_for(account, &person(phone)).await.unwrap().0
}

/// What is read, or why it is gone.
pub async fn read(vault: &Vault, account: AccountId, sealed: &Sealed<Body>) -> Result<String, String> {
    match vault.open(account, sealed).await.unwrap() {
        Opened::Value(value) => Ok(value.into_exposed().0),
        Opened::Erased(erased) => Err(erased.why),
        Opened::Unavailable(unavailable) => Err(unavailable.why.name().to_owned()),
    }
}

/// Why it cannot be read, if it cannot.
pub fn cause<T>(opened: Result<Opened<T>, VaultFailure>) -> Option<UnavailableCause> {
    match opened.unwrap() {
        Opened::Unavailable(unavailable) => Some(unavailable.why),
        Opened::Value(_) | Opened::Erased(_) => None,
    }
}

/// Changes the store as a hand in it does.
pub async fn change(house: &House, sql: &str) {
    if let Some(url) = &house.database {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        connection.execute("SET search_path = vault").await.unwrap();
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
        return;
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.directory.path().join("vault.db"));
    let mut connection = options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}
