//! Finding and making root keys.

use std::{collections::HashMap, sync::Arc};

use wasend_domain::{AccountId, Category, Day, Erased, Opened, Personal, SubjectId, Unavailable, UnavailableCause};

use crate::{
    epoch::{EpochError, Named},
    epochs::Epochs,
    error::{Failure, VaultError},
    key::{Held, KeyName, RootKey},
    store::{Batch, KeyRow, Store},
    vault::Vault,
};

/// The keys that one piece of work needs, held only as long as it takes.
pub(crate) struct Ring(HashMap<KeyName, Held>);

impl Ring {
    pub fn has(&self, name: KeyName) -> bool {
        self.0.contains_key(&name)
    }

    /// The key, to make something new with it; `unknown` if there is none.
    pub fn live(&self, name: KeyName, unknown: VaultError) -> Result<&RootKey, VaultError> {
        match self.0.get(&name) {
            Some(Held::Live(key)) => Ok(key),
            Some(Held::Destroyed(erased)) => Err(VaultError::Erased(erased.clone())),
            Some(Held::Damaged) => {
                let (why, subject) = (UnavailableCause::KeyDamaged, name.subject());
                Err(VaultError::Unavailable(Unavailable { why, subject }))
            }
            None => Err(unknown),
        }
    }

    /// All of the keys, to open something with them; erased since the first of them was destroyed, whatever is wrong with
    /// the others.
    pub fn all(&self, names: &[KeyName]) -> Result<Vec<&RootKey>, Lost> {
        let held: Vec<_> = names.iter().map(|name| self.0.get(name)).collect();
        let erased = held.iter().filter_map(|held| match held {
            Some(Held::Destroyed(erased)) => Some(erased),
            _ => None,
        });
        if let Some(erased) = erased.min_by_key(|erased| erased.since) {
            return Err(Lost::Erased(erased.clone()));
        }
        held.into_iter().map(living).collect()
    }
}

fn living(held: Option<&Held>) -> Result<&RootKey, Lost> {
    match held {
        Some(Held::Live(key)) => Ok(key),
        Some(_) => Err(Lost::Unavailable(UnavailableCause::KeyDamaged)),
        None => Err(Lost::Unavailable(UnavailableCause::KeyMissing)),
    }
}

/// Why there are no keys to open a value with.
pub(crate) enum Lost {
    Erased(Erased),
    Unavailable(UnavailableCause),
}

/// The three roots of a value.
pub(crate) fn roots(account: AccountId, subject: SubjectId, category: Category, day: Day) -> [KeyName; 3] {
    let subject = KeyName::Subject(account, subject, category.purpose());
    [KeyName::Account(account), subject, KeyName::Bucket(account, category, day)]
}

impl Vault {
    /// Those of the keys that exist, from memory or else all together from the store. No key in it was destroyed
    /// before this was called.
    ///
    /// Refused with [`Failure::Suspended`] while nothing may be opened; rows of a store that was put back to an earlier
    /// copy are never used, since the lineage is compared after they were read.
    pub(crate) async fn ring(&self, names: &[KeyName]) -> Result<Ring, Failure> {
        loop {
            self.lineage.require_open()?;
            let now = self.clock.now();
            let (stamp, found) = self.cache.look_up(names, now);
            let mut ring = HashMap::with_capacity(names.len());
            let mut missing = Vec::new();
            for (name, held) in names.iter().zip(found) {
                match held {
                    Some(held) => _ = ring.insert(*name, held),
                    None => missing.push(*name),
                }
            }
            if missing.is_empty() {
                return Ok(Ring(ring));
            }
            missing.sort_unstable();
            missing.dedup();
            let read = read(&self.store, &self.epochs, &missing).await?;
            self.lineage.check(&self.store).await?;
            // A key was destroyed meanwhile, and it may be one of these.
            if self.cache.keep(stamp, now, read.iter().cloned()) {
                ring.extend(read);
                return Ok(Ring(ring));
            }
        }
    }

    /// Makes those of the keys that do not exist yet; a destroyed one stays so.
    pub(crate) async fn create_keys(&self, names: &[KeyName]) -> Result<(), Failure> {
        let keys: Vec<_> = names.iter().map(|name| Ok((*name, RootKey::random()?))).collect::<Result<_, Failure>>()?;
        let pairs: Vec<_> = keys.iter().map(|(name, key)| (*name, key)).collect();
        loop {
            let keys = self.epochs.wrap(&pairs).await?;
            match self.queue.create(Batch { keys, subjects: Vec::new() }).await {
                Err(Failure::EpochPassed) => _ = self.epochs.follow(&self.store).await?,
                result => return result.map(drop),
            }
        }
    }
}

/// How often rows are read again whose epoch ends between reading and unwrapping them.
const PASSES: u32 = 3;

/// Reads those of the keys that exist.
pub(crate) async fn read(store: &Store, epochs: &Epochs, names: &[KeyName]) -> Result<Vec<(KeyName, Held)>, Failure> {
    let by_id: HashMap<_, _> = names.iter().map(|name| (name.to_string(), *name)).collect();
    let ids: Vec<_> = by_id.keys().cloned().collect();
    let mut pass = 1;
    let (rows, keys) = loop {
        let rows = store.keys(&ids).await?;
        let living: Vec<_> = rows.iter().filter(|row| row.destroyed.is_none()).map(named).collect();
        match epochs.holder().unwrap(&living).await {
            Err(EpochError::NotReady(_)) if pass < PASSES => {
                epochs.follow(store).await?;
                pass += 1;
            }
            keys => break (rows, keys?),
        }
    };
    let living = rows.iter().filter(|row| row.destroyed.is_none());
    let mut held: Vec<_> = living
        .zip(keys)
        .filter_map(|(row, key)| {
            let held = key.map_or(Held::Damaged, |key| Held::Live(Arc::new(key)));
            by_id.get(&row.id).map(|name| (*name, held))
        })
        .collect();
    held.extend(rows.iter().filter_map(|row| {
        let erased = row.destroyed.clone()?;
        by_id.get(&row.id).map(|name| (*name, Held::Destroyed(erased)))
    }));
    Ok(held)
}

fn named(row: &KeyRow) -> Named<'_, str> {
    Named { id: &row.id, kind: &row.kind, epoch: row.epoch, key: row.wrapped.as_str() }
}

/// What opening a value of the subject comes to, once it is known whether the keys are still there.
pub(crate) fn opened<T>(
    subject: SubjectId,
    keys: Result<Vec<&RootKey>, Lost>,
    open: impl FnOnce(Vec<&RootKey>) -> Result<T, UnavailableCause>,
) -> Opened<T> {
    let why = match keys.map(open) {
        Ok(Ok(value)) => return Opened::Value(Personal::new(value)),
        Err(Lost::Erased(erased)) => return Opened::Erased(erased),
        Ok(Err(why)) | Err(Lost::Unavailable(why)) => why,
    };
    metrics::counter!("wasend_vault_unavailable_total", "why" => why.name()).increment(1);
    Opened::Unavailable(Unavailable { why, subject: Some(subject) })
}
