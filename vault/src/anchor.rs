//! Which log the store belongs to. The store keeps an event of the log, moved forward about every second: a log that
//! lacks the event is older than the store, and what the log says after it may be unknown to a store that was put back.

use std::collections::HashSet;

use wasend_domain::{AccountId, EventId, InboxId, KeyPurpose, Position, SubjectId, Time};

use crate::{
    error::{VaultError, VaultFailure},
    key::KeyName,
    store::PresenceCheck,
    vault::Vault,
};

/// An event of the log, by which the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogAnchor {
    pub position: Position,
    pub event_id: EventId,
    pub recorded_at: Time,
}

impl LogAnchor {
    fn stored(&self) -> Result<(i64, String, Time), VaultFailure> {
        let position = i64::try_from(self.position).map_err(|_| VaultFailure::Encoding)?;
        Ok((position, self.event_id.to_string(), self.recorded_at))
    }
}

impl Vault {
    /// The newest event of its log that the store knows; none in a store that no server has used since it keeps one.
    pub async fn log_anchor(&self) -> Result<Option<LogAnchor>, VaultFailure> {
        let Some((position, event_id, recorded_at)) = self.store.anchor().await? else { return Ok(None) };
        let position = u64::try_from(position).map_err(|_| VaultFailure::Encoding)?;
        let event_id = event_id.parse().map_err(|_| VaultFailure::Encoding)?;
        Ok(Some(LogAnchor { position, event_id, recorded_at: Time::from_micros(recorded_at) }))
    }

    /// Moves the anchor forward. Refused while the vault is suspended: the anchor of a store that was put back says what
    /// that store lacks.
    pub async fn move_log_anchor(&self, anchor: &LogAnchor) -> Result<(), VaultFailure> {
        self.lineage.require_open()?;
        let (position, event, recorded_at) = anchor.stored()?;
        self.store.put_anchor((position, &event, recorded_at), &self.lineage).await
    }

    /// Ties the store to another log, or to one that was put back, at the operator's word.
    pub async fn replace_log_anchor(&self, anchor: &LogAnchor) -> Result<(), VaultFailure> {
        let (position, event, recorded_at) = anchor.stored()?;
        self.store.replace_anchor((position, &event, recorded_at)).await
    }

    /// Those of the subjects without a key in the store, living or destroyed: it does not know them.
    pub async fn unknown_subjects(
        &self,
        subjects: &[(AccountId, SubjectId)],
    ) -> Result<Vec<(AccountId, SubjectId)>, VaultFailure> {
        let key = |(account, subject): &(AccountId, SubjectId)| {
            KeyName::Subject(*account, *subject, KeyPurpose::Messaging).to_string()
        };
        let ids: Vec<_> = subjects.iter().map(key).collect();
        let present: HashSet<_> = self.store.present(PresenceCheck::Keys, &ids).await?.into_iter().collect();
        Ok(subjects.iter().zip(&ids).filter(|(_, id)| !present.contains(*id)).map(|(subject, _)| *subject).collect())
    }

    /// Those of the listings of opt-outs, as [`Self::suppress`] named them, that the store lacks.
    pub async fn lost_listings(&self, listings: &[InboxId]) -> Result<Vec<InboxId>, VaultError> {
        let ids: Vec<_> = listings.iter().map(ToString::to_string).collect();
        let present: HashSet<_> = self.store.present(PresenceCheck::Listings, &ids).await?.into_iter().collect();
        Ok(listings.iter().zip(&ids).filter(|(_, id)| !present.contains(*id)).map(|(listing, _)| *listing).collect())
    }
}
