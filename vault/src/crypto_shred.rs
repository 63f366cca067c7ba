//! Destruction of keys: erasure and retention. It is durable when it answers, and may be repeated.

use std::collections::HashSet;

use wasend_domain::{AccountId, DataCategory, Day, Erased, KeyPurpose, SubjectId};

use crate::{error::VaultFailure, key::KeyName, store::NewKey, vault::Vault};

/// A retention key: of an account, a category and a day.
pub type BucketKey = (AccountId, DataCategory, Day);

impl Vault {
    /// Destroys the subject's keys for the purposes, and gives the fingerprints of those that ever were. One that is
    /// damaged, and a person's own that is missing, is destroyed all the same: what it sealed is erased from then on.
    /// `why` names the request or rule and is kept in clear: it must not hold personal data.
    pub async fn destroy_subject(
        &self,
        account: AccountId,
        subject: SubjectId,
        purposes: &[KeyPurpose],
        why: &str,
    ) -> Result<Vec<String>, VaultFailure> {
        let names: Vec<_> = purposes.iter().map(|purpose| KeyName::Subject(account, subject, *purpose)).collect();
        let own: Vec<_> = names.iter().filter(|name| is_own(name)).copied().collect();
        self.destroy(&names, &own, why).await
    }

    /// Destroys all keys of the subject again, after the store was put back to an earlier copy, and keeps any from
    /// being made.
    pub async fn destroy_again(&self, account: AccountId, subject: SubjectId, why: &str) -> Result<(), VaultFailure> {
        let names = names_of(account, subject);
        self.destroy(&names, &names, why).await?;
        Ok(())
    }

    /// Those of the erased subjects whose erasure the store does not show: a key lives, or none is known to be
    /// destroyed.
    pub async fn not_destroyed(
        &self,
        erased: &[(AccountId, SubjectId)],
    ) -> Result<Vec<(AccountId, SubjectId)>, VaultFailure> {
        let ids =
            |(account, subject): &(AccountId, SubjectId)| names_of(*account, *subject).map(|name| name.to_string());
        let all: Vec<_> = erased.iter().flat_map(ids).collect();
        let destroyed: HashSet<_> = self.store.destroyed(&all).await?.into_iter().collect();
        let living: HashSet<_> = self.store.living(&all).await?.into_iter().map(|(id, _)| id).collect();
        let shows = |person: &(AccountId, SubjectId)| {
            let ids = ids(person);
            ids.iter().any(|id| destroyed.contains(id)) && !ids.iter().any(|id| living.contains(id))
        };
        Ok(erased.iter().filter(|person| !shows(person)).copied().collect())
    }

    /// Names and fingerprints of the subject's keys that are not destroyed.
    pub async fn living(&self, account: AccountId, subject: SubjectId) -> Result<Vec<(String, String)>, VaultFailure> {
        self.store.living(&KeyPurpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose).to_string())).await
    }

    /// Names and fingerprints of all keys that the subject ever had. The one that every person has is named with an
    /// empty fingerprint where the store lacks it.
    pub async fn marks(&self, account: AccountId, subject: SubjectId) -> Result<Vec<(String, String)>, VaultFailure> {
        let mut marks = self.store.marks(&names_of(account, subject).map(|name| name.to_string())).await?;
        let own = names_of(account, subject).into_iter().filter(is_own).map(|name| name.to_string());
        let missing: Vec<_> = own.filter(|own| !marks.iter().any(|(id, _)| id == own)).collect();
        marks.extend(missing.into_iter().map(|id| (id, String::new())));
        Ok(marks)
    }

    /// Destroys the retention key of a category and day, also for values that are yet to be sealed with it.
    pub async fn destroy_bucket(
        &self,
        account: AccountId,
        category: DataCategory,
        day: Day,
        why: &str,
    ) -> Result<Vec<String>, VaultFailure> {
        let names = [KeyName::Bucket(account, category, day)];
        self.destroy(&names, &names, why).await
    }

    /// The fingerprint of the retention key of a category and day, if there ever was one.
    pub async fn bucket_mark(
        &self,
        account: AccountId,
        category: DataCategory,
        day: Day,
    ) -> Result<Option<String>, VaultFailure> {
        let marks = self.store.marks(&[KeyName::Bucket(account, category, day).to_string()]).await?;
        Ok(marks.into_iter().map(|(_, fingerprint)| fingerprint).find(|fingerprint| !fingerprint.is_empty()))
    }

    /// Those of the retention keys that the store does not show as destroyed, each with whether it lives: else there is no
    /// trace of it, and it could be made.
    pub async fn buckets_not_destroyed(&self, buckets: &[BucketKey]) -> Result<Vec<(BucketKey, bool)>, VaultFailure> {
        let id = |(account, category, day): &BucketKey| KeyName::Bucket(*account, *category, *day).to_string();
        let all: Vec<_> = buckets.iter().map(id).collect();
        let destroyed: HashSet<_> = self.store.destroyed(&all).await?.into_iter().collect();
        let living: HashSet<_> = self.store.living(&all).await?.into_iter().map(|(id, _)| id).collect();
        let found = buckets.iter().zip(&all).filter(|(_, id)| living.contains(*id) || !destroyed.contains(*id));
        Ok(found.map(|(bucket, id)| (*bucket, living.contains(id))).collect())
    }

    /// Removes the subject's entry and its aliases: nothing finds it any more, and the same number is another subject
    /// when it comes again. Whether there was an entry.
    pub async fn remove_from_directory(&self, account: AccountId, subject: SubjectId) -> Result<bool, VaultFailure> {
        let removed = self.store.remove_person(account, subject).await?;
        self.store.clear_residue().await?;
        Ok(removed)
    }

    /// Destroys the keys; those of `for_ever` also where they are not there, so that none is ever made.
    #[tracing::instrument(name = "vault.destroy", skip_all)]
    async fn destroy(&self, names: &[KeyName], for_ever: &[KeyName], why: &str) -> Result<Vec<String>, VaultFailure> {
        let ids: Vec<_> = names.iter().map(ToString::to_string).collect();
        let graves: Vec<_> = for_ever.iter().map(|name| self.grave(*name)).collect();
        let record = Erased { since: self.clock.now(), why: why.to_owned() };
        let destroyed = self.store.destroy(&ids, &graves, &record, &self.lineage).await;
        // Even if that failed: an error on the way back does not mean that it did not happen.
        self.cache.empty();
        let fingerprints = destroyed?;
        self.store.clear_residue().await?;
        Ok(fingerprints)
    }

    /// A row in the place of a key that was never made, so that it never will be.
    fn grave(&self, name: KeyName) -> NewKey {
        NewKey {
            id: name.to_string(),
            account: name.account().map(|account| account.to_string()).unwrap_or_default(),
            kind: name.kind(),
            subject: name.subject().map(|subject| subject.to_string()),
            epoch: self.epochs.current(),
            wrapped: String::new(),
            fingerprint: String::new(),
        }
    }
}

/// The names of all keys that a subject can have.
fn names_of(account: AccountId, subject: SubjectId) -> [KeyName; KeyPurpose::ALL.len()] {
    KeyPurpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose))
}

/// Whether it is the key that every person has.
const fn is_own(name: &KeyName) -> bool {
    matches!(name, KeyName::Subject(_, _, KeyPurpose::Messaging))
}
