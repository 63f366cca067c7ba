//! Buckets: what an account keeps of one category and day, and when its key was destroyed. The retention processor's list.
//! They stand at the same position as the requests of [`crate::privacy`]: what was destroyed is known as a whole.

use wasend_domain::bucket::{BucketContents, Event as Change};
use wasend_domain::content::UnknownWebhook;
use wasend_domain::inbox::Event as Inbox;
use wasend_domain::{AccountId, AnyEvent, DataCategory, Day, PersonalValue, RecordedEvent, Time};

use crate::engine::record::{named_cell, table_record};
use crate::{BatchKeys, BatchRows, CellValue, FoldError, ReadModels, StoreError};

table_record! {
    /// The key of a category and a day whose time is over.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct BucketRow in "buckets" indexed by [["todo", "day", "id"], ["account_id", "id"]] {
        key pub id: String,
        pub account_id: String,
        pub category: DataCategory,
        pub day: Day,
        /// When its key was named, to be destroyed.
        pub fenced_at: Option<Time>,
        pub fingerprint: Option<String>,
        pub destroyed_at: Option<Time>,
        /// The last destruction of its key, by the vault's count.
        pub destruction: Option<i64>,
        /// When the vault had been put back to a copy in which the key still was.
        pub repeated_at: Option<Time>,
        derived todo: String = Self::todo,
    }
}

impl BucketRow {
    /// What the key sealed: the category and the day.
    pub const fn contents(&self) -> BucketContents {
        BucketContents { category: self.category, day: self.day }
    }

    /// Up to `limit` buckets of every account whose day is over by `last` and whose key is not destroyed, oldest first.
    pub async fn to_expire(reads: &ReadModels, last: Day, limit: u64) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE todo = 'expire' AND day <= $1 ORDER BY day, id LIMIT $2";
        reads.fetch(TAIL, &[last.number().into(), CellValue::count(limit)]).await
    }

    /// Up to `limit` buckets of every account whose keys were named to be destroyed, by id, after the id `after`.
    pub async fn fenced(reads: &ReadModels, after: &str, limit: u64) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE fenced_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
        reads.fetch(TAIL, &[after.into(), CellValue::count(limit)]).await
    }

    fn new(account: AccountId, contents: BucketContents) -> Self {
        Self {
            id: contents.of(account).to_string(),
            account_id: account.to_string(),
            category: contents.category,
            day: contents.day,
            fenced_at: None,
            fingerprint: None,
            destroyed_at: None,
            destruction: None,
            repeated_at: None,
        }
    }

    /// What is left to do.
    const fn todo(&self) -> &'static str {
        if self.destroyed_at.is_none() { "expire" } else { "" }
    }
}

named_cell!(DataCategory, DataCategory::named);

/// The bucket that the event puts something into.
fn filled(event: &AnyEvent, recorded: &RecordedEvent) -> Option<BucketRow> {
    let AnyEvent::Inbox(Inbox::Held { update, .. }) = event else { return None };
    let contents = BucketContents { category: UnknownWebhook::CATEGORY, day: update.day() };
    Some(BucketRow::new(recorded.account_id, contents))
}

pub(crate) fn keys(event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
    if let Some(bucket) = filled(event, recorded) {
        keys.touch::<BucketRow>(bucket.id);
    } else if let AnyEvent::Bucket(_) = event {
        keys.touch::<BucketRow>(recorded.aggregate_id.to_string());
    }
}

pub(crate) fn fold(event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
    if let Some(bucket) = filled(event, recorded)
        && rows.get::<BucketRow>(&bucket.id).is_none()
    {
        rows.put(bucket);
    }
    let AnyEvent::Bucket(change) = event else { return Ok(()) };
    let row = rows.get::<BucketRow>(&recorded.aggregate_id.to_string()).cloned();
    let mut row = match (row, change) {
        (Some(row), _) => row,
        (None, Change::Fenced { category, day, .. }) => {
            BucketRow::new(recorded.account_id, BucketContents { category: *category, day: *day })
        }
        (None, _) => return Err(FoldError("a bucket's key is destroyed after it was named")),
    };
    match change {
        Change::Fenced { fingerprint, at, .. } => {
            (row.fenced_at, row.fingerprint) = (Some(*at), fingerprint.clone());
        }
        Change::Destroyed { destruction, .. } => {
            (row.destroyed_at, row.destruction) = (Some(destruction.at), Some(destruction.number));
        }
        Change::Repeated { destruction, .. } => {
            (row.repeated_at, row.destruction) = (Some(destruction.at), Some(destruction.number));
        }
    }
    rows.put(row);
    Ok(())
}
