//! Accounts and their API keys.

use wasend_domain::account::{Event as Change, Scope};
use wasend_domain::{Event, Recorded, Time};

use crate::engine::table::{Cell, Column, Damaged, Reader, Record, Table};
use crate::messages::{moment, time};
use crate::{FoldError, Keys, Projection, Rows};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    pub id: String,
    /// Sealed `Label`.
    pub name: String,
    /// The subject under which the account's own labels and credentials are sealed.
    pub subject_id: String,
    pub opened_at: Time,
    /// Set while nothing is sent for the account, because the vault's store was put back to an earlier copy.
    pub sending_held_at: Option<Time>,
    /// People that the vault's store does not know any more, when sending was held last.
    pub lost_people: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    pub id: String,
    pub account_id: String,
    /// Keyed hash of the secret.
    pub hash: String,
    pub hint: String,
    pub scopes: Vec<Scope>,
    /// Sealed `Label`.
    pub label: Option<String>,
    pub issued_at: Time,
    pub rotated_at: Option<Time>,
    pub revoked_at: Option<Time>,
}

static ACCOUNTS: Table = Table {
    name: "accounts",
    columns: &[
        Column::text("name"),
        Column::text("subject_id"),
        Column::int("opened_at"),
        Column::optional_int("sending_held_at"),
        Column::int("lost_people"),
    ],
    indexes: &[],
    append_only: false,
};

static KEYS: Table = Table {
    name: "api_keys",
    columns: &[
        Column::text("account_id"),
        Column::text("hash"),
        Column::text("hint"),
        Column::text("scopes"),
        Column::optional_text("label"),
        Column::int("issued_at"),
        Column::optional_int("rotated_at"),
        Column::optional_int("revoked_at"),
    ],
    indexes: &[&["hash"], &["account_id", "id"]],
    append_only: false,
};

impl Record for AccountRow {
    const TABLE: &'static Table = &ACCOUNTS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn into_cells(self) -> Vec<Cell> {
        vec![
            self.id.into(),
            self.name.into(),
            self.subject_id.into(),
            self.opened_at.micros().into(),
            moment(self.sending_held_at),
            Cell::count(self.lost_people),
        ]
    }

    fn from_cells(cells: &mut Reader) -> Result<Self, Damaged> {
        let id = cells.text()?;
        Ok(Self {
            id,
            name: cells.text()?,
            subject_id: cells.text()?,
            opened_at: time(cells.int()?),
            sending_held_at: cells.optional_int()?.map(time),
            lost_people: cells.count()?,
        })
    }
}

impl Record for KeyRow {
    const TABLE: &'static Table = &KEYS;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn into_cells(self) -> Vec<Cell> {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.name()).collect();
        vec![
            self.id.into(),
            self.account_id.into(),
            self.hash.into(),
            self.hint.into(),
            scopes.join(" ").into(),
            self.label.into(),
            self.issued_at.micros().into(),
            moment(self.rotated_at),
            moment(self.revoked_at),
        ]
    }

    fn from_cells(cells: &mut Reader) -> Result<Self, Damaged> {
        let id = cells.text()?;
        Ok(Self {
            id,
            account_id: cells.text()?,
            hash: cells.text()?,
            hint: cells.text()?,
            scopes: cells.text()?.split(' ').filter_map(Scope::named).collect(),
            label: cells.optional_text()?,
            issued_at: time(cells.int()?),
            rotated_at: cells.optional_int()?.map(time),
            revoked_at: cells.optional_int()?.map(time),
        })
    }
}

static TABLES: &[&Table] = &[&ACCOUNTS, &KEYS];

/// The projection of both tables.
pub struct Accounts;

impl Projection for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn version(&self) -> u32 {
        2
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &Event, recorded: &Recorded, keys: &mut Keys) {
        let Event::Account(change) = event else { return };
        match change {
            Change::Opened { .. } | Change::SendingHeld { .. } | Change::SendingResumed { .. } => {
                keys.touch::<AccountRow>(recorded.aggregate_id.to_string());
            }
            Change::KeyIssued { key, .. } | Change::KeyRotated { key, .. } | Change::KeyRevoked { key } => {
                keys.touch::<KeyRow>(key.to_string());
            }
        }
    }

    fn fold(&self, event: &Event, recorded: &Recorded, rows: &mut Rows) -> Result<(), FoldError> {
        let Event::Account(change) = event else { return Ok(()) };
        let at = recorded.recorded_at;
        match change {
            Change::Opened { name } => rows.put(AccountRow {
                id: recorded.aggregate_id.to_string(),
                name: name.as_str().to_owned(),
                subject_id: name.subject().to_string(),
                opened_at: at,
                sending_held_at: None,
                lost_people: 0,
            }),
            Change::SendingHeld { lost_people, at } => {
                let row = account(rows, recorded)?;
                rows.put(AccountRow { sending_held_at: Some(*at), lost_people: *lost_people, ..row });
            }
            Change::SendingResumed { .. } => {
                let row = account(rows, recorded)?;
                rows.put(AccountRow { sending_held_at: None, ..row });
            }
            Change::KeyIssued { key, secret, scopes, label } => rows.put(KeyRow {
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
                rows.put(KeyRow { hash, hint, rotated_at: Some(at), ..row });
            }
            Change::KeyRevoked { key } => {
                let row = known(rows, &key.to_string())?;
                rows.put(KeyRow { revoked_at: Some(at), ..row });
            }
        }
        Ok(())
    }
}

fn account(rows: &Rows, recorded: &Recorded) -> Result<AccountRow, FoldError> {
    let row = rows.get::<AccountRow>(&recorded.aggregate_id.to_string()).cloned();
    row.ok_or(FoldError("an account begins with its opening"))
}

fn known(rows: &Rows, key: &str) -> Result<KeyRow, FoldError> {
    rows.get::<KeyRow>(key).cloned().ok_or(FoldError("a key begins with its issue"))
}
