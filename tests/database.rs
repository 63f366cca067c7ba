//! A database for each story.

use std::path::Path;

use sqlx::{Connection, Executor, PgConnection};

/// Which store a story runs on. Every story runs on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// The URL of a new, empty database; none for SQLite, which lives in the data directory.
    #[expect(clippy::disallowed_methods, reason = "scripts/test says so where Postgres is")]
    pub async fn fresh_database(self, data: &Path) -> Option<String> {
        if self == Self::Sqlite {
            return None;
        }
        let server = std::env::var("WASEND_TEST_POSTGRES").expect("run the tests with scripts/test");
        let tail = data.file_name().and_then(|name| name.to_str()).expect("a temporary directory has a name");
        let name: String =
            format!("story_{tail}").to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let mut connection = PgConnection::connect(&server).await.expect("the test server answers");
        connection.execute(format!("CREATE DATABASE {name}").as_str()).await.expect("a database is made");
        Some(server.replacen("/postgres?", &format!("/{name}?"), 1))
    }
}
