//! Files on their way in: pieces of uploads, and what an import notes while it runs. Working data, not a read model:
//! it is sealed, lives for hours or days, and no event tells of it.

use wasend_domain::{AccountId, BlindIndex, ImportId, SubjectId, Time, UploadId};
use wasend_eventlog::{Db, with_transaction};

use crate::engine::cell::{CellValue, ColumnKind};
use crate::engine::sql::{self, StoreError};

const BEGIN: &str = "INSERT INTO uploads (id, account_id, subject_id, bytes, utf8, encoding, content, import_id, created_at) \
    VALUES ($1, $2, $3, 0, 1, NULL, NULL, NULL, $4)";
const COMPLETE: &str = "UPDATE uploads SET bytes = $2, encoding = $3, content = $4 WHERE id = $1";
const CLAIM: &str =
    "UPDATE uploads SET import_id = $3 WHERE id = $1 AND account_id = $2 AND import_id IS NULL AND content IS NOT NULL";
const GET: &str = "SELECT id, account_id, subject_id, bytes, utf8, encoding, content, import_id, created_at FROM uploads WHERE id = $1";
const UNUSED: &str = "SELECT id, account_id, subject_id, bytes, utf8, encoding, content, import_id, created_at FROM uploads \
    WHERE import_id IS NULL AND created_at < $1 ORDER BY created_at LIMIT 100";
const USED: &str = "SELECT id, account_id, subject_id, bytes, utf8, encoding, content, import_id, created_at FROM uploads \
    WHERE import_id IS NOT NULL ORDER BY created_at LIMIT 1000";
const BEGUN: &str = "SELECT id FROM uploads WHERE id = $1 AND created_at < $2";
const REMOVE: &str = "DELETE FROM uploads WHERE id = $1";
const PUT_PART: &str = "INSERT INTO upload_parts (owner, kind, part, sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (owner, kind, part) DO UPDATE SET sealed = excluded.sealed";
const PARTS: &str =
    "SELECT part, sealed FROM upload_parts WHERE owner = $1 AND kind = $2 AND part >= $3 ORDER BY part LIMIT $4";
const DELETE_PARTS: &str = "DELETE FROM upload_parts WHERE owner = $1 AND kind = $2";
const OLD_OWNERS: &str = "SELECT DISTINCT owner FROM upload_parts WHERE kind = $1 AND created_at < $2 LIMIT 100";
const OLDEST: &str = "SELECT created_at FROM uploads ORDER BY created_at LIMIT 1";
const KINDS: [ColumnKind; 9] = [
    ColumnKind::Text,
    ColumnKind::Text,
    ColumnKind::Text,
    ColumnKind::Int,
    ColumnKind::Int,
    ColumnKind::Text,
    ColumnKind::Text,
    ColumnKind::Text,
    ColumnKind::Int,
];

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadPart {
    /// Of an upload: a piece of the file.
    Frame,
    /// Of an import: what a chunk has to report.
    Report,
    /// Of an import: which contacts a chunk is about to change.
    Intent,
    /// Of an import: the lines of a chunk, by its first line, that tell a further number or id of a known contact.
    Learnt,
}

impl UploadPart {
    const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Report => "report",
            Self::Intent => "intent",
            Self::Learnt => "learnt",
        }
    }
}

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUpload {
    pub id: UploadId,
    pub account_id: AccountId,
    /// Under which its pieces are sealed.
    pub subject: SubjectId,
    pub bytes: u64,
    /// Its encoding as its bytes show it, by its name in the WHATWG's Encoding Standard.
    pub encoding: String,
    /// Keyed hash of the file; absent while it is not complete.
    pub content: Option<BlindIndex>,
    pub import: Option<ImportId>,
    /// When its first byte was received.
    pub created_at: Time,
}

/// The files of every account. Clones share the database.
#[derive(Clone)]
pub struct UploadStore {
    db: Db,
}

impl UploadStore {
    /// Uploads that are kept in this database, beside the log.
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Notes a file that begins to come in.
    pub async fn begin(
        &self,
        id: UploadId,
        account: AccountId,
        subject: SubjectId,
        now: Time,
    ) -> Result<(), StoreError> {
        let binds = [CellValue::text(&id), CellValue::text(&account), CellValue::text(&subject), now.micros().into()];
        self.execute(BEGIN, &binds).await.map(drop)
    }

    /// Nothing comes after: so many bytes, in this encoding, and the keyed hash of them all.
    pub async fn complete(
        &self,
        id: UploadId,
        bytes: u64,
        encoding: &str,
        content: &BlindIndex,
    ) -> Result<(), StoreError> {
        let binds = [CellValue::text(&id), CellValue::count(bytes), encoding.into(), content.as_str().into()];
        self.execute(COMPLETE, &binds).await.map(drop)
    }

    /// Gives the upload to an import: false if it has one, is not complete, or is not the account's.
    pub async fn claim(&self, id: UploadId, account: AccountId, import: ImportId) -> Result<bool, StoreError> {
        Ok(self.execute(CLAIM, &[CellValue::text(&id), CellValue::text(&account), CellValue::text(&import)]).await? > 0)
    }

    /// The upload of the id, none if there is none or it is deleted.
    pub async fn get(&self, id: UploadId) -> Result<Option<StoredUpload>, StoreError> {
        Ok(self.list(GET, &[CellValue::text(&id)]).await?.pop())
    }

    /// When the oldest of those that are still here was received.
    pub async fn oldest(&self) -> Result<Option<Time>, StoreError> {
        let rows = sql::fetch(&self.db, OLDEST, &[], &[ColumnKind::Int]).await?;
        let moment = |row: Vec<CellValue>| match row.into_iter().next() {
            Some(CellValue::Int(Some(micros))) => Some(Time::from_micros(micros)),
            _ => None,
        };
        Ok(rows.into_iter().find_map(moment))
    }

    /// Those that no import took since before then.
    pub async fn unused(&self, before: Time) -> Result<Vec<StoredUpload>, StoreError> {
        self.list(UNUSED, &[before.micros().into()]).await
    }

    /// Those that belong to an import, which may have ended.
    pub async fn used(&self) -> Result<Vec<StoredUpload>, StoreError> {
        self.list(USED, &[]).await
    }

    /// Whether it was begun before then.
    pub async fn begun_before(&self, id: UploadId, before: Time) -> Result<bool, StoreError> {
        let binds = [CellValue::text(&id), before.micros().into()];
        Ok(!sql::fetch(&self.db, BEGUN, &binds, &[ColumnKind::Text]).await?.is_empty())
    }

    /// The file and its pieces are gone.
    pub async fn remove(&self, id: UploadId) -> Result<(), StoreError> {
        self.execute(DELETE_PARTS, &[CellValue::text(&id), UploadPart::Frame.name().into()]).await?;
        self.execute(REMOVE, &[CellValue::text(&id)]).await.map(drop)
    }

    /// Stores parts of an upload or an import, numbered from `first`, in one transaction. Repeating it replaces them.
    pub async fn put(
        &self,
        owner: &impl ToString,
        kind: UploadPart,
        first: u64,
        parts: &[&str],
        now: Time,
    ) -> Result<(), StoreError> {
        let owner = owner.to_string();
        with_transaction!(&self.db, tx => for (number, sealed) in (first..).zip(parts) {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            let query = sqlx::query(PUT_PART).bind(&owner).bind(kind.name()).bind(number).bind(*sealed);
            query.bind(now.micros()).execute(&mut *tx).await?;
        });
        Ok(())
    }

    /// At most `limit` parts from `first` on, with their numbers.
    pub async fn parts(
        &self,
        owner: &impl ToString,
        kind: UploadPart,
        first: u64,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let binds =
            [CellValue::text(owner), kind.name().into(), CellValue::count(first), CellValue::count(limit as u64)];
        let rows = sql::fetch(&self.db, PARTS, &binds, &[ColumnKind::Int, ColumnKind::Text]).await?;
        let part = |row: Vec<CellValue>| match <[CellValue; 2]>::try_from(row) {
            Ok([CellValue::Int(Some(number)), CellValue::Text(Some(sealed))]) => {
                Some((u64::try_from(number).ok()?, sealed))
            }
            _ => None,
        };
        Ok(rows.into_iter().filter_map(part).collect())
    }

    /// Deletes every piece of the upload.
    pub async fn delete_parts(&self, owner: &impl ToString, kind: UploadPart) -> Result<(), StoreError> {
        self.execute(DELETE_PARTS, &[CellValue::text(owner), kind.name().into()]).await.map(drop)
    }

    /// The ids of those that have parts of this kind from before then.
    pub async fn older(&self, kind: UploadPart, before: Time) -> Result<Vec<String>, StoreError> {
        let binds = [CellValue::from(kind.name()), before.micros().into()];
        let rows = sql::fetch(&self.db, OLD_OWNERS, &binds, &[ColumnKind::Text]).await?;
        let text = |row: Vec<CellValue>| match row.into_iter().next() {
            Some(CellValue::Text(text)) => text,
            _ => None,
        };
        Ok(rows.into_iter().filter_map(text).collect())
    }

    async fn execute(&self, sql: &'static str, binds: &[CellValue]) -> Result<u64, StoreError> {
        let changed = with_transaction!(&self.db, tx => {
            let query = binds.iter().fold(sqlx::query(sql), |query, cell| match cell {
                CellValue::Text(value) => query.bind(value.as_deref()),
                CellValue::Int(value) => query.bind(*value),
            });
            query.execute(&mut *tx).await?.rows_affected()
        });
        Ok(changed)
    }

    async fn list(&self, sql: &str, binds: &[CellValue]) -> Result<Vec<StoredUpload>, StoreError> {
        let rows = sql::fetch(&self.db, sql, binds, &KINDS).await?;
        Ok(rows.into_iter().filter_map(upload).collect())
    }
}

fn upload(row: Vec<CellValue>) -> Option<StoredUpload> {
    let [
        id,
        account,
        subject,
        CellValue::Int(bytes),
        CellValue::Int(utf8),
        encoding,
        content,
        import,
        CellValue::Int(created_at),
    ] = <[CellValue; 9]>::try_from(row).ok()?
    else {
        return None;
    };
    let text = |cell| if let CellValue::Text(text) = cell { text } else { None };
    Some(StoredUpload {
        id: text(id)?.parse().ok()?,
        account_id: text(account)?.parse().ok()?,
        subject: text(subject)?.parse().ok()?,
        bytes: u64::try_from(bytes?).ok()?,
        // Files from before encodings were told apart have none.
        encoding: text(encoding).unwrap_or_else(|| if utf8 == Some(0) { "windows-1252" } else { "UTF-8" }.to_owned()),
        content: text(content).map(BlindIndex::from_hex),
        import: text(import).and_then(|id| id.parse().ok()),
        created_at: Time::from_micros(created_at?),
    })
}
