//! Erasures through rebuilds, kills, other traffic and other nodes.

use super::*;

stories!(
    rebuilds_after_an_erasure_are_equal,
    a_kill_at_any_moment_is_survived,
    an_erasure_among_sends_and_inbound_messages,
);

stories_of_nodes!(a_node_that_remembers_the_keys_reads_nothing_once_it_is_completed);

async fn rebuilds_after_an_erasure_are_equal(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for n in 0..10 {
        client.send_text(&world.number(), &format!("+16505551{n:03}"), "Hello").await;
    }
    let file = format!("phone,name,city\n{PHONE},Ada,London\n+16505551000,Bob,Paris\n");
    client.mutate("importContacts", json!({"filename": "x.csv", "content": file}), "errors { code }").await;
    client.send_text(&world.number(), PHONE, "Hello").await;
    let asked = request(&client, json!({"phone": PHONE})).await;
    rebuild_all(&world).await;
    until_completed(&client, &asked["request"]["id"]).await;
    rebuild_all(&world).await;
}

/// Every read model, anew from the log, is what it was.
async fn rebuild_all(world: &World) {
    let list = world.run(&["projections", "list"]).await;
    let names: Vec<_> = list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 9, "{list}");
    for name in names {
        let report = world.run(&["projections", "rebuild", name]).await;
        let tables: Vec<_> = report.lines().filter(|line| line.contains(" equal, ")).collect();
        assert!(!tables.is_empty(), "{report}");
        assert!(tables.iter().all(|line| line.contains(" 0 different, 0 missing, 0 added")), "{report}");
    }
}

async fn a_kill_at_any_moment_is_survived(engine: Engine) {
    let mut world = World::start(engine).await;
    for round in 0..4_u64 {
        let (client, phone) = (world.client(), format!("+1650555700{round}"));
        let message = client.send_text(&world.number(), &phone, "Hello").await;
        let id = known(&client, &phone).await;
        let asked = request(&client, json!({"phone": phone})).await;
        tokio::time::sleep(std::time::Duration::from_millis(round * 7)).await;
        world.kill().await;
        world = world.restart().await;
        let client = world.client();
        let done = until_completed(&client, &asked["request"]["id"]).await;
        assert_eq!(done["keyFingerprints"].as_array().expect("a list").len(), 1);
        let contact =
            client.data("query($id: ID) { contact(id: $id) { phone erased { why } } }", json!({"id": id})).await;
        assert!(contact["contact"]["phone"].is_null() && contact["contact"]["erased"]["why"].is_string());
        assert_eq!(client.message(&message, "content { text }").await["content"]["text"], json!(null));
    }
}

async fn an_erasure_among_sends_and_inbound_messages(engine: Engine) {
    let world = World::start(engine).await;
    let (client, id) = (world.client(), phone_number_id(&world).await);
    let first = client.send_text(&world.number(), PHONE, "First").await;
    let old = known(&client, PHONE).await;
    let sends = futures::future::join_all((0..30).map(|n| {
        let (client, world, id) = (client.clone(), &world, id.clone());
        async move {
            if n % 3 == 0 {
                let inbound = json!({"phone_number_id": id, "from": "16505554321", "text": format!("In {n}")});
                world.simulator.inbound(inbound).await;
            } else {
                client
                    .send(json!({"numberId": world.number(), "to": PHONE, "text": {"body": format!("Out {n}")}}))
                    .await;
            }
        }
    }));
    let erasing = async {
        let asked = futures::future::join_all((0..3).map(|_| request(&client, json!({"contactId": old})))).await;
        let ids: std::collections::BTreeSet<_> = asked.iter().map(|asked| asked["request"]["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "one request: {asked:?}");
        until_completed(&client, &asked[0]["request"]["id"]).await
    };
    let (_, _) = futures::join!(sends, erasing);
    let query = "query($c: ID!) { messages(filter: {contactId: $c}, first: 100) { edges { node { status content { text } } } } }";
    let left = client.data(query, json!({"c": old})).await;
    for edge in left["messages"]["edges"].as_array().expect("edges") {
        let node = &edge["node"];
        assert_eq!(node["content"]["text"], json!(null));
        assert!(!["ACCEPTED", "ATTEMPTED"].contains(&node["status"].as_str().expect("a status")), "{node}");
    }
    assert_eq!(client.message(&first, "content { text }").await["content"]["text"], json!(null));
    assert_eq!(world.simulator.messages().await["repeated"], json!({}));
}

async fn a_node_that_remembers_the_keys_reads_nothing_once_it_is_completed(engine: Engine) {
    let world = World::start(engine).await;
    let other = world.another_node(world.data.path()).await;
    let (one, two) = (world.client(), other.client());
    for round in 0..3 {
        let phone = format!("+1650555800{round}");
        let message = one.send_text(&world.number(), &phone, "Hello").await;
        let read = async || two.message(&message, "content { text erased { why } }").await["content"].take();
        until("the other node reads it", || async { (read().await["text"] == "Hello").then_some(()) }).await;
        let asked = request(&one, json!({"phone": phone})).await;
        // It goes on reading all the while; what it answers to a question that was put after the end is what counts.
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let reading = async {
            let mut stopped = stopped;
            while stopped.try_recv().is_err() {
                read().await;
            }
        };
        let erasing = async {
            let done = until_completed(&one, &asked["request"]["id"]).await;
            let left = read().await;
            stop.send(()).expect("it reads still");
            (done, left)
        };
        let ((), (done, left)) = futures::join!(reading, erasing);
        assert_eq!(left["text"], json!(null), "after {done}");
        assert!(left["erased"]["why"].is_string());
    }
}
