//! One SQL text for both engines. Every column of the vault is text or a 64-bit integer, so that is all it binds.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, Transaction, postgres::PgRow, sqlite::SqliteRow};

use super::VaultStore;
use crate::error::VaultFailure;

/// Rows or values in one statement: far below the 32,766 parameters of SQLite, and few enough shapes to be prepared.
pub(super) const BOUND_ROWS_MAX: usize = 500;

/// Used by erasures and by every other destruction.
pub(super) const DELETE_ALIASES: &str = "DELETE FROM aliases WHERE account_id = $1 AND subject_id = $2";
pub(super) const COUNT_DESTRUCTION: &str =
    "UPDATE destructions SET number = number + 1, waiting_since = COALESCE(waiting_since, $1) WHERE id = 1";

pub(super) enum SqlValue<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Owned(String),
    Integer(i64),
}

impl<'a> From<&'a str> for SqlValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}
impl<'a> From<Option<&'a str>> for SqlValue<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::OptionalText(text)
    }
}
impl From<String> for SqlValue<'_> {
    fn from(text: String) -> Self {
        Self::Owned(text)
    }
}
impl From<i64> for SqlValue<'_> {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

/// A row that both engines can give.
pub(super) trait SqlRow: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> SqlRow for T {}

pub(super) enum VaultTransaction {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Binds the cells and keeps the statement prepared only if its shape comes back.
macro_rules! bound {
    ($query:expr, $cells:expr, $again:expr) => {{
        let mut query = $query.persistent($again);
        for cell in $cells {
            query = match cell {
                SqlValue::Text(text) => query.bind(text),
                SqlValue::OptionalText(text) => query.bind(text),
                SqlValue::Owned(text) => query.bind(text),
                SqlValue::Integer(integer) => query.bind(integer),
            };
        }
        query
    }};
}

impl VaultStore {
    /// A transaction that may write; on SQLite it holds the write lock from the start.
    pub(super) async fn begin(&self) -> Result<VaultTransaction, VaultFailure> {
        Ok(match self {
            Self::Sqlite { writer, .. } => VaultTransaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => VaultTransaction::Postgres(pool.begin().await?),
        })
    }

    pub(super) async fn fetch<T: SqlRow>(&self, sql: &str, cells: Vec<SqlValue<'_>>) -> Result<Vec<T>, VaultFailure> {
        let again = cells.len() <= 4 || cells.len() >= BOUND_ROWS_MAX;
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                bound!(sqlx::query_as::<_, T>(unnumbered(sql)), cells, again).fetch_all(readers).await?
            }
            Self::Postgres(pool) => {
                bound!(sqlx::query_as::<_, T>(AssertSqlSafe(sql)), cells, again).fetch_all(pool).await?
            }
        })
    }
}

impl VaultTransaction {
    /// The number of rows changed.
    pub(super) async fn execute(&mut self, sql: &str, cells: Vec<SqlValue<'_>>) -> Result<u64, VaultFailure> {
        let again = cells.len() <= 8 || cells.len() >= BOUND_ROWS_MAX;
        Ok(match self {
            Self::Sqlite(tx) => {
                bound!(sqlx::query(unnumbered(sql)), cells, again).execute(&mut **tx).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                bound!(sqlx::query(AssertSqlSafe(sql)), cells, again).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    pub(super) async fn fetch<T: SqlRow>(
        &mut self,
        sql: &str,
        cells: Vec<SqlValue<'_>>,
    ) -> Result<Vec<T>, VaultFailure> {
        let again = cells.len() <= 8 || cells.len() >= BOUND_ROWS_MAX;
        Ok(match self {
            Self::Sqlite(tx) => {
                bound!(sqlx::query_as::<_, T>(unnumbered(sql)), cells, again).fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                bound!(sqlx::query_as::<_, T>(AssertSqlSafe(sql)), cells, again).fetch_all(&mut **tx).await?
            }
        })
    }

    /// Runs an `INSERT … VALUES {rows} …` for all rows, in chunks; gives the number of rows that were inserted.
    pub(super) async fn insert(&mut self, sql: &str, rows: Vec<Vec<SqlValue<'_>>>) -> Result<u64, VaultFailure> {
        let (mut rows, mut inserted) = (rows.into_iter().peekable(), 0);
        while let Some(width) = rows.peek().map(Vec::len) {
            let chunk: Vec<_> = rows.by_ref().take(BOUND_ROWS_MAX).collect();
            let text = sql.replace("{rows}", &placeholders(chunk.len(), width));
            inserted += self.execute(&text, chunk.into_iter().flatten().collect()).await?;
        }
        Ok(inserted)
    }

    pub(super) async fn commit(self) -> Result<(), VaultFailure> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// `($1,$2),($3,$4)` for two rows of two.
fn placeholders(rows: usize, width: usize) -> String {
    let mut text = String::with_capacity(rows * width * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 1..=width {
            let comma = if column == 1 { "" } else { "," };
            write!(text, "{comma}${}", row * width + column).expect("a String takes any text");
        }
        text.push(')');
    }
    text
}

/// `{list}` of the text becomes `$n,$n+1,…` for `count` values, beginning at `$first`; `{values}` becomes as many rows of
/// one.
pub(super) fn with_list(sql: &str, first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    sql.replace("{list}", &places.join(",")).replace("{values}", &format!("({})", places.join("),(")))
}

/// The text with `?` in the place of `$1`, `$2` and so on, where each stands once and in order. To SQLite a number is a
/// name, and its driver looks for the name of each place among those of all: of a thousand rows that is most of the time.
fn unnumbered(sql: &str) -> AssertSqlSafe<String> {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (before, part) in parts.enumerate() {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if part[..digits].parse() != Ok(before + 1) {
            return AssertSqlSafe(sql.to_owned());
        }
        text.push('?');
        text.push_str(&part[digits..]);
    }
    AssertSqlSafe(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through() {
        assert_eq!(placeholders(2, 3), "($1,$2,$3),($4,$5,$6)");
        assert_eq!(with_list("a = $1 AND b IN ({list})", 2, 3), "a = $1 AND b IN ($2,$3,$4)");
        assert_eq!(with_list("VALUES {values}", 2, 3), "VALUES ($2),($3),($4)");
    }

    #[test]
    fn places_in_order_need_no_numbers() {
        assert_eq!(unnumbered("a = $1 AND b IN ($2,$3)").0, "a = ? AND b IN (?,?)");
        assert_eq!(unnumbered("SELECT 1").0, "SELECT 1");
        for text in ["a = $2 AND b = $1", "a = $1 OR b = $1", "$1$", "'$x' = $1"] {
            assert_eq!(unnumbered(text).0, text);
        }
    }
}
