//! Requests of people under privacy laws.

use wasend_domain::contact;
use wasend_domain::content;
use wasend_domain::phone::{Bsuid, PhoneNumber};
use wasend_domain::privacy::{Command, Error, LegalException, LegalGround, LegalRegime, PrivacyRequest, RequestReason};
use wasend_domain::{Opened, Personal, PrivacyRequestId, Sealed, SubjectId, Time};
use wasend_eventlog::{AppendRejection, LoadedAggregate, StreamLookup, UnitOfWork, load};
use wasend_vault::{PersonIdentity, VaultError};

use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Longest reason, in characters.
pub const REASON_MAX: usize = 2_000;
/// How often a request is decided again that others came before.
const REQUEST_ATTEMPTS_MAX: usize = 32;

/// A request as a caller gave it. Exactly one of the first three says who it is about.
#[derive(Debug, Clone)]
pub struct ErasureInput {
    pub phone: Option<Personal<String>>,
    pub bsuid: Option<Personal<String>>,
    pub contact_id: Option<String>,
    pub regime: LegalRegime,
    pub ground: LegalGround,
    pub reason: Option<Personal<String>>,
}

/// The person that a request is about.
struct NamedPerson {
    /// Of the input.
    field: &'static str,
    subject: SubjectId,
    /// By what they were named, but for an id.
    identity: Option<PersonIdentity>,
    /// The directory's index does not lead from the identity to them.
    is_astray: bool,
}

impl Commands {
    /// Has a person erased. The contact is closed in the same append: what is accepted before it is cancelled, and
    /// nothing is accepted after. Who is erased already is answered with the request of then.
    pub async fn request_erasure(
        &self,
        caller: Caller,
        input: ErasureInput,
    ) -> Result<CommandEffect<PrivacyRequestId>, CommandError> {
        self.privacy_request(caller, input, None).await
    }

    /// Records that a request for erasure is not carried out, and why. An exception that concerns the data holds it:
    /// the person is not erased until the hold is lifted.
    pub async fn refuse_erasure(
        &self,
        caller: Caller,
        input: ErasureInput,
        exception: LegalException,
    ) -> Result<CommandEffect<PrivacyRequestId>, CommandError> {
        self.privacy_request(caller, input, Some(exception)).await
    }

    async fn privacy_request(
        &self,
        caller: Caller,
        input: ErasureInput,
        exception: Option<LegalException>,
    ) -> Result<CommandEffect<PrivacyRequestId>, CommandError> {
        let reason = check(&input)?;
        let (regime, ground) = (input.regime, input.ground);
        for _ in 0..REQUEST_ATTEMPTS_MAX {
            let Some(NamedPerson { field, subject, identity, is_astray }) = self.subject(caller, &input).await? else {
                return self.answer_unknown(caller, &input, exception).await;
            };
            let (subject, mut contact) = self.resolved_contact(caller, subject).await?;
            if let Some(request) = contact.state.erased {
                if exception.is_some() {
                    let message = format!("the contact is erased under the request {request}");
                    return Err(Refusal::new(field, RefusalCode::Erased, message).into());
                }
                // A store that was put back may hold the keys again.
                for subject in std::iter::once(subject).chain(contact.state.absorbed.iter().copied()) {
                    if !self.vault.living(caller.account_id, subject).await?.is_empty() {
                        self.reapply_erasure(caller.account_id, request, subject).await?;
                    }
                }
                return Ok(CommandEffect { value: request, position: contact.position });
            }
            if let Some(identity) = identity.as_ref().filter(|_| is_astray) {
                self.vault.mend_alias(caller.account_id, subject, identity).await?;
            }
            let reason = match self.seal_reason(caller, subject, reason.clone()).await {
                // It would be the person's own data, and there is no key of theirs to seal it under.
                Err(VaultError::Unavailable(_) | VaultError::UnknownSubject | VaultError::UnknownAccount)
                    if exception.is_none() =>
                {
                    None
                }
                Err(error @ (VaultError::Unavailable(_) | VaultError::UnknownSubject)) => {
                    return Err(Refusal::new("reason", RefusalCode::Unreadable, error).into());
                }
                reason => reason?,
            };
            let (id, at) = (PrivacyRequestId::fresh(self.clock.now()), self.clock.now());
            let mut plan = UnitOfWork::new(Self::once(caller), at);
            let opted_out_at = contact.state.opted_out_at();
            let mut request = LoadedAggregate::<PrivacyRequest>::default();
            let absorbed: Vec<_> = contact.state.absorbed.iter().copied().collect();
            let mut commands =
                vec![Command::Receive { subject, absorbed: absorbed.clone(), regime, ground, reason, at }];
            commands.extend(exception.map(|exception| Command::Refuse { exception, at }));
            let about = match exception {
                None => Some(contact::Command::Erase(id)),
                Some(exception) => exception.holds().then_some(contact::Command::Hold(id)),
            };
            for merged in absorbed.into_iter().filter(|_| exception.is_none()) {
                let mut contact = self.loaded_contact(caller, merged).await?;
                plan.decide(merged.uuid(), &mut contact, contact::Command::Erase(id))
                    .map_err(|failure| CommandError::of(failure, field, crate::contact::code))?;
            }
            if let Some(about) = about {
                plan.decide(subject.uuid(), &mut contact, about)
                    .map_err(|failure| CommandError::of(failure, field, crate::contact::code))?;
            }
            for command in commands {
                plan.decide(id.uuid(), &mut request, command)
                    .map_err(|failure| CommandError::of(failure, "ground", request_code))?;
            }
            if let Some(identity) = identity.filter(|_| exception.is_none()) {
                self.list_unreadable(caller, subject, &identity, at, opted_out_at).await?;
            }
            match self.log.append(vec![plan.into_append()]).await?.pop() {
                Some(Ok(done)) => return Ok(CommandEffect { value: id, position: done.last }),
                Some(Err(AppendRejection::Conflict { .. } | AppendRejection::CommandReused)) | None => {}
            }
        }
        Err(Refusal::new("subject", RefusalCode::Busy, "many others are changing the same contact").into())
    }

    /// The person has a right to an answer also where the account knows nothing of them: the request is recorded and
    /// completed, about a subject that has no data. A webhook or file from before the request makes no one known.
    async fn answer_unknown(
        &self,
        caller: Caller,
        input: &ErasureInput,
        exception: Option<LegalException>,
    ) -> Result<CommandEffect<PrivacyRequestId>, CommandError> {
        let (field, identity) = match Self::identity_of(input)? {
            (field, Some(identity)) if exception.is_none() => (field, identity),
            (field, _) => return Err(Refusal::not_found(field, "contact").into()),
        };
        let (id, at, subject) = (PrivacyRequestId::fresh(self.clock.now()), self.clock.now(), SubjectId::random());
        self.vault.list_unreadable(caller.account_id, &identity, at, None).await?;
        let mut plan = UnitOfWork::new(Self::once(caller), at);
        let mut request = LoadedAggregate::<PrivacyRequest>::default();
        let (regime, ground) = (input.regime, input.ground);
        let receive = Command::Receive { subject, absorbed: vec![], regime, ground, reason: None, at };
        for command in [receive, Command::CloseEmpty { at }] {
            plan.decide(id.uuid(), &mut request, command)
                .map_err(|failure| CommandError::of(failure, "ground", request_code))?;
        }
        match self.log.append(vec![plan.into_append()]).await?.pop() {
            Some(Ok(done)) => Ok(CommandEffect { value: id, position: done.last }),
            Some(Err(_)) | None => Err(Refusal::new(field, RefusalCode::Busy, "the request met another").into()),
        }
    }

    /// Of a person whose entry cannot be read the vault knows no number when it erases them: the one that the request
    /// names is put on the lists of erased people and of opt-outs now.
    async fn list_unreadable(
        &self,
        caller: Caller,
        subject: SubjectId,
        identity: &PersonIdentity,
        at: Time,
        opted_out_at: Option<Time>,
    ) -> Result<(), CommandError> {
        if let Opened::Unavailable(_) = self.vault.identity(caller.account_id, subject).await? {
            self.vault.list_unreadable(caller.account_id, identity, at, opted_out_at).await?;
        }
        Ok(())
    }

    /// Ends the hold of a refused request: its exception applies no longer, and the person may be erased.
    pub async fn lift_erasure_hold(
        &self,
        caller: Caller,
        id: PrivacyRequestId,
    ) -> Result<CommandEffect<PrivacyRequestId>, CommandError> {
        for _ in 0..REQUEST_ATTEMPTS_MAX {
            let mut found = load::<PrivacyRequest>(&*self.log, caller.account_id, &[id.uuid()]).await?;
            let mut request = found.remove(&id.uuid()).and_then(StreamLookup::present).unwrap_or_default();
            let Some(subject) = request.state.subject else {
                return Err(Refusal::not_found("id", "request").into());
            };
            let (subject, mut contact) = self.resolved_contact(caller, subject).await?;
            let at = self.clock.now();
            let mut plan = UnitOfWork::new(Self::once(caller), at);
            plan.decide(id.uuid(), &mut request, Command::LiftHold { at })
                .map_err(|failure| CommandError::of(failure, "id", request_code))?;
            plan.decide(subject.uuid(), &mut contact, contact::Command::LiftHold(id))
                .map_err(|failure| CommandError::of(failure, "id", crate::contact::code))?;
            if plan.is_empty() {
                return Ok(CommandEffect { value: id, position: request.position.max(contact.position) });
            }
            match self.log.append(vec![plan.into_append()]).await?.pop() {
                Some(Ok(done)) => return Ok(CommandEffect { value: id, position: done.last }),
                Some(Err(AppendRejection::Conflict { .. } | AppendRejection::CommandReused)) | None => {}
            }
        }
        Err(Refusal::new("id", RefusalCode::Busy, "many others are changing the same request").into())
    }

    /// The person that the input names, and by which of its fields; only people are found, not what the account has
    /// itself. One that the index does not lead to is searched for among all entries of the account's directory. None if
    /// the account knows no person of the number or BSUID.
    async fn subject(&self, caller: Caller, input: &ErasureInput) -> Result<Option<NamedPerson>, CommandError> {
        let (field, identity) = Self::identity_of(input)?;
        let Some(identity) = identity else {
            let id = input.contact_id.as_deref().unwrap_or_default();
            let subject = self.person(caller, id).await?.ok_or_else(|| Refusal::not_found(field, "contact"))?;
            return Ok(Some(NamedPerson { field, subject, identity: None, is_astray: false }));
        };
        let (found, is_astray) = match self.vault.find(caller.account_id, &identity).await? {
            None => (self.vault.search(caller.account_id, &identity).await?, true),
            found => (found, false),
        };
        Ok(found.map(|subject| NamedPerson { field, subject, identity: Some(identity), is_astray }))
    }

    /// The field that names the person, and the identity in it; none of an id.
    fn identity_of(input: &ErasureInput) -> Result<(&'static str, Option<PersonIdentity>), CommandError> {
        match (&input.phone, &input.bsuid, &input.contact_id) {
            (Some(phone), None, None) => {
                let phone = PhoneNumber::parse(phone.expose());
                let phone = phone.map_err(|error| Refusal::new("subject.phone", RefusalCode::InvalidPhone, error))?;
                Ok(("subject.phone", Some(PersonIdentity::phone(phone.as_str()))))
            }
            (None, Some(bsuid), None) => {
                let bsuid = bsuid.expose().parse::<Bsuid>();
                let bsuid = bsuid.map_err(|error| Refusal::new("subject.bsuid", RefusalCode::Invalid, error))?;
                Ok(("subject.bsuid", Some(PersonIdentity::bsuid(bsuid.as_str()))))
            }
            (None, None, Some(_)) => Ok(("subject.contactId", None)),
            (None, None, None) => {
                Err(Refusal::new("subject", RefusalCode::Required, "give phone, bsuid or contactId").into())
            }
            _ => {
                let message = "phone, bsuid and contactId exclude each other";
                Err(Refusal::new("subject", RefusalCode::Invalid, message).into())
            }
        }
    }

    async fn person(&self, caller: Caller, id: &str) -> Result<Option<SubjectId>, CommandError> {
        let Ok(id) = id.parse::<SubjectId>() else { return Ok(None) };
        if self.loaded_contact(caller, id).await?.sequence > 0 {
            return Ok(Some(id));
        }
        let is_known = match self.vault.identity(caller.account_id, id).await? {
            Opened::Value(_) | Opened::Erased(_) => true,
            Opened::Unavailable(_) => self.vault.has_entry(caller.account_id, id).await?,
        };
        Ok(is_known.then_some(id))
    }

    async fn seal_reason(
        &self,
        caller: Caller,
        subject: SubjectId,
        reason: Option<Personal<RequestReason>>,
    ) -> Result<Option<Sealed<RequestReason>>, VaultError> {
        let Some(reason) = reason else { return Ok(None) };
        match self.vault.seal(caller.account_id, subject, &reason, self.clock.now().day()).await {
            // The keys are destroyed and the log does not say so: it was put back to an earlier copy. The reason cannot
            // be kept any more, and the request can.
            Err(VaultError::Erased(_)) => Ok(None),
            sealed => Ok(Some(sealed?)),
        }
    }
}

const fn request_code(error: Error) -> RefusalCode {
    match error {
        Error::NotFound => RefusalCode::NotFound,
        Error::Ground | Error::NotNext(_) | Error::NoHold => RefusalCode::Invalid,
    }
}

fn check(input: &ErasureInput) -> Result<Option<Personal<RequestReason>>, CommandError> {
    if input.ground.regime() != input.regime {
        return Err(Refusal::new("ground", RefusalCode::Invalid, Error::Ground).into());
    }
    let Some(reason) = &input.reason else { return Ok(None) };
    let text = content::text(reason.expose(), REASON_MAX).map_err(|error| Refusal::content("reason", &error))?;
    Ok(Some(Personal::new(RequestReason(text))))
}
