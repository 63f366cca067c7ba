//! What was not understood, kept for a short time: sealed under the key of its day and those of every known person that it
//! names, in whatever field. A piece that names none of them is about the people that the rest of its change names.

use std::collections::{BTreeSet, HashMap};

use wasend_domain::bucket::BucketContents;
use wasend_domain::contact::ConsentScope;
use wasend_domain::content::UnknownWebhook;
use wasend_domain::inbox::{Command, Inbox, KeepReason};
use wasend_domain::{AccountId, DataCategory, InboxId, Personal, SubjectId, Time};
use wasend_eventlog::{CommandContext, CommandFailure, CommandId, execute_new_all};
use wasend_projections::numbers::NumberRow;
use wasend_vault::{PersonIdentity, VaultError};
use wasend_whatsapp::{MentionedIdentities, WebhookChange, WebhookUpdate};

use super::caller;
use super::inbound::identities_of;
use crate::{Caller, CommandError, Commands, NO_CONTENT, RefusalCode};

/// A piece that was not understood, as Meta wrote it, with the change that brought it and the number that it came for.
pub(super) struct UnknownPiece<'a> {
    pub number: &'a NumberRow,
    pub change: Option<&'a WebhookChange>,
    pub reason: KeepReason,
    pub raw: &'a str,
    /// The contact that it is certainly about.
    pub contact: Option<SubjectId>,
}

impl<'a> UnknownPiece<'a> {
    /// A piece that is certainly about no contact in particular.
    pub const fn new(
        number: &'a NumberRow,
        change: Option<&'a WebhookChange>,
        reason: KeepReason,
        raw: &'a str,
    ) -> Self {
        Self { number, change, reason, raw, contact: None }
    }
}

/// What became of the pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KeptPieces {
    pub kept: usize,
    /// Those that name a person who is erased: nothing of them is kept.
    pub erased: usize,
}

/// One identity that pieces name, in all its kinds, and whose it is.
#[derive(Default)]
struct NamedIdentity {
    bearers: Vec<SubjectId>,
    erased_at: Option<Time>,
    suppressed: bool,
}

impl NamedIdentity {
    /// Whether it is, for a piece of the moment, of a person who is erased. Without a moment a piece may be from
    /// before.
    fn is_erased(&self, moment: Option<Time>) -> bool {
        let before = self.erased_at.is_some_and(|erased| moment.is_none_or(|moment| erased >= moment));
        // Where it has no bearer, the moment of the piece says nothing.
        before || (self.bearers.is_empty() && (self.erased_at.is_some() || self.suppressed))
    }
}

impl Commands {
    /// Keeps what was not understood until the time of its day is over. The same piece is kept once a day.
    pub(super) async fn keep_unrecognised(&self, unknown: Vec<UnknownPiece<'_>>) -> Result<KeptPieces, CommandError> {
        let mut by_account: HashMap<&str, Vec<UnknownPiece<'_>>> = HashMap::new();
        for piece in unknown {
            by_account.entry(&piece.number.account_id).or_default().push(piece);
        }
        let mut all = KeptPieces::default();
        for pieces in by_account.into_values() {
            let Some(first) = pieces.first() else { continue };
            let KeptPieces { kept, erased } = self.keep_of_account(caller(first.number)?, &pieces).await?;
            (all.kept, all.erased) = (all.kept + kept, all.erased + erased);
        }
        Ok(all)
    }

    async fn keep_of_account(&self, caller: Caller, pieces: &[UnknownPiece<'_>]) -> Result<KeptPieces, CommandError> {
        let (account, now) = (caller.account_id, self.clock.now());
        let own = self.account_subject(account).await?;
        let mut values = Vec::with_capacity(pieces.len());
        let mut reasons = Vec::with_capacity(pieces.len());
        for (piece, people) in pieces.iter().zip(self.people_named(account, pieces).await?) {
            let Some(people) = people else { continue };
            let people = if people.is_empty() { vec![own] } else { people.into_iter().collect() };
            values.push((people, Personal::new(UnknownWebhook(piece.raw.to_owned()))));
            reasons.push(piece.reason);
        }
        let retention = BucketContents { category: DataCategory::UnknownWebhook, day: now.day() }.reason();
        let mut commands = Vec::with_capacity(values.len());
        let sealed = self.vault.seal_jointly(account, &values, now.day()).await;
        for ((reason, (mut people, raw)), sealed) in reasons.into_iter().zip(values).zip(sealed) {
            let (update, index) = match sealed {
                // The key of one of the people was destroyed this moment.
                Err(VaultError::Erased(erased)) if erased.why != retention => continue,
                // Nothing can be sealed under one of the people: the day alone limits how long it is kept.
                Err(VaultError::Unavailable(_) | VaultError::UnknownSubject) => {
                    people = vec![own];
                    let alone = self.vault.seal_jointly(account, &[(people.clone(), raw)], now.day()).await;
                    alone.into_iter().next().ok_or(VaultError::UnknownSubject)??
                }
                sealed => sealed?,
            };
            let command = CommandId::Repeatable { id: index.as_str().to_owned(), fingerprint: NO_CONTENT.to_owned() };
            let context = CommandContext { account_id: account, actor: caller.actor, command };
            let people = people.into_iter().skip(1).collect();
            commands.push((context, InboxId::fresh(now).uuid(), Command::Keep { reason, update, people, at: now }));
        }
        let kept = commands.len();
        for done in execute_new_all::<Inbox>(&*self.log, &*self.clock, commands).await {
            match done {
                Ok(_) | Err(CommandFailure::CommandReused) => {}
                Err(failure) => return Err(CommandError::of(failure, "webhook", |_| RefusalCode::Invalid)),
            }
        }
        Ok(KeptPieces { kept, erased: pieces.len() - kept })
    }

    /// The known people that each of the pieces names; `None` for a piece that names a person who is erased.
    async fn people_named(
        &self,
        account: AccountId,
        pieces: &[UnknownPiece<'_>],
    ) -> Result<Vec<Option<BTreeSet<SubjectId>>>, CommandError> {
        let mentions: Vec<_> = pieces.iter().map(|piece| MentionedIdentities::read(piece.raw)).collect();
        let mut changes: Vec<(&WebhookChange, MentionedIdentities)> = Vec::new();
        for change in pieces.iter().filter_map(|piece| piece.change) {
            // Pieces of one change are mostly neighbours.
            if !changes.iter().rev().any(|(known, _)| std::ptr::eq(*known, change)) {
                changes.push((change, around(change)));
            }
        }
        let all = mentions.iter().chain(changes.iter().map(|(_, found)| found));
        let texts: BTreeSet<&String> = all.flat_map(|found| found.numbers.iter().chain(&found.bsuids)).collect();
        let names = self.names(account, &texts).await?;
        let people = |(piece, found): (&UnknownPiece<'_>, &MentionedIdentities)| {
            let mut people = bearers(&names, found)?;
            people.extend(piece.contact);
            let change =
                changes.iter().rev().find(|(known, _)| piece.change.is_some_and(|change| std::ptr::eq(*known, change)));
            match change {
                Some((_, found)) if people.is_empty() => bearers(&names, found),
                _ => Some(people),
            }
        };
        Ok(pieces.iter().zip(&mentions).map(people).collect())
    }

    /// The bearers of the numbers and BSUIDs. A lookup makes no person known.
    async fn names<'a>(
        &self,
        account: AccountId,
        texts: &BTreeSet<&'a String>,
    ) -> Result<HashMap<&'a str, NamedIdentity>, CommandError> {
        let mut wanted: Vec<(&str, PersonIdentity)> = Vec::with_capacity(texts.len() * 2);
        for text in texts {
            wanted.extend(identities_of(Some(text), &[]).into_iter().map(|identity| (text.as_str(), identity)));
        }
        let all: Vec<_> = wanted.iter().map(|(_, identity)| identity.clone()).collect();
        // Looked up before the erasures: a person who is not found any more is among those.
        let bearers = self.vault.find_many(account, &all).await?;
        let erased = self.vault.erased_at(account, &all, Time::from_micros(0)).await?;
        let mut suppressed = self.vault.suppressed(account, &all, ConsentScope::All).await?;
        let of_marketing = self.vault.suppressed(account, &all, ConsentScope::Marketing).await?;
        for (all, marketing) in suppressed.iter_mut().zip(of_marketing) {
            *all = all.or(marketing);
        }
        let mut names: HashMap<&str, NamedIdentity> = HashMap::with_capacity(texts.len());
        for ((((text, _), bearer), erased_at), suppressed) in wanted.iter().zip(bearers).zip(erased).zip(suppressed) {
            let name = names.entry(text).or_default();
            name.bearers.extend(bearer);
            name.erased_at = name.erased_at.max(erased_at);
            name.suppressed |= suppressed.is_some();
        }
        Ok(names)
    }
}

/// The identities in those parts of the change that belong to no piece that is understood.
fn around(change: &WebhookChange) -> MentionedIdentities {
    let unknown = change.updates.iter().filter_map(|update| match update {
        WebhookUpdate::Unknown(raw) => Some(raw),
        _ => None,
    });
    let mut all = MentionedIdentities::default();
    for raw in change.contacts.iter().chain(unknown) {
        all.extend(MentionedIdentities::read(raw.get()));
    }
    all
}

/// Who bears what is mentioned; `None` if that includes a person who is erased.
fn bearers(names: &HashMap<&str, NamedIdentity>, found: &MentionedIdentities) -> Option<BTreeSet<SubjectId>> {
    let moment = found.earliest.map(Time::from_seconds);
    let mut people = BTreeSet::new();
    for name in found.numbers.iter().chain(&found.bsuids).filter_map(|text| names.get(text.as_str())) {
        if name.is_erased(moment) {
            return None;
        }
        people.extend(&name.bearers);
    }
    Some(people)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_came_back_is_kept_apart_from_whom_was_erased() {
        let second = |second| Some(Time::from_seconds(second));
        let name = |bearers: usize, erased_at, suppressed| NamedIdentity {
            bearers: (0..bearers).map(|_| SubjectId::random()).collect(),
            erased_at,
            suppressed,
        };
        for (name, moment, is_erased) in [
            (name(1, None, false), None, false),
            (name(1, None, true), None, false),
            (name(0, None, false), None, false),
            (name(0, None, true), second(9), true),
            (name(0, second(5), false), second(9), true),
            (name(1, second(5), false), second(9), false),
            (name(1, second(5), false), second(5), true),
            (name(1, second(5), false), second(4), true),
            (name(1, second(5), false), None, true),
        ] {
            assert_eq!(name.is_erased(moment), is_erased, "{:?} {:?} {moment:?}", name.bearers.len(), name.erased_at);
        }
    }
}
