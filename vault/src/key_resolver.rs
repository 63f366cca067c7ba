//! Reading root keys, and what one piece of work can do with those that were found.

use std::{collections::HashMap, sync::Arc};

use wasend_domain::{
    AccountId, DataCategory, Day, Erased, Opened, Personal, SubjectId, UnavailableCause, UnavailableValue,
};

use crate::{
    epoch::NamedKey,
    epochs::EpochRegistry,
    error::{EpochError, VaultError, VaultFailure},
    key::{HeldKey, KeyName, RootKey},
    store::{RootKeyRow, VaultStore},
};

/// The keys that one piece of work needs, held only as long as it takes.
pub(crate) struct KeyResolver(HashMap<KeyName, HeldKey>);

impl KeyResolver {
    /// Over the keys that were found, living, destroyed or damaged.
    pub const fn new(found: HashMap<KeyName, HeldKey>) -> Self {
        Self(found)
    }

    /// Whether there is a key of the name, living or destroyed.
    pub fn has(&self, name: KeyName) -> bool {
        self.0.contains_key(&name)
    }

    /// The key, to make something new with it; `unknown` if there is none.
    pub fn live(&self, name: KeyName, unknown: VaultError) -> Result<&RootKey, VaultError> {
        match self.0.get(&name) {
            Some(HeldKey::Live(key)) => Ok(key),
            Some(HeldKey::Destroyed(erased)) => Err(VaultError::Erased(erased.clone())),
            Some(HeldKey::Damaged) => {
                let (why, subject) = (UnavailableCause::KeyDamaged, name.subject());
                Err(VaultError::Unavailable(UnavailableValue { why, subject }))
            }
            None => Err(unknown),
        }
    }

    /// All of the keys, to open something with them; erased since the first of them was destroyed, whatever is wrong with
    /// the others.
    pub fn all(&self, names: &[KeyName]) -> Result<Vec<&RootKey>, KeyLoss> {
        let held: Vec<_> = names.iter().map(|name| self.0.get(name)).collect();
        let erased = held.iter().filter_map(|held| match held {
            Some(HeldKey::Destroyed(erased)) => Some(erased),
            _ => None,
        });
        if let Some(erased) = erased.min_by_key(|erased| erased.since) {
            return Err(KeyLoss::Erased(erased.clone()));
        }
        held.into_iter().map(living).collect()
    }
}

fn living(held: Option<&HeldKey>) -> Result<&RootKey, KeyLoss> {
    match held {
        Some(HeldKey::Live(key)) => Ok(key),
        Some(_) => Err(KeyLoss::Unavailable(UnavailableCause::KeyDamaged)),
        None => Err(KeyLoss::Unavailable(UnavailableCause::KeyMissing)),
    }
}

/// Why there are no keys to open a value with.
pub(crate) enum KeyLoss {
    Erased(Erased),
    Unavailable(UnavailableCause),
}

/// The three roots of a value.
pub(crate) fn roots(account: AccountId, subject: SubjectId, category: DataCategory, day: Day) -> [KeyName; 3] {
    let subject = KeyName::Subject(account, subject, category.purpose());
    [KeyName::Account(account), subject, KeyName::Bucket(account, category, day)]
}

/// How often rows are read again whose epoch ends between reading and unwrapping them.
const RESOLVE_PASSES_MAX: u32 = 3;

/// Reads those of the keys that exist.
pub(crate) async fn read(
    store: &VaultStore,
    epochs: &EpochRegistry,
    names: &[KeyName],
) -> Result<Vec<(KeyName, HeldKey)>, VaultFailure> {
    let by_id: HashMap<_, _> = names.iter().map(|name| (name.to_string(), *name)).collect();
    let ids: Vec<_> = by_id.keys().cloned().collect();
    let mut pass = 1;
    let (rows, keys) = loop {
        let rows = store.keys(&ids).await?;
        let living: Vec<_> = rows.iter().filter(|row| row.destroyed.is_none()).map(named).collect();
        match epochs.holder().unwrap(&living).await {
            Err(EpochError::NotReady(_)) if pass < RESOLVE_PASSES_MAX => {
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
            let held = key.map_or(HeldKey::Damaged, |key| HeldKey::Live(Arc::new(key)));
            by_id.get(&row.id).map(|name| (*name, held))
        })
        .collect();
    held.extend(rows.iter().filter_map(|row| {
        let erased = row.destroyed.clone()?;
        by_id.get(&row.id).map(|name| (*name, HeldKey::Destroyed(erased)))
    }));
    Ok(held)
}

fn named(row: &RootKeyRow) -> NamedKey<'_, str> {
    NamedKey { id: &row.id, kind: &row.kind, epoch: row.epoch, key: row.wrapped.as_str() }
}

/// What opening a value of the subject comes to, once it is known whether the keys are still there.
pub(crate) fn opened<T>(
    subject: SubjectId,
    keys: Result<Vec<&RootKey>, KeyLoss>,
    open: impl FnOnce(Vec<&RootKey>) -> Result<T, UnavailableCause>,
) -> Opened<T> {
    let why = match keys.map(open) {
        Ok(Ok(value)) => return Opened::Value(Personal::new(value)),
        Err(KeyLoss::Erased(erased)) => return Opened::Erased(erased),
        Ok(Err(why)) | Err(KeyLoss::Unavailable(why)) => why,
    };
    metrics::counter!("wasend_vault_unavailable_total", "why" => why.name()).increment(1);
    Opened::Unavailable(UnavailableValue { why, subject: Some(subject) })
}
