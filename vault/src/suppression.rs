//! Lists of people whom the directory does not know: keyed hashes of the numbers and ids of those who are not to be
//! written to, and for a short time of those who were erased.

use std::collections::HashMap;

use wasend_domain::{AccountId, BlindIndex, InboxId, Opened, SubjectId, Time};

use crate::{
    error::{OpenError, VaultError},
    person::{Identity, Person},
    store::Listed,
    vault::Vault,
};

/// The domains of the hashes, never changed once released.
const SUPPRESSION: &str = "suppression";
const ERASED: &str = "erased";

impl Vault {
    /// The first half of an erasure: no identity leads to the subject any more, and a person who comes with one is a new
    /// one. That its identities were erased at `erased_at` is remembered for a short time. Who had opted out at
    /// `opted_out_at` is on the list of opt-outs from the same moment on. Repeating it changes nothing.
    pub async fn unlink(
        &self,
        account: AccountId,
        subject: SubjectId,
        erased_at: Time,
        opted_out_at: Option<Time>,
    ) -> Result<(), VaultError> {
        let identities = match self.person(account, subject).await {
            Ok(person) => person.map(|person| person.identities()).unwrap_or_default(),
            // An entry that cannot be read is erased all the same.
            Err(VaultError::UnknownSubject) if opted_out_at.is_none() => Vec::new(),
            Err(error) => return Err(error),
        };
        let erased = self.hashes(account, ERASED, &identities).await?.concat();
        let suppressed = self.hashes(account, SUPPRESSION, &identities).await?.concat();
        let suppressed = opted_out_at.map(|at| Listed { hashes: &suppressed, at });
        self.store.unlink(account, subject, Listed { hashes: &erased, at: erased_at }, suppressed).await?;
        Ok(())
    }

    /// When the owner of each of the identities opted out, for those that are on the list, in their order.
    pub async fn suppressed(
        &self,
        account: AccountId,
        identities: &[Identity],
    ) -> Result<Vec<Option<Time>>, VaultError> {
        if identities.is_empty() {
            return Ok(vec![]);
        }
        let hashes = self.hashes(account, SUPPRESSION, identities).await?;
        Ok(latest(&hashes, self.store.suppressed(account, &hashes.concat()).await?))
    }

    /// Puts a person whom the directory does not know on the list of opt-outs. An earlier opt-out changes nothing. The
    /// random id of the listing if there is one, to be recorded in the log: a store that lacks it has lost the opt-out
    /// ([`Self::lost_listings`]).
    pub async fn suppress(
        &self,
        account: AccountId,
        identities: &[Identity],
        opted_out_at: Time,
    ) -> Result<Option<InboxId>, VaultError> {
        let hashes = self.hashes(account, SUPPRESSION, identities).await?.concat();
        let (listing, listed) = (InboxId::random(), Listed { hashes: &hashes, at: opted_out_at });
        let is_new = self.store.suppress(account, listed, &listing.to_string(), &self.lineage).await?;
        Ok(is_new.then_some(listing))
    }

    /// Takes everything that the subject is known by off the list, unless the opt-out is later than the opt-in.
    pub async fn unsuppress(
        &self,
        account: AccountId,
        subject: SubjectId,
        opted_in_at: Time,
    ) -> Result<(), VaultError> {
        let Some(person) = self.person(account, subject).await? else { return Ok(()) };
        self.unsuppress_identities(account, &person.identities(), opted_in_at).await
    }

    /// The same for a person whom the directory does not know.
    pub async fn unsuppress_identities(
        &self,
        account: AccountId,
        identities: &[Identity],
        opted_in_at: Time,
    ) -> Result<(), VaultError> {
        let hashes = self.hashes(account, SUPPRESSION, identities).await?.concat();
        self.store.unsuppress(account, &hashes, opted_in_at).await?;
        Ok(())
    }

    /// Whether the owner of each of the identities was erased at or after the moment, in their order; as far back as
    /// erasures are remembered.
    pub async fn erased_since(
        &self,
        account: AccountId,
        identities: &[Identity],
        since: Time,
    ) -> Result<Vec<bool>, VaultError> {
        let erased = self.erased_at(account, identities, since).await?;
        Ok(erased.into_iter().map(|erased| erased.is_some()).collect())
    }

    /// The same, with when that was.
    pub async fn erased_at(
        &self,
        account: AccountId,
        identities: &[Identity],
        since: Time,
    ) -> Result<Vec<Option<Time>>, VaultError> {
        if identities.is_empty() || !self.store.any_erased(account, since).await? {
            return Ok(vec![None; identities.len()]);
        }
        let hashes = self.hashes(account, ERASED, identities).await?;
        Ok(latest(&hashes, self.store.erased(account, &hashes.concat(), since).await?))
    }

    /// Forgets whose identities were erased before then.
    pub async fn forget_erased(&self, before: Time) -> Result<u64, VaultError> {
        Ok(self.store.forget_erased(before).await?)
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
    async fn hashes(
        &self,
        account: AccountId,
        domain: &'static str,
        identities: &[Identity],
    ) -> Result<Vec<Vec<BlindIndex>>, VaultError> {
        let indexer = self.indexer(account).await?;
        let hash = |spelling: String| indexer.index(domain, &spelling);
        Ok(identities.iter().map(|identity| numbered(identity).spellings().into_iter().map(hash).collect()).collect())
    }
}

/// For each of the identities the latest moment under one of its spellings.
fn latest(hashes: &[Vec<BlindIndex>], found: Vec<(String, i64)>) -> Vec<Option<Time>> {
    let found: HashMap<String, i64> = found.into_iter().collect();
    let moment = |spellings: &Vec<BlindIndex>| spellings.iter().filter_map(|hash| found.get(hash.as_str())).max();
    hashes.iter().map(|spellings| moment(spellings).map(|micros| Time::from_micros(*micros))).collect()
}

/// A number has the same hashes, whether it is a phone's or WhatsApp's own spelling of it.
fn numbered(identity: &Identity) -> Identity {
    match identity {
        Identity::WaId(digits) => Identity::phone(format!("+{}", digits.expose())),
        other => other.clone(),
    }
}
