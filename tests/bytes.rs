//! A search of every byte that was written.

use std::path::Path;

use aho_corasick::AhoCorasick;

use crate::{Engine, World};

/// What is looked for: what it is, and its bytes.
pub type Needle = (String, Vec<u8>);

/// Which of the needles lies in which file of the server's, or of Postgres'. Fails if there is nothing to search.
pub async fn found(world: &World, needles: &[Needle]) -> Vec<String> {
    let search = AhoCorasick::new(needles.iter().map(|(_, bytes)| bytes)).expect("a search");
    let mut found = Vec::new();
    let mut files = look(world.data.path(), &search, needles, &mut found);
    if world.engine == Engine::Postgres {
        checkpoint(world.database.as_deref().expect("a database")).await;
        files += look(Path::new(&postgres_data()), &search, needles, &mut found);
    }
    assert!(files > 1, "there is something to search");
    found
}

/// The number of files that were read.
fn look(directory: &Path, search: &AhoCorasick, needles: &[Needle], found: &mut Vec<String>) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files += look(&path, search, needles, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            files += 1;
            let matches = search.find_overlapping_iter(&bytes).map(|hit| hit.pattern().as_usize());
            let hits: std::collections::BTreeSet<_> = matches.collect();
            found.extend(hits.into_iter().map(|hit| format!("{} lies in {}", needles[hit].0, path.display())));
        }
    }
    files
}

/// Brings what Postgres holds in memory to its files.
async fn checkpoint(url: &str) {
    use sqlx::{Connection, Executor};
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the database answers");
    connection.execute("CHECKPOINT").await.expect("a checkpoint");
}

#[expect(clippy::disallowed_methods, reason = "scripts/test says so where Postgres keeps its files")]
fn postgres_data() -> String {
    std::env::var("WASEND_TEST_POSTGRES_DATA").expect("run the tests with scripts/test")
}
