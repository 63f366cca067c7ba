//! Unwrapped keys in memory: bounded, short-lived, and emptied by a destruction.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use metrics::Counter;
use wasend_domain::Time;

use crate::key::{HeldKey, KeyName};

/// How long a node may use a key that another node has destroyed without saying so.
pub(crate) const CACHED_KEY_TTL: Duration = Duration::from_secs(60);

/// Two generations of entries stand in for an order of use: when the young ones fill half the capacity, they become
/// the old ones and the old ones go.
pub(crate) struct KeyCache {
    state: Mutex<CacheState>,
    /// Until when what is remembered may be used, in microseconds.
    usable_until: AtomicI64,
    half: usize,
    hits: Counter,
    misses: Counter,
}

#[derive(Default)]
struct CacheState {
    destructions: u64,
    /// The last destruction of the store's that was heard of.
    heard: i64,
    young: HashMap<KeyName, CachedKey>,
    old: HashMap<KeyName, CachedKey>,
}

struct CachedKey {
    held: HeldKey,
    read_at: Time,
}

/// How many destructions had been when something was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheStamp(u64);

impl KeyCache {
    /// Holds at most `capacity` keys, at least 2.
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            usable_until: AtomicI64::new(i64::MAX),
            half: (capacity / 2).max(1),
            hits: metrics::counter!("wasend_vault_cache_hits_total"),
            misses: metrics::counter!("wasend_vault_cache_misses_total"),
        }
    }

    /// What is held under each name, if it is known and fresh at `now`; and the stamp with which to add the rest.
    pub fn look_up(&self, names: &[KeyName], now: Time) -> (CacheStamp, Vec<Option<HeldKey>>) {
        let (stamp, found) = {
            let mut state = self.lock();
            let usable = now.micros() < self.usable_until.load(Ordering::Acquire);
            let found: Vec<_> = names.iter().map(|name| state.get(name, now, self.half).filter(|_| usable)).collect();
            (CacheStamp(state.destructions), found)
        };
        let hits = found.iter().flatten().count() as u64;
        self.hits.increment(hits);
        self.misses.increment(names.len() as u64 - hits);
        (stamp, found)
    }

    /// The state of destructions before something is read; see [`Self::keep`].
    pub fn stamp(&self) -> CacheStamp {
        CacheStamp(self.lock().destructions)
    }

    /// Keeps what was read at `read_at`, unless a key was destroyed since `stamp`: then what was read may be that key,
    /// and the answer is false.
    pub fn keep(&self, stamp: CacheStamp, read_at: Time, read: impl IntoIterator<Item = (KeyName, HeldKey)>) -> bool {
        let mut state = self.lock();
        if state.destructions != stamp.0 {
            return false;
        }
        for (name, held) in read {
            if !matches!(held, HeldKey::Damaged) {
                state.put(name, CachedKey { held, read_at }, self.half);
            }
        }
        true
    }

    /// Forgets every key, clearing its bytes as soon as they are not in use.
    pub fn empty(&self) {
        let mut state = self.lock();
        let (destructions, heard) = (state.destructions + 1, state.heard);
        *state = CacheState { destructions, heard, ..CacheState::default() };
    }

    /// What is remembered is used until then and no longer.
    pub fn use_until(&self, until: Time) {
        self.usable_until.store(until.micros(), Ordering::Release);
    }

    /// Forgets every key if there was a destruction that was not heard of.
    pub fn heard(&self, destruction: i64) {
        let mut state = self.lock();
        if state.heard != destruction {
            *state = CacheState { destructions: state.destructions + 1, heard: destruction, ..CacheState::default() };
        }
    }

    fn lock(&self) -> MutexGuard<'_, CacheState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let state = self.lock();
        state.young.len() + state.old.len()
    }
}

impl CacheState {
    fn get(&mut self, name: &KeyName, now: Time, half: usize) -> Option<HeldKey> {
        // A clock that was set back must not keep a key alive: an entry from the future is as good as none.
        let fresh = |entry: &CachedKey| entry.read_at <= now && now.since(entry.read_at) < CACHED_KEY_TTL;
        if let Some(entry) = self.young.get(name) {
            return fresh(entry).then(|| entry.held.clone());
        }
        let entry = self.old.remove(name).filter(fresh)?;
        let held = entry.held.clone();
        self.put(*name, entry, half);
        Some(held)
    }

    fn put(&mut self, name: KeyName, entry: CachedKey, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&name) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&name);
        self.young.insert(name, entry);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wasend_domain::AccountId;

    use super::*;
    use crate::key::RootKey;

    const NOW: Time = Time::from_seconds(1_000);

    fn live() -> HeldKey {
        HeldKey::Live(Arc::new(RootKey::from_bytes([1; 32])))
    }

    fn name() -> KeyName {
        KeyName::Account(AccountId::random())
    }

    fn holds(cache: &KeyCache, name: KeyName, now: Time) -> bool {
        cache.look_up(&[name], now).1[0].is_some()
    }

    #[test]
    fn a_key_read_before_a_destruction_is_not_kept_after_it() {
        let (cache, name) = (KeyCache::new(10), name());
        let stamp = cache.stamp();
        cache.empty();
        assert!(!cache.keep(stamp, NOW, [(name, live())]));
        assert!(!holds(&cache, name, NOW));
        assert!(cache.keep(cache.stamp(), NOW, [(name, live())]));
        assert!(holds(&cache, name, NOW));
    }

    #[test]
    fn a_destruction_forgets_and_clears_every_key() {
        let (cache, one, two) = (KeyCache::new(2), name(), name());
        let key = Arc::new(RootKey::from_bytes([1; 32]));
        cache.keep(cache.stamp(), NOW, [(one, HeldKey::Live(Arc::clone(&key))), (two, live())]);
        cache.empty();
        assert!(!holds(&cache, one, NOW) && !holds(&cache, two, NOW));
        assert_eq!(Arc::strong_count(&key), 1);
    }

    #[test]
    fn a_key_is_used_for_less_than_a_minute() {
        let (cache, name) = (KeyCache::new(10), name());
        cache.keep(cache.stamp(), NOW, [(name, live())]);
        assert!(holds(&cache, name, NOW.plus(Duration::from_millis(59_999))));
        assert!(!holds(&cache, name, NOW.plus(CACHED_KEY_TTL)));
        assert!(!holds(&cache, name, Time::from_seconds(999)), "the clock was set back");
    }

    #[test]
    fn what_another_node_destroyed_is_forgotten_once_it_is_heard_of() {
        let (cache, name) = (KeyCache::new(10), name());
        cache.heard(3);
        cache.keep(cache.stamp(), NOW, [(name, live())]);
        cache.heard(3);
        assert!(holds(&cache, name, NOW));
        cache.heard(4);
        assert!(!holds(&cache, name, NOW));
    }

    #[test]
    fn a_node_that_hears_nothing_uses_nothing() {
        let (cache, name) = (KeyCache::new(10), name());
        cache.keep(cache.stamp(), NOW, [(name, live())]);
        cache.use_until(NOW.plus(Duration::from_secs(1)));
        assert!(holds(&cache, name, NOW));
        assert!(!holds(&cache, name, NOW.plus(Duration::from_secs(1))));
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (cache, used) = (KeyCache::new(100), name());
        cache.keep(cache.stamp(), NOW, [(used, live())]);
        for _ in 0..10_000 {
            cache.keep(cache.stamp(), NOW, [(name(), live())]);
            assert!(holds(&cache, used, NOW));
        }
        assert!(cache.len() <= 100, "{}", cache.len());
    }
}
