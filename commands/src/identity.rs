//! Who a person is, as it is learnt. A contact has many identities, and two contacts may turn out to be one person: the
//! older goes on, and the other's id leads to it.
//!
//! The log says first that two contacts are one; then the directory follows. Between the two, and after a directory that
//! was put back, an identity still leads to the contact that was merged, and from that to the one that goes on.

use std::collections::BTreeMap;

use wasend_domain::contact::{Command, Contact, ContactPart};
use wasend_domain::content::ContactAttributes;
use wasend_domain::{AccountId, Opened, Personal, Position, Sealed, SubjectId, Time};
use wasend_eventlog::{AppendRejection, CommandFailure, LoadedAggregate, UnitOfWork, execute};
use wasend_vault::{PersonIdentity, VaultError};
use wasend_whatsapp::IdentityChange;

use crate::contact::{ATTRIBUTES_MAX, code, part};
use crate::webhook::identities_of;
use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// How often a merge that met a conflict is decided again.
const MERGE_ATTEMPTS_MAX: usize = 32;
/// Most merges that are followed from one id; a contact is merged once, so a chain has no circle.
const CHAIN_MAX: usize = 64;

impl Commands {
    /// The contact that goes on as the person of the subject: itself, unless it was merged into another.
    pub async fn resolve(&self, caller: Caller, subject: SubjectId) -> Result<SubjectId, CommandError> {
        Ok(self.resolved_contact(caller, subject).await?.0)
    }

    /// The same, with its history.
    pub async fn resolved_contact(
        &self,
        caller: Caller,
        subject: SubjectId,
    ) -> Result<(SubjectId, LoadedAggregate<Contact>), CommandError> {
        let mut id = subject;
        for _ in 0..CHAIN_MAX {
            let contact = self.loaded_contact(caller, id).await?;
            match contact.state.merged_into {
                Some(into) if contact.state.erased.is_none() => id = into,
                _ => return Ok((id, contact)),
            }
        }
        Err(CommandError::unavailable(IdentityError::Chain))
    }

    /// The contact of the person who bore the identities at the moment, none if the account knows no such person.
    /// Several contacts that bear them are merged.
    pub(crate) async fn person_of(
        &self,
        caller: Caller,
        identities: &[PersonIdentity],
        at: Option<Time>,
    ) -> Result<Option<SubjectId>, CommandError> {
        let bearers = self.vault.find_many_at(caller.account_id, identities, at).await?;
        let mut people: Vec<SubjectId> = Vec::new();
        for bearer in bearers.into_iter().flatten() {
            if people.contains(&bearer) {
                continue;
            }
            let person = self.resolve(caller, bearer).await?;
            if person != bearer {
                // The directory had not followed the log.
                self.follow_merge(caller.account_id, person, bearer).await?;
            }
            if !people.contains(&person) {
                people.push(person);
            }
        }
        match people.as_slice() {
            [] => Ok(None),
            [person] => Ok(Some(*person)),
            _ => self.merge_all(caller, people).await.map(Some),
        }
    }

    /// Keeps further identities of a contact; other contacts that bear them are merged with it. The contact that goes on.
    /// One that is being erased, or cannot be read, learns nothing.
    pub async fn learn_identities(
        &self,
        caller: Caller,
        contact: SubjectId,
        identities: &[PersonIdentity],
        at: Option<Time>,
    ) -> Result<SubjectId, CommandError> {
        let account = caller.account_id;
        // What the contact gave up since then is not its own again.
        let bearers = self.vault.find_many_at(account, identities, at).await?;
        let news = identities.iter().zip(bearers).filter(|(_, bearer)| *bearer != Some(contact));
        let news: Vec<_> = news.map(|(identity, _)| identity.clone()).collect();
        if news.is_empty() {
            return Ok(contact);
        }
        let learnt = match self.vault.learn(account, contact, &news).await {
            Err(VaultError::Erased(_) | VaultError::UnknownSubject | VaultError::Unavailable(_)) => return Ok(contact),
            learnt => learnt?,
        };
        if !learnt.added.is_empty() {
            let mut changed: Vec<_> = learnt.added.iter().map(part).collect();
            changed.sort_unstable();
            changed.dedup();
            self.note_change(caller, contact, changed).await?;
            self.heed_lists(caller, contact, &learnt.added).await?;
        }
        if learnt.others.is_empty() {
            return Ok(contact);
        }
        self.merge_all(caller, std::iter::once(contact).chain(learnt.others).collect()).await
    }

    /// What was said under identities of a person unknown then counts for the contact that has them now.
    async fn heed_lists(
        &self,
        caller: Caller,
        contact: SubjectId,
        added: &[PersonIdentity],
    ) -> Result<(), CommandError> {
        for command in self.suppression_commands(caller.account_id, added).await? {
            let done = execute::<Contact>(&*self.log, &*self.clock, Self::once(caller), contact.uuid(), command).await;
            match done {
                Ok(_) | Err(CommandFailure::Refused(_) | CommandFailure::NotFound) => {}
                Err(failure) => return Err(CommandError::unavailable(failure)),
            }
        }
        Ok(())
    }

    /// Keeps what a person calls themselves in WhatsApp.
    pub(crate) async fn learn_profile(
        &self,
        caller: Caller,
        contact: SubjectId,
        name: Option<&Personal<String>>,
        username: Option<&Personal<String>>,
    ) -> Result<(), CommandError> {
        if name.is_none() && username.is_none() {
            return Ok(());
        }
        match self.vault.note_profile(caller.account_id, contact, name, username).await {
            Ok(true) => self.note_change(caller, contact, vec![ContactPart::Profile]).await,
            Ok(false) | Err(VaultError::Erased(_) | VaultError::UnknownSubject | VaultError::Unavailable(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn note_change(
        &self,
        caller: Caller,
        contact: SubjectId,
        changed: Vec<ContactPart>,
    ) -> Result<(), CommandError> {
        let command = Command::Update { changed, attributes: None };
        let done = execute::<Contact>(&*self.log, &*self.clock, Self::once(caller), contact.uuid(), command).await;
        match done {
            // It was erased or merged meanwhile, or only the directory knows it: there is nothing to tell.
            Ok(_) | Err(CommandFailure::Refused(_) | CommandFailure::NotFound) => Ok(()),
            Err(failure) => Err(CommandError::unavailable(failure)),
        }
    }

    /// A user has another number or BSUID: the same person from now on, and the old number leads to no one. The contact,
    /// none if the account knew no such person.
    pub(crate) async fn change_identity(
        &self,
        caller: Caller,
        change: &IdentityChange,
    ) -> Result<Option<SubjectId>, CommandError> {
        let at = change.timestamp.map(Time::from_seconds);
        let old_ids: Vec<_> = change.old_user_ids.iter().flat_map(|id| identities_of(None, &[Some(id)])).collect();
        let old_number = identities_of(change.old_wa_id.as_deref(), &[]);
        let user_ids: Vec<_> = change.user_ids.iter().map(|id| Some(id.as_str())).collect();
        let now = identities_of(change.wa_id.as_deref(), &user_ids);
        // A BSUID is never given to another person; a number may have been since.
        let mut person = self.person_of(caller, &old_ids, at).await?;
        if person.is_none() {
            person = self.person_of(caller, &old_number, at).await?;
        }
        let Some(person) = person else { return Ok(None) };
        let until = at.unwrap_or_else(|| self.clock.now());
        for number in &old_number {
            match self.vault.release(caller.account_id, person, number, until).await {
                Ok(true) => self.note_change(caller, person, vec![ContactPart::Phone]).await?,
                Ok(false) => {}
                Err(VaultError::Erased(_) | VaultError::UnknownSubject | VaultError::Unavailable(_)) => {
                    return Ok(Some(person));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let identities: Vec<_> = now.into_iter().chain(old_ids).collect();
        self.learn_identities(caller, person, &identities, None).await.map(Some)
    }

    /// Merges a contact into another, as its account says.
    pub async fn merge_contacts(
        &self,
        caller: Caller,
        into: SubjectId,
        from: SubjectId,
    ) -> Result<CommandEffect<SubjectId>, CommandError> {
        for (field, id) in [("into", into), ("from", from)] {
            let (_, contact) = self.resolved_contact(caller, id).await?;
            if !contact.state.created {
                return Err(Refusal::not_found(field, "contact").into());
            }
            if contact.state.erased.is_some() {
                return Err(Refusal::new(field, RefusalCode::Erased, "the contact is erased").into());
            }
        }
        let position = self.merge(caller, into, from).await?;
        let (survivor, contact) = self.resolved_contact(caller, into).await?;
        Ok(CommandEffect { value: survivor, position: position.unwrap_or(contact.position) })
    }

    /// Merges all of them into the oldest that is known to the account; that one. One that is being erased is left out.
    async fn merge_all(&self, caller: Caller, people: Vec<SubjectId>) -> Result<SubjectId, CommandError> {
        let first = people[0];
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for person in people {
            let (id, contact) = self.resolved_contact(caller, person).await?;
            if contact.state.erased.is_some() || known.contains(&id) || others.contains(&id) {
                continue;
            }
            if contact.state.created { known.push(id) } else { others.push(id) }
        }
        let candidates = if known.is_empty() { &others } else { &known };
        let Some(survivor) = self.vault.oldest(caller.account_id, candidates).await? else { return Ok(first) };
        for other in known.iter().chain(&others).filter(|other| **other != survivor) {
            self.merge(caller, survivor, *other).await?;
        }
        self.resolve(caller, survivor).await
    }

    /// Merges the contacts, and gives the position of the events; none if they are one already, or one of them is being
    /// erased.
    async fn merge(&self, caller: Caller, into: SubjectId, from: SubjectId) -> Result<Option<Position>, CommandError> {
        for _ in 0..MERGE_ATTEMPTS_MAX {
            let (into, mut survivor) = self.resolved_contact(caller, into).await?;
            let (from, mut other) = self.resolved_contact(caller, from).await?;
            if into == from || survivor.state.erased.is_some() || other.state.erased.is_some() {
                return Ok(None);
            }
            let attributes = self.merged_attributes(caller.account_id, into, &survivor.state, &other.state).await?;
            let mut plan = UnitOfWork::new(Self::once(caller), self.clock.now());
            let mut commands = survivor.state.merge_commands(from, &other.state);
            commands.extend(attributes.map(|attributes| Command::Update {
                changed: vec![ContactPart::Attributes],
                attributes: Some(attributes),
            }));
            for command in commands {
                plan.decide(into.uuid(), &mut survivor, command)
                    .map_err(|failure| CommandError::of(failure, "into", code))?;
            }
            plan.decide(from.uuid(), &mut other, Command::MergeInto(into))
                .map_err(|failure| CommandError::of(failure, "from", code))?;
            match self.log.append(vec![plan.into_append()]).await?.pop() {
                Some(Ok(done)) => {
                    self.follow_merge(caller.account_id, into, from).await?;
                    return Ok(Some(done.last));
                }
                Some(Err(AppendRejection::Conflict { .. } | AppendRejection::CommandReused)) | None => {}
            }
        }
        Err(Refusal::new("into", RefusalCode::Busy, "many others are changing the same contacts").into())
    }

    /// Points the directory to the contact that goes on. An entry that cannot be read stays as it is.
    async fn follow_merge(&self, account: AccountId, into: SubjectId, from: SubjectId) -> Result<(), CommandError> {
        match self.vault.merge(account, into, from).await {
            Ok(()) | Err(VaultError::Erased(_) | VaultError::UnknownSubject | VaultError::Unavailable(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The survivor's attributes with those of the other that it has none of; nothing if that changes nothing.
    async fn merged_attributes(
        &self,
        account: AccountId,
        into: SubjectId,
        survivor: &Contact,
        other: &Contact,
    ) -> Result<Option<Sealed<ContactAttributes>>, CommandError> {
        let (own, others) =
            (self.open_attributes(account, survivor).await?, self.open_attributes(account, other).await?);
        let mut merged = own.clone();
        for (name, value) in others {
            if merged.len() < ATTRIBUTES_MAX {
                merged.entry(name).or_insert(value);
            }
        }
        if merged == own {
            return Ok(None);
        }
        let merged = Personal::new(ContactAttributes(merged));
        match self.vault.seal(account, into, &merged, self.clock.now().day()).await {
            Err(VaultError::Erased(_) | VaultError::UnknownSubject | VaultError::Unavailable(_)) => Ok(None),
            sealed => Ok(Some(sealed?)),
        }
    }

    async fn open_attributes(
        &self,
        account: AccountId,
        contact: &Contact,
    ) -> Result<BTreeMap<String, String>, CommandError> {
        let sealed: Vec<_> = contact.attributes.iter().cloned().collect();
        let opened = self.vault.open_many(account, &sealed).await?.pop();
        Ok(match opened {
            Some(Opened::Value(attributes)) => attributes.into_exposed().0,
            _ => BTreeMap::new(),
        })
    }
}

/// Why identities cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum IdentityError {
    #[error("a contact was merged more than {CHAIN_MAX} times over")]
    Chain,
}
