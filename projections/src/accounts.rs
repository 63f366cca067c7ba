//! Accounts and their API keys.

use wasend_domain::account::{AccountKeywords, Event as Change, KeyScope};
use wasend_domain::{AnyEvent, RecordedEvent, Time};

use crate::engine::cell::CellField;
use crate::engine::reads::{padded, places};
use crate::engine::record::table_record;
use crate::{
    BatchKeys, BatchRows, CellValue, ColumnKind, FoldError, Projection, ReadModels, StoreError, Table, TableRecord,
};

table_record! {
    /// An account as queries show it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AccountRow in "accounts" indexed by [] {
        key pub id: String,
        /// Sealed `CustomerLabel`.
        pub name: String,
        /// The subject under which the account's own labels and credentials are sealed.
        pub subject_id: String,
        pub opened_at: Time,
        /// Set while nothing is sent for the account, because the vault's store was put back to an earlier copy.
        pub sending_held_at: Option<Time>,
        /// People that the vault's store does not know any more, when sending was held last.
        pub lost_people: u64,
        /// The account's own `AccountKeywords` as JSON; absent while they are the server's.
        pub keywords: Option<String>,
    }
}

table_record! {
    /// An API key as it is looked up and shown; its secret is not kept.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ApiKeyRow in "api_keys" indexed by [["hash"], ["account_id", "id"]] {
        key pub id: String,
        pub account_id: String,
        /// Keyed hash of the secret.
        pub hash: String,
        pub hint: String,
        pub scopes: Vec<KeyScope>,
        /// Sealed `CustomerLabel`.
        pub label: Option<String>,
        pub issued_at: Time,
        pub rotated_at: Option<Time>,
        pub revoked_at: Option<Time>,
    }
}

/// The scopes by their names, separated by spaces.
impl CellField for Vec<KeyScope> {
    const KIND: ColumnKind = ColumnKind::Text;

    fn into_cell(self) -> CellValue {
        self.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ").into()
    }

    fn from_cell(cell: CellValue) -> Option<Self> {
        Some(String::from_cell(cell)?.split(' ').filter_map(KeyScope::named).collect())
    }
}

impl AccountRow {
    /// Every account for which nothing is sent.
    pub async fn held(reads: &ReadModels) -> Result<Vec<Self>, StoreError> {
        reads.fetch("WHERE sending_held_at IS NOT NULL", &[]).await
    }
}

impl ApiKeyRow {
    /// The keys of these hashes that are not revoked; hashes may repeat.
    pub async fn valid(reads: &ReadModels, hashes: &[&str]) -> Result<Vec<Self>, StoreError> {
        let binds = padded(hashes.iter().copied().map(CellValue::from));
        let tail = format!("WHERE hash IN ({}) AND revoked_at IS NULL", places(1, binds.len()));
        reads.fetch(&tail, &binds).await
    }
}

static TABLES: &[&Table] = &[AccountRow::TABLE, ApiKeyRow::TABLE];

/// The projection of both tables.
pub struct AccountsProjection;

impl Projection for AccountsProjection {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn version(&self) -> u32 {
        3
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        let AnyEvent::Account(change) = event else { return };
        match change {
            Change::Opened { .. }
            | Change::SendingHeld { .. }
            | Change::SendingResumed { .. }
            | Change::KeywordsSet(_) => {
                keys.touch::<AccountRow>(recorded.aggregate_id.to_string());
            }
            Change::KeyIssued { key, .. } | Change::KeyRotated { key, .. } | Change::KeyRevoked { key } => {
                keys.touch::<ApiKeyRow>(key.to_string());
            }
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        let AnyEvent::Account(change) = event else { return Ok(()) };
        let at = recorded.recorded_at;
        match change {
            Change::Opened { name } => rows.put(AccountRow {
                id: recorded.aggregate_id.to_string(),
                name: name.as_str().to_owned(),
                subject_id: name.subject().to_string(),
                opened_at: at,
                sending_held_at: None,
                lost_people: 0,
                keywords: None,
            }),
            Change::SendingHeld { lost_people, at } => {
                let row = account(rows, recorded)?;
                rows.put(AccountRow { sending_held_at: Some(*at), lost_people: *lost_people, ..row });
            }
            Change::SendingResumed { .. } => {
                let row = account(rows, recorded)?;
                rows.put(AccountRow { sending_held_at: None, ..row });
            }
            Change::KeywordsSet(keywords) => {
                let row = account(rows, recorded)?;
                let is_default = *keywords == AccountKeywords::default();
                let text = serde_json::to_string(keywords).map_err(|_| FoldError("keywords are JSON"))?;
                rows.put(AccountRow { keywords: (!is_default).then_some(text), ..row });
            }
            Change::KeyIssued { key, secret, scopes, label } => rows.put(ApiKeyRow {
                id: key.to_string(),
                account_id: recorded.account_id.to_string(),
                hash: secret.hash.clone(),
                hint: secret.hint.clone(),
                scopes: scopes.iter().copied().collect(),
                label: label.as_ref().map(|sealed| sealed.as_str().to_owned()),
                issued_at: at,
                rotated_at: None,
                revoked_at: None,
            }),
            Change::KeyRotated { key, secret } => {
                let row = known(rows, &key.to_string())?;
                let (hash, hint) = (secret.hash.clone(), secret.hint.clone());
                rows.put(ApiKeyRow { hash, hint, rotated_at: Some(at), ..row });
            }
            Change::KeyRevoked { key } => {
                let row = known(rows, &key.to_string())?;
                rows.put(ApiKeyRow { revoked_at: Some(at), ..row });
            }
        }
        Ok(())
    }
}

fn account(rows: &BatchRows, recorded: &RecordedEvent) -> Result<AccountRow, FoldError> {
    let row = rows.get::<AccountRow>(&recorded.aggregate_id.to_string()).cloned();
    row.ok_or(FoldError("an account begins with its opening"))
}

fn known(rows: &BatchRows, key: &str) -> Result<ApiKeyRow, FoldError> {
    rows.get::<ApiKeyRow>(key).cloned().ok_or(FoldError("a key begins with its issue"))
}
