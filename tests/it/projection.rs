//! Read models are rebuilt beside those that serve.

use serde_json::json;
use wasend_tests::{Engine, World};

stories!(every_read_model_is_rebuilt_while_the_server_runs);

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
