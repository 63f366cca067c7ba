//! Copies of the vault's store and of the log that are taken and put back while the server runs, as a backup of each engine does it.

use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::World;

/// A copy of the vault's store or of the log: a dump of its schema, or a SQLite file.
pub struct LiveBackup {
    directory: TempDir,
    schema: &'static str,
    file: &'static str,
}

impl LiveBackup {
    /// Copies the vault's store of a server that may be running.
    pub async fn of(world: &World) -> Self {
        Self::copy(world, "vault", "vault.db").await
    }

    /// Copies the log, on PostgreSQL with the read models beside it.
    pub async fn of_log(world: &World) -> Self {
        Self::copy(world, "public", "log.db").await
    }

    async fn copy(world: &World, schema: &'static str, file: &'static str) -> Self {
        let backup = Self { directory: tempfile::tempdir().expect("a directory is made"), schema, file };
        let copy = backup.file().display().to_string();
        if let Some(url) = &world.database {
            program("pg_dump", &["-Fc", "-n", schema, "-f", &copy, url]).await;
        } else {
            let mut connection = connect(world, file).await;
            let sql = format!("VACUUM INTO '{copy}'");
            connection.execute(AssertSqlSafe(sql)).await.expect("the store is copied");
        }
        backup
    }

    /// Puts the store back under a server that may be running, in one transaction.
    pub async fn restore(&self, world: &World) {
        let copy = self.file().display().to_string();
        if let Some(url) = &world.database {
            return program("pg_restore", &["--clean", "-1", "-n", self.schema, "-d", url, &copy]).await;
        }
        let mut connection = connect(world, self.file).await;
        let attach = format!("ATTACH '{copy}' AS copy");
        connection.execute(AssertSqlSafe(attach)).await.expect("the copy is opened");
        let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM copy.sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut connection)
            .await
            .expect("the tables");
        let mut sql = "BEGIN IMMEDIATE;".to_owned();
        for table in tables {
            sql += &["DELETE FROM main.", &table, "; INSERT INTO main.", &table, " SELECT * FROM copy.", &table, ";"]
                .concat();
        }
        connection.execute(AssertSqlSafe(sql + "COMMIT;")).await.expect("the store is put back");
        connection.close().await.expect("it is closed");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("backup")
    }
}

async fn connect(world: &World, file: &str) -> SqliteConnection {
    let file = world.data.path().join(file);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let options = options.busy_timeout(std::time::Duration::from_secs(10));
    SqliteConnection::connect_with(&options).await.expect("the file opens")
}

/// One of PostgreSQL's programs of the version of the test server.
async fn program(name: &str, arguments: &[&str]) {
    #[expect(clippy::disallowed_methods, reason = "scripts/postgres says where the programs are")]
    let directory = std::env::var("WASEND_TEST_POSTGRES_BIN").unwrap_or_default();
    let beside = PathBuf::from(directory).join(name);
    // The server's programs may be links in a directory that has no others.
    let found = if beside.exists() { beside } else { PathBuf::from(name) };
    let output = Command::new(found).args(arguments).output().await.expect("it runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a statement on the vault's store, as a hand in it does.
pub async fn change(world: &World, sql: &str) {
    let Some(url) = &world.database else {
        connect(world, "vault.db").await.execute(AssertSqlSafe(sql)).await.expect("the store is changed");
        return;
    };
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the database answers");
    connection.execute("SET search_path = vault").await.expect("a setting");
    connection.execute(AssertSqlSafe(sql)).await.expect("the store is changed");
}
