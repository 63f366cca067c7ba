//! Requests of people under privacy laws.

use wasend_domain::contact;
use wasend_domain::content;
use wasend_domain::phone::{Bsuid, PhoneNumber};
use wasend_domain::privacy::{Command, Error, Exception, Ground, PrivacyRequest, Reason, Regime};
use wasend_domain::{Personal, PrivacyRequestId, Sealed, SubjectId};
use wasend_eventlog::{Loaded, Plan, Rejected, Stream, load};
use wasend_vault::{Identity, OpenError, VaultError};

use crate::{Caller, Code, CommandError, Commands, Done, Refusal};

/// Longest reason, in characters.
pub const REASON_MAX: usize = 2_000;
/// How often a request is decided again that others came before.
const ATTEMPTS: usize = 32;

/// A request as a caller gave it. Exactly one of the first three says who it is about.
#[derive(Debug, Clone)]
pub struct ErasureInput {
    pub phone: Option<Personal<String>>,
    pub bsuid: Option<Personal<String>>,
    pub contact_id: Option<String>,
    pub regime: Regime,
    pub ground: Ground,
    pub reason: Option<Personal<String>>,
}

impl Commands {
    /// Has a person erased. The contact is closed in the same append: what is accepted before it is cancelled, and
    /// nothing is accepted after. Who is erased already is answered with the request of then.
    pub async fn request_erasure(
        &self,
        caller: Caller,
        input: ErasureInput,
    ) -> Result<Done<PrivacyRequestId>, CommandError> {
        self.privacy_request(caller, input, None).await
    }

    /// Records that a request for erasure is not carried out, and why. An exception that concerns the data holds it:
    /// the person is not erased until the hold is lifted.
    pub async fn refuse_erasure(
        &self,
        caller: Caller,
        input: ErasureInput,
        exception: Exception,
    ) -> Result<Done<PrivacyRequestId>, CommandError> {
        self.privacy_request(caller, input, Some(exception)).await
    }

    async fn privacy_request(
        &self,
        caller: Caller,
        input: ErasureInput,
        exception: Option<Exception>,
    ) -> Result<Done<PrivacyRequestId>, CommandError> {
        let reason = check(&input)?;
        let (regime, ground) = (input.regime, input.ground);
        for _ in 0..ATTEMPTS {
            let (field, subject) = self.subject(caller, &input).await?;
            let mut contact = self.loaded_contact(caller, subject).await?;
            if let Some(request) = contact.state.erased {
                if exception.is_some() {
                    let message = format!("the contact is erased under the request {request}");
                    return Err(Refusal::new(field, Code::Erased, message).into());
                }
                // A store that was put back may hold the keys again.
                if !self.vault.living(caller.account_id, subject).await?.is_empty() {
                    self.reapply_erasure(caller.account_id, request, subject).await?;
                }
                return Ok(Done { value: request, position: contact.position });
            }
            let reason = self.seal_reason(caller, subject, reason.clone()).await?;
            let (id, at) = (PrivacyRequestId::fresh(self.clock.now()), self.clock.now());
            let mut plan = Plan::new(Self::once(caller), at);
            let mut request = Loaded::<PrivacyRequest>::default();
            let mut commands = vec![Command::Receive { subject, regime, ground, reason, at }];
            commands.extend(exception.map(|exception| Command::Refuse { exception, at }));
            let about = match exception {
                None => Some(contact::Command::Erase(id)),
                Some(exception) => exception.holds().then_some(contact::Command::Hold(id)),
            };
            if let Some(about) = about {
                plan.decide(subject.uuid(), &mut contact, about)
                    .map_err(|failure| CommandError::of(failure, field, crate::contact::code))?;
            }
            for command in commands {
                plan.decide(id.uuid(), &mut request, command)
                    .map_err(|failure| CommandError::of(failure, "ground", request_code))?;
            }
            match self.log.append(vec![plan.into_append()]).await?.pop() {
                Some(Ok(done)) => return Ok(Done { value: id, position: done.last }),
                Some(Err(Rejected::Conflict { .. } | Rejected::CommandReused)) | None => {}
            }
        }
        Err(Refusal::new("subject", Code::Busy, "many others are changing the same contact").into())
    }

    /// Ends the hold of a refused request: its exception applies no longer, and the person may be erased.
    pub async fn lift_erasure_hold(
        &self,
        caller: Caller,
        id: PrivacyRequestId,
    ) -> Result<Done<PrivacyRequestId>, CommandError> {
        for _ in 0..ATTEMPTS {
            let mut found = load::<PrivacyRequest>(&*self.log, caller.account_id, &[id.uuid()]).await?;
            let mut request = found.remove(&id.uuid()).and_then(Stream::present).unwrap_or_default();
            let Some(subject) = request.state.subject else {
                return Err(Refusal::not_found("id", "request").into());
            };
            let mut contact = self.loaded_contact(caller, subject).await?;
            let at = self.clock.now();
            let mut plan = Plan::new(Self::once(caller), at);
            plan.decide(id.uuid(), &mut request, Command::LiftHold { at })
                .map_err(|failure| CommandError::of(failure, "id", request_code))?;
            plan.decide(subject.uuid(), &mut contact, contact::Command::LiftHold(id))
                .map_err(|failure| CommandError::of(failure, "id", crate::contact::code))?;
            if plan.is_empty() {
                return Ok(Done { value: id, position: request.position.max(contact.position) });
            }
            match self.log.append(vec![plan.into_append()]).await?.pop() {
                Some(Ok(done)) => return Ok(Done { value: id, position: done.last }),
                Some(Err(Rejected::Conflict { .. } | Rejected::CommandReused)) | None => {}
            }
        }
        Err(Refusal::new("id", Code::Busy, "many others are changing the same request").into())
    }

    /// Whom the input names, and by which of its fields; only people are found, not what the account has itself.
    async fn subject(&self, caller: Caller, input: &ErasureInput) -> Result<(&'static str, SubjectId), CommandError> {
        let account = caller.account_id;
        let (field, found) = match (&input.phone, &input.bsuid, &input.contact_id) {
            (Some(phone), None, None) => {
                let phone = PhoneNumber::parse(phone.expose());
                let phone = phone.map_err(|error| Refusal::new("subject.phone", Code::InvalidPhone, error))?;
                ("subject.phone", self.vault.find(account, &Identity::phone(phone.as_str())).await?)
            }
            (None, Some(bsuid), None) => {
                let bsuid = bsuid.expose().parse::<Bsuid>();
                let bsuid = bsuid.map_err(|error| Refusal::new("subject.bsuid", Code::Invalid, error))?;
                ("subject.bsuid", self.vault.find(account, &Identity::bsuid(bsuid.as_str())).await?)
            }
            (None, None, Some(id)) => ("subject.contactId", self.person(caller, id).await?),
            (None, None, None) => {
                return Err(Refusal::new("subject", Code::Required, "give phone, bsuid or contactId").into());
            }
            _ => {
                return Err(
                    Refusal::new("subject", Code::Invalid, "phone, bsuid and contactId exclude each other").into()
                );
            }
        };
        Ok((field, found.ok_or_else(|| Refusal::not_found(field, "contact"))?))
    }

    async fn person(&self, caller: Caller, id: &str) -> Result<Option<SubjectId>, CommandError> {
        let Ok(id) = id.parse::<SubjectId>() else { return Ok(None) };
        if self.loaded_contact(caller, id).await?.sequence > 0 {
            return Ok(Some(id));
        }
        match self.vault.identity(caller.account_id, id).await {
            Ok(_) => Ok(Some(id)),
            Err(OpenError::Failure(failure)) => Err(failure.into()),
            Err(_) => Ok(None),
        }
    }

    async fn seal_reason(
        &self,
        caller: Caller,
        subject: SubjectId,
        reason: Option<Personal<Reason>>,
    ) -> Result<Option<Sealed<Reason>>, CommandError> {
        let Some(reason) = reason else { return Ok(None) };
        match self.vault.seal(caller.account_id, subject, &reason, self.clock.now().day()).await {
            // The keys are destroyed and the log does not say so: it was put back to an earlier copy. The reason cannot
            // be kept any more, and the request can.
            Err(VaultError::Erased(_)) => Ok(None),
            sealed => Ok(Some(sealed?)),
        }
    }
}

const fn request_code(error: Error) -> Code {
    match error {
        Error::NotFound => Code::NotFound,
        Error::Ground | Error::NotNext(_) | Error::NoHold => Code::Invalid,
    }
}

fn check(input: &ErasureInput) -> Result<Option<Personal<Reason>>, CommandError> {
    if input.ground.regime() != input.regime {
        return Err(Refusal::new("ground", Code::Invalid, Error::Ground).into());
    }
    let Some(reason) = &input.reason else { return Ok(None) };
    let text = content::text(reason.expose(), REASON_MAX).map_err(|error| Refusal::content("reason", &error))?;
    Ok(Some(Personal::new(Reason(text))))
}
