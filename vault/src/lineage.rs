//! The lineage of the store: whether it still is the one that this process has used.
//!
//! A store that is put back to an earlier copy under a running server (point-in-time recovery, a standby that lagged and
//! was promoted, a restored backup) holds keys again that were destroyed since. So each process remembers the newest
//! destruction that it has heard of, by number and random tag, and how many of its transactions the store has
//! acknowledged. A store that lacks either is another one: from then on nothing is opened or sealed, until what the log
//! says was destroyed is destroyed again ([`crate::Vault::resume`]).

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use wasend_domain::EventId;

use crate::{
    cache::KeyCache,
    error::{VaultFailure, VaultSuspension},
    store::{LineageState, VaultStore},
};

tokio::task_local! {
    /// Set for the work that destroys again what a restored store brought back: it opens while nothing else may.
    static REAPPLYING: ();
}

pub(crate) struct StoreLineage {
    writer: String,
    cache: Arc<KeyCache>,
    /// How many transactions of this process the store has acknowledged.
    writes: AtomicI64,
    state: Mutex<ObservedLineage>,
    /// The file of an embedded store, as it was opened.
    file: Option<OpenedFile>,
}

#[derive(Default)]
struct ObservedLineage {
    /// The newest destruction that was heard of, and its tag.
    heard: (i64, Option<String>),
    suspended: Option<VaultSuspension>,
}

struct OpenedFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl StoreLineage {
    /// Enters this process among the store's writers.
    pub async fn join(store: &VaultStore, cache: &Arc<KeyCache>, file: Option<&Path>) -> Result<Self, VaultFailure> {
        let file = file.and_then(|path| Some(OpenedFile { path: path.to_owned(), identity: identity(path)? }));
        let lineage = Self {
            writer: EventId::random().to_string(),
            cache: Arc::clone(cache),
            writes: AtomicI64::new(0),
            state: Mutex::default(),
            file,
        };
        store.join_writers(&lineage.writer).await?;
        lineage.restart(store).await?;
        Ok(lineage)
    }

    /// The random id of this process among the writers.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// How many transactions of this process the store has acknowledged.
    pub fn writes(&self) -> i64 {
        self.writes.load(Ordering::Acquire)
    }

    /// A transaction was acknowledged as the process's `writes`th.
    pub fn wrote(&self, writes: i64) {
        self.writes.fetch_max(writes, Ordering::AcqRel);
    }

    /// Compares the store with what this process knows of it; the number of the newest destruction.
    pub async fn check(&self, store: &VaultStore) -> Result<i64, VaultFailure> {
        if self.is_replaced() {
            return Err(self.suspend(VaultSuspension::Replaced));
        }
        // Before the store is asked: what is written meanwhile only adds to it.
        let writes = self.writes();
        let heard = self.lock().heard.clone();
        let now = store.lineage(heard.0, &self.writer).await?;
        if !follows(&now, &heard, writes) {
            return Err(self.broken());
        }
        self.record_destruction(now.newest.0, now.newest.1);
        Ok(now.newest.0)
    }

    /// The store lacks what it had acknowledged.
    pub fn broken(&self) -> VaultFailure {
        self.suspend(VaultSuspension::RolledBack)
    }

    /// Opens and seals nothing from now on.
    pub fn suspend(&self, why: VaultSuspension) -> VaultFailure {
        let mut state = self.lock();
        if state.suspended.is_none_or(|now| now < why) {
            state.suspended = Some(why);
            if why != VaultSuspension::NotCompared {
                metrics::counter!("wasend_vault_rollbacks_total").increment(1);
                tracing::error!(why = %why, "the vault is suspended");
            }
        }
        drop(state);
        self.cache.empty();
        VaultFailure::Suspended(why)
    }

    /// Why nothing may be opened or sealed now.
    pub fn suspended(&self) -> Option<VaultSuspension> {
        self.lock().suspended
    }

    /// Refuses while the vault is suspended, except to the work that is to end it.
    pub fn require_open(&self) -> Result<(), VaultFailure> {
        match self.suspended() {
            Some(why) if REAPPLYING.try_with(|()| ()).is_err() => Err(VaultFailure::Suspended(why)),
            _ => Ok(()),
        }
    }

    fn record_destruction(&self, number: i64, tag: Option<String>) {
        let mut state = self.lock();
        if number > state.heard.0 {
            state.heard = (number, tag);
        }
        drop(state);
        self.cache.heard(number);
    }

    /// Takes the store as it is for the one to compare with.
    async fn restart(&self, store: &VaultStore) -> Result<(), VaultFailure> {
        let now = store.lineage(0, &self.writer).await?;
        self.writes.store(now.writes.unwrap_or_default(), Ordering::Release);
        self.lock().heard = now.newest;
        Ok(())
    }

    /// Begins a new lineage of a store that was put back: its numbers go on after `past` and after every one that this
    /// process has heard of. The suspension stays. Refused when the file of an embedded store is another one.
    pub async fn renew(&self, store: &VaultStore, past: i64) -> Result<(), VaultFailure> {
        if self.is_replaced() {
            return Err(self.suspend(VaultSuspension::Replaced));
        }
        let past = past.max(self.lock().heard.0);
        let tag = EventId::random().to_string();
        store.renew_lineage(past, &tag, &self.writer).await?;
        self.restart(store).await?;
        self.cache.empty();
        Ok(())
    }

    /// Ends the suspension. Refused if the store was put back once more meanwhile.
    pub async fn resume(&self, store: &VaultStore) -> Result<(), VaultFailure> {
        self.check(store).await?;
        let mut state = self.lock();
        if state.suspended.take().is_some_and(|why| why != VaultSuspension::NotCompared) {
            tracing::warn!("the vault opens again: everything that the log says was erased is erased in its store");
        }
        drop(state);
        self.cache.empty();
        Ok(())
    }

    fn is_replaced(&self) -> bool {
        self.file.as_ref().is_some_and(|file| identity(&file.path) != Some(file.identity))
    }

    fn lock(&self) -> MutexGuard<'_, ObservedLineage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the store as it is now comes after what was known of it.
fn follows(now: &LineageState, heard: &(i64, Option<String>), writes: i64) -> bool {
    now.newest.0 >= heard.0 && now.tag_of_heard == heard.1 && now.writes.is_some_and(|stored| stored >= writes)
}

/// Device and inode of the file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Does work that ends a suspension: it may open values while nothing else may.
pub(crate) fn reapplying<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    REAPPLYING.scope((), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: i64, tag_of_heard: Option<&str>, writes: Option<i64>) -> LineageState {
        LineageState { newest: (number, None), tag_of_heard: tag_of_heard.map(str::to_owned), writes }
    }

    #[test]
    fn a_store_follows_only_if_it_holds_all_that_it_acknowledged() {
        let heard = (5, Some("a".to_owned()));
        assert!(follows(&state(5, Some("a"), Some(3)), &heard, 3));
        assert!(follows(&state(9, Some("a"), Some(4)), &heard, 3));
        assert!(!follows(&state(4, None, Some(3)), &heard, 3), "the number fell");
        assert!(!follows(&state(9, Some("b"), Some(3)), &heard, 3), "the number was given out again");
        assert!(!follows(&state(5, Some("a"), Some(2)), &heard, 3), "a transaction of this process is gone");
        assert!(!follows(&state(5, Some("a"), None), &heard, 0), "the store never heard of this process");
    }
}
