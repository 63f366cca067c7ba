//! Idempotency keys: what a message may be repeated as, and answering a repetition with the message of the first time.

use wasend_domain::content::OutboundContent;
use wasend_domain::message::{Event as Change, Message};
use wasend_domain::{AnyEvent, BlindIndex, MessageId, Personal, RecordedEvent, Sealed, SubjectId};
use wasend_eventlog::{CommandContext, CommandId, LogError, StreamLookup, load};
use wasend_projections::messages::MessageRow;
use wasend_vault::VaultError;

use super::AcceptedSend;
use super::batch_message::{BatchMessage, RepeatableCommand};
use crate::{Caller, CommandError, Commands, Refusal, RefusalCode};

/// Begins a fingerprint that is made under the keys of the recipient and dies with them. Those of earlier versions have
/// no beginning and are made under a key of the account.
const OF_SUBJECT: &str = "s1:";
/// The domain of the earlier fingerprints.
const OF_ACCOUNT: &str = "fingerprint";

impl Commands {
    /// Gives the messages that have an idempotency key the id of their command.
    pub(super) async fn name_repeatable(&self, caller: Caller, items: &mut [BatchMessage]) -> Result<(), CommandError> {
        let keys = items.iter().filter_map(|item| item.checked.key.as_ref()).map(|key| key.key.as_str());
        let mut ids = self.command_ids(caller, "send", keys).await?.into_iter();
        for item in items {
            let Some(key) = &item.checked.key else { continue };
            let content = Personal::new(key.content.clone());
            item.command = ids.next().map(|id| RepeatableCommand { id, content });
        }
        Ok(())
    }

    /// The contexts of messages whose recipients are known. What a repeatable one says is hashed under the keys of its
    /// recipient: once that person is erased, the hash tells nothing of the number or the text.
    pub(super) async fn contexts(
        &self,
        caller: Caller,
        items: &[BatchMessage],
    ) -> Result<Vec<CommandContext>, CommandError> {
        let said = |item: &BatchMessage| Some((item.subject?, item.command.as_ref()?.content.clone()));
        let said: Vec<_> = items.iter().filter_map(said).collect();
        let mut fingerprints = self.vault.fingerprints(caller.account_id, &said).await.into_iter();
        let mut contexts = Vec::with_capacity(items.len());
        for item in items {
            let fingerprint = item.command.as_ref().and_then(|command| Some((command, fingerprints.next()?)));
            contexts.push(match fingerprint {
                None => Self::once(caller),
                Some((command, fingerprint)) => {
                    let (id, fingerprint) = (command.id.clone(), of_subject(&fingerprint?));
                    let command = CommandId::Repeatable { id, fingerprint };
                    CommandContext { account_id: caller.account_id, actor: caller.actor, command }
                }
            });
        }
        Ok(contexts)
    }

    /// Answers the repetitions among the messages to recipients who are not known: the recipient may be a person who is
    /// erased, and a repetition must not make the person known again.
    pub(super) async fn answer_strangers(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<Result<AcceptedSend, CommandError>>],
    ) -> Result<(), CommandError> {
        let of_stranger =
            |item: &BatchMessage| item.command.as_ref().filter(|_| item.subject.is_none()).map(|c| c.id.clone());
        let ids: Vec<_> = items.iter().filter_map(of_stranger).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let recorded = self.log.recorded(caller.account_id, &ids).await?;
        let mut kept = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            if of_stranger(&item).is_some_and(|id| recorded.contains(&id)) {
                answers[item.index] = Some(self.repeated(caller, &item).await);
            } else {
                kept.push(item);
            }
        }
        *items = kept;
        Ok(())
    }

    /// A refusal, unless the same command had been carried out before: what has become impossible since does not
    /// change what happened then.
    pub(super) async fn refused_unless_repeated(
        &self,
        caller: Caller,
        item: &BatchMessage,
        refusal: Refusal,
    ) -> Result<AcceptedSend, CommandError> {
        match self.first_time(caller, item).await? {
            Some(accepted) => Ok(accepted),
            None => Err(refusal.into()),
        }
    }

    /// The answer to a message whose command is recorded.
    pub(super) async fn repeated(&self, caller: Caller, item: &BatchMessage) -> Result<AcceptedSend, CommandError> {
        let first = self.first_time(caller, item).await?;
        first.ok_or_else(|| LogError::Damaged("a repeated command without events".to_owned()).into())
    }

    async fn first_time(&self, caller: Caller, item: &BatchMessage) -> Result<Option<AcceptedSend>, CommandError> {
        let Some(command) = &item.command else { return Ok(None) };
        let events = self.log.command(caller.account_id, &command.id).await?;
        let Some(last) = events.last() else { return Ok(None) };
        let position = last.position;
        let Some(first) = events.iter().find_map(acceptance) else { return Ok(None) };
        self.compare(caller, &first, &command.content).await?;
        let id = MessageId::from_uuid(first.recorded.aggregate_id);
        let mut found = load::<Message>(&*self.log, caller.account_id, &[id.uuid()]).await?;
        let state = found.remove(&id.uuid()).and_then(StreamLookup::present).map(|message| message.state);
        let row = MessageRow {
            id: id.to_string(),
            account_id: caller.account_id.to_string(),
            state: state.unwrap_or_default(),
            template: first.template,
            content: first.content.as_str().to_owned(),
            wamid: None,
            error_detail: None,
            submitted_at: None,
            updated_at: first.recorded.recorded_at,
            position,
        };
        Ok(Some(AcceptedSend { row, position, repeated: true }))
    }

    /// Refuses a repetition of a message to a person who is erased, whatever it says now: an answer that depended on it
    /// would tell what the first one said. Refuses another content than the first time's.
    async fn compare(
        &self,
        caller: Caller,
        first: &RecordedAcceptance<'_>,
        content: &Personal<String>,
    ) -> Result<(), CommandError> {
        if self.loaded_contact(caller, first.contact).await?.state.erased.is_some() {
            return Err(erased());
        }
        let fingerprint = match self.vault.fingerprint(caller.account_id, first.contact, content).await {
            Err(VaultError::Erased(_)) => return Err(erased()),
            Err(error @ (VaultError::Unavailable(_) | VaultError::UnknownSubject)) => {
                return Err(Refusal::new("idempotencyKey", RefusalCode::Unreadable, error).into());
            }
            fingerprint => of_subject(&fingerprint?),
        };
        let is_same = match first.recorded.metadata.fingerprint() {
            Some(known) if known.starts_with(OF_SUBJECT) => known == fingerprint,
            Some(known) => self.vault.index(caller.account_id, OF_ACCOUNT, content).await?.as_str() == known,
            None => false,
        };
        if is_same { Ok(()) } else { Err(reused()) }
    }
}

fn of_subject(fingerprint: &BlindIndex) -> String {
    format!("{OF_SUBJECT}{}", fingerprint.as_str())
}

fn reused() -> CommandError {
    let text = "this key was used before for a request with another content";
    Refusal::new("idempotencyKey", RefusalCode::IdempotencyKeyReused, text).into()
}

fn erased() -> CommandError {
    let text = "this key was used before for a message to a person who has been erased";
    Refusal::new("idempotencyKey", RefusalCode::Erased, text).into()
}

/// What a message was accepted with.
struct RecordedAcceptance<'a> {
    contact: SubjectId,
    template: Option<String>,
    content: Sealed<OutboundContent>,
    recorded: &'a RecordedEvent,
}

fn acceptance(recorded: &RecordedEvent) -> Option<RecordedAcceptance<'_>> {
    let Ok(AnyEvent::Message(change)) = AnyEvent::decode(recorded) else { return None };
    match *change {
        Change::Accepted { contact, template, content, .. } => {
            Some(RecordedAcceptance { contact, template, content, recorded })
        }
        _ => None,
    }
}
