//! Sealing and opening values of the domain.

use wasend_domain::{AccountId, Day, Opened, Personal, PersonalValue, Sealed, SubjectId};
use zeroize::Zeroizing;

use crate::{
    error::{Failure, OpenError, VaultError},
    key::KeyName,
    ring::{Ring, opened, roots},
    seal::{self, Place},
    vault::Vault,
};

impl Vault {
    /// Seals a value under the account, the subject and the day's retention key, which is made if it is the day's
    /// first. Refused if any of the three was destroyed.
    pub async fn seal<T: PersonalValue>(
        &self,
        account: AccountId,
        subject: SubjectId,
        value: &Personal<T>,
        day: Day,
    ) -> Result<Sealed<T>, VaultError> {
        let ring = self.ring_for_sealing(&roots(account, subject, T::CATEGORY, day)).await?;
        seal_with(&ring, account, subject, value, day)
    }

    /// Seals values of many subjects; the keys that memory does not hold are read together. One that cannot be sealed
    /// does not spoil the others.
    pub async fn seal_many<T: PersonalValue>(
        &self,
        account: AccountId,
        values: &[(SubjectId, Personal<T>)],
        day: Day,
    ) -> Vec<Result<Sealed<T>, VaultError>> {
        let names = values.iter().flat_map(|(subject, _)| roots(account, *subject, T::CATEGORY, day));
        match self.ring_for_sealing(&distinct(names)).await {
            Ok(ring) => values.iter().map(|(subject, value)| seal_with(&ring, account, *subject, value, day)).collect(),
            Err(failure) => values.iter().map(|_| Err(failure.clone().into())).collect(),
        }
    }

    /// Opens a value, or says that it is erased.
    pub async fn open<T: PersonalValue>(&self, account: AccountId, sealed: &Sealed<T>) -> Result<Opened<T>, OpenError> {
        let ring = self.ring(&roots_of(account, sealed)).await?;
        open_with(&ring, account, sealed)
    }

    /// Opens many values; the keys that memory does not hold are read together.
    pub async fn open_many<T: PersonalValue>(
        &self,
        account: AccountId,
        sealed: &[Sealed<T>],
    ) -> Vec<Result<Opened<T>, OpenError>> {
        let names = sealed.iter().flat_map(|sealed| roots_of(account, sealed));
        match self.ring(&distinct(names)).await {
            Ok(ring) => sealed.iter().map(|sealed| open_with(&ring, account, sealed)).collect(),
            Err(failure) => sealed.iter().map(|_| Err(failure.clone().into())).collect(),
        }
    }

    /// Makes the day's retention keys that are missing, if the account may still have any.
    pub(crate) async fn ring_for_sealing(&self, names: &[KeyName]) -> Result<Ring, Failure> {
        let ring = self.ring(names).await?;
        let absent = |name: &&KeyName| matches!(name, KeyName::Bucket(..)) && !ring.has(**name);
        let missing: Vec<_> = names.iter().filter(absent).copied().collect();
        let known = names.iter().any(|name| matches!(name, KeyName::Account(_)) && ring.has(*name));
        if missing.is_empty() || !known {
            return Ok(ring);
        }
        self.create_keys(&missing).await?;
        self.ring(names).await
    }
}

pub(crate) fn distinct(names: impl Iterator<Item = KeyName>) -> Vec<KeyName> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn roots_of<T: PersonalValue>(account: AccountId, sealed: &Sealed<T>) -> [KeyName; 3] {
    roots(account, sealed.subject(), T::CATEGORY, sealed.day())
}

pub(crate) fn place<T: PersonalValue>(account: AccountId, subject: SubjectId, day: Day) -> Place<'static> {
    Place { account, subject, category: T::CATEGORY.name(), day: Some(day), field: T::FIELD }
}

fn seal_with<T: PersonalValue>(
    ring: &Ring,
    account: AccountId,
    subject: SubjectId,
    value: &Personal<T>,
    day: Day,
) -> Result<Sealed<T>, VaultError> {
    let [account_root, subject_root, bucket] = roots(account, subject, T::CATEGORY, day);
    let keys = [
        ring.live(account_root, VaultError::UnknownAccount)?,
        ring.live(subject_root, VaultError::UnknownSubject)?,
        ring.live(bucket, VaultError::UnknownAccount)?,
    ];
    let plaintext = Zeroizing::new(serde_json::to_vec(value.expose()).map_err(|_| Failure::Encoding)?);
    let text = seal::seal(&keys, &place::<T>(account, subject, day), &plaintext)?;
    Ok(Sealed::from_parts(subject, day, &text))
}

fn open_with<T: PersonalValue>(ring: &Ring, account: AccountId, sealed: &Sealed<T>) -> Result<Opened<T>, OpenError> {
    opened(ring.all(roots_of(account, sealed))?, |keys| {
        let place = place::<T>(account, sealed.subject(), sealed.day());
        let plaintext = seal::open(&keys, &place, sealed.ciphertext())?;
        // serde's own error would quote the plaintext.
        serde_json::from_slice(&plaintext).map_err(|_| OpenError::Corrupt)
    })
}
