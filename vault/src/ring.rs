//! Finding and making root keys.

use std::{collections::HashMap, sync::Arc};

use wasend_domain::{AccountId, Category, Day, Erased, Opened, SubjectId};

use crate::{
    epoch::{EpochKey, Named},
    error::{Failure, OpenError, VaultError},
    key::{Held, KeyName, RootKey},
    store::{Batch, NewKey, Store},
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
            Some(Held::Damaged) => Err(Failure::DamagedKey.into()),
            None => Err(unknown),
        }
    }

    /// All of the keys, to open something with them; erased since the first of them was destroyed.
    pub fn all<const N: usize>(&self, names: [KeyName; N]) -> Result<Result<[&RootKey; N], Erased>, OpenError> {
        let held = names.map(|name| self.0.get(&name));
        let erased = held.iter().filter_map(|held| match held {
            Some(Held::Destroyed(erased)) => Some(erased),
            _ => None,
        });
        if let Some(erased) = erased.min_by_key(|erased| erased.since) {
            return Ok(Err(erased.clone()));
        }
        let mut keys = Vec::with_capacity(N);
        for held in held {
            match held {
                Some(Held::Live(key)) => keys.push(&**key),
                Some(_) => return Err(Failure::DamagedKey.into()),
                None => return Err(OpenError::UnknownKey),
            }
        }
        keys.try_into().map(Ok).map_err(|_| OpenError::UnknownKey)
    }
}

/// The three roots of a value.
pub(crate) fn roots(account: AccountId, subject: SubjectId, category: Category, day: Day) -> [KeyName; 3] {
    let subject = KeyName::Subject(account, subject, category.purpose());
    [KeyName::Account(account), subject, KeyName::Bucket(account, category, day)]
}

impl Vault {
    /// Those of the keys that exist, from memory or else all together from the store. No key in it was destroyed
    /// before this was called.
    pub(crate) async fn ring(&self, names: &[KeyName]) -> Result<Ring, Failure> {
        loop {
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
            let read = read(&self.store, &*self.epoch, &missing).await?;
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
        let keys = wrap(&*self.epoch, &pairs).await?;
        self.queue.create(Batch { keys, subjects: Vec::new() }).await?;
        Ok(())
    }
}

/// Reads those of the keys that exist.
pub(crate) async fn read(
    store: &Store,
    epoch: &dyn EpochKey,
    names: &[KeyName],
) -> Result<Vec<(KeyName, Held)>, Failure> {
    let by_id: HashMap<_, _> = names.iter().map(|name| (name.to_string(), *name)).collect();
    let rows = store.keys(&by_id.keys().cloned().collect::<Vec<_>>()).await?;
    let living: Vec<_> = rows.iter().filter(|row| row.destroyed.is_none()).collect();
    let wrapped: Vec<_> = living
        .iter()
        .map(|row| Named { id: &row.id, kind: &row.kind, epoch: row.epoch, key: row.wrapped.as_str() })
        .collect();
    let keys = epoch.unwrap(&wrapped).await?;
    let mut held: Vec<_> = living
        .iter()
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

/// The rows of new keys.
pub(crate) async fn wrap(epoch: &dyn EpochKey, keys: &[(KeyName, &RootKey)]) -> Result<Vec<NewKey>, Failure> {
    let number = epoch.epoch();
    let ids: Vec<_> = keys.iter().map(|(name, _)| name.to_string()).collect();
    let named: Vec<_> = keys
        .iter()
        .zip(&ids)
        .map(|((name, key), id)| Named { id, kind: name.kind(), epoch: number, key: *key })
        .collect();
    let wrapped = epoch.wrap(&named).await?;
    let rows = keys.iter().zip(ids).zip(wrapped).map(|(((name, key), id), wrapped)| NewKey {
        id,
        account: name.account().map(|account| account.to_string()).unwrap_or_default(),
        kind: name.kind(),
        subject: name.subject().map(|subject| subject.to_string()),
        epoch: number,
        wrapped,
        fingerprint: key.fingerprint(),
    });
    Ok(rows.collect())
}

/// What opening comes to, once it is known whether the keys are still there.
pub(crate) fn opened<T, const N: usize>(
    keys: Result<[&RootKey; N], Erased>,
    open: impl FnOnce([&RootKey; N]) -> Result<T, OpenError>,
) -> Result<Opened<T>, OpenError> {
    match keys {
        Ok(keys) => open(keys).map(|value| Opened::Value(wasend_domain::Personal::new(value))),
        Err(erased) => Ok(Opened::Erased(erased)),
    }
}
