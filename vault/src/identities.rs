//! What is learnt of who a subject is: further identities, a number that was given up, and that two subjects are one
//! person.

use std::collections::HashMap;

use wasend_domain::{AccountId, BlindIndex, Personal, SubjectId, Time};

use crate::{
    blind_index::BlindIndexer,
    directory::{living_keys, seal_person, spellings},
    error::VaultError,
    person::{FormerIdentity, Person, PersonIdentity},
    store::EntryChange,
    vault::Vault,
};

/// What became of identities that a subject was said to have.
#[derive(Debug, Default)]
pub struct LearntIdentities {
    /// New to the directory: the subject has them now.
    pub added: Vec<PersonIdentity>,
    /// The subjects that have others of them.
    pub others: Vec<SubjectId>,
}

impl Vault {
    /// Gives the subject those of the identities that the directory does not know, and tells which other subjects have
    /// the rest.
    pub async fn learn(
        &self,
        account: AccountId,
        subject: SubjectId,
        identities: &[PersonIdentity],
    ) -> Result<LearntIdentities, VaultError> {
        let mut learnt = LearntIdentities::default();
        let bearers = self.find_many(account, identities).await?;
        for (identity, bearer) in identities.iter().zip(bearers) {
            match bearer {
                Some(bearer) if bearer == subject => {}
                Some(bearer) => learnt.others.push(bearer),
                // WhatsApp's spelling of a number that is said as well tells nothing new.
                None if identity.is_spelling_of_any(identities) => {}
                None => match self.add_alias(account, subject, identity).await {
                    Ok(()) => learnt.added.push(identity.clone()),
                    Err(VaultError::AliasTaken) => learnt.others.extend(self.find(account, identity).await?),
                    Err(error) => return Err(error),
                },
            }
        }
        learnt.others.retain(|other| *other != subject);
        learnt.others.sort_unstable();
        learnt.others.dedup();
        Ok(learnt)
    }

    /// The subject that bore each identity at the moment, in their order: one that has been given up since still leads
    /// to the subject of then.
    pub async fn find_many_at(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
        at: Option<Time>,
    ) -> Result<Vec<Option<SubjectId>>, VaultError> {
        let mut found = self.find_many(account, identities).await?;
        let Some(at) = at.filter(|_| !identities.is_empty()) else { return Ok(found) };
        let indexer = self.indexer(account).await?;
        let wanted: Vec<_> = identities.iter().map(|identity| indexes(&indexer, identity)).collect();
        let former: HashMap<String, String> =
            self.store.former(account, &wanted.concat(), at).await?.into_iter().collect();
        for (indexes, found) in wanted.iter().zip(&mut found).filter(|_| !former.is_empty()) {
            let subject = indexes.iter().find_map(|index| former.get(index.as_str()));
            *found = subject.and_then(|subject| subject.parse().ok()).or(*found);
        }
        Ok(found)
    }

    /// The identity is no longer the subject's since the moment: nothing leads from it to the subject any more, but for
    /// what is reported from before. Whether it was the subject's.
    pub async fn release(
        &self,
        account: AccountId,
        subject: SubjectId,
        identity: &PersonIdentity,
        until: Time,
    ) -> Result<bool, VaultError> {
        let indexes = indexes(&self.indexer(account).await?, identity);
        loop {
            let (before, mut person, ring) = self.entry(account, subject).await?;
            let released = person.release(identity, until);
            if released.is_empty() {
                return Ok(false);
            }
            let after = seal_person(living_keys(&ring, account, subject)?, account, subject, &person)?;
            let change = EntryChange { subject, before: &before, after: &after };
            // False if the entry was changed meanwhile.
            if self.store.release(account, change, &indexes, until).await? {
                return Ok(true);
            }
        }
    }

    /// Both subjects are one person, who goes on as `into`: everything that `from` was known by leads there. The keys of
    /// `from` stay, and with them all that is sealed under them. Repeating it changes nothing.
    pub async fn merge(&self, account: AccountId, into: SubjectId, from: SubjectId) -> Result<(), VaultError> {
        loop {
            let (from_before, other, from_ring) = self.entry(account, from).await?;
            if other == Person::default() {
                return Ok(());
            }
            let (before, mut person, ring) = self.entry(account, into).await?;
            person.absorb(other);
            let after = seal_person(living_keys(&ring, account, into)?, account, into, &person)?;
            let keys = living_keys(&from_ring, account, from)?;
            let from_after = seal_person(keys, account, from, &Person::default())?;
            let change = EntryChange { subject: into, before: &before, after: &after };
            let from_change = EntryChange { subject: from, before: &from_before, after: &from_after };
            // False if one of the entries was changed meanwhile.
            if self.store.merge(account, change, from_change).await? {
                return Ok(());
            }
        }
    }

    /// Keeps what the person calls themselves in WhatsApp; what is absent stays. Whether that is new.
    pub async fn note_profile(
        &self,
        account: AccountId,
        subject: SubjectId,
        name: Option<&Personal<String>>,
        username: Option<&Personal<String>>,
    ) -> Result<bool, VaultError> {
        loop {
            let (before, person, ring) = self.entry(account, subject).await?;
            let given = |value: Option<&Personal<String>>| value.map(|value| value.expose().clone());
            let noted = Person {
                profile_name: given(name).or_else(|| person.profile_name.clone()),
                username: given(username).or_else(|| person.username.clone()),
                ..person.clone()
            };
            if noted == person {
                return Ok(false);
            }
            let after = seal_person(living_keys(&ring, account, subject)?, account, subject, &noted)?;
            if self.store.update_person((account, subject), (&before, &after)).await? {
                return Ok(true);
            }
        }
    }

    /// The subject whose entry is the oldest; of several made at one moment the one with the least id. None if none of
    /// them has an entry.
    pub async fn oldest(&self, account: AccountId, subjects: &[SubjectId]) -> Result<Option<SubjectId>, VaultError> {
        let created = self.store.created(account, subjects).await?;
        let oldest = created.into_iter().min_by(|(one, at), (two, later)| (at, one).cmp(&(later, two)));
        Ok(oldest.and_then(|(subject, _)| subject.parse().ok()))
    }
}

/// The hashes of an identity in every spelling; of a number, also as WhatsApp's id.
fn indexes(indexer: &BlindIndexer, identity: &PersonIdentity) -> Vec<BlindIndex> {
    let mut all = spellings(indexer, identity);
    if let Some(other) = identity.counterpart() {
        all.extend(spellings(indexer, &other));
    }
    all
}

impl Person {
    /// Takes the identity from the person; what was taken.
    fn release(&mut self, identity: &PersonIdentity, until: Time) -> Vec<String> {
        let is_released = |known: PersonIdentity| {
            let spellings = known.spellings();
            let same = |given: &PersonIdentity| {
                given.domain() == known.domain()
                    && given.spellings().iter().any(|spelling| spellings.contains(spelling))
            };
            same(identity) || identity.counterpart().as_ref().is_some_and(same)
        };
        let mut released = Vec::new();
        let mut take = |list: &mut Vec<String>, make: fn(String) -> PersonIdentity| {
            list.retain(|value| {
                let goes = is_released(make(value.clone()));
                released.extend(goes.then(|| value.clone()));
                !goes
            });
        };
        take(&mut self.phones, PersonIdentity::phone);
        take(&mut self.wa_ids, PersonIdentity::wa_id);
        take(&mut self.bsuids, PersonIdentity::bsuid);
        let values = released.iter().map(|value| FormerIdentity { value: value.clone(), until: until.micros() });
        self.former.extend(values);
        released
    }

    /// Takes over everything that the other is known by. Its own identities stay the newest, and its own name and profile
    /// stay where it has them.
    fn absorb(&mut self, other: Self) {
        let join = |own: &mut Vec<String>, others: Vec<String>| {
            let before = std::mem::take(own);
            own.extend(others.into_iter().filter(|value| !before.contains(value)));
            own.extend(before);
        };
        join(&mut self.phones, other.phones);
        join(&mut self.wa_ids, other.wa_ids);
        join(&mut self.bsuids, other.bsuids);
        self.former.extend(other.former);
        self.name = self.name.take().or(other.name);
        self.profile_name = self.profile_name.take().or(other.profile_name);
        self.username = self.username.take().or(other.username);
    }
}
