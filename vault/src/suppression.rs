//! Lists of people that the directory does not know: keyed hashes of the numbers and ids of those who are not to be
//! written to, and for a short time of those who were erased.

use std::collections::HashMap;

use wasend_domain::contact::ConsentScope;
use wasend_domain::{AccountId, BlindIndex, InboxId, Opened, SubjectId, Time, UnavailableCause};

use crate::{
    directory::{PersonAliases, read_owners},
    error::VaultError,
    person::{Person, PersonIdentity},
    store::ListedHashes,
    vault::Vault,
};

/// The domains of the hashes, never changed once released.
const SUPPRESSION: &str = "suppression";
const MARKETING_SUPPRESSION: &str = "suppression.marketing";
const ERASED: &str = "erased";

/// Since when a person does not want messages, and since when no marketing.
#[derive(Debug, Clone, Copy, Default)]
pub struct OptOutMoments {
    pub all: Option<Time>,
    pub marketing: Option<Time>,
}

impl From<Option<Time>> for OptOutMoments {
    fn from(all: Option<Time>) -> Self {
        Self { all, marketing: None }
    }
}

const fn list(scope: ConsentScope) -> &'static str {
    match scope {
        ConsentScope::All => SUPPRESSION,
        ConsentScope::Marketing => MARKETING_SUPPRESSION,
    }
}

impl Vault {
    /// The first half of an erasure: no identity leads to the subject any more, and a person who comes with one is a new
    /// one. That its identities were erased at `erased_at` is remembered for a short time, and of those that it had given up
    /// until when they were its own. A person who had opted out is on the list of opt-outs from the same moment on.
    /// Repeating it changes nothing.
    ///
    /// Of a subject whose entry cannot be read nothing is put on a list; then it is said why.
    pub async fn unlink(
        &self,
        account: AccountId,
        subject: SubjectId,
        erased_at: Time,
        opted_out: impl Into<OptOutMoments>,
    ) -> Result<Option<UnavailableCause>, VaultError> {
        let (person, entry) = match self.identity(account, subject).await? {
            Opened::Value(person) => (person.into_exposed(), None),
            Opened::Erased(_) => (Person::default(), None),
            Opened::Unavailable(unavailable) => (Person::default(), Some(unavailable.why)),
        };
        let (identities, opted_out) = (person.identities(), opted_out.into());
        let (hashes, index) = match self.hashes_to_list(account, &identities).await {
            Ok(hashes) => (hashes, None),
            // What cannot be hashed is erased all the same, and cannot be looked up either.
            Err(VaultError::Unavailable(unavailable)) => (PersonHashes::default(), Some(unavailable.why)),
            Err(VaultError::UnknownAccount) => (PersonHashes::default(), Some(UnavailableCause::KeyMissing)),
            Err(error) => return Err(error),
        };
        for (identity, until) in person.former_identities() {
            let hashes = self.hashes(account, ERASED, &[identity]).await?.concat();
            self.store.remember_erased(account, ListedHashes { hashes: &hashes, at: until.min(erased_at) }).await?;
        }
        if let Some(at) = opted_out.marketing {
            let hashes = self.hashes(account, MARKETING_SUPPRESSION, &identities).await?.concat();
            self.store.remember_suppressed(account, ListedHashes { hashes: &hashes, at }).await?;
        }
        let suppressed = opted_out.all.map(|at| ListedHashes { hashes: &hashes.suppressed, at });
        let erased = ListedHashes { hashes: &hashes.erased, at: erased_at };
        self.store.unlink(account, subject, erased, suppressed).await?;
        // A damaged row of the index names the subject no more, and holds the hash of the number all the same.
        for (index, said) in &hashes.damaged {
            self.store.drop_alias(account, (index, said)).await?;
        }
        Ok(entry.or(index))
    }

    async fn hashes_to_list(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
    ) -> Result<PersonHashes, VaultError> {
        if identities.is_empty() {
            return Ok(PersonHashes::default());
        }
        let aliases = PersonAliases::of(&self.indexer(account).await?, identities);
        let known: Vec<_> = aliases.known.iter().map(BlindIndex::as_str).collect();
        let (_, damaged) = read_owners(self.store.aliases(account, &known).await?);
        Ok(PersonHashes {
            erased: self.hashes(account, ERASED, identities).await?.concat(),
            suppressed: self.hashes(account, SUPPRESSION, identities).await?.concat(),
            damaged,
        })
    }

    /// Puts one identity of a person whose entry cannot be read on the lists that [`Self::unlink`] could not put it on.
    pub async fn list_unreadable(
        &self,
        account: AccountId,
        identity: &PersonIdentity,
        erased_at: Time,
        opted_out_at: Option<Time>,
    ) -> Result<(), VaultError> {
        let hashes = self.hashes_to_list(account, std::slice::from_ref(identity)).await?;
        self.store.remember_erased(account, ListedHashes { hashes: &hashes.erased, at: erased_at }).await?;
        if let Some(at) = opted_out_at {
            self.store.remember_suppressed(account, ListedHashes { hashes: &hashes.suppressed, at }).await?;
        }
        Ok(())
    }

    /// When the owner of each of the identities opted out, for those that are on the list of the scope, in their order.
    pub async fn suppressed(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
        scope: ConsentScope,
    ) -> Result<Vec<Option<Time>>, VaultError> {
        if identities.is_empty() {
            return Ok(vec![]);
        }
        let hashes = self.hashes(account, list(scope), identities).await?;
        Ok(latest(&hashes, self.store.suppressed(account, &hashes.concat()).await?))
    }

    /// Puts a person that the directory does not know on the list of opt-outs. An earlier opt-out changes nothing. The
    /// random id of the listing if there is one, to be recorded in the log: a store that lacks it has lost the opt-out
    /// ([`Self::lost_listings`]).
    pub async fn suppress(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
        scope: ConsentScope,
        opted_out_at: Time,
    ) -> Result<Option<InboxId>, VaultError> {
        let hashes = self.hashes(account, list(scope), identities).await?.concat();
        let (listing, listed) = (InboxId::random(), ListedHashes { hashes: &hashes, at: opted_out_at });
        let is_new = self.store.suppress(account, listed, &listing.to_string(), &self.lineage).await?;
        Ok(is_new.then_some(listing))
    }

    /// Takes everything that the subject is known by off the list, unless the opt-out is later than the opt-in.
    pub async fn unsuppress(
        &self,
        account: AccountId,
        subject: SubjectId,
        scope: ConsentScope,
        opted_in_at: Time,
    ) -> Result<(), VaultError> {
        // For a person who cannot be read nothing is taken off.
        let Some(person) = self.identity(account, subject).await?.value() else { return Ok(()) };
        self.unsuppress_identities(account, &person.expose().identities(), scope, opted_in_at).await
    }

    /// The same for a person that the directory does not know. An opt-in to everything is one to marketing as well.
    pub async fn unsuppress_identities(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
        scope: ConsentScope,
        opted_in_at: Time,
    ) -> Result<(), VaultError> {
        let mut hashes = self.hashes(account, MARKETING_SUPPRESSION, identities).await?.concat();
        if scope.is_all() {
            hashes.extend(self.hashes(account, SUPPRESSION, identities).await?.concat());
        }
        self.store.unsuppress(account, &hashes, opted_in_at).await?;
        Ok(())
    }

    /// Whether the owner of each of the identities was erased at or after the moment, in their order; as far back as
    /// erasures are remembered.
    pub async fn erased_since(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
        since: Time,
    ) -> Result<Vec<bool>, VaultError> {
        let erased = self.erased_at(account, identities, since).await?;
        Ok(erased.into_iter().map(|erased| erased.is_some()).collect())
    }

    /// The same, with when that was.
    pub async fn erased_at(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
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

    /// For each of the identities a hash of every spelling: however it was or will be written, it is the same person's.
    async fn hashes(
        &self,
        account: AccountId,
        domain: &'static str,
        identities: &[PersonIdentity],
    ) -> Result<Vec<Vec<BlindIndex>>, VaultError> {
        let indexer = self.indexer(account).await?;
        let hash = |spelling: String| indexer.index(domain, &spelling);
        Ok(identities.iter().map(|identity| numbered(identity).spellings().into_iter().map(hash).collect()).collect())
    }
}

/// The keyed hashes of all that a person is known by.
#[derive(Default)]
struct PersonHashes {
    erased: Vec<BlindIndex>,
    suppressed: Vec<BlindIndex>,
    /// Rows of the index that name no subject, with what they say instead.
    damaged: Vec<(String, String)>,
}

/// For each of the identities the latest moment under one of its spellings.
fn latest(hashes: &[Vec<BlindIndex>], found: Vec<(String, i64)>) -> Vec<Option<Time>> {
    let found: HashMap<String, i64> = found.into_iter().collect();
    let moment = |spellings: &Vec<BlindIndex>| spellings.iter().filter_map(|hash| found.get(hash.as_str())).max();
    hashes.iter().map(|spellings| moment(spellings).map(|micros| Time::from_micros(*micros))).collect()
}

/// A number has the same hashes, whether it is a phone's or WhatsApp's own spelling of it.
fn numbered(identity: &PersonIdentity) -> PersonIdentity {
    match identity {
        PersonIdentity::WaId(digits) => PersonIdentity::phone(format!("+{}", digits.expose())),
        other => other.clone(),
    }
}
