//! Opening and closing the vault.

mod destructions;
mod keys;
mod suspension;

use std::{path::PathBuf, sync::Arc};

use wasend_domain::{AccountId, Clock};

use crate::{
    cache::KeyCache,
    create_batcher::CreateBatcher,
    epoch::EpochKey,
    epochs::EpochRegistry,
    error::{VaultError, VaultFailure},
    key::{HeldKey, KeyName, RootKey},
    lineage::StoreLineage,
    node_registry::VaultNode,
    store::{CreationBatch, VaultStore},
};

/// Where the vault keeps its rows.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// A SQLite file, made if there is none.
    Sqlite(PathBuf),
    /// The URL of a Postgres database, in which the schema `vault` is used and made if there is none.
    Postgres(String),
}

/// Most directories that are read whole at the same time.
const SEARCHES_MAX: usize = 2;

/// What a vault is opened with.
pub struct VaultOptions {
    pub store: StoreOptions,
    pub epoch: Arc<dyn EpochKey>,
    pub clock: Arc<dyn Clock>,
    /// How many unwrapped keys memory holds at most; one is about 200 bytes.
    pub cached_keys: usize,
}

/// Keeps who the subjects are and the keys of all personal values. Every node has one; on Postgres they share a store.
pub struct Vault {
    pub(crate) store: Arc<VaultStore>,
    pub(crate) epochs: Arc<EpochRegistry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Arc<KeyCache>,
    pub(crate) lineage: Arc<StoreLineage>,
    pub(crate) node: VaultNode,
    pub(crate) queue: CreateBatcher,
    pub(crate) server: Arc<RootKey>,
    /// How many directories are searched at the same time.
    pub(crate) searching: tokio::sync::Semaphore,
    /// Held while damaged rows of the index are mended.
    pub(crate) mending: tokio::sync::Mutex<()>,
}

impl Vault {
    /// Opens the store, brings it up to date and proves the epoch key. Install the metrics recorder before.
    pub async fn start(options: VaultOptions) -> Result<Arc<Self>, VaultFailure> {
        let VaultOptions { store, epoch, clock, cached_keys } = options;
        let (store, file) = match store {
            StoreOptions::Sqlite(path) => (VaultStore::open_sqlite(&path).await?, Some(path)),
            StoreOptions::Postgres(url) => (VaultStore::open_postgres(&url).await?, None),
        };
        let store = Arc::new(store);
        let epochs = Arc::new(EpochRegistry::open(&store, epoch, clock.now()).await?);
        let cache = Arc::new(KeyCache::new(cached_keys));
        let lineage = Arc::new(StoreLineage::join(&store, &cache, file.as_deref()).await?);
        let node = VaultNode::join(&store, &epochs, (&cache, &lineage), &clock).await?;
        let server = server_key(&store, &epochs, &*clock, &lineage).await?;
        let queue = CreateBatcher::start(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&lineage));
        Ok(Arc::new(Self {
            store,
            epochs,
            clock,
            cache,
            lineage,
            node,
            queue,
            server,
            searching: tokio::sync::Semaphore::new(SEARCHES_MAX),
            mending: tokio::sync::Mutex::default(),
        }))
    }

    /// Stores what is under way, then closes the store. Later calls that need it fail with [`VaultFailure::Closed`] or a
    /// failure of the store.
    pub async fn close(&self) {
        self.queue.stop().await;
        self.cache.empty();
        self.node.leave(&self.store).await;
        if let Err(error) = self.store.leave_writers(self.lineage.writer()).await {
            tracing::warn!(%error, "this process could not be taken off the list of the vault's writers");
        }
        self.store.close().await;
    }

    /// Makes the root key and the index key of an account. Repeating it changes nothing.
    pub async fn create_account(&self, account: AccountId) -> Result<(), VaultError> {
        let names = [KeyName::Account(account), KeyName::Index(account)];
        self.create_keys(&names).await?;
        for name in names {
            self.ring(&[name]).await?.live(name, VaultError::UnknownAccount)?;
        }
        Ok(())
    }

    /// Whether the store answers, and what it holds can and may be opened here.
    pub async fn ping(&self) -> Result<(), VaultFailure> {
        self.lineage.require_open()?;
        self.epochs.follow(&self.store).await.map(drop)
    }

    /// Forgets every key in memory, at once. To be called when another node has destroyed one.
    pub fn evict_all(&self) {
        self.cache.empty();
    }
}

async fn server_key(
    store: &VaultStore,
    epochs: &EpochRegistry,
    clock: &dyn Clock,
    lineage: &StoreLineage,
) -> Result<Arc<RootKey>, VaultFailure> {
    loop {
        match crate::key_resolver::read(store, epochs, &[KeyName::Server]).await?.pop() {
            Some((_, HeldKey::Live(key))) => return Ok(key),
            Some(_) => return Err(VaultFailure::DamagedKey),
            None => {
                let key = RootKey::random()?;
                let keys = epochs.wrap(&[(KeyName::Server, &key)]).await?;
                match store.create(&CreationBatch { keys, subjects: Vec::new() }, clock.now(), lineage).await {
                    Err(VaultFailure::EpochPassed) => _ = epochs.follow(store).await?,
                    result => _ = result?,
                }
            }
        }
    }
}
