//! Accepting messages: everything about a batch is looked up, created, loaded, sealed and appended as a set, while
//! each message stands and falls on its own.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use wasend_domain::contact::{self, Contact, ContactOrigin};
use wasend_domain::content::OutboundContent;
use wasend_domain::message::{Command, Message};
use wasend_domain::{DataCategory, MessageId, Personal, Sealed};
use wasend_eventlog::{Append, AppendRejection, LoadedAggregate, UnitOfWork};
use wasend_projections::messages::MessageRow;
use wasend_projections::numbers::NumberRow;

use super::batch_message::BatchMessage;
use super::validate::{MessageAddressee, check};
use super::{AcceptedSend, MESSAGES_MAX, SendMessage};
use crate::templates::KnownTemplate;
use crate::{Caller, CommandError, Commands, Refusal, RefusalCode};

/// How often the messages that met a conflict are decided again.
const SEND_ATTEMPTS_MAX: usize = 32;

pub(super) type SendResult = Result<AcceptedSend, CommandError>;

impl Commands {
    /// Accepts up to 1,000 messages in one transaction; answers in their order, each on its own merits.
    pub async fn send_messages(
        &self,
        caller: Caller,
        inputs: Vec<SendMessage>,
    ) -> Result<Vec<SendResult>, CommandError> {
        if inputs.len() > MESSAGES_MAX {
            let message = format_args!("at most {MESSAGES_MAX} messages at once");
            return Err(Refusal::new("messages", RefusalCode::TooMany, message).into());
        }
        let mut answers: Vec<Option<SendResult>> = inputs.iter().map(|_| None).collect();
        let mut items = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            match check(input) {
                Err(refusals) => answers[index] = Some(Err(CommandError::Refused(refusals))),
                Ok(checked) => {
                    items.push(BatchMessage { index, checked, is_marketing: false, command: None, subject: None });
                }
            }
        }
        self.name_repeatable(caller, &mut items).await?;
        self.judge_numbers(caller, &mut items, &mut answers).await?;
        let contacts = self.contacts(caller, &mut items, &mut answers).await?;
        self.append(caller, items, contacts, &mut answers).await?;
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(busy()))).collect())
    }

    /// Refuses what names a number that the account does not have, or a template that does not fit; and everything while
    /// the account's sending is held.
    async fn judge_numbers(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<SendResult>],
    ) -> Result<(), CommandError> {
        let mut ids: Vec<_> = items.iter().map(|item| item.checked.number.to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut rows = self.reads.by_ids::<NumberRow>(&ids).await?;
        rows.retain(|_, row| row.account_id == caller.account_id.to_string());
        let is_held = self.holds.is_held(caller.account_id).await?;
        let mut kept = Vec::with_capacity(items.len());
        for mut item in items.drain(..) {
            let refusal = if is_held {
                let message = "sending is held: the vault was restored and may lack opt-outs";
                Some(Refusal { field: None, code: RefusalCode::SendingHeld, message: message.to_owned() })
            } else {
                self.check_number_and_content(rows.get(&item.checked.number.to_string()), &mut item).await?
            };
            match refusal {
                None => kept.push(item),
                Some(refusal) => answers[item.index] = Some(self.refused_unless_repeated(caller, &item, refusal).await),
            }
        }
        *items = kept;
        Ok(())
    }

    async fn check_number_and_content(
        &self,
        number: Option<&NumberRow>,
        item: &mut BatchMessage,
    ) -> Result<Option<Refusal>, CommandError> {
        let Some(number) = number else { return Ok(Some(Refusal::not_found("numberId", "number"))) };
        if number.disconnected_at.is_some() {
            let message = "the number is disconnected";
            return Ok(Some(Refusal::new("numberId", RefusalCode::NumberDisconnected, message)));
        }
        let OutboundContent::Template(template) = &item.checked.content else { return Ok(None) };
        item.is_marketing = true;
        let known = match self.templates.shape(number, &template.name, &template.language).await {
            // The number's credentials: nothing but what is sent from it is refused.
            Err(CommandError::Refused(refusals)) => return Ok(refusals.into_iter().next()),
            known => known?,
        };
        Ok(match known {
            KnownTemplate::Unknown => None,
            KnownTemplate::Absent => {
                let message = "there is no approved template of this name and language";
                Some(Refusal::new("template.name", RefusalCode::InvalidTemplate, message))
            }
            KnownTemplate::Approved { shape, is_marketing } => {
                item.is_marketing = is_marketing;
                template.fits(&shape).err().map(|error| Refusal::content("template.parameters", &error))
            }
        })
    }

    /// The contacts of the recipients; unknown ones are created.
    async fn contacts(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<SendResult>],
    ) -> Result<HashMap<Uuid, LoadedAggregate<Contact>>, CommandError> {
        let mut contacts = self.known_contacts(caller, items, answers).await?;
        self.answer_strangers(caller, items, answers).await?;
        self.create_subjects(caller, items, &mut contacts).await?;
        Ok(contacts)
    }

    /// Seals and appends; those that met a conflict are decided again on the current state.
    async fn append(
        &self,
        caller: Caller,
        mut items: Vec<BatchMessage>,
        mut contacts: HashMap<Uuid, LoadedAggregate<Contact>>,
        answers: &mut [Option<SendResult>],
    ) -> Result<(), CommandError> {
        for _ in 0..SEND_ATTEMPTS_MAX {
            if items.is_empty() {
                return Ok(());
            }
            let mut planned = match self.plan(caller, &items, &mut contacts).await {
                // A recipient's key was destroyed since it was looked up, or cannot be used: who is there now decides.
                Err(CommandError::Refused(_)) => Vec::new(),
                planned => planned?,
            };
            if planned.is_empty() {
                contacts = self.contacts(caller, &mut items, answers).await?;
                self.refuse_destroyed(caller, &mut items, answers).await?;
                self.refuse_unreadable(caller, &mut items, answers).await?;
                continue;
            }
            let batch: Vec<Append> = planned.iter_mut().filter_map(|(append, _)| append.take()).collect();
            let outcomes = self.log.append(batch).await?;
            let mut open = Vec::new();
            for ((item, (_, row)), outcome) in items.into_iter().zip(planned).zip(outcomes) {
                let answer = match outcome {
                    Ok(done) if !done.repeated => Ok(AcceptedSend { row, position: done.last, repeated: false }),
                    // Another fingerprint may only mean that the first message's was made under another key.
                    Ok(_) | Err(AppendRejection::CommandReused) => self.repeated(caller, &item).await,
                    Err(AppendRejection::Conflict { .. }) => {
                        open.push(item);
                        continue;
                    }
                };
                answers[item.index] = Some(answer);
            }
            items = open;
            // A person who was erased meanwhile is a new contact.
            contacts = self.contacts(caller, &mut items, answers).await?;
        }
        Ok(())
    }

    /// Refuses the contacts, named by their ids, whose keys are destroyed although the log does not say so: it was put
    /// back to an earlier copy.
    async fn refuse_destroyed(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<SendResult>],
    ) -> Result<(), CommandError> {
        let named = items.iter().filter(|item| matches!(item.checked.to, MessageAddressee::Contact(_)));
        let people: Vec<_> = named.filter_map(|item| Some((caller.account_id, item.subject?))).collect();
        let there: HashSet<_> =
            self.vault.not_destroyed(&people).await?.into_iter().map(|(_, subject)| subject).collect();
        items.retain(|item| {
            let MessageAddressee::Contact(id) = &item.checked.to else { return true };
            if !there.contains(id) {
                let refusal = Refusal::new("contactId", RefusalCode::Erased, "the recipient's keys are destroyed");
                answers[item.index] = Some(Err(refusal.into()));
            }
            there.contains(id)
        });
        Ok(())
    }

    /// Refuses what cannot be sealed, because a key that it needs is missing or damaged.
    async fn refuse_unreadable(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<SendResult>],
    ) -> Result<(), CommandError> {
        let subjects: Vec<_> = items.iter().filter_map(|item| item.subject).collect();
        let (account, day) = (caller.account_id, self.clock.now().day());
        let mut found = self.vault.unsealable(account, DataCategory::Content, &subjects, day).await?.into_iter();
        let mut kept = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            match item.subject.and_then(|_| found.next().flatten()) {
                None => kept.push(item),
                Some(unavailable) => {
                    let field =
                        if matches!(item.checked.to, MessageAddressee::Contact(_)) { "contactId" } else { "to" };
                    let refusal = Refusal::unreadable(field, unavailable);
                    answers[item.index] = Some(self.refused_unless_repeated(caller, &item, refusal).await);
                }
            }
        }
        *items = kept;
        Ok(())
    }

    async fn plan(
        &self,
        caller: Caller,
        items: &[BatchMessage],
        contacts: &mut HashMap<Uuid, LoadedAggregate<Contact>>,
    ) -> Result<Vec<(Option<Append>, MessageRow)>, CommandError> {
        let now = self.clock.now();
        let values: Vec<_> = items
            .iter()
            .filter_map(|item| Some((item.subject?, Personal::new(item.checked.content.clone()))))
            .collect();
        let contexts = self.contexts(caller, items).await?;
        let sealed = self.vault.seal_many(caller.account_id, &values, now.day()).await;
        let mut planned = Vec::with_capacity(items.len());
        for (((item, (subject, content)), sealed), context) in items.iter().zip(&values).zip(sealed).zip(contexts) {
            let (id, sealed): (_, Sealed<OutboundContent>) = (MessageId::fresh(now), sealed?);
            let mut plan = UnitOfWork::new(context, now);
            let contact = contacts.entry(subject.uuid()).or_default();
            let create = contact::Command::Create { source: ContactOrigin::Message, attributes: None };
            // A person who opts out or is erased meanwhile is not written to: the message is decided again.
            plan.expect_unchanged(subject.uuid(), contact);
            plan.decide(subject.uuid(), contact, create)
                .map_err(|failure| CommandError::of(failure, "to", crate::contact::code))?;
            let mut message = LoadedAggregate::<Message>::default();
            let template = match content.expose() {
                OutboundContent::Template(template) => Some(template.name.clone()),
                OutboundContent::Text { .. } => None,
            };
            let (number, kind) = (item.checked.number, content.expose().kind());
            let row_content = sealed.as_str().to_owned();
            let accept = Command::Accept {
                number,
                contact: *subject,
                kind,
                template: template.clone(),
                content: sealed,
                at: now,
            };
            plan.decide(id.uuid(), &mut message, accept)
                .map_err(|failure| CommandError::of(failure, "to", |_| RefusalCode::Invalid))?;
            let row = MessageRow {
                id: id.to_string(),
                account_id: caller.account_id.to_string(),
                state: message.state,
                template,
                content: row_content,
                wamid: None,
                error_detail: None,
                submitted_at: None,
                updated_at: now,
                position: 0,
            };
            planned.push((Some(plan.into_append()), row));
        }
        Ok(planned)
    }
}

fn busy() -> CommandError {
    Refusal::new("to", RefusalCode::Busy, "many others are changing the same contact").into()
}
