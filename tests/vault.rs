//! The vault's store and key files, as a thief or a backup sees them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use wasend_vault::{EpochKey, FileEpoch, NamedKey};

use crate::World;
use crate::bytes::Needle;

/// A key as it is stored: id, kind, epoch, wrapped.
pub type KeyRow = (String, String, i64, String);

const KEYS: &str = "SELECT id, kind, epoch, wrapped FROM keys WHERE id LIKE $1";
const TABLES: [&str; 13] = [
    "epochs",
    "current_epoch",
    "keys",
    "destroyed_keys",
    "subjects",
    "aliases",
    "suppressions",
    "erased_identities",
    "destructions",
    "destruction_history",
    "writers",
    "log_anchor",
    "listed_opt_outs",
];

/// Where the epoch's key is.
pub fn epoch_key(world: &World, epoch: i64) -> PathBuf {
    world.data.path().join(format!("epoch-{epoch}.key"))
}

/// The keys whose id holds the text.
pub async fn keys(world: &World, part: &str) -> Vec<KeyRow> {
    let like = format!("%{part}%");
    if let Some(url) = &world.database {
        let mut connection = PgConnection::connect(url).await.expect("the database answers");
        connection.execute("SET search_path = vault").await.expect("a setting");
        return sqlx::query_as(KEYS).bind(like).fetch_all(&mut connection).await.expect("rows");
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file(world)).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the file opens");
    sqlx::query_as(KEYS).bind(like).fetch_all(&mut connection).await.expect("rows")
}

/// What any of the key files in the directory makes of the keys, whatever epoch its name speaks of.
pub async fn opened(directory: &Path, rows: &[KeyRow]) -> Vec<[u8; 32]> {
    let mut opened = Vec::new();
    for file in std::fs::read_dir(directory).expect("a directory").flatten() {
        if !file.file_name().to_string_lossy().starts_with("epoch-") {
            continue;
        }
        let aside = tempfile::tempdir().expect("a directory is made");
        let holder = FileEpoch::in_directory(aside.path());
        for epoch in rows.iter().map(|row| row.2).collect::<BTreeSet<_>>() {
            std::fs::copy(file.path(), holder.path(epoch)).expect("a copy");
            holder.load(epoch).await.expect("a key");
        }
        let named = |(id, kind, epoch, key): &'_ KeyRow| (id.clone(), kind.clone(), *epoch, key.clone());
        for (id, kind, epoch, key) in rows.iter().map(named) {
            let named = NamedKey { id: &id, kind: &kind, epoch, key: key.as_str() };
            let found = holder.unwrap(&[named]).await.expect("loaded");
            opened.extend(found.into_iter().flatten().map(|key| *key.bytes()));
        }
    }
    opened
}

/// The key in every form in which it could be written.
pub fn forms(what: &str, key: &[u8; 32]) -> Vec<Needle> {
    let hex = key.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let base64 = BASE64_STANDARD.encode(key).trim_end_matches('=').to_owned();
    [key.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), base64.into_bytes()]
        .into_iter()
        .map(|bytes| (what.to_owned(), bytes))
        .collect()
}

fn file(world: &World) -> PathBuf {
    world.data.path().join("vault.db")
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the database answers");
    connection.execute(AssertSqlSafe(sql)).await.expect("it is done");
}

/// A copy of the store, as a backup holds it. The server is stopped.
pub struct Backup(Option<Vec<u8>>);

impl Backup {
    pub async fn of(world: &World) -> Self {
        let Some(url) = &world.database else { return Self(Some(std::fs::read(file(world)).expect("a file"))) };
        execute(url, "CREATE SCHEMA saved").await;
        for table in TABLES {
            execute(url, &format!("CREATE TABLE saved.{table} AS TABLE vault.{table}")).await;
        }
        Self(None)
    }

    /// Puts the store back to what it was.
    pub async fn restore(&self, world: &World) {
        let Some(bytes) = &self.0 else {
            let url = world.database.as_ref().expect("a database");
            for table in TABLES {
                let put_back = format!("INSERT INTO vault.{table} SELECT * FROM saved.{table}");
                execute(url, &format!("DELETE FROM vault.{table}; {put_back}")).await;
            }
            return;
        };
        for side in ["-wal", "-shm"] {
            let path = format!("{}{side}", file(world).display());
            match std::fs::remove_file(path) {
                // The last process that closes the store removes them itself.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.expect("it is removed"),
            }
        }
        std::fs::write(file(world), bytes).expect("it is written");
    }
}
