//! Opening and closing the vault.

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest, Sha256};
use wasend_domain::{AccountId, Clock};

use crate::{
    cache::KeyCache,
    epoch::{EpochError, EpochKey, Named},
    error::{Failure, VaultError},
    key::{Held, KeyName, RootKey},
    nodes::Node,
    queue::Queue,
    store::{Batch, Store},
};

/// Where the vault keeps its rows.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// A SQLite file, made if there is none.
    Sqlite(PathBuf),
    /// The URL of a Postgres database, in which the schema `vault` is used and made if there is none.
    Postgres(String),
}

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
    pub(crate) store: Arc<Store>,
    pub(crate) epoch: Arc<dyn EpochKey>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Arc<KeyCache>,
    pub(crate) node: Node,
    pub(crate) queue: Queue,
    pub(crate) server: Arc<RootKey>,
}

impl Vault {
    /// Opens the store, brings it up to date and proves the epoch key. Install the metrics recorder before.
    pub async fn start(options: VaultOptions) -> Result<Arc<Self>, Failure> {
        let VaultOptions { store, epoch, clock, cached_keys } = options;
        let store = Arc::new(match store {
            StoreOptions::Sqlite(path) => Store::open_sqlite(&path).await?,
            StoreOptions::Postgres(url) => Store::open_postgres(&url).await?,
        });
        prove_epoch(&store, &*epoch, &*clock).await?;
        let server = server_key(&store, &*epoch, &*clock).await?;
        let queue = Queue::start(Arc::clone(&store), Arc::clone(&clock));
        let cache = Arc::new(KeyCache::new(cached_keys));
        let node = Node::join(&store, &cache, &clock).await?;
        Ok(Arc::new(Self { store, epoch, clock, cache, node, queue, server }))
    }

    /// Stores what is under way, then closes the store. Later calls that need it fail with [`Failure::Closed`] or a
    /// failure of the store.
    pub async fn close(&self) {
        self.queue.stop().await;
        self.cache.empty();
        self.node.leave(&self.store).await;
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

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), Failure> {
        self.store.epochs().await.map(drop)
    }

    /// Forgets every key in memory, at once. To be called when another node has destroyed one.
    pub fn evict_all(&self) {
        self.cache.empty();
    }
}

/// Refuses an epoch key that is missing, or is not the one that the stored keys are wrapped with.
async fn prove_epoch(store: &Store, epoch: &dyn EpochKey, clock: &dyn Clock) -> Result<(), Failure> {
    let known = store.epochs().await?;
    epoch.prepare(!known.is_empty()).await?;
    let number = epoch.epoch();
    if known.is_empty() {
        let wrapped = epoch.wrap(&[check(number, &check_key())]).await?;
        store.add_epoch(number, wrapped.first().ok_or(EpochError::NotReady)?, clock.now()).await?;
    }
    // Read back even so: of two nodes with keys of their own, one is wrong.
    let known = store.epochs().await?;
    let (_, value) = known.iter().find(|(epoch, _)| *epoch == number).ok_or(EpochError::WrongKey)?;
    let opened = epoch.unwrap(&[check(number, value.as_str())]).await?;
    match opened.first() {
        Some(Some(key)) if key.bytes() == check_key().bytes() => Ok(()),
        _ => Err(EpochError::WrongKey.into()),
    }
}

fn check<T: ?Sized>(epoch: i64, key: &T) -> Named<'_, T> {
    Named { id: "check", kind: "check", epoch, key }
}

/// A constant, and no secret: that it unwraps is what proves the epoch key.
fn check_key() -> RootKey {
    RootKey::from_bytes(Sha256::digest(b"wasend/epoch-check/v1").into())
}

async fn server_key(store: &Store, epoch: &dyn EpochKey, clock: &dyn Clock) -> Result<Arc<RootKey>, Failure> {
    for _ in 0..2 {
        match crate::ring::read(store, epoch, &[KeyName::Server]).await?.pop() {
            Some((_, Held::Live(key))) => return Ok(key),
            Some(_) => break,
            None => {
                let key = RootKey::random()?;
                let keys = crate::ring::wrap(epoch, &[(KeyName::Server, &key)]).await?;
                store.create(&Batch { keys, subjects: Vec::new() }, clock.now()).await?;
            }
        }
    }
    Err(Failure::DamagedKey)
}
