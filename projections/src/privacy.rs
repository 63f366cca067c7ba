//! Requests under privacy laws: what compliance staff look at, and the erasure processor's list.

use wasend_domain::privacy::{Event as Change, LegalException, RequestState};
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::buckets::{self, BucketRow};
use crate::engine::reads::places;
use crate::engine::record::{named_cell, table_record};
use crate::{BatchKeys, BatchRows, CellValue, FoldError, Projection, ReadModels, StoreError, Table, TableRecord};

table_record! {
    /// A request of a data subject as queries show it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PrivacyRequestRow in "privacy_requests" indexed by [["account_id", "id"], ["todo", "id"], ["destruction", "id"], ["contact_id", "id"]] {
        key pub id: String,
        pub account_id: String,
        /// The person it is about: a random id.
        pub contact_id: String,
        pub state: RequestState,
        pub regime: String,
        pub ground: String,
        /// Why it was refused.
        pub exception: Option<String>,
        /// Sealed `RequestReason`.
        pub reason: Option<String>,
        pub due_at: Time,
        pub received_at: Time,
        pub fenced_at: Option<Time>,
        pub destroyed_at: Option<Time>,
        /// When it was completed or refused.
        pub ended_at: Option<Time>,
        /// Of the destroyed keys, separated by spaces.
        pub fingerprints: String,
        pub suppressed: bool,
        /// The last destruction of its keys, by the vault's count.
        pub destruction: Option<i64>,
        /// When the vault had been put back to a copy in which the keys still were.
        pub repeated_at: Option<Time>,
        /// The last epoch in which the keys were wrapped, once it is over.
        pub epoch: Option<i64>,
        pub epoch_destroyed_at: Option<Time>,
        derived todo: String = Self::todo,
        /// When the hold of its refusal was lifted.
        pub hold_lifted_at: Option<Time>,
        /// The ids of contacts that had been merged into the person's, separated by spaces.
        pub absorbed: String,
    }
}

impl PrivacyRequestRow {
    /// Every id that the person had, the contact's own first.
    pub fn contact_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.contact_id.as_str()).chain(self.absorbed.split_whitespace())
    }

    /// Whether nothing was held of the person, so that nothing was erased.
    pub fn held_nothing(&self) -> bool {
        self.state == RequestState::Completed && self.destruction.is_none()
    }

    /// Whether it holds the data of the person it is about.
    pub fn holds(&self) -> bool {
        let exception = self.exception.as_deref();
        let holds = LegalException::ALL.into_iter().any(|known| known.holds() && exception == Some(known.name()));
        self.state == RequestState::Refused && holds && self.hold_lifted_at.is_none()
    }

    /// What is left to do.
    fn todo(&self) -> &'static str {
        match self.state {
            RequestState::Received | RequestState::Executing => "erase",
            // Where nothing was held, no key was destroyed.
            RequestState::Completed if self.destruction.is_none() => "",
            RequestState::Completed if self.epoch_destroyed_at.is_none() => "end_epoch",
            RequestState::Completed | RequestState::Refused => "",
        }
    }
}

named_cell!(RequestState, |name| RequestState::ALL.into_iter().find(|state| state.name() == name));

impl PrivacyRequestRow {
    /// Up to `limit` requests of every account whose keys are to be destroyed, oldest first.
    pub async fn to_erase(reads: &ReadModels, limit: u64) -> Result<Vec<Self>, StoreError> {
        reads.fetch("WHERE todo = 'erase' ORDER BY id LIMIT $1", &[CellValue::count(limit)]).await
    }

    /// Up to `limit` requests of every account whose keys were destroyed by the vault's destruction `until`, and of which
    /// it is not recorded that the epoch is over.
    pub async fn to_end_epoch(reads: &ReadModels, until: i64, limit: u64) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE todo = 'end_epoch' AND destruction <= $1 ORDER BY id LIMIT $2";
        reads.fetch(TAIL, &[until.into(), CellValue::count(limit)]).await
    }

    /// Up to `limit` requests of every account whose keys were named to be destroyed, by id, after the id `after`.
    pub async fn fenced(reads: &ReadModels, after: &str, limit: u64) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE fenced_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2";
        reads.fetch(TAIL, &[after.into(), CellValue::count(limit)]).await
    }

    /// The newest epoch that is recorded to be over.
    pub async fn last_epoch(reads: &ReadModels) -> Result<Option<i64>, StoreError> {
        let rows = reads.fetch::<Self>("WHERE epoch IS NOT NULL ORDER BY epoch DESC, id LIMIT 1", &[]).await?;
        Ok(rows.first().and_then(|row| row.epoch))
    }

    /// The newest destruction by the vault's count, if it is newer than `known`.
    pub async fn newest_destruction(reads: &ReadModels, known: i64) -> Result<Option<i64>, StoreError> {
        const TAIL: &str = "WHERE destruction > $1 ORDER BY destruction DESC, id LIMIT 1";
        let rows = reads.fetch::<Self>(TAIL, &[known.into()]).await?;
        Ok(rows.first().and_then(|row| row.destruction))
    }

    /// The requests that hold the data of any of these contacts ([`Self::holds`]), oldest first.
    pub async fn holding(reads: &ReadModels, contacts: &[&str]) -> Result<Vec<Self>, StoreError> {
        let held = "state = 'REFUSED' AND exception <> 'UNIDENTIFIED' AND hold_lifted_at IS NULL";
        let tail = format!("WHERE contact_id IN ({}) AND {held} ORDER BY id", places(1, contacts.len()));
        reads.fetch(&tail, &contacts.iter().copied().map(CellValue::from).collect::<Vec<_>>()).await
    }
}

static TABLES: &[&Table] = &[PrivacyRequestRow::TABLE, BucketRow::TABLE];

/// The projection of the requests and the buckets: of everything that must be destroyed in the vault.
pub struct PrivacyRequestsProjection;

impl Projection for PrivacyRequestsProjection {
    fn name(&self) -> &'static str {
        "privacy"
    }

    fn version(&self) -> u32 {
        5
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if let AnyEvent::Privacy(_) = event {
            keys.touch::<PrivacyRequestRow>(recorded.aggregate_id.to_string());
        }
        buckets::keys(event, recorded, keys);
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Privacy(change) = event else { return buckets::fold(event, recorded, rows) };
        let id = recorded.aggregate_id.to_string();
        if let Change::Received { subject, absorbed, regime, ground, reason, due_at, at } = change {
            rows.put(PrivacyRequestRow {
                id,
                account_id: recorded.account_id.to_string(),
                contact_id: subject.to_string(),
                state: RequestState::Received,
                regime: regime.name().to_owned(),
                ground: ground.name().to_owned(),
                exception: None,
                reason: reason.as_ref().map(|sealed| sealed.as_str().to_owned()),
                due_at: *due_at,
                received_at: *at,
                fenced_at: None,
                destroyed_at: None,
                ended_at: None,
                fingerprints: String::new(),
                suppressed: false,
                destruction: None,
                repeated_at: None,
                epoch: None,
                epoch_destroyed_at: None,
                hold_lifted_at: None,
                absorbed: absorbed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            });
            return Ok(());
        }
        let row = rows.get::<PrivacyRequestRow>(&id).cloned();
        let mut row = row.ok_or(FoldError("a privacy request begins with its receipt"))?;
        match change {
            Change::Received { .. } => {}
            Change::Refused { exception, at } => {
                (row.state, row.ended_at) = (RequestState::Refused, Some(*at));
                row.exception = Some(exception.name().to_owned());
            }
            Change::NothingHeld { at } => (row.state, row.ended_at) = (RequestState::Completed, Some(*at)),
            Change::HoldLifted { at } => row.hold_lifted_at = Some(*at),
            Change::Executing { .. } => row.state = RequestState::Executing,
            Change::Fenced { at, .. } => row.fenced_at = Some(*at),
            Change::KeysDestroyed { fingerprints, destruction } => {
                (row.destroyed_at, row.fingerprints) = (Some(destruction.at), fingerprints.join(" "));
                row.destruction = Some(destruction.number);
            }
            Change::Completed { suppressed, at } => {
                (row.state, row.ended_at, row.suppressed) = (RequestState::Completed, Some(*at), *suppressed);
            }
            Change::EpochDestroyed { epoch, at } => {
                (row.epoch, row.epoch_destroyed_at) = (Some(*epoch), Some(*at));
            }
            Change::Repeated { destruction, .. } => {
                (row.destruction, row.repeated_at) = (Some(destruction.number), Some(destruction.at));
                (row.epoch, row.epoch_destroyed_at) = (None, None);
            }
        }
        rows.put(row);
        Ok(())
    }
}
