//! Destruction of keys: erasure, retention, off-boarding. It is durable when it answers, and may be repeated.

use wasend_domain::{AccountId, Category, Day, Erased, Purpose, SubjectId};

use crate::{
    error::Failure,
    key::KeyName,
    store::{Count, NewKey},
    vault::Vault,
};

impl Vault {
    /// Destroys the subject's keys for the purposes, and gives the fingerprints of those that ever were. `why` names
    /// the request or rule and is kept in clear: it must not hold personal data.
    pub async fn destroy_subject(
        &self,
        account: AccountId,
        subject: SubjectId,
        purposes: &[Purpose],
        why: &str,
    ) -> Result<Vec<String>, Failure> {
        let names: Vec<_> = purposes.iter().map(|purpose| KeyName::Subject(account, subject, *purpose)).collect();
        self.destroy(&names, false, why, None, Count::Next).await
    }

    /// Destroys all keys of the subject again, after the store was put back to an earlier copy, and keeps any from
    /// being made. To be followed by [`Self::restored`].
    pub async fn destroy_again(&self, account: AccountId, subject: SubjectId, why: &str) -> Result<(), Failure> {
        let names = Purpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose));
        self.destroy(&names, true, why, None, Count::Had).await?;
        Ok(())
    }

    /// Names and fingerprints of the subject's keys that are not destroyed.
    pub async fn living(&self, account: AccountId, subject: SubjectId) -> Result<Vec<(String, String)>, Failure> {
        self.store.living(&Purpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose).to_string())).await
    }

    /// Everything that the history says was destroyed, up to this destruction, is destroyed in the store that was put
    /// back: numbers go on after it, and every node hears of it.
    pub async fn restored(&self, destruction: i64) -> Result<(), Failure> {
        self.store.raise_destructions(destruction).await?;
        self.cache.empty();
        self.node.pulse().beat().await?;
        Ok(())
    }

    /// Names and fingerprints of all keys that the subject ever had.
    pub async fn marks(&self, account: AccountId, subject: SubjectId) -> Result<Vec<(String, String)>, Failure> {
        self.store.marks(&Purpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose).to_string())).await
    }

    /// Destroys the retention key of a category and day, also for values that are yet to be sealed with it.
    pub async fn destroy_bucket(
        &self,
        account: AccountId,
        category: Category,
        day: Day,
        why: &str,
    ) -> Result<Vec<String>, Failure> {
        self.destroy(&[KeyName::Bucket(account, category, day)], true, why, None, Count::Next).await
    }

    /// Destroys the account's root and index keys, without which its other keys open nothing, and empties its
    /// directory.
    pub async fn destroy_account(&self, account: AccountId, why: &str) -> Result<Vec<String>, Failure> {
        let names = [KeyName::Account(account), KeyName::Index(account)];
        self.destroy(&names, true, why, Some(account), Count::Next).await
    }

    /// Removes the subject's entry and its aliases: nothing finds it any more, and the same number is another subject
    /// when it comes again. Whether there was an entry.
    pub async fn remove_from_directory(&self, account: AccountId, subject: SubjectId) -> Result<bool, Failure> {
        let removed = self.store.remove_person(account, subject).await?;
        self.store.clear_residue().await?;
        Ok(removed)
    }

    #[tracing::instrument(name = "vault.destroy", skip_all)]
    async fn destroy(
        &self,
        names: &[KeyName],
        for_ever: bool,
        why: &str,
        directory: Option<AccountId>,
        count: Count,
    ) -> Result<Vec<String>, Failure> {
        let ids: Vec<_> = names.iter().map(ToString::to_string).collect();
        let graves: Vec<_> = names.iter().filter(|_| for_ever).map(|name| self.grave(*name)).collect();
        let record = Erased { since: self.clock.now(), why: why.to_owned() };
        let destroyed = self.store.destroy(&ids, &graves, &record, directory, count).await;
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
