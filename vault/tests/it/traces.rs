//! What is left in the files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use wasend_domain::{KeyPurpose, Personal};
use wasend_vault::{NewPerson, PersonIdentity};

use crate::house::{House, TODAY, body, on_both, person};

/// Every row of the vault's tables on Postgres, or every byte of every file on SQLite.
async fn everything(house: &House) -> Vec<u8> {
    let Some(url) = &house.database else { return files(house.directory.path()) };
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut all = String::new();
    for table in ["keys", "destroyed_keys", "subjects", "aliases", "epochs"] {
        let rows: Vec<(String,)> =
            sqlx::query_as(AssertSqlSafe(format!("SELECT CAST(t.* AS text) FROM vault.{table} t")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        all.extend(rows.into_iter().map(|(row,)| row));
    }
    assert!(!all.is_empty());
    all.into_bytes()
}

fn files(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.extend(fs::read(path).unwrap()) }
    }
    all
}

fn holds(all: &[u8], text: &str) -> bool {
    all.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn nothing_personal_stands_in_the_files() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let new = NewPerson {
            identities: vec![
                PersonIdentity::phone("+16505559182"),
                PersonIdentity::bsuid("US.77190233417"),
                PersonIdentity::wa_id("16505559182"),
            ],
            name: Some(Personal::new("Zephyrina".into())),
            ..NewPerson::default()
        };
        let subject = vault.subject_for(account, &new).await.unwrap().0;
        vault.update_profile(account, subject, Some(&Personal::new("Quintessa".into()))).await.unwrap();
        vault.seal(account, subject, &body("Xylophone"), TODAY).await.unwrap();
        vault.index(account, "wamid", &Personal::new("wamid.HBgLMTY1MDU1NTkxODI".into())).await.unwrap();
        let open = everything(house).await;
        vault.close().await;
        let closed = everything(house).await;
        assert!(holds(&closed, &subject.to_string()), "the search finds what is there");
        for planted in ["6505559182", "77190233417", "Zephyrina", "Quintessa", "Xylophone", "HBgL"] {
            assert!(!holds(&open, planted) && !holds(&closed, planted), "{planted}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_bytes_of_destroyed_keys_are_in_no_file() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let mut subjects = Vec::new();
        for batch in 0..20 {
            let people: Vec<_> = (0..50).map(|n| person(&format!("+{batch}-{n}"))).collect();
            subjects.extend(vault.subjects_for(account, &people).await.unwrap().into_iter().map(|found| found.0));
        }
        let before = wrapped(house).await;
        for subject in subjects.iter().step_by(10) {
            vault.destroy_subject(account, *subject, &KeyPurpose::ALL, "request").await.unwrap();
        }
        let left = everything(house).await;
        let keys = |destroyed: bool| {
            let chosen = subjects.iter().enumerate().filter(move |(n, _)| (n % 10 == 0) == destroyed);
            chosen.map(|(_, subject)| {
                let (_, wrapped) = before.iter().find(|(id, _)| id.contains(&subject.to_string())).unwrap();
                wrapped
            })
        };
        // One pass over the bytes: every run that is as long as a wrapped key.
        let runs: std::collections::HashSet<&[u8]> = left.windows(80).collect();
        assert!(keys(false).all(|wrapped| runs.contains(wrapped.as_bytes())), "the search finds what is there");
        let found = keys(true).filter(|wrapped| runs.contains(wrapped.as_bytes())).count();
        assert_eq!(found, 0, "of 100 destroyed keys");
        vault.close().await;
    })
    .await;
}

async fn wrapped(house: &House) -> Vec<(String, String)> {
    const SQL: &str = "SELECT id, wrapped FROM keys";
    if let Some(url) = &house.database {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query("SET search_path = vault").execute(&mut connection).await.unwrap();
        return sqlx::query_as(SQL).fetch_all(&mut connection).await.unwrap();
    }
    let options = SqliteConnectOptions::new().filename(house.directory.path().join("vault.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query_as(SQL).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}

#[tokio::test]
async fn the_files_are_their_owners_alone() {
    on_both(async |house| {
        let (vault, _) = house.with_account().await;
        if house.database.is_none() {
            for name in ["vault.db", "vault.db-wal", "vault.db-shm", "keys/epoch-1.key"] {
                let mode = fs::metadata(house.directory.path().join(name)).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{name}");
            }
        }
        vault.close().await;
    })
    .await;
}
