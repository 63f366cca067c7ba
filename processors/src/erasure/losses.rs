//! What a vault's store that was put back to an earlier copy has lost, as far as the log can tell: people that it does not
//! know any more, and opt-outs that it does not list. What they said about being written to went with it, so that nothing
//! is sent for their accounts until the operator has decided.

use std::collections::BTreeMap;
use std::time::Duration;

use wasend_commands::CommandError;
use wasend_domain::contact::{ContactPart, Event as ContactEvent};
use wasend_domain::{AccountId, AnyEvent, InboxId, Position, RecordedEvent, SubjectId, Time, inbox};
use wasend_eventlog::{EventFilter, EventLog};
use wasend_vault::{LogAnchor, Vault};

use super::comparison::ComparisonRefused;
use crate::anchor;

/// Events that are read in one step.
const PAGE: usize = 5_000;
/// A server tells the store every second how far the log has come. One that lags by more than this is an earlier copy.
const LAG: Duration = Duration::from_secs(60);

/// What the store has lost of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountLoss {
    /// Those without a key in the store, and whether the log has them as opted out.
    pub people: BTreeMap<SubjectId, bool>,
    /// Opt-outs of people unknown to the account.
    pub opt_outs: u64,
    /// Contacts that got another number or id, by which the store may not find them.
    pub changed: u64,
}

impl AccountLoss {
    fn is_certain(&self) -> bool {
        !self.people.is_empty() || self.opt_outs > 0
    }
}

/// What the store lacks of what happened after the event of the log that it knows; certain losses of every account, and
/// possible ones too if the store is an earlier copy for certain. Refused where the log lacks that event.
pub async fn find(
    log: &dyn EventLog,
    vault: &Vault,
    is_earlier_copy: bool,
) -> Result<BTreeMap<AccountId, AccountLoss>, CommandError> {
    let known = vault.log_anchor().await?;
    if let Some(known) = &known {
        require_known(log, known).await?;
    }
    let (mut losses, newest) = since(log, vault, known.map_or(0, |known| known.position)).await?;
    let lags = known.zip(newest).is_some_and(|(known, newest)| newest.since(known.recorded_at) > LAG);
    if !is_earlier_copy && !lags && !losses.values().any(AccountLoss::is_certain) {
        return Ok(BTreeMap::new());
    }
    losses.retain(|_, loss| loss.is_certain() || loss.changed > 0);
    Ok(losses)
}

/// People without a key in the store, over the whole history.
pub async fn find_all(log: &dyn EventLog, vault: &Vault) -> Result<BTreeMap<AccountId, AccountLoss>, CommandError> {
    let (mut losses, _) = since(log, vault, 0).await?;
    losses.retain(|_, loss| loss.is_certain());
    Ok(losses)
}

/// The event that the store knows must be in the log.
async fn require_known(log: &dyn EventLog, known: &LogAnchor) -> Result<(), CommandError> {
    if known.position == 0 {
        return Ok(());
    }
    match anchor::at(log, known.position).await? {
        Some(found) if found.event_id == known.event_id => Ok(()),
        found => {
            let (position, head) = (known.position, log.head().await?);
            Err(CommandError::unavailable(ComparisonRefused::LogBehind { position, head, is_another: found.is_some() }))
        }
    }
}

/// What is lost of what happened after the position, and when the last event after it was recorded.
async fn since(
    log: &dyn EventLog,
    vault: &Vault,
    mut after: Position,
) -> Result<(BTreeMap<AccountId, AccountLoss>, Option<Time>), CommandError> {
    let mut losses: BTreeMap<AccountId, AccountLoss> = BTreeMap::new();
    let mut newest = None;
    loop {
        let page = log.read(after, PAGE, &EventFilter::default()).await?;
        let Some(last) = page.last() else { return Ok((losses, newest)) };
        (after, newest) = (last.position, Some(last.recorded_at));
        let mut told = PageFindings::default();
        for recorded in &page {
            told.hear(recorded, &mut losses);
        }
        for (account, contact) in vault.unknown_subjects(&told.people).await? {
            losses.entry(account).or_default().people.insert(contact, false);
        }
        for (account, listings) in told.listings {
            let missing = vault.lost_listings(&listings).await?.len() as u64;
            losses.entry(account).or_default().opt_outs += missing;
        }
        for (account, contact, opted_out) in told.words {
            if let Some(is_out) = losses.get_mut(&account).and_then(|loss| loss.people.get_mut(&contact)) {
                *is_out = opted_out;
            }
        }
    }
}

/// What a page of the log tells of people.
#[derive(Default)]
struct PageFindings {
    people: Vec<(AccountId, SubjectId)>,
    listings: BTreeMap<AccountId, Vec<InboxId>>,
    words: Vec<(AccountId, SubjectId, bool)>,
}

impl PageFindings {
    fn hear(&mut self, recorded: &RecordedEvent, losses: &mut BTreeMap<AccountId, AccountLoss>) {
        let (account, id) = (recorded.account_id, recorded.aggregate_id);
        if !matches!(recorded.aggregate_type.as_str(), "contact" | "inbox") {
            return;
        }
        // One that cannot be decoded stops the read models, and with them the comparison.
        let Ok(event) = AnyEvent::decode(recorded) else { return };
        match event {
            AnyEvent::Contact(ContactEvent::Created { .. }) => self.people.push((account, SubjectId::from_uuid(id))),
            AnyEvent::Contact(ContactEvent::Updated { changed, .. })
                if changed.iter().any(|part| matches!(part, ContactPart::Phone | ContactPart::Bsuid)) =>
            {
                losses.entry(account).or_default().changed += 1;
            }
            AnyEvent::Contact(ContactEvent::OptedOut { .. }) => {
                self.words.push((account, SubjectId::from_uuid(id), true));
            }
            AnyEvent::Contact(ContactEvent::OptedIn { .. }) => {
                self.words.push((account, SubjectId::from_uuid(id), false));
            }
            AnyEvent::Inbox(inbox::Event::OptOutListed { .. }) => {
                self.listings.entry(account).or_default().push(InboxId::from_uuid(id));
            }
            _ => {}
        }
    }
}
