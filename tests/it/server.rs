//! The server starts, says how it is, stops, and comes back with everything.

use serde_json::{Value, json};
use wasend_tests::{Engine, Start, World, until};

stories!(
    a_first_start_says_what_to_do_next,
    a_first_start_prints_the_key_where_that_is_wanted,
    an_account_is_created_beside_a_fixed_simulator,
    metrics_are_for_this_machine,
    it_comes_back_with_everything,
    what_was_accepted_survives_a_kill,
    after_a_kill_it_opens_with_everything_to_be_seen,
    a_data_directory_has_one_server,
    probes_and_metrics_answer,
    wrong_settings_are_named,
    connections_speak_the_protocol,
    many_clients_at_once,
);

async fn a_first_start_says_what_to_do_next(engine: Engine) {
    let mut world = World::start(engine).await;
    let printed = world.output();
    for hint in ["API key in ", "$(cat '", "/graphql", "GraphiQL", "curl", "sendMessage", "messageStatusChanged"] {
        assert!(printed.contains(hint), "{hint} in {printed}");
    }
    // The key is not in what a service prints; the server's user finds it in a file.
    assert!(!printed.contains("wsk_"), "{printed}");
    let file = world.data.path().join("first-api-key");
    assert!(printed.contains(&format!("API key in {}\n", file.display())), "{printed}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), format!("{}\n", world.client().key));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("the file"));
    assert_eq!(mode & 0o777, 0o600);
    // The examples work as they are printed.
    let send = printed[printed.rfind("curl ").expect("an example")..].split("\n\n").next().expect("an example");
    let output = tokio::process::Command::new("sh").args(["-c", send]).output().await.expect("a shell");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ACCEPTED"), "{send}: {output:?}");
    std::fs::remove_file(&file).expect("it is removed");
    let (number, simulator, key) = (world.number(), world.simulator.url().to_owned(), world.client().key);
    world.stop().await;
    let world = world.restart().await;
    assert!(!world.output().contains("wsk_") && !file.exists(), "the key is handed over once");
    // The number and the examples come again, and what was written down of the simulator stays right.
    let printed = world.output();
    assert!(printed.contains(&format!("Number   {number}\n")), "{printed}");
    assert_eq!(world.simulator.url(), simulator);
    let send = printed[printed.rfind("curl ").expect("an example")..].split("\n\n").next().expect("an example");
    let output = tokio::process::Command::new("sh").env("KEY", key).args(["-c", send]).output().await.expect("a shell");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ACCEPTED"), "{send}: {output:?}");
}

async fn a_first_start_prints_the_key_where_that_is_wanted(engine: Engine) {
    let world = Start::default().with("WASEND_PRINT_FIRST_KEY", "true").on(engine).await;
    assert!(world.output().contains(&format!("API key  {}\n", world.client().key)));
    assert!(!world.data.path().join("first-api-key").exists());
    world.client().data("{ position }", json!({})).await;
}

/// A command of the terminal binds no address of the server's.
async fn an_account_is_created_beside_a_fixed_simulator(engine: Engine) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").to_string();
    drop(taken);
    let world = Start::default().with("WASEND_SIMULATOR_LISTEN", &port).on(engine).await;
    assert_eq!(world.simulator.url(), format!("http://{port}/"));
    let (other, number) = world.another_account().await;
    let sent = other.send_text(&number, "+16505551234", "Hello").await;
    other.until_status(&sent, "READ").await;
    for command in [&["projections", "list"][..], &["vault", "status"], &["events"]] {
        world.run(command).await;
    }
}

/// At `listen` metrics are for this machine alone, and no key opens them; at `metrics_listen` for all who reach it.
async fn metrics_are_for_this_machine(engine: Engine) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let apart = free.local_addr().expect("an address").to_string();
    let world = World::start(engine).await;
    let client = world.client();
    let get = |name: &'static str, value: &'static str| {
        let request = client.http.get(format!("{}metrics", world.url)).bearer_auth(&client.key);
        let request = if name.is_empty() { request } else { request.header(name, value) };
        async move { request.send().await.expect("an answer").status() }
    };
    assert_eq!(get("", "").await, 200);
    for (name, value) in
        [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("Host", "wasend.example.com")]
    {
        assert_eq!(get(name, value).await, 403, "{name}");
    }
    drop(free);
    let world = Start::default().with("WASEND_METRICS_LISTEN", &apart).on(engine).await;
    let status = async |url: String| client.http.get(url).send().await.expect("an answer").status();
    assert_eq!(status(format!("{}metrics", world.url)).await, 404);
    assert_eq!(status(format!("http://{apart}/metrics")).await, 200);
}

async fn it_comes_back_with_everything(engine: Engine) {
    let mut world = World::start(engine).await;
    let client = world.client();
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&id, "READ").await;
    world.stop().await;
    let world = world.restart().await;
    let client = world.client();
    let message = client.message(&id, "status content { text } contact { phone }").await;
    assert_eq!(message, json!({"status": "READ", "content": {"text": "Hello"}, "contact": {"phone": "+16505551234"}}));
    let again = client.send_text(&world.number(), "+16505551234", "Again").await;
    client.until_status(&again, "READ").await;
    assert_eq!(client.data("{ contacts { totalCount } }", json!({})).await["contacts"]["totalCount"], 1);
}

async fn what_was_accepted_survives_a_kill(engine: Engine) {
    let mut world = World::start(engine).await;
    let client = world.client();
    let number = world.number();
    let sends = (0..50).map(|n| {
        let (client, number) = (client.clone(), number.clone());
        async move { client.send_text(&number, &format!("+165055510{n:02}"), "Hello").await }
    });
    let ids = futures::future::join_all(sends).await;
    world.kill().await;
    let world = world.restart().await;
    let client = world.client();
    for id in &ids {
        until("it is sent, or its outcome is unknown and told", || async {
            let message = client.message(id, "status").await;
            let settled = ["SUBMITTED", "SENT", "DELIVERED", "READ", "ATTEMPTED"];
            settled.contains(&message["status"].as_str()?).then_some(())
        })
        .await;
    }
    assert_eq!(world.simulator.messages().await["repeated"], json!({}));
    let events = world.run(&["events"]).await;
    for (index, line) in events.lines().enumerate() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["position"], index as u64 + 1);
    }
}

async fn after_a_kill_it_opens_with_everything_to_be_seen(engine: Engine) {
    let mut world = World::start(engine).await;
    for n in 0..3 {
        let id = world.client().send_text(&world.number(), &format!("+1650555120{n}"), "Hello").await;
        world.kill().await;
        world = world.restart().await;
        assert_eq!(world.client().message(&id, "content { text }").await, json!({"content": {"text": "Hello"}}));
    }
}

async fn a_data_directory_has_one_server(engine: Engine) {
    let mut world = World::start(engine).await;
    if engine == Engine::Sqlite {
        let (ok, _, complaint) = world.try_run(&["serve"]).await;
        assert!(!ok && complaint.contains("another server"), "{complaint}");
    }
    // The tools run beside it, and the next server after a kill gets the directory.
    world.run(&["projections", "list"]).await;
    world.kill().await;
    let world = world.restart().await;
    let id = world.client().send_text(&world.number(), "+16505551234", "Hello").await;
    world.client().until_status(&id, "READ").await;
}

async fn probes_and_metrics_answer(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&id, "READ").await;
    let get = |path: &'static str| {
        let url = format!("{}{path}", world.url);
        async move { reqwest::get(url).await.expect("an answer") }
    };
    assert_eq!(get("healthz").await.status(), 200);
    let ready = get("readyz").await;
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.json::<Value>().await.expect("JSON")["ready"], true);
    for name in [
        "wasend_log_append_seconds",
        "wasend_log_batch_events",
        "wasend_projection_lag_events",
        "wasend_dispatch_outcomes_total",
        "wasend_webhook_updates_total",
    ] {
        // A webhook may tell of a message before the answer of the call that sent it is recorded.
        until(name, || async { get("metrics").await.text().await.expect("text").contains(name).then_some(()) }).await;
    }
    assert_eq!(get("nowhere").await.status(), 404);
}

async fn wrong_settings_are_named(engine: Engine) {
    let world = World::start(engine).await;
    let (ok, _, complaint) = world.try_run(&["--listen", "nowhere", "serve"]).await;
    assert!(!ok && complaint.contains("listen"), "{complaint}");
    let (ok, _, complaint) = world.try_run(&["--config", "/no/such/file.toml", "serve"]).await;
    assert!(!ok && complaint.contains("/no/such/file.toml"), "{complaint}");
    let file = world.data.path().join("wasend.toml");
    std::fs::write(&file, "[dispatch]\nmax_atempts = 3\n").expect("a file is written");
    let (ok, _, complaint) = world.try_run(&["--config", &file.to_string_lossy(), "projections", "list"]).await;
    assert!(!ok && complaint.contains("max_atempts"), "{complaint}");
}

async fn connections_speak_the_protocol(engine: Engine) {
    let world = Start::default().with("WASEND_GRAPHQL_INIT_TIMEOUT", "1s").on(engine).await;
    let client = world.client();
    let mut socket = client.connect_bare_ws().await;
    socket.subscribe("1", "{ position }", json!({})).await;
    assert_eq!(socket.next().await, json!({"type": "closed", "code": 4401}), "subscribed before connection_init");
    let mut socket = client.connect_bare_ws().await;
    assert_eq!(socket.next().await, json!({"type": "closed", "code": 4408}), "no connection_init in time");
    let mut socket = client.connect_bare_ws().await;
    socket.send(json!({"type": "connection_init", "payload": {"Authorization": "Bearer wsk_wrong"}})).await;
    let closed = socket.next().await;
    assert!(closed["code"] == 4403 || closed["code"] == 4401, "{closed}");
    let mut socket = client.connect_ws().await;
    socket.send(json!({"type": "connection_init"})).await;
    assert_eq!(socket.next().await["code"], 4429);
    let mut socket = client.connect_ws().await;
    socket.subscribe("1", "subscription { messageStatusChanged { position } }", json!({})).await;
    socket.subscribe("1", "subscription { messageStatusChanged { position } }", json!({})).await;
    assert_eq!(socket.next().await["code"], 4409);
    let mut socket = client.connect_ws().await;
    socket.send(json!({"type": "nonsense"})).await;
    assert_eq!(socket.next().await["code"], 4400);

    let get = |accept: &'static str, query: &'static str| {
        let request =
            client.http.get(format!("{}graphql", world.url)).bearer_auth(&client.key).header("accept", accept);
        request.query(&[("query", query)]).send()
    };
    let answer = get("application/graphql-response+json", "{ position }").await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().expect("ASCII").starts_with("application/graphql-response+json"));
    let answer =
        get("application/json", "mutation { pauseNumber(input: {id: \"x\"}) { position } }").await.expect("an answer");
    assert_eq!(answer.status(), 405);
    let answer =
        client.http.get(format!("{}graphql", world.url)).header("accept", "text/html").send().await.expect("an answer");
    let page = answer.text().await.expect("a page");
    assert!(!page.contains("//"), "the page loads nothing from elsewhere: {page}");
    for file in ["graphiql.js", "graphiql.css", "react.js", "react-dom.js", "start.js"] {
        assert!(page.contains(&format!("/graphiql/{file}")));
        let asset = client.http.get(format!("{}graphiql/{file}", world.url)).send().await.expect("an answer");
        assert_eq!(asset.status(), 200, "{file}");
    }
}

async fn many_clients_at_once(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("setNumberRate", json!({"id": world.number(), "messagesPerSecond": 1000}), "errors { code }").await;
    let sends = (0..64).map(|n| {
        let (client, number) = (client.clone(), world.number());
        async move {
            for m in 0..5 {
                // Few recipients, so that many meet at one contact.
                client.send_text(&number, &format!("+1650555{:04}", (n * 5 + m) % 40), "Hello").await;
            }
        }
    });
    futures::future::join_all(sends).await;
    until("all are accepted by Meta or wait for their pair's turn", || async {
        let count =
            client.data("{ messages(first: 1) { totalCount } contacts(first: 1) { totalCount } }", json!({})).await;
        (count["messages"]["totalCount"] == 320 && count["contacts"]["totalCount"] == 40).then_some(())
    })
    .await;
    assert_eq!(world.simulator.messages().await["repeated"], json!({}));
}

/// It has a separate store, and fails where what it tells is not so.
#[tokio::test]
async fn the_demo_shows_what_it_says() {
    let mut demo = tokio::process::Command::new(wasend_tests::world::binary());
    let output = demo.arg("demo").env_clear().output().await.expect("it runs");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{failed}");
    for line in ["PHONE_SCIENTIFIC", "ErasureKeysDestroyed", "\"why\":\"erasure request "] {
        assert!(told.contains(line), "{line} in {told}");
    }
}
