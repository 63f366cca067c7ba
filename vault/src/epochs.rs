//! Which epochs there are, and which of them this process can use.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use wasend_domain::Time;

use crate::{
    epoch::{EpochKey, NamedKey},
    error::{EpochError, VaultFailure},
    key::{KeyName, RootKey},
    store::{EpochRow, NewKey, VaultStore},
};

/// The first epoch of every vault.
const FIRST: i64 = 1;

pub(crate) struct EpochRegistry {
    key: Arc<dyn EpochKey>,
    /// The epoch under which new keys are wrapped.
    current: AtomicI64,
    known: Mutex<KnownEpochs>,
}

#[derive(Default)]
struct KnownEpochs {
    /// Epochs whose keys are loaded and are the right ones.
    proven: BTreeSet<i64>,
    /// All up to this one are destroyed here.
    ended: i64,
}

/// How far this process can follow.
pub(crate) struct EpochStanding {
    pub current: i64,
    /// The newest epoch that it can use, and all before it that have not ended.
    pub usable: i64,
    /// The newest epoch whose key it has destroyed.
    pub ended: i64,
    /// What keeps it from more.
    pub complaint: Option<EpochError>,
}

impl EpochRegistry {
    /// Makes the first epoch's key for a store that is new. Refuses one that is missing, or is not the one that the
    /// stored keys are wrapped with.
    pub async fn open(store: &VaultStore, key: Arc<dyn EpochKey>, now: Time) -> Result<Self, VaultFailure> {
        let epochs = Self { key, current: AtomicI64::new(FIRST), known: Mutex::default() };
        if store.epochs().await?.is_none() {
            epochs.key.create(FIRST).await?;
            let check = epochs.check_value(FIRST).await?;
            store.add_epoch(FIRST, &check, now).await?;
        }
        // Read back even so: of two nodes with keys of their own, one is wrong.
        epochs.follow(store).await?;
        Ok(epochs)
    }

    /// The epoch under which new keys are wrapped, as this process knows it.
    pub fn current(&self) -> i64 {
        self.current.load(Ordering::Acquire)
    }

    /// Where the epoch keys are kept.
    pub fn holder(&self) -> &dyn EpochKey {
        &*self.key
    }

    /// Does here what the store says of the epochs: loads the keys of those that have come, destroys those of which
    /// nothing needs one any more. Fails if what is in use cannot be read.
    pub async fn follow(&self, store: &VaultStore) -> Result<EpochStanding, VaultFailure> {
        let standing = self.standing(store).await?;
        match standing.complaint {
            Some(complaint) if standing.usable < standing.current => Err(complaint.into()),
            _ => Ok(standing),
        }
    }

    /// The same, for who has to tell of it also where it fails.
    pub async fn standing(&self, store: &VaultStore) -> Result<EpochStanding, VaultFailure> {
        let mut known = self.known.lock().await;
        let (current, rows) = store.epochs().await?.ok_or(VaultFailure::DamagedKey)?;
        // All before the first that is needed: of some a file may lie here that was made and never announced.
        let ended = rows.iter().find(|row| row.ended_at.is_none()).map_or(0, |row| row.epoch - 1);
        let mut complaint = None;
        for row in rows.iter().filter(|row| row.epoch > ended) {
            if known.proven.contains(&row.epoch) {
                continue;
            }
            match self.prove(row).await {
                Ok(()) => _ = known.proven.insert(row.epoch),
                Err(error) => complaint = complaint.or(Some(error)),
            }
        }
        // Before the key of the last one goes, so that who finds that gone looks here again.
        self.current.store(current, Ordering::Release);
        if known.ended < ended {
            match self.end(&rows, current, ended).await {
                Ok(found) => {
                    known.ended = ended;
                    // The store lists those alone whose keys may still exist.
                    if found && rows.iter().all(|row| row.epoch > ended) {
                        tracing::warn!(
                            epoch = ended,
                            "a destroyed epoch key was put back, or this node was off when its epoch ended: it is \
                             destroyed here"
                        );
                    }
                }
                Err(error) => complaint = complaint.or(Some(error)),
            }
        }
        known.proven.retain(|epoch| *epoch > ended);
        let mut open = rows.iter().map(|row| row.epoch).filter(|epoch| *epoch > ended);
        let usable = open.by_ref().take_while(|epoch| known.proven.contains(epoch)).last().unwrap_or(ended);
        Ok(EpochStanding { current, usable, ended: known.ended, complaint })
    }

    /// Before a key is destroyed that has opened everything so far, the one that has taken its place is read anew from
    /// where it is kept: to have it in memory is not enough. Whether there was a key to destroy.
    async fn end(&self, rows: &[EpochRow], current: i64, ended: i64) -> Result<bool, EpochError> {
        if let Some(row) = rows.iter().find(|row| row.epoch == current) {
            self.prove(row).await?;
        }
        self.key.destroy_until(ended).await
    }

    async fn prove(&self, row: &EpochRow) -> Result<(), EpochError> {
        let epoch = row.epoch;
        match self.key.load(epoch).await {
            Err(EpochError::Missing { path }) => {
                let newest = self.key.newest().await?;
                let missing = EpochError::Missing { path };
                return Err(if newest > epoch { EpochError::Ended { epoch, newest } } else { missing });
            }
            result => result?,
        }
        let opened = self.key.unwrap(&[check(epoch, row.check.as_str())]).await?;
        match opened.first() {
            Some(Some(key)) if key.bytes() == check_key().bytes() => Ok(()),
            _ => Err(EpochError::WrongKey(epoch)),
        }
    }

    /// By which an epoch's key is recognised; the key is loaded for it.
    pub async fn check_value(&self, epoch: i64) -> Result<String, EpochError> {
        self.key.load(epoch).await?;
        let wrapped = self.key.wrap(&[check(epoch, &check_key())]).await?;
        wrapped.into_iter().next().ok_or(EpochError::NotReady(epoch))
    }

    /// The rows of new keys.
    pub async fn wrap(&self, keys: &[(KeyName, &RootKey)]) -> Result<Vec<NewKey>, VaultFailure> {
        let ids: Vec<_> = keys.iter().map(|(name, _)| name.to_string()).collect();
        loop {
            let epoch = self.current();
            let named =
                keys.iter().zip(&ids).map(|((name, key), id)| NamedKey { id, kind: name.kind(), epoch, key: *key });
            let wrapped = match self.key.wrap(&named.collect::<Vec<_>>()).await {
                Err(EpochError::NotReady(_)) if self.current() != epoch => continue,
                wrapped => wrapped?,
            };
            let rows = keys.iter().zip(ids).zip(wrapped).map(|(((name, key), id), wrapped)| NewKey {
                id,
                account: name.account().map(|account| account.to_string()).unwrap_or_default(),
                kind: name.kind(),
                subject: name.subject().map(|subject| subject.to_string()),
                epoch,
                wrapped,
                fingerprint: key.fingerprint(),
            });
            return Ok(rows.collect());
        }
    }
}

fn check<T: ?Sized>(epoch: i64, key: &T) -> NamedKey<'_, T> {
    NamedKey { id: "check", kind: "check", epoch, key }
}

/// A constant, and no secret: that it unwraps is what proves the epoch key.
fn check_key() -> RootKey {
    RootKey::from_bytes(Sha256::digest(b"wasend/epoch-check/v1").into())
}
