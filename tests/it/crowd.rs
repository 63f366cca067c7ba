//! Crowds: thousands who only listen, some who do not even do that, and accounts that want everything for themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use wasend_tests::{Client, Engine, STORY_TIMEOUT, Start, World, until};

stories!(thousands_listen, who_does_not_read_is_cut_off_and_resumes, one_account_leaves_room_for_another);

const MIB: u64 = 1 << 20;
const CHANGED: &str = "subscription($after: Position) { messageStatusChanged(after: $after) { position status message { id content { text } } } }";
/// The same, with more to say.
const AT_LENGTH: &str = "subscription($after: Position) { messageStatusChanged(after: $after) { position message { content { a: text b: text c: text d: text } } } }";

async fn thousands_listen(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let before = world.peak_memory();
    let (mut sockets, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        sockets.extend(join_all((0..20).map(|_| client.connect_ws())).await);
        streams.extend(join_all((0..20).map(|_| client.subscribe_sse(CHANGED, json!({"after": null})))).await);
    }
    for socket in &mut sockets {
        socket.subscribe("1", CHANGED, json!({"after": null})).await;
    }
    until("all of them listen", || async {
        let text = reqwest::get(format!("{}metrics", world.url)).await.ok()?.text().await.ok()?;
        let open = |transport| {
            let line = format!("wasend_graphql_streams{{transport=\"{transport}\"}} 1000");
            text.contains(&line)
        };
        (open("ws") && open("sse")).then_some(())
    })
    .await;
    let id = client.send_text(&world.number(), "+16505551234", "Hello").await;
    client.until_status(&id, "READ").await;
    let heard = join_all(sockets.iter_mut().map(wasend_tests::ws::Socket::data)).await;
    assert!(heard.iter().all(|data| data["messageStatusChanged"]["message"]["id"] == *id), "everybody hears it");
    let heard = join_all(streams.iter_mut().map(wasend_tests::sse::Events::next)).await;
    assert!(heard.iter().all(|event| event["data"]["messageStatusChanged"]["message"]["id"] == *id));
    let grown = world.peak_memory() - before;
    assert!(grown < 400 * MIB, "{} MiB for 2,000 subscriptions", grown / MIB);
}

/// A subscription over server-sent events by a client that reads next to nothing.
async fn deaf(world: &World, client: &Client) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream = socket.connect(world.address()).await.expect("a connection");
    let body = json!({"query": AT_LENGTH, "variables": {"after": 0}}).to_string();
    let head = format!(
        "POST /graphql/stream HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        client.key,
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.expect("it is sent");
    stream
}

async fn who_does_not_read_is_cut_off_and_resumes(engine: Engine) {
    let world = Start::default().with("WASEND_WRITE_TIMEOUT", "1s").on(engine).await;
    let client = world.client();
    client.mutate("setNumberRate", json!({"id": world.number(), "messagesPerSecond": 1000}), "errors { code }").await;
    // More than any socket's buffer holds: each change tells the whole text.
    let text = "long ".repeat(800);
    let messages: Vec<_> = (0..200)
        .map(|n| json!({"numberId": world.number(), "to": format!("+1650555{n:04}"), "text": {"body": text}}))
        .collect();
    client.mutate("sendMessages", json!({"messages": messages}), "position errors { code }").await;
    let all = until("all are told of", || async {
        let found = client.data("{ messages(filter: {status: [READ]}) { totalCount } position }", json!({})).await;
        (found["messages"]["totalCount"] == 200).then(|| found["position"].as_u64())
    })
    .await;
    let before = world.peak_memory();
    let deaf: Vec<_> = join_all((0..5).map(|_| deaf(&world, &client))).await;
    until("the server has given them up", || async {
        let text = reqwest::get(format!("{}metrics", world.url)).await.ok()?.text().await.ok()?;
        text.contains("wasend_graphql_streams{transport=\"sse\"} 0").then_some(())
    })
    .await;
    let grown = world.peak_memory() - before;
    assert!(grown < 200 * MIB, "{} MiB for 5 who do not read", grown / MIB);
    for mut stream in deaf {
        let mut heard = Vec::new();
        let ended = tokio::time::timeout(STORY_TIMEOUT, stream.read_to_end(&mut heard)).await;
        let heard = String::from_utf8_lossy(&heard);
        assert!(ended.is_ok() && !heard.contains("event: complete"), "cut off, not complete");
        let (told, last) = positions(&heard);
        assert!(told.len() < 600, "much was left untold");
        if last.is_none() {
            continue;
        }
        // From where they were: the rest, without gap or repetition.
        let mut events = client.subscribe_sse(AT_LENGTH, json!({"after": last})).await;
        let next = events.next().await["data"]["messageStatusChanged"]["position"].as_u64();
        assert!(next > last && next <= all, "{last:?} {next:?}");
        assert!(!told.contains(&next.unwrap_or_default()));
        break;
    }
}

/// The positions that a stream has told in whole.
fn positions(heard: &str) -> (BTreeSet<u64>, Option<u64>) {
    let whole = heard.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    let data = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let told: BTreeSet<_> =
        data.filter_map(|event| event["data"]["messageStatusChanged"]["position"].as_u64()).collect();
    let last = told.last().copied();
    (told, last)
}

async fn one_account_leaves_room_for_another(engine: Engine) {
    let limits = [("WASEND_GRAPHQL_MAX_OPERATIONS", "4"), ("WASEND_GRAPHQL_MAX_STREAMS", "20")];
    let start = limits.into_iter().fold(Start::default(), |start, (name, value)| start.with(name, value));
    let world = start.on(engine).await;
    let greedy = world.client();
    let (modest, number) = world.another_account().await;
    let wide = (0..500).map(|n| format!("a{n}: messages(first: 1) {{ totalCount }}")).collect::<Vec<_>>().join(" ");
    let wide = format!("{{ {wide} }}");
    let attack = join_all((0..40).map(|_| greedy.ask(&wide, json!({}))));
    let others = async {
        for n in 0..5 {
            modest.data("{ messages { totalCount } contacts { totalCount } }", json!({})).await;
            modest.send_text(&number, &format!("+1650555000{n}"), "Hello").await;
        }
    };
    let (answers, ()) = tokio::join!(attack, others);
    for answer in answers {
        let served = answer["data"].is_object();
        assert!(served || answer["errors"][0]["extensions"]["code"] == "TOO_MANY_REQUESTS", "{answer}");
    }
    // What is open is counted as well, and given back when it closes.
    let mut open = join_all((0..20).map(|_| greedy.subscribe_sse(CHANGED, json!({"after": null})))).await;
    let request = greedy.http.post(format!("{}graphql/stream", world.url)).bearer_auth(&greedy.key);
    let answer = request.json(&json!({"query": CHANGED})).send().await.expect("an answer");
    assert_eq!(answer.status(), 429);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_MANY_SUBSCRIPTIONS");
    let mut socket = greedy.connect_bare_ws().await;
    socket
        .send(json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {}", greedy.key)}}))
        .await;
    assert_eq!(socket.next().await, json!({"type": "closed", "code": 1013}));
    modest.subscribe_sse(CHANGED, json!({"after": null})).await;
    open.pop();
    until("a place is free again", || async {
        let request = greedy.http.post(format!("{}graphql/stream", world.url)).bearer_auth(&greedy.key);
        let answer = request.json(&json!({"query": CHANGED})).send().await.expect("an answer");
        (answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_connections() {
    let world = Start::default().with("WASEND_MAX_CONNECTIONS_PER_ADDRESS", "30").on(Engine::Sqlite).await;
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(TcpStream::connect(world.address()).await.expect("a connection"));
    }
    let mut turned_away = 0;
    for stream in &mut open {
        let mut answer = String::new();
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(20), stream.read_to_string(&mut answer)).await {
            assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("TOO_MANY_REQUESTS"), "{answer}");
            turned_away += 1;
        }
    }
    assert!(turned_away >= 30, "{turned_away}");
    drop(open);
    until("there is room again", || async {
        reqwest::get(format!("{}healthz", world.url)).await.ok().filter(|answer| answer.status() == 200)
    })
    .await;
}
