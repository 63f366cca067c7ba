use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use wasend_domain::contact::{ConsentChannel, ConsentScope};
use wasend_domain::content::{ContentKind, InboundContent, Wamid};
use wasend_domain::message::{Command, Message};
use wasend_domain::phone::PhoneNumber;
use wasend_domain::{MessageId, NumberId, Personal, SubjectId, Time};
use wasend_eventlog::{AppendRejection, CommandId, LoadedAggregate, UnitOfWork};
use wasend_projections::numbers::NumberRow;
use wasend_vault::{NewPerson, PersonIdentity, VaultError};
use wasend_whatsapp::{InboundMessage, MarketingPreference, PreferenceValue, is_bsuid};

use super::caller;
use crate::consent::ReportedConsent;
use crate::{Caller, CommandError, Commands, RefusalCode};

/// How often a message that met a conflict is decided again.
const INBOUND_ATTEMPTS_MAX: usize = 32;
/// Between the fence of an erasure and its next step, usually.
const UNLINKING_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Why a message was not taken in for now.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.about())]
struct InboundRefusal(RefusalCode);

/// A message and the number that it was written to.
pub(super) type AddressedMessage<'a> = (&'a NumberRow, &'a InboundMessage);

/// What became of an inbound message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InboundOutcome {
    /// Now or before.
    Recorded,
    /// It does not say who wrote it.
    Anonymous,
    /// It was written by a person who was erased since: a late webhook brings no one back.
    Erased,
    /// A key of the person who wrote it is missing or damaged.
    Unreadable,
}

/// What is to be recorded of a message.
enum InboundDecision {
    Command(Box<Command>),
    /// The contact's key is destroyed.
    Destroyed,
    /// A key is missing or damaged.
    Unreadable,
}

/// How many senders' messages are recorded at the same time, so that one commit serves many of them.
const SENDERS_BATCH_MAX: usize = 64;

impl Commands {
    /// Records inbound messages, each sender's in their order; gives back those that do not say who wrote them,
    /// and those that were written by people who were erased since or cannot be read.
    pub(super) async fn receive_all<'a>(
        &self,
        messages: &[(&'a NumberRow, &'a InboundMessage)],
    ) -> Result<Vec<(InboundOutcome, AddressedMessage<'a>)>, CommandError> {
        let mut senders: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, message) in messages {
            senders.entry((&number.id, &message.from, &message.from_user_id)).or_default().push((*number, *message));
        }
        // Boxed, because the compiler cannot see else that the futures are `Send` whatever they borrow.
        let received: Vec<BoxFuture<'_, _>> =
            senders.into_values().map(|messages| self.receive_in_order(messages).boxed()).collect();
        stream::iter(received).buffered(SENDERS_BATCH_MAX).try_concat().await
    }

    async fn receive_in_order<'a>(
        &self,
        messages: Vec<AddressedMessage<'a>>,
    ) -> Result<Vec<(InboundOutcome, AddressedMessage<'a>)>, CommandError> {
        let mut left = Vec::new();
        for (number, message) in messages {
            match self.receive(number, message).await? {
                InboundOutcome::Recorded => {}
                receipt => left.push((receipt, (number, message))),
            }
        }
        Ok(left)
    }

    /// Records an inbound message, once however often Meta repeats it.
    async fn receive(&self, number: &NumberRow, message: &InboundMessage) -> Result<InboundOutcome, CommandError> {
        let caller = caller(number)?;
        let identities = sender(message);
        let Ok(number_id) = number.id.parse::<NumberId>() else { return Ok(InboundOutcome::Anonymous) };
        if identities.is_empty() {
            return Ok(InboundOutcome::Anonymous);
        }
        let keyword = self.keyword(caller, message).await?;
        // The same wamid is the same message, whatever else the repetition says.
        let context = self.repeatable(caller, "receive", &message.wamid).await?;
        let [profile_name, username] =
            [&message.profile_name, &message.username].map(|name| name.clone().map(Personal::new));
        let person = NewPerson { identities, profile_name, username, name: None };
        for _ in 0..INBOUND_ATTEMPTS_MAX {
            // Looked up before the erasures: a person who is not found any more is among those.
            let bearer = self.bearer_of(caller, message, &person.identities).await?;
            if self.is_from_before_erasure(caller, &person.identities, message.timestamp).await? {
                if let Some(keyword) = keyword {
                    self.record_reported_consent(caller, &person.identities, keyword).await?;
                }
                return Ok(InboundOutcome::Erased);
            }
            if bearer.is_none() && self.is_recorded(caller, &context.command).await? {
                // Nothing is made known by a repetition.
                return Ok(InboundOutcome::Recorded);
            }
            let contact = match bearer {
                Some(bearer) => bearer,
                None => self.vault.subject_for(caller.account_id, &person).await?.0,
            };
            let mut known = self.loaded_contact(caller, contact).await?;
            if known.state.merged_into.is_some() {
                continue;
            }
            if known.state.erased.is_some() {
                // An erasure is unlinking this number: retried, after which the sender gets a new subject.
                tokio::time::sleep(UNLINKING_RETRY_DELAY).await;
                continue;
            }
            let receive = match self.received(caller, number_id, contact, message).await? {
                InboundDecision::Command(command) => *command,
                InboundDecision::Destroyed => continue,
                InboundDecision::Unreadable => {
                    // What the person says about being written to counts, whatever else can be kept of it.
                    if let Some(keyword) = keyword {
                        self.record_reported_consent(caller, &person.identities, keyword).await?;
                    }
                    return Ok(InboundOutcome::Unreadable);
                }
            };
            let mut plan = UnitOfWork::new(context.clone(), self.clock.now());
            plan.expect_unchanged(contact.uuid(), &known);
            for command in self.consents(caller, &known.state, &person.identities, keyword).await? {
                plan.decide(contact.uuid(), &mut known, command)
                    .map_err(|failure| CommandError::of(failure, "from", crate::contact::code))?;
            }
            let (id, opted_out) = (MessageId::fresh(self.clock.now()), known.state.opted_out);
            plan.decide(id.uuid(), &mut LoadedAggregate::<Message>::default(), receive)
                .map_err(|failure| CommandError::of(failure, "message", |_| RefusalCode::Invalid))?;
            match self.log.append(vec![plan.into_append()]).await?.pop() {
                Some(Err(AppendRejection::Conflict { .. })) => {}
                // A repetition, recorded or not as the first one.
                Some(Ok(_) | Err(AppendRejection::CommandReused)) | None => {
                    if let Some(keyword) = keyword.filter(|_| !opted_out) {
                        self.vault.unsuppress(caller.account_id, contact, keyword.scope(), keyword.order()).await?;
                    }
                    self.learn_person(caller, contact, &person, message.timestamp).await?;
                    return Ok(InboundOutcome::Recorded);
                }
            }
        }
        // Meta repeats what is not taken.
        Err(CommandError::unavailable(InboundRefusal(RefusalCode::Busy)))
    }

    /// The contact of the sender, none if the account knows no such person. What a system message says of a change is
    /// taken in first.
    async fn bearer_of(
        &self,
        caller: Caller,
        message: &InboundMessage,
        identities: &[PersonIdentity],
    ) -> Result<Option<SubjectId>, CommandError> {
        if let Some(change) = &message.identity_change
            && let Some(contact) = self.change_identity(caller, change).await?
        {
            return Ok(Some(contact));
        }
        self.person_of(caller, identities, message.timestamp.map(Time::from_seconds)).await
    }

    /// Keeps what the message tells of its sender.
    async fn learn_person(
        &self,
        caller: Caller,
        contact: SubjectId,
        person: &NewPerson,
        timestamp: Option<i64>,
    ) -> Result<(), CommandError> {
        let at = timestamp.map(Time::from_seconds);
        let contact = self.learn_identities(caller, contact, &person.identities, at).await?;
        self.learn_profile(caller, contact, person.profile_name.as_ref(), person.username.as_ref()).await
    }

    /// Whether the message was certainly written before one of its writer's identities was erased.
    async fn is_from_before_erasure(
        &self,
        caller: Caller,
        identities: &[PersonIdentity],
        timestamp: Option<i64>,
    ) -> Result<bool, CommandError> {
        // Meta's moments are whole seconds.
        let Some(over) = timestamp.map(|seconds| Time::from_seconds(seconds.saturating_add(1))) else {
            return Ok(false);
        };
        Ok(self.vault.erased_since(caller.account_id, identities, over).await?.contains(&true))
    }

    async fn is_recorded(&self, caller: Caller, command: &CommandId) -> Result<bool, CommandError> {
        let (CommandId::Fresh(id) | CommandId::Repeatable { id, .. }) = command;
        Ok(!self.log.command(caller.account_id, id).await?.is_empty())
    }

    /// What is recorded of the message.
    async fn received(
        &self,
        caller: Caller,
        number: NumberId,
        contact: SubjectId,
        message: &InboundMessage,
    ) -> Result<InboundDecision, CommandError> {
        let (account, now) = (caller.account_id, self.clock.now());
        let wamid = Personal::new(message.wamid.clone());
        let wamid_index = self.vault.index(account, "wamid", &wamid).await?;
        let said = InboundContent { text: message.text.clone(), raw: message.raw.get().to_owned() };
        let sealed = async {
            let content = self.vault.seal(account, contact, &Personal::new(said), now.day()).await?;
            Ok::<_, VaultError>((content, self.vault.seal(account, contact, &wamid.map(Wamid), now.day()).await?))
        };
        let (content, wamid) = match sealed.await {
            Ok(sealed) => sealed,
            Err(VaultError::Erased(_)) => return Ok(InboundDecision::Destroyed),
            Err(VaultError::Unavailable(_) | VaultError::UnknownSubject) => return Ok(InboundDecision::Unreadable),
            Err(error) => return Err(error.into()),
        };
        let sent_at = message.timestamp.and_then(|seconds| Time::from_seconds(seconds).if_writable());
        let kind = ContentKind::named(&message.kind);
        // Usage and polls go by the moment of its arrival: Meta repeats for days, and its moment may lie anywhere.
        let receive = Command::Receive { number, contact, kind, content, wamid, wamid_index, at: now, sent_at };
        Ok(InboundDecision::Command(Box::new(receive)))
    }

    /// Takes in that a user stopped or resumed marketing messages; false if it does not say who, what or since when.
    pub(super) async fn prefer(
        &self,
        number: &NumberRow,
        preference: &MarketingPreference,
    ) -> Result<bool, CommandError> {
        let opted_out = match preference.value {
            PreferenceValue::Stop => true,
            PreferenceValue::Resume => false,
            PreferenceValue::Other(_) => return Ok(false),
        };
        let user_ids = [preference.user_id.as_deref(), preference.parent_user_id.as_deref()];
        let identities = identities_of(preference.wa_id.as_deref(), &user_ids);
        let via = ConsentChannel::Meta;
        let heard =
            ReportedConsent::of(opted_out, ConsentScope::Marketing, via, preference.timestamp, self.clock.now());
        let Some(heard) = heard.filter(|_| !identities.is_empty()) else { return Ok(false) };
        let (caller, at) = (caller(number)?, preference.timestamp.map(Time::from_seconds));
        if let Some(contact) = self.person_of(caller, &identities, at).await? {
            self.learn_identities(caller, contact, &identities, at).await?;
        }
        self.record_reported_consent(caller, &identities, heard).await?;
        Ok(true)
    }
}

/// By what the sender is known; after a change, by what they are known now.
fn sender(message: &InboundMessage) -> Vec<PersonIdentity> {
    if let Some(change) = &message.identity_change {
        let user_ids: Vec<_> = change.user_ids.iter().map(|id| Some(id.as_str())).collect();
        return identities_of(change.wa_id.as_deref(), &user_ids);
    }
    let user_ids = [message.from_user_id.as_deref(), message.from_parent_user_id.as_deref()];
    identities_of(message.from.as_deref(), &user_ids)
}

/// By what the person may be known here. Meta has put a BSUID where a number was expected.
pub(crate) fn identities_of(wa_id: Option<&str>, user_ids: &[Option<&str>]) -> Vec<PersonIdentity> {
    let mut identities = Vec::new();
    if let Some(phone) = wa_id.and_then(|wa_id| PhoneNumber::from_wa_id(wa_id).ok()) {
        identities.push(PersonIdentity::wa_id(phone.as_str().trim_start_matches('+')));
        identities.push(PersonIdentity::phone(phone.as_str()));
    }
    for id in user_ids.iter().copied().chain([wa_id]).flatten().filter(|id| is_bsuid(id)) {
        let bsuid = PersonIdentity::bsuid(id);
        if !identities.contains(&bsuid) {
            identities.push(bsuid);
        }
    }
    identities
}
