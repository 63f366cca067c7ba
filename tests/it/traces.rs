//! What the stores hold, seen from behind.

use std::path::Path;

use aho_corasick::AhoCorasick;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection};
use wasend_tests::World;

/// The first column of what the statement finds for the id, in the file of SQLite or the database of Postgres.
pub async fn one_column(world: &World, file: &str, select: &str, id: &str) -> Vec<String> {
    if let Some(url) = &world.database {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("the database answers");
        return sqlx::query_scalar(AssertSqlSafe(select)).bind(id).fetch_all(&mut connection).await.expect("rows");
    }
    let options = SqliteConnectOptions::new().filename(world.data.path().join(file)).read_only(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("the file opens");
    sqlx::query_scalar(AssertSqlSafe(select)).bind(id).fetch_all(&mut connection).await.expect("rows")
}

/// The subject's keys as the vault stores them.
pub async fn wrapped_keys(world: &World, subject: &str) -> Vec<String> {
    let schema = if world.database.is_some() { "vault." } else { "" };
    let select = format!("SELECT wrapped FROM {schema}keys WHERE subject_id = $1");
    one_column(world, "vault.db", &select, subject).await
}

/// Whether any file under the directory holds any of the texts.
pub fn holds(directory: &Path, needles: &[String]) -> bool {
    let search = AhoCorasick::new(needles).expect("a search");
    std::fs::read_dir(directory).expect("a directory").flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            holds(&path, needles)
        } else {
            std::fs::read(&path).is_ok_and(|bytes| search.is_match(&bytes))
        }
    })
}
