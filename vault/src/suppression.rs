//! Who is not to be written to although nobody knows any more who they are: keyed hashes of the numbers and ids of
//! people who had opted out before they were erased.

use std::collections::HashSet;

use wasend_domain::{AccountId, BlindIndex, Opened, SubjectId};

use crate::{
    error::{OpenError, VaultError},
    person::{Identity, Person},
    vault::Vault,
};

/// The domain of the hashes, never changed once released.
const DOMAIN: &str = "suppression";

impl Vault {
    /// The first half of an erasure: no identity leads to the subject any more, so that whoever comes with one is
    /// somebody new. With `suppress`, they are on the list from the same moment on. Repeating it changes nothing.
    pub async fn unlink(&self, account: AccountId, subject: SubjectId, suppress: bool) -> Result<(), VaultError> {
        let mut hashes = Vec::new();
        if suppress && let Some(person) = self.person(account, subject).await? {
            hashes = self.hashes(account, &identities(&person)).await?.concat();
        }
        self.store.unlink(account, subject, &hashes).await?;
        Ok(())
    }

    /// Whether each of the identities is on the list, in their order.
    pub async fn suppressed(&self, account: AccountId, identities: &[Identity]) -> Result<Vec<bool>, VaultError> {
        if identities.is_empty() {
            return Ok(vec![]);
        }
        let hashes = self.hashes(account, identities).await?;
        let found: HashSet<String> = self.store.suppressed(account, &hashes.concat()).await?.into_iter().collect();
        Ok(hashes.iter().map(|spellings| spellings.iter().any(|hash| found.contains(hash.as_str()))).collect())
    }

    /// Takes everything that the subject is known by off the list: it has opted in.
    pub async fn unsuppress(&self, account: AccountId, subject: SubjectId) -> Result<(), VaultError> {
        let Some(person) = self.person(account, subject).await? else { return Ok(()) };
        let hashes = self.hashes(account, &identities(&person)).await?.concat();
        self.store.unsuppress(account, &hashes).await?;
        Ok(())
    }

    async fn person(&self, account: AccountId, subject: SubjectId) -> Result<Option<Person>, VaultError> {
        match self.identity(account, subject).await {
            Ok(Opened::Value(person)) => Ok(Some(person.into_exposed())),
            // Nothing is known any more by which it could be found.
            Ok(Opened::Erased(_)) | Err(OpenError::UnknownKey) => Ok(None),
            Err(OpenError::Failure(failure)) => Err(failure.into()),
            Err(_) => Err(VaultError::UnknownSubject),
        }
    }

    /// For each of the identities a hash of every spelling: however it was or will be written, it is the same person's.
    async fn hashes(&self, account: AccountId, identities: &[Identity]) -> Result<Vec<Vec<BlindIndex>>, VaultError> {
        let indexer = self.indexer(account).await?;
        let hash = |spelling: String| indexer.index(DOMAIN, &spelling);
        Ok(identities.iter().map(|identity| numbered(identity).spellings().into_iter().map(hash).collect()).collect())
    }
}

fn identities(person: &Person) -> Vec<Identity> {
    let phones = person.phones.iter().map(Identity::phone);
    let wa_ids = person.wa_ids.iter().map(Identity::wa_id);
    phones.chain(wa_ids).chain(person.bsuids.iter().map(Identity::bsuid)).collect()
}

/// A number has the same hashes, whether it is a phone's or WhatsApp's own spelling of it.
fn numbered(identity: &Identity) -> Identity {
    match identity {
        Identity::WaId(digits) => Identity::phone(format!("+{}", digits.expose())),
        other => other.clone(),
    }
}
