//! The rows that tie the store to its log.

use wasend_domain::Time;

use super::{
    VaultStore,
    sql::{BOUND_ROWS_MAX, SqlValue, with_list},
};
use crate::{error::VaultFailure, lineage::StoreLineage};

pub(super) const ANCHOR: &str = "SELECT position, event_id, recorded_at FROM log_anchor WHERE id = 1";
/// It only moves forward, whatever order nodes write in.
pub(super) const PUT_ANCHOR: &str = "INSERT INTO log_anchor (id, position, event_id, recorded_at) VALUES (1, $1, $2, $3) \
     ON CONFLICT (id) DO UPDATE SET position = excluded.position, event_id = excluded.event_id, \
     recorded_at = excluded.recorded_at WHERE log_anchor.position < excluded.position";
pub(super) const REPLACE_ANCHOR: &str = "INSERT INTO log_anchor (id, position, event_id, recorded_at) VALUES (1, $1, $2, $3) \
     ON CONFLICT (id) DO UPDATE SET position = excluded.position, event_id = excluded.event_id, \
     recorded_at = excluded.recorded_at";
pub(super) const INSERT_LISTED: &str = "INSERT INTO listed_opt_outs (id) VALUES ($1) ON CONFLICT (id) DO NOTHING";
pub(super) const LISTED: &str = "SELECT id FROM listed_opt_outs WHERE id IN ({list})";
pub(super) const KNOWN: &str = "SELECT id FROM keys WHERE id IN ({list})";

/// The columns of [`ANCHOR`]: position, event id, microseconds.
pub(crate) type AnchorColumns = (i64, String, i64);

impl VaultStore {
    /// The position, the id and the microseconds of the event by which the store knows its log.
    pub async fn anchor(&self) -> Result<Option<AnchorColumns>, VaultFailure> {
        Ok(self.fetch(ANCHOR, Vec::new()).await?.into_iter().next())
    }

    /// Moves the anchor forward, as one of the process's transactions: a store that was put back refuses it.
    pub async fn put_anchor(
        &self,
        (position, event, recorded_at): (i64, &str, Time),
        lineage: &StoreLineage,
    ) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        let writes = tx.count_write(lineage).await?;
        tx.execute(PUT_ANCHOR, vec![position.into(), event.into(), recorded_at.micros().into()]).await?;
        tx.commit().await?;
        lineage.wrote(writes);
        Ok(())
    }

    /// Puts another anchor in the place of the one that is there, also an earlier one.
    pub async fn replace_anchor(&self, (position, event, recorded_at): (i64, &str, Time)) -> Result<(), VaultFailure> {
        let mut tx = self.begin().await?;
        tx.execute(REPLACE_ANCHOR, vec![position.into(), event.into(), recorded_at.micros().into()]).await?;
        tx.commit().await
    }

    /// Those of the ids that the store has: of listings, or of keys, destroyed or not.
    pub async fn present(&self, what: PresenceCheck, ids: &[String]) -> Result<Vec<String>, VaultFailure> {
        let sql = match what {
            PresenceCheck::Listings => LISTED,
            PresenceCheck::Keys => KNOWN,
        };
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(BOUND_ROWS_MAX) {
            let list = chunk.iter().map(|id| SqlValue::from(id.as_str())).collect();
            let rows: Vec<(String,)> = self.fetch(&with_list(sql, 1, chunk.len()), list).await?;
            found.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(found)
    }
}

/// What [`VaultStore::present`] looks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PresenceCheck {
    Listings,
    Keys,
}
