//! A database for each story.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;

/// Which store a story runs on. Every story runs on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The URL of a new, empty database, on that server or else the tests' one; none for SQLite, which lives in the
    /// data directory.
    #[expect(clippy::disallowed_methods, reason = "scripts/test says so where Postgres is")]
    pub async fn fresh_database(self, data: &Path, server: Option<&str>) -> Option<String> {
        if self == Self::Sqlite {
            return None;
        }
        let tests = || std::env::var("WASEND_TEST_POSTGRES").expect("run the tests with scripts/test");
        let server = server.map_or_else(tests, str::to_owned);
        let tail = data.file_name().and_then(|name| name.to_str()).expect("a temporary directory has a name");
        let name: String =
            format!("story_{tail}").to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        Some(create(&server, &name).await)
    }
}

/// Makes an empty database on a server; its URL.
pub async fn create(server: &str, name: &str) -> String {
    run(server, &format!("CREATE DATABASE {name}")).await;
    let mut url = Url::parse(server).expect("the server has a URL");
    url.set_path(name);
    url.into()
}

/// Drops what [`create`] made, even with open connections.
pub async fn remove(server: &str, url: &str) {
    let url = Url::parse(url).expect("the database has a URL");
    run(server, &format!("DROP DATABASE {} WITH (FORCE)", url.path().trim_start_matches('/'))).await;
}

async fn run(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(server).await.expect("the server answers");
    connection.execute(AssertSqlSafe(statement)).await.expect("the server does what it is told");
    connection.close().await.expect("the connection closes");
}
