//! Read models are rebuilt beside those that serve.

use serde_json::json;
use wasend_tests::{Engine, World};

stories!(every_read_model_is_rebuilt_while_the_server_runs);

#[tokio::test]
async fn a_damaged_file_of_read_models_is_told_of_and_made_anew() {
    let mut world = World::start(Engine::Sqlite).await;
    let id = world.client().send_text(&world.number(), "+16505551234", "Hello").await;
    world.client().until_status(&id, "READ").await;
    world.stop().await;
    let file = world.data.path().join("log-models.db");
    std::fs::write(&file, [7; 8192]).expect("the file is there");
    let complaint = world.refusal().await;
    assert!(complaint.contains("log-models.db") && complaint.contains("damaged"), "{complaint}");
    for side in ["log-models.db", "log-models.db-wal", "log-models.db-shm"] {
        // Those beside it are there after a crash alone.
        drop(std::fs::remove_file(file.with_file_name(side)));
    }
    world.start_again().await.expect("the server starts");
    let message = world.client().message(&id, "status content { text }").await;
    assert_eq!(message["status"], "READ", "{message}");
    assert_eq!(message["content"]["text"], "Hello", "{message}");
}

async fn every_read_model_is_rebuilt_while_the_server_runs(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for n in 0..20 {
        client.send_text(&world.number(), &format!("+16505551{n:03}"), "Hello").await;
    }
    let names = ["accounts", "numbers", "contacts", "messages", "usage", "outbox", "imports", "audit", "privacy"];
    for name in names {
        let report = world.run(&["projections", "rebuild", name]).await;
        assert!(report.contains("The new tables serve."), "{report}");
        assert!(report.contains(" 0 different, 0 missing, 0 added"), "{report}");
    }
    let last = client.send_text(&world.number(), "+16505552000", "Still here").await;
    client.until_status(&last, "READ").await;
    let count = client.data("{ messages { totalCount } }", json!({})).await;
    assert_eq!(count["messages"]["totalCount"], 21);
    let listed = world.run(&["projections", "list"]).await;
    for name in names {
        assert!(listed.lines().any(|line| line.starts_with(name) && line.contains("live")), "{listed}");
    }
    let (ok, _, complaint) = world.try_run(&["projections", "rebuild", "parrots"]).await;
    assert!(!ok && complaint.contains("messages"), "{complaint}");
}
