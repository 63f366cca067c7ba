use std::collections::HashMap;

use wasend_domain::contact::{ConsentChannel, ConsentScope, Contact};
use wasend_domain::content::{ErrorText, Wamid};
use wasend_domain::inbox::KeepReason;
use wasend_domain::message::{Command, Message, MessagePricing, MetaSubmission, PricingCategory, StatusWord};
use wasend_domain::{BlindIndex, MessageId, Personal, Sealed, SubjectId};
use wasend_eventlog::{StreamLookup, execute_all, load};
use wasend_projections::messages::MessageRow;
use wasend_projections::numbers::NumberRow;
use wasend_vault::VaultError;
use wasend_whatsapp::{ErrorClass, ReportedStatus, StatusUpdate};

use super::identities_of;
use super::{caller, moment};
use crate::consent::ReportedConsent;
use crate::{Caller, CommandError, Commands};

/// A status that changes no message.
pub(super) struct UnmatchedStatus<'a> {
    pub number: &'a NumberRow,
    pub reason: KeepReason,
    pub update: &'a StatusUpdate,
    /// The recipient of its message, if that is one of ours.
    pub contact: Option<SubjectId>,
}

/// A status of a message that we sent.
struct MatchedStatus<'a> {
    caller: Caller,
    message: MessageId,
    contact: SubjectId,
    update: &'a StatusUpdate,
    wamid_index: BlindIndex,
}

impl Commands {
    /// Records statuses as a set: one load, one append. Answers those that are of no message of ours, or in words that
    /// are not understood, and how many were of erased people, about which nothing is recorded.
    pub(super) async fn report<'a>(
        &self,
        updates: &[(&'a NumberRow, &'a StatusUpdate)],
    ) -> Result<(Vec<UnmatchedStatus<'a>>, usize), CommandError> {
        let mut erased = 0;
        let mut strangers = Vec::new();
        let mut by_number: HashMap<&str, Vec<(&'a NumberRow, &'a StatusUpdate)>> = HashMap::new();
        for (number, update) in updates {
            by_number.entry(&number.id).or_default().push((number, update));
        }
        let mut commands = Vec::new();
        let (mut opt_outs, mut recipients) = (Vec::new(), Vec::new());
        for updates in by_number.into_values() {
            let (known, unknown) = self.match_messages(&updates).await?;
            let refused = known.iter().filter(|known| tells_of_opt_out(known.update));
            opt_outs.extend(refused.map(|known| (known.caller, Some(known.contact), known.update)));
            for stranger in unknown.iter().filter(|stranger| tells_of_opt_out(stranger.update)) {
                opt_outs.push((caller(stranger.number)?, None, stranger.update));
            }
            strangers.extend(unknown);
            let told: Vec<_> = known.iter().map(|known| (known.contact, known.update)).collect();
            recipients.extend(known.first().map(|known| (known.caller, told)));
            for known in self.drop_erased(known).await? {
                let Some(known) = known else {
                    erased += 1;
                    continue;
                };
                let command = match self.command(&known).await {
                    // Its key was destroyed this moment.
                    Err(CommandError::Refused(_)) => {
                        erased += 1;
                        continue;
                    }
                    command => command?,
                };
                commands.push((Self::once(known.caller), known.message.uuid(), command));
            }
        }
        for done in execute_all::<Message>(&*self.log, &*self.clock, commands).await {
            done.map_err(|failure| CommandError::of(failure, "status", |_| crate::RefusalCode::NotFound))?;
        }
        for (caller, recipients) in recipients {
            self.learn_recipients(caller, &recipients).await?;
        }
        for (caller, contact, update) in opt_outs {
            self.hear_opt_out(caller, contact, update).await?;
        }
        Ok((strangers, erased))
    }

    /// Meta refused a message because its recipient has opted out: of the contact that it was sent to, or, where that is
    /// erased or the message is none of ours, of the recipient that the status names.
    async fn hear_opt_out(
        &self,
        caller: Caller,
        contact: Option<SubjectId>,
        update: &StatusUpdate,
    ) -> Result<(), CommandError> {
        let (scope, via) = (ConsentScope::Marketing, ConsentChannel::Meta);
        let Some(heard) = ReportedConsent::of(true, scope, via, update.timestamp, self.clock.now()) else {
            return Ok(());
        };
        if let Some(contact) = contact
            && self.record_consent(caller, contact, heard).await?
        {
            return Ok(());
        }
        let user_ids = [update.recipient_user_id.as_deref(), update.recipient_parent_user_id.as_deref()];
        let recipient = identities_of(update.recipient_id.as_deref(), &user_ids);
        self.record_reported_consent(caller, &recipient, heard).await
    }

    /// The statuses, without those of people who are erased.
    async fn drop_erased<'a>(
        &self,
        known: Vec<MatchedStatus<'a>>,
    ) -> Result<Vec<Option<MatchedStatus<'a>>>, CommandError> {
        let Some(account) = known.first().map(|known| known.caller.account_id) else { return Ok(vec![]) };
        let ids: Vec<_> = known.iter().map(|known| known.contact.uuid()).collect();
        let contacts = load::<Contact>(&*self.log, account, &ids).await?;
        let is_erased = |known: &MatchedStatus<'_>| {
            let contact = contacts.get(&known.contact.uuid());
            matches!(contact, Some(StreamLookup::Present(contact)) if contact.state.erased.is_some())
        };
        Ok(known.into_iter().map(|known| (!is_erased(&known)).then_some(known)).collect())
    }

    /// Finds the message of each status: by our id, which Meta returns with it, or by the wamid.
    async fn match_messages<'a>(
        &self,
        updates: &[(&'a NumberRow, &'a StatusUpdate)],
    ) -> Result<(Vec<MatchedStatus<'a>>, Vec<UnmatchedStatus<'a>>), CommandError> {
        let Some((number, _)) = updates.first() else { return Ok((vec![], vec![])) };
        let caller = caller(number)?;
        let wamids: Vec<_> = updates.iter().map(|(_, update)| Personal::new(update.wamid.clone())).collect();
        let indexes = self.vault.index_many(caller.account_id, "wamid", &wamids).await?;
        let ours = |update: &StatusUpdate| update.biz_opaque_callback_data.as_deref()?.parse::<MessageId>().ok();
        let mut ids = Vec::with_capacity(updates.len());
        for ((_, update), index) in updates.iter().zip(&indexes) {
            ids.push(match ours(update) {
                Some(id) => Some(id),
                None => self.by_wamid(caller, index).await?,
            });
        }
        let streams: Vec<_> = ids.iter().flatten().map(MessageId::uuid).collect();
        let found = load::<Message>(&*self.log, caller.account_id, &streams).await?;
        let (mut known, mut strangers) = (Vec::new(), Vec::new());
        for (((number, update), id), wamid_index) in updates.iter().zip(ids).zip(indexes) {
            let origin = id.and_then(|id| match found.get(&id.uuid()) {
                Some(StreamLookup::Present(message)) if message.state.is_outbound() => message.state.origin.as_ref(),
                _ => None,
            });
            let understood =
                matches!(update.status, ReportedStatus::Sent | ReportedStatus::Delivered | ReportedStatus::Read)
                    || matches!(update.status, ReportedStatus::Played | ReportedStatus::Failed);
            match (id, origin) {
                (Some(message), Some(origin)) if understood && origin.number.to_string() == number.id => {
                    known.push(MatchedStatus { caller, message, contact: origin.contact, update, wamid_index });
                }
                _ => {
                    let reason = if understood { KeepReason::UnknownMessage } else { KeepReason::UnknownShape };
                    let contact = origin.map(|origin| origin.contact);
                    strangers.push(UnmatchedStatus { number, reason, update, contact });
                }
            }
        }
        Ok((known, strangers))
    }

    async fn by_wamid(&self, caller: Caller, index: &BlindIndex) -> Result<Option<MessageId>, CommandError> {
        let row = MessageRow::by_wamid(&self.reads, caller.account_id, index).await?;
        Ok(row.and_then(|row| row.id.parse().ok()))
    }

    async fn command(&self, known: &MatchedStatus<'_>) -> Result<Command, CommandError> {
        let MatchedStatus { caller, contact, update, wamid_index, .. } = known;
        let (account, now) = (caller.account_id, self.clock.now());
        let at = moment(update.timestamp, now);
        let wamid = Personal::new(Wamid(update.wamid.clone()));
        let wamid = unless_unreadable(self.vault.seal(account, *contact, &wamid, now.day()).await)?;
        let submission = wamid.map(|wamid| MetaSubmission { wamid, wamid_index: wamid_index.clone() });
        let word = match update.status {
            ReportedStatus::Delivered => StatusWord::Delivered,
            ReportedStatus::Read | ReportedStatus::Played => StatusWord::Read,
            ReportedStatus::Failed => {
                let error = update.errors.first();
                let detail = match error.map(error_text).filter(|text| !text.is_empty()) {
                    Some(text) => {
                        let text = Personal::new(ErrorText(text));
                        unless_unreadable(self.vault.seal(account, *contact, &text, now.day()).await)?
                    }
                    None => None,
                };
                let class = error.map_or("unknown", |error| error.class.name()).to_owned();
                return Ok(Command::ReportFailure { code: error.map(|e| e.code), class, detail, submission, at });
            }
            _ => StatusWord::Sent,
        };
        let pricing = update.pricing.as_ref().map(|pricing| MessagePricing {
            at,
            category: PricingCategory::new(pricing.category.as_deref().unwrap_or_default()),
            billable: pricing.billable.unwrap_or(false),
        });
        Ok(Command::Report { word, pricing, submission, at })
    }
}

/// Nothing if a key of the person is missing or damaged: the status itself is recorded without it.
fn unless_unreadable<T>(sealed: Result<Sealed<T>, VaultError>) -> Result<Option<Sealed<T>>, VaultError> {
    match sealed {
        Ok(sealed) => Ok(Some(sealed)),
        Err(VaultError::Unavailable(_) | VaultError::UnknownSubject) => Ok(None),
        Err(error) => Err(error),
    }
}

fn tells_of_opt_out(update: &StatusUpdate) -> bool {
    update.errors.iter().any(|error| error.class == ErrorClass::Suppress)
}

fn error_text(error: &wasend_whatsapp::StatusError) -> String {
    let parts = [&error.title, &error.message, &error.details];
    let mut texts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    texts.dedup();
    texts.join(": ")
}
