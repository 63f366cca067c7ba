//! Answering a repeated idempotency key with the message of the first time.

use wasend_domain::content::Content;
use wasend_domain::message::{Event as Change, Message};
use wasend_domain::{Event, MessageId, Recorded, Sealed};
use wasend_eventlog::{CommandId, Stream, load};
use wasend_projections::messages::MessageRow;

use super::Accepted;
use super::accept::{Item, reused};
use crate::{Caller, CommandError, Commands, Refusal};

impl Commands {
    /// A refusal, unless the same command had been carried out before: what has become impossible since does not
    /// change what happened then.
    pub(super) async fn refused(
        &self,
        caller: Caller,
        item: &Item,
        refusal: Refusal,
    ) -> Result<Accepted, CommandError> {
        match self.first_time(caller, item).await? {
            Some(accepted) => Ok(accepted),
            None => Err(refusal.into()),
        }
    }

    pub(super) async fn repeated(&self, caller: Caller, item: &Item) -> Result<Accepted, CommandError> {
        let first = self.first_time(caller, item).await?;
        first.ok_or_else(|| wasend_eventlog::LogError::Damaged("a repeated command without events".to_owned()).into())
    }

    async fn first_time(&self, caller: Caller, item: &Item) -> Result<Option<Accepted>, CommandError> {
        let CommandId::Repeatable { id, fingerprint } = &item.context.command else { return Ok(None) };
        let events = self.log.command(caller.account_id, id).await?;
        let Some(last) = events.last() else { return Ok(None) };
        if events.iter().any(|event| event.metadata.fingerprint().is_some_and(|known| known != fingerprint)) {
            return Err(reused());
        }
        let position = last.position;
        let Some((id, template, content, recorded)) = events.iter().find_map(acceptance) else { return Ok(None) };
        let mut found = load::<Message>(&*self.log, caller.account_id, &[id.uuid()]).await?;
        let state = found.remove(&id.uuid()).and_then(Stream::present).map(|message| message.state);
        let row = MessageRow {
            id: id.to_string(),
            account_id: caller.account_id.to_string(),
            state: state.unwrap_or_default(),
            template,
            content: content.as_str().to_owned(),
            wamid: None,
            error_detail: None,
            submitted_at: None,
            updated_at: recorded.recorded_at,
            position,
        };
        Ok(Some(Accepted { row, position, repeated: true }))
    }
}

type Acceptance<'a> = (MessageId, Option<String>, Sealed<Content>, &'a Recorded);

fn acceptance(recorded: &Recorded) -> Option<Acceptance<'_>> {
    let Ok(Event::Message(change)) = Event::decode(recorded) else { return None };
    match *change {
        Change::Accepted { template, content, .. } => {
            Some((MessageId::from_uuid(recorded.aggregate_id), template, content, recorded))
        }
        _ => None,
    }
}
