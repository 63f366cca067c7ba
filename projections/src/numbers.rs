//! Connected numbers.

use std::collections::BTreeSet;

use wasend_domain::number::Event as Change;
use wasend_domain::{AccountId, AnyEvent, RecordedEvent, Time};

use crate::engine::reads::places;
use crate::engine::record::table_record;
use crate::{BatchKeys, BatchRows, CellValue, FoldError, Projection, ReadModels, StoreError, Table, TableRecord};

table_record! {
    /// A WhatsApp number as queries and senders see it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NumberRow in "numbers" indexed by [["account_id", "id"], ["phone_number_id"], ["waba_id"]] {
        key pub id: String,
        pub account_id: String,
        pub phone_number_id: String,
        pub waba_id: String,
        /// Sealed `CustomerLabel`: the number as people read it.
        pub display: String,
        /// Sealed `NumberCredentials`.
        pub credentials: String,
        pub base_url: Option<String>,
        /// Messages per second.
        pub rate: i64,
        pub stopped_at: Option<Time>,
        /// Meta's error code, if Meta is why it stopped.
        pub stop_code: Option<i64>,
        pub disconnected_at: Option<Time>,
        pub connected_at: Time,
        pub updated_at: Time,
    }
}

impl NumberRow {
    /// Every connected number, of every account, by id.
    pub async fn connected(reads: &ReadModels) -> Result<Vec<Self>, StoreError> {
        reads.fetch("WHERE disconnected_at IS NULL ORDER BY id", &[]).await
    }

    /// The account's connected number with this phone number id of Meta's.
    pub async fn connected_as(
        reads: &ReadModels,
        account: AccountId,
        phone_number_id: &str,
    ) -> Result<Option<Self>, StoreError> {
        const TAIL: &str = "WHERE account_id = $1 AND phone_number_id = $2 AND disconnected_at IS NULL LIMIT 1";
        let binds = [CellValue::text(&account), CellValue::from(phone_number_id)];
        Ok(reads.fetch(TAIL, &binds).await?.pop())
    }

    /// The connected numbers of every account that have any of these ids of Meta's, their own or those of their business
    /// accounts, by id.
    pub async fn connected_to(
        reads: &ReadModels,
        phone_number_ids: &BTreeSet<String>,
        wabas: &BTreeSet<String>,
    ) -> Result<Vec<Self>, StoreError> {
        let (mut any, mut binds) = (vec![], vec![]);
        for (column, ids) in [("phone_number_id", phone_number_ids), ("waba_id", wabas)] {
            if !ids.is_empty() {
                any.push(format!("{column} IN ({})", places(binds.len() + 1, ids.len())));
                binds.extend(ids.iter().map(|id| CellValue::from(id.as_str())));
            }
        }
        if any.is_empty() {
            return Ok(vec![]);
        }
        let tail = format!("WHERE ({}) AND disconnected_at IS NULL ORDER BY id", any.join(" OR "));
        reads.fetch(&tail, &binds).await
    }
}

static TABLES: &[&Table] = &[NumberRow::TABLE];

/// The projection of the table.
pub struct NumbersProjection;

impl Projection for NumbersProjection {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        if let AnyEvent::Number(_) = event {
            keys.touch::<NumberRow>(recorded.aggregate_id.to_string());
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Number(change) = event else { return Ok(()) };
        let (id, at) = (recorded.aggregate_id.to_string(), recorded.recorded_at);
        if let Change::Connected { meta, display, credentials, base_url, rate } = change {
            rows.put(NumberRow {
                id,
                account_id: recorded.account_id.to_string(),
                phone_number_id: meta.phone_number_id.clone(),
                waba_id: meta.waba_id.clone(),
                display: display.as_str().to_owned(),
                credentials: credentials.as_str().to_owned(),
                base_url: base_url.clone(),
                rate: i64::from(*rate),
                stopped_at: None,
                stop_code: None,
                disconnected_at: None,
                connected_at: at,
                updated_at: at,
            });
            return Ok(());
        }
        let mut row = rows.get::<NumberRow>(&id).cloned().ok_or(FoldError("a number begins with its connection"))?;
        row.updated_at = at;
        match change {
            Change::Connected { .. } => {}
            Change::CredentialsChanged { credentials } => credentials.as_str().clone_into(&mut row.credentials),
            Change::RateChanged { rate } => row.rate = i64::from(*rate),
            Change::Stopped { code, at } => (row.stopped_at, row.stop_code) = (Some(*at), *code),
            Change::Resumed { .. } => (row.stopped_at, row.stop_code) = (None, None),
            Change::Disconnected { at } => row.disconnected_at = Some(*at),
        }
        rows.put(row);
        Ok(())
    }
}
