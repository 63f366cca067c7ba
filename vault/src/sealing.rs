//! Sealing and opening values of the domain.

use wasend_domain::{
    AccountId, DataCategory, Day, Opened, Personal, PersonalValue, Sealed, SubjectId, UnavailableCause,
    UnavailableValue,
};
use zeroize::Zeroizing;

use crate::{
    error::{VaultError, VaultFailure},
    key::{KeyName, RootKey},
    key_resolver::{KeyResolver, opened, roots},
    seal::{self, SealBinding},
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

    /// For each of the subjects why nothing of the category can be sealed on that day, because a key is missing or
    /// damaged; none where it can, or where a key is destroyed.
    pub async fn unsealable(
        &self,
        account: AccountId,
        category: DataCategory,
        subjects: &[SubjectId],
        day: Day,
    ) -> Result<Vec<Option<UnavailableValue>>, VaultFailure> {
        let names = |subject: &SubjectId| roots(account, *subject, category, day);
        let ring = self.ring_for_sealing(&distinct(subjects.iter().flat_map(names))).await?;
        let why = |subject: &SubjectId| match living(&ring, account, *subject, category, day) {
            Err(VaultError::Unavailable(unavailable)) => {
                Some(UnavailableValue { subject: Some(*subject), ..unavailable })
            }
            Err(VaultError::UnknownSubject | VaultError::UnknownAccount) => {
                Some(UnavailableValue { why: UnavailableCause::KeyMissing, subject: Some(*subject) })
            }
            _ => None,
        };
        Ok(subjects.iter().map(why).collect())
    }

    /// Opens a value, or says that it is erased or cannot be read.
    pub async fn open<T: PersonalValue>(
        &self,
        account: AccountId,
        sealed: &Sealed<T>,
    ) -> Result<Opened<T>, VaultFailure> {
        let ring = self.ring(&roots_of(account, sealed)).await?;
        Ok(open_with(&ring, account, sealed))
    }

    /// Opens many values, in their order; the keys that memory does not hold are read together. One that cannot be read
    /// does not spoil the others.
    pub async fn open_many<T: PersonalValue>(
        &self,
        account: AccountId,
        sealed: &[Sealed<T>],
    ) -> Result<Vec<Opened<T>>, VaultFailure> {
        let names = sealed.iter().flat_map(|sealed| roots_of(account, sealed));
        let ring = self.ring(&distinct(names)).await?;
        Ok(sealed.iter().map(|sealed| open_with(&ring, account, sealed)).collect())
    }

    /// Makes the day's retention keys that are missing, if the account may still have any.
    pub(crate) async fn ring_for_sealing(&self, names: &[KeyName]) -> Result<KeyResolver, VaultFailure> {
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

pub(crate) fn place<T: PersonalValue>(account: AccountId, subject: SubjectId, day: Day) -> SealBinding<'static> {
    SealBinding { account, subject, category: T::CATEGORY.name(), day: Some(day), field: T::FIELD }
}

fn seal_with<T: PersonalValue>(
    ring: &KeyResolver,
    account: AccountId,
    subject: SubjectId,
    value: &Personal<T>,
    day: Day,
) -> Result<Sealed<T>, VaultError> {
    let keys = living(ring, account, subject, T::CATEGORY, day)?;
    let plaintext = Zeroizing::new(serde_json::to_vec(value.expose()).map_err(|_| VaultFailure::Encoding)?);
    let text = seal::seal(&keys, &place::<T>(account, subject, day), &plaintext)?;
    Ok(Sealed::from_parts(subject, day, &text))
}

/// The keys to seal a value with.
fn living(
    ring: &KeyResolver,
    account: AccountId,
    subject: SubjectId,
    category: DataCategory,
    day: Day,
) -> Result<[&RootKey; 3], VaultError> {
    let [account_root, subject_root, bucket] = roots(account, subject, category, day);
    Ok([
        ring.live(account_root, VaultError::UnknownAccount)?,
        ring.live(subject_root, VaultError::UnknownSubject)?,
        ring.live(bucket, VaultError::UnknownAccount)?,
    ])
}

fn open_with<T: PersonalValue>(ring: &KeyResolver, account: AccountId, sealed: &Sealed<T>) -> Opened<T> {
    opened(sealed.subject(), ring.all(&roots_of(account, sealed)), |keys| {
        let place = place::<T>(account, sealed.subject(), sealed.day());
        let plaintext = seal::open(&keys, &place, sealed.ciphertext())?;
        // serde's own error would quote the plaintext.
        serde_json::from_slice(&plaintext).map_err(|_| UnavailableCause::ValueDamaged)
    })
}
