//! Stores that an older version left, and stores that are not what was written.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use wasend_tests::{Engine, World};

stories!(
    a_log_without_checksums_is_folded_anew,
    a_damaged_log_without_models_is_told_of_and_not_served,
    a_log_that_lacks_an_event_is_told_of_and_not_served,
    files_are_their_owners_alone_in_any_directory,
);

/// Changes the log behind the stopped server.
pub async fn change(world: &World, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    if let Some(url) = &world.database {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("the database answers");
        connection.execute(statement).await.expect("it is done");
        return;
    }
    let options = SqliteConnectOptions::new().filename(world.data.path().join("log.db"));
    let mut connection = options.connect().await.expect("the file opens");
    connection.execute(statement).await.expect("it is done");
    connection.close().await.expect("it closes");
}

/// Every read model is gone, as on a machine to which the log alone was brought.
async fn delete_models(world: &World) {
    if world.database.is_some() {
        const DROP: &str = "DO $$ DECLARE name text; BEGIN \
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN \
                ('events', 'log_head', 'projections', 'leases', 'uploads', 'upload_parts', '_sqlx_migrations') \
            LOOP EXECUTE format('DROP TABLE %I', name); END LOOP; \
            DELETE FROM projections; END $$";
        return change(world, DROP).await;
    }
    for side in ["log-models.db", "log-models.db-wal", "log-models.db-shm"] {
        // Those beside it are there after a crash alone.
        drop(std::fs::remove_file(world.data.path().join(side)));
    }
}

/// A stopped server, and a message that it sent.
async fn sent(engine: Engine) -> (World, String) {
    let mut world = World::start(engine).await;
    let client = world.client();
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&id, "READ").await;
    world.stop().await;
    (world, id)
}

async fn is_read(world: &World, id: &str) {
    let message = world.client().message(id, "status content { text }").await;
    assert_eq!(message, json!({"status": "READ", "content": {"text": "Hello"}}));
}

async fn a_log_without_checksums_is_folded_anew(engine: Engine) {
    let (mut world, id) = sent(engine).await;
    if world.database.is_none() {
        change(&world, "UPDATE events SET checksum = NULL").await;
    }
    delete_models(&world).await;
    world.start_again().await.expect("the server starts");
    is_read(&world, &id).await;
    let another = world.client().send_text(&world.number(), "+16505551235", "Hello").await;
    world.client().until_status(&another, "READ").await;
}

async fn a_damaged_log_without_models_is_told_of_and_not_served(engine: Engine) {
    let (mut world, id) = sent(engine).await;
    let (damage, mend) = if world.database.is_none() {
        ("payload = payload || ' '", "payload = rtrim(payload)")
    } else {
        // Postgres checksums its pages; a value that is no id is noticed on both.
        ("event_id = 'x' || event_id", "event_id = substr(event_id, 2)")
    };
    let update = |set: &str| format!("UPDATE events SET {set} WHERE position = 3");
    change(&world, &update(damage)).await;
    delete_models(&world).await;
    is_held(&mut world, 3).await;
    change(&world, &update(mend)).await;
    world.start_again().await.expect("the server starts");
    is_read(&world, &id).await;
}

async fn a_log_that_lacks_an_event_is_told_of_and_not_served(engine: Engine) {
    let (mut world, _) = sent(engine).await;
    change(&world, "DELETE FROM events WHERE position = 4").await;
    delete_models(&world).await;
    is_held(&mut world, 4).await;
}

/// It comes up and lives, says what is wrong and where, and serves nothing.
async fn is_held(world: &mut World, position: u64) {
    world.start_held().await.expect("the server comes up");
    let http = wasend_tests::client::http();
    let get = async |path: &str| http.get(format!("{}{path}", world.url)).send().await.expect("an answer");
    assert_eq!(get("healthz").await.status(), 200);
    let ready = get("readyz").await;
    assert_eq!(ready.status(), 503);
    let ready: Value = ready.json().await.expect("JSON");
    let why = ready["reasons"]["open"].as_str().expect("a reason");
    for part in ["privacy", "the log is damaged", &format!("position {position}"), "backup"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert!(!why.contains("Hello") && ready["ready"] == false, "{ready}");
    let query = json!({"query": "{ contacts { totalCount } }"});
    let asked = http.post(format!("{}graphql", world.url)).json(&query).send().await.expect("an answer");
    assert_eq!(asked.status(), 503);
    assert_eq!(asked.json::<Value>().await.expect("JSON")["code"], "UNAVAILABLE");
    world.stop().await;
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

async fn files_are_their_owners_alone_in_any_directory(engine: Engine) {
    let (mut world, id) = sent(engine).await;
    let directory = world.data.path().to_owned();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("they are changed");
    };
    set(&directory, 0o755);
    for name in ["log.db", "vault.db"].map(|name| directory.join(name)).iter().filter(|path| path.exists()) {
        set(name, 0o644);
    }
    delete_models(&world).await;
    world.start_again().await.expect("the server starts");
    is_read(&world, &id).await;
    let files: Vec<_> =
        std::fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry")).collect();
    for path in files.iter().map(std::fs::DirEntry::path).filter(|path| path.is_file()) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    if world.database.is_none() {
        assert!(files.iter().any(|file| file.file_name() == "log-models.db-wal"));
        // Of each file that was narrowed, once.
        assert_eq!(world.output().matches("others could read the file").count(), 2, "{}", world.output());
    }
}
