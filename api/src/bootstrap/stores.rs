use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use wasend_domain::Clock;
use wasend_eventlog::{Db, DbOptions, EventLog, SqlLog, UpcasterChain};
use wasend_vault::{FileEpoch, StoreOptions, Vault, VaultOptions};

use super::SystemClock;
use crate::cli::CliFailure;
use crate::config::StorageConfig;
use crate::own_writes::{OwnWrites, RememberingLog};

/// Unwrapped keys that memory holds: about 20 MB.
const CACHED_KEYS: usize = 50_000;

const MODELS: &str =
    "the read models beside the log (log-models.db) cannot be opened; deleted, they are folded anew from it";

/// The log, the read models' database and the vault, open.
pub struct OpenStores {
    pub clock: Arc<dyn Clock>,
    /// Of the log.
    pub db: Db,
    /// Of the read models and the leases.
    pub models: Db,
    pub log: Arc<dyn EventLog>,
    /// What clients wrote to the log through this process.
    pub own_writes: Arc<OwnWrites>,
    pub vault: Arc<Vault>,
}

impl OpenStores {
    /// Opens or makes them: in the data directory, or in the configured database with the epoch key beside.
    pub async fn open(storage: &StorageConfig) -> Result<Self, CliFailure> {
        private_directory(&storage.data_dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let db = match &storage.database_url {
            Some(url) => Db::open(url.expose(), &DbOptions::default()).await,
            None => Db::open(&storage.data_dir.join("log.db").to_string_lossy(), &DbOptions::default()).await,
        };
        let db = db.map_err(|error| CliFailure::because("the database cannot be opened", &error))?;
        let models = db.models(&DbOptions::default()).await;
        let models = models.map_err(|error| CliFailure::because(MODELS, &error))?;
        let log = SqlLog::open(db.clone(), clock.clone(), UpcasterChain::released()).await;
        let log = log.map_err(|error| CliFailure::because("the event log cannot be opened", &error))?;
        let store = match storage.vault_database_url.as_ref().or(storage.database_url.as_ref()) {
            Some(url) if url.is_postgres() => StoreOptions::Postgres(url.expose().to_owned()),
            Some(url) => StoreOptions::Sqlite(url.expose().trim_start_matches("sqlite:").into()),
            None => StoreOptions::Sqlite(storage.data_dir.join("vault.db")),
        };
        let keys = storage.epoch_key_dir.clone().unwrap_or_else(|| storage.data_dir.clone());
        private_directory(&keys)?;
        let epoch = Arc::new(FileEpoch::in_directory(&keys));
        let options = VaultOptions { store, epoch, clock: clock.clone(), cached_keys: CACHED_KEYS };
        let vault = Vault::start(options).await;
        let vault = vault.map_err(|error| CliFailure::because("the vault cannot be opened", &error))?;
        // It opens nothing before its store was compared with what the log says was erased.
        vault.suspend();
        let own_writes = Arc::new(OwnWrites::default());
        let log = Arc::new(RememberingLog::new(log, own_writes.clone()));
        Ok(Self { clock, db, models, log, own_writes, vault })
    }

    /// Lets the vault open values for a command of the terminal, if its store holds nothing of what was erased.
    pub async fn open_vault(&self) -> Result<(), CliFailure> {
        let compared = wasend_processors::erasure::compare(&self.models, &*self.log, &self.vault).await;
        compared.map_err(|error| CliFailure::because("the vault cannot be compared with the history", &error))
    }

    /// Closes log, vault, read models and database, in this order; each ends what it has begun.
    pub async fn close(&self) {
        self.log.close().await;
        self.vault.close().await;
        self.models.close().await;
        self.db.close().await;
    }
}

/// Makes the directory, for the server's user alone.
fn private_directory(path: &Path) -> Result<(), CliFailure> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(CliFailure::because(&format!("the directory {} cannot be made", path.display()), &error))
        }
        _ => Ok(()),
    }
}
