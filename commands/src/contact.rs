//! Contacts.

use std::collections::BTreeMap;

use wasend_domain::contact::{Command, ConsentChannel, ConsentScope, Contact, ContactOrigin, ContactPart, Error};
use wasend_domain::content::{self, ContactAttributes};
use wasend_domain::phone::{Bsuid, PhoneNumber};
use wasend_domain::{AccountId, Personal, Sealed, SubjectId};
use wasend_eventlog::{CommandFailure, LoadedAggregate, StreamLookup, UnitOfWork, execute, load};
use wasend_vault::{NewPerson, PersonIdentity, VaultError};

use crate::account::LABEL_MAX;
use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Most custom attributes of a contact.
pub const ATTRIBUTES_MAX: usize = 50;
/// Longest name of an attribute, in characters.
pub const ATTRIBUTE_NAME_MAX: usize = 100;
/// Longest value of an attribute, in characters.
pub const ATTRIBUTE_VALUE_MAX: usize = 1_000;

/// A contact as a caller gave it.
#[derive(Debug, Clone, Default)]
pub struct ContactInput {
    pub phone: Option<Personal<String>>,
    pub bsuid: Option<Personal<String>>,
    pub name: Option<Personal<String>>,
    pub attributes: Option<Personal<BTreeMap<String, String>>>,
}

/// The same, checked.
struct CheckedContact {
    identities: Vec<PersonIdentity>,
    name: Option<Personal<String>>,
    attributes: Option<Personal<ContactAttributes>>,
}

impl Commands {
    /// Makes a contact known by its phone number or BSUID; the account must not know it yet.
    pub async fn create_contact(
        &self,
        caller: Caller,
        input: ContactInput,
    ) -> Result<CommandEffect<SubjectId>, CommandError> {
        let CheckedContact { identities, name, attributes } = check(input)?;
        if identities.is_empty() {
            return Err(
                Refusal::new("phone", RefusalCode::Required, "a contact needs a phone number or a BSUID").into()
            );
        }
        let person = NewPerson { identities, name: name.clone(), ..NewPerson::default() };
        let duplicate = || Refusal::new("phone", RefusalCode::Duplicate, "the account has this contact already");
        // Of each identity: a refused command merges nothing.
        for bearer in self.vault.find_many(caller.account_id, &person.identities).await?.into_iter().flatten() {
            let (_, known) = self.resolved_contact(caller, bearer).await?;
            if known.state.created && known.state.erased.is_none() {
                return Err(duplicate().into());
            }
        }
        let (subject, new) = self.vault.subject_for(caller.account_id, &person).await?;
        let mut contact = self.loaded_contact(caller, subject).await?;
        if contact.state.created && contact.state.erased.is_none() {
            return Err(duplicate().into());
        }
        if !new {
            self.vault.learn(caller.account_id, subject, &person.identities).await?;
            if name.is_some() {
                self.vault.update_profile(caller.account_id, subject, name.as_ref()).await?;
            }
        }
        let attributes = self.seal_attributes(caller.account_id, subject, attributes).await?;
        let mut plan = UnitOfWork::new(Self::once(caller), self.clock.now());
        let mut commands = vec![Command::Create { source: ContactOrigin::Api, attributes }];
        commands.extend(self.suppression_commands(caller.account_id, &person.identities).await?);
        for command in commands {
            plan.decide(subject.uuid(), &mut contact, command)
                .map_err(|failure| CommandError::of(failure, "phone", code))?;
        }
        match self.log.append(vec![plan.into_append()]).await?.pop() {
            Some(Ok(done)) => Ok(CommandEffect { value: subject, position: done.last }),
            // Another command made it known first.
            Some(Err(_)) | None => Err(duplicate().into()),
        }
    }

    /// Changes what is given and leaves the rest as it is. A contact that has the number or BSUID already turns out to be
    /// the same person, and both are merged.
    pub async fn update_contact(
        &self,
        caller: Caller,
        id: SubjectId,
        input: ContactInput,
    ) -> Result<CommandEffect<SubjectId>, CommandError> {
        let CheckedContact { identities, name, attributes } = check(input)?;
        let (id, known) = self.resolved_contact(caller, id).await?;
        let known = known.state;
        if !known.created || known.erased.is_some() {
            return Err(Refusal::not_found("id", "contact").into());
        }
        let mut changed: Vec<_> = identities.iter().map(part).collect();
        let id = if identities.is_empty() { id } else { self.become_known_by(caller, id, &identities).await? };
        if name.is_some() {
            self.vault.update_profile(caller.account_id, id, name.as_ref()).await?;
            changed.push(ContactPart::Name);
        }
        if attributes.is_some() {
            changed.push(ContactPart::Attributes);
        }
        let attributes = self.seal_attributes(caller.account_id, id, attributes).await?;
        self.contact(caller, id, Command::Update { changed, attributes }).await
    }

    /// The contact has the identities from now on, as the newest of their kinds; those of other contacts make these the
    /// same person. The contact that goes on.
    async fn become_known_by(
        &self,
        caller: Caller,
        id: SubjectId,
        identities: &[PersonIdentity],
    ) -> Result<SubjectId, CommandError> {
        let id = self.learn_identities(caller, id, identities, None).await?;
        for identity in identities {
            match self.vault.add_alias(caller.account_id, id, identity).await {
                Ok(()) => {}
                Err(VaultError::AliasTaken) => {
                    let refusal = Refusal::new("id", RefusalCode::Busy, "the contacts are being changed by others");
                    return Err(refusal.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(id)
    }

    /// No further messages to the contact are accepted, or no further marketing, and none that waits is sent.
    pub async fn opt_out(
        &self,
        caller: Caller,
        id: SubjectId,
        scope: ConsentScope,
        via: ConsentChannel,
    ) -> Result<CommandEffect<SubjectId>, CommandError> {
        self.contact(caller, id, Command::OptOut { via, scope, at: self.clock.now() }).await
    }

    /// Lets messages to the contact be accepted again. An opt-out that is later than this moment stands.
    pub async fn opt_in(
        &self,
        caller: Caller,
        id: SubjectId,
        scope: ConsentScope,
        via: ConsentChannel,
    ) -> Result<CommandEffect<SubjectId>, CommandError> {
        let at = self.clock.now();
        let done = self.contact(caller, id, Command::OptIn { via, scope, at }).await?;
        // After it is recorded: while it is not, a message is refused, which is the safe side.
        self.vault.unsuppress(caller.account_id, done.value, scope, at).await?;
        Ok(done)
    }

    async fn contact(
        &self,
        caller: Caller,
        id: SubjectId,
        command: Command,
    ) -> Result<CommandEffect<SubjectId>, CommandError> {
        let context = Self::once(caller);
        let done = execute::<Contact>(&*self.log, &*self.clock, context, id.uuid(), command.clone()).await;
        if let Err(CommandFailure::Refused(Error::Merged(into))) = done {
            return Box::pin(self.contact(caller, into, command)).await;
        }
        let done = done.map_err(|failure| CommandError::of(failure, "id", code))?;
        Ok(CommandEffect { value: id, position: done.position })
    }

    pub(crate) async fn loaded_contact(
        &self,
        caller: Caller,
        id: SubjectId,
    ) -> Result<LoadedAggregate<Contact>, CommandError> {
        let mut found = load::<Contact>(&*self.log, caller.account_id, &[id.uuid()]).await?;
        Ok(found.remove(&id.uuid()).and_then(StreamLookup::present).unwrap_or_default())
    }

    async fn seal_attributes(
        &self,
        account: AccountId,
        subject: SubjectId,
        attributes: Option<Personal<ContactAttributes>>,
    ) -> Result<Option<Sealed<ContactAttributes>>, CommandError> {
        let Some(attributes) = attributes else { return Ok(None) };
        Ok(Some(self.vault.seal(account, subject, &attributes, self.clock.now().day()).await?))
    }
}

/// The part of a contact that an identity is.
pub(crate) const fn part(identity: &PersonIdentity) -> ContactPart {
    match identity {
        PersonIdentity::Bsuid(_) => ContactPart::Bsuid,
        PersonIdentity::Phone(_) | PersonIdentity::WaId(_) => ContactPart::Phone,
    }
}

/// What clients are told when a contact refuses a command.
pub(crate) const fn code(error: Error) -> RefusalCode {
    match error {
        Error::NotFound => RefusalCode::NotFound,
        Error::Erased => RefusalCode::Erased,
        Error::Merged(_) => RefusalCode::Busy,
        Error::Held(_) => RefusalCode::ErasureHeld,
    }
}

fn check(input: ContactInput) -> Result<CheckedContact, CommandError> {
    let mut identities = Vec::new();
    if let Some(phone) = input.phone {
        let phone = PhoneNumber::parse(phone.expose());
        let phone = phone.map_err(|error| Refusal::new("phone", RefusalCode::InvalidPhone, error))?;
        identities.push(PersonIdentity::phone(phone.as_str()));
    }
    if let Some(bsuid) = input.bsuid {
        let bsuid = bsuid.expose().parse::<Bsuid>();
        let bsuid = bsuid.map_err(|error| Refusal::new("bsuid", RefusalCode::Invalid, error))?;
        identities.push(PersonIdentity::bsuid(bsuid.as_str()));
    }
    let name = match input.name {
        Some(name) => {
            let name = content::text(name.expose(), LABEL_MAX).map_err(|error| Refusal::content("name", &error))?;
            Some(Personal::new(name.trim().to_owned()))
        }
        None => None,
    };
    Ok(CheckedContact { identities, name, attributes: input.attributes.map(check_attributes).transpose()? })
}

fn check_attributes(given: Personal<BTreeMap<String, String>>) -> Result<Personal<ContactAttributes>, CommandError> {
    let given = given.into_exposed();
    if given.len() > ATTRIBUTES_MAX {
        let message = format_args!("at most {ATTRIBUTES_MAX} attributes");
        return Err(Refusal::new("attributes", RefusalCode::TooMany, message).into());
    }
    for (index, (name, value)) in given.iter().enumerate() {
        let field = format!("attributes.{index}");
        content::text(name, ATTRIBUTE_NAME_MAX).map_err(|error| Refusal::content(&format!("{field}.name"), &error))?;
        match content::text(value, ATTRIBUTE_VALUE_MAX) {
            Ok(_) | Err(content::InvalidContent::Empty) => {}
            Err(error) => return Err(Refusal::content(&format!("{field}.value"), &error).into()),
        }
    }
    Ok(Personal::new(ContactAttributes(given)))
}
