//! Too much, too deep, too slow: requests out of all proportion get a clear error, memory stays bounded, and all
//! others are served in the meantime. No more than one engine's worth of it: nothing here reaches a store.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wasend_tests::{Client, Engine, STORY_TIMEOUT, Start, World};

const MIB: u64 = 1 << 20;

/// What a request is answered with, whatever it is: the status, the code of its first error, and the length. A body
/// that the server does not read may break the connection before the answer is heard: that is 413 as well.
async fn answered(request: reqwest::RequestBuilder) -> (u16, String, usize) {
    let broken = || (413, "PAYLOAD_TOO_LARGE".to_owned(), 0);
    let Ok(answer) = request.send().await else { return broken() };
    let status = answer.status().as_u16();
    let Ok(text) = answer.text().await else { return broken() };
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let code = json["errors"][0]["extensions"]["code"].as_str().or(json["code"].as_str()).unwrap_or_default();
    (status, code.to_owned(), text.len())
}

fn post(client: &Client, path: &str) -> reqwest::RequestBuilder {
    client.http.post(format!("{}{path}", client.url)).header("content-type", "application/json")
}

fn signed(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request.header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
}

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().concat()
}

/// A connection that has sent this much of a request and goes no further.
async fn begun(world: &World, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
    stream.write_all(format!("{head}\r\n").as_bytes()).await.expect("the head is sent");
    // The server may close before it has read all of it.
    stream.write_all(body).await.ok();
    stream
}

/// A client that does nothing wrong is served.
async fn others_are_served(world: &World) {
    let client = world.client();
    let served = tokio::time::timeout(STORY_TIMEOUT, client.data("{ messages { totalCount } }", json!({})));
    served.await.expect("others are served");
}

/// Documents that cost more than their size, by what is too much in them.
fn documents() -> Vec<(&'static str, String)> {
    let n = 1_000_000;
    let bombs = many(40, |n| format!("fragment F{n} on Query {{ ...F{0} ...F{0} ...F{0} }} ", n + 1));
    let bombs = format!("{{ ...F0 }} {bombs} fragment F40 on Query {{ position }}");
    vec![
        ("deep", "{a".repeat(n) + &"}".repeat(n)),
        ("a deep list", format!("{{a(x:{}{})}}", "[".repeat(n), "]".repeat(n))),
        ("a deep object", format!("{{a(x:{}1{})}}", "{b:".repeat(n), "}".repeat(n))),
        ("a deep type", format!("query($a:{}Int{}){{a}}", "[".repeat(n), "]".repeat(n))),
        ("wide", format!("{{{}}}", "a ".repeat(3 * n))),
        ("directives", format!("{{position {}}}", "@a ".repeat(n))),
        ("aliases", format!("{{{}}}", many(15_000, |n| format!("a{n}:position ")))),
        ("counting", format!("{{{}}}", many(4_000, |n| format!("a{n}:messages{{totalCount}}")))),
        ("a long name", format!("{{{}}}", "a".repeat(n))),
        ("unknown fields", format!("{{{}}}", many(9_000, |n| format!("a{n} ")))),
        ("fragments that multiply", bombs),
        ("fragments in a circle", "{...A} fragment A on Query {...B} fragment B on Query {...A}".to_owned()),
        (
            "the schema of the schema",
            "{__schema{types{".to_owned() + &"fields{type{".repeat(8) + "name" + &"}}".repeat(8) + "}}}",
        ),
        (
            "the schema again and again",
            format!("{{{}}}", many(900, |n| format!("a{n}:__schema{{types{{fields{{name}}}}}}"))),
        ),
        ("no document", "\"".repeat(n)),
    ]
}

/// Bodies that cost more than their size, and the code that refuses each; none for one that is answered.
fn bodies() -> Vec<(&'static str, String, &'static str)> {
    let n = 1_000_000;
    vec![
        (
            "values",
            format!("{{\"query\":\"{{position}}\",\"variables\":{{\"a\":[{}1]}}}}", "[],".repeat(n)),
            "PAYLOAD_TOO_LARGE",
        ),
        ("nesting", "[".repeat(n), "PAYLOAD_TOO_LARGE"),
        ("nesting below the cap", "[".repeat(400_000), "BAD_REQUEST"),
        (
            "a long variable",
            json!({"query": "query($a: ID!) { message(id: $a) { id } }", "variables": {"a": "x".repeat(8_000_000)}})
                .to_string(),
            "",
        ),
        ("a batch", json!(vec![json!({"query": "{position}"}); 11]).to_string(), "BATCH_TOO_LARGE"),
        (
            "an operation's name",
            json!({"query": "{position}", "operationName": "x".repeat(n)}).to_string(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_out_of_proportion_are_refused() {
    let world = World::start(Engine::Sqlite).await;
    // A connection for each: the server closes one whose body it refused, maybe while the next request is written to it.
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client is made");
    let client = Client { http, ..world.client() };
    let before = world.peak_memory();
    let known = ["QUERY_TOO_COMPLEX", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"];
    for (what, document) in &documents() {
        for key in [true, false] {
            // Without a key nothing so large is read.
            let request = post(&client, "graphql").json(&json!({"query": document}));
            let (status, code, length) = answered(if key { request.bearer_auth(&client.key) } else { request }).await;
            assert!((!key && code == "PAYLOAD_TOO_LARGE") || known.contains(&&*code), "{what}: {status} {code}");
            assert!(length < 64 << 10, "{what} is answered with {length} bytes");
        }
    }
    for (what, body, expected) in bodies() {
        let (status, code, length) = answered(post(&client, "graphql").bearer_auth(&client.key).body(body)).await;
        assert_eq!(code, expected, "{what}: {status}");
        assert!(length < 64 << 10, "{what} is answered with {length} bytes");
    }
    others_are_served(&world).await;
    let grown = world.peak_memory() - before;
    assert!(grown < 400 * MIB, "{} MiB more than at rest", grown / MIB);
    // What tools ask for is let through.
    let tools = "{ __schema { types { kind name description fields(includeDeprecated: true) { name args { name type { name ofType { name ofType { name ofType { name ofType { name ofType { name ofType { name } } } } } } } } type { name ofType { name ofType { name ofType { name ofType { name } } } } } } inputFields { name type { name ofType { name } } } enumValues { name } possibleTypes { name } } } }";
    assert!(client.data(tools, json!({})).await["__schema"]["types"].is_array());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_take_bounded_memory() {
    let world = Start::default().with("WASEND_BODY_MEMORY", "32MiB").on(Engine::Sqlite).await;
    let client = world.client();
    let before = world.peak_memory();
    // Requests without a key, or without a well-formed signature, are refused before their body is read.
    let large = vec![b' '; 3 << 20];
    let cases = [
        ("no key", post(&client, "graphql").body(large.clone()), 413, "PAYLOAD_TOO_LARGE"),
        ("no signature", post(&client, "webhooks/whatsapp").body(large.clone()), 401, "UNAUTHENTICATED"),
        (
            "packed",
            post(&client, "graphql").bearer_auth(&client.key).header("content-encoding", "gzip").body(vec![0; 99]),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            "a packed webhook",
            signed(post(&client, "webhooks/whatsapp")).header("content-encoding", "gzip").body(vec![0; 99]),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ];
    for (what, request, status, code) in cases {
        let answer = answered(request).await;
        assert!((answer.0, &*answer.1) == (status, code) || answer.2 == 0, "{what}: {answer:?}");
    }
    // Bodies without a length that never end, of an account and of a client that pretends to be Meta.
    let piece = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let body = piece.repeat(3);
    let graphql = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n",
        client.key
    );
    let webhook = format!(
        "POST /webhooks/whatsapp HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: sha256={}\r\nTransfer-Encoding: chunked\r\n",
        "0".repeat(64)
    );
    let mut open = Vec::new();
    for head in [&graphql, &webhook] {
        for _ in 0..40 {
            open.push(begun(&world, head, &body).await);
        }
    }
    others_are_served(&world).await;
    let id = world.phone_number_id().await;
    assert_eq!(world.simulator.raw(&id, "{\"hello\": 1}").await["webhook_status"], 200, "Meta is heard");
    let mut refused = 0;
    for mut stream in open {
        let mut answer = vec![0; 12];
        let said = tokio::time::timeout(std::time::Duration::from_millis(50), stream.read_exact(&mut answer)).await;
        refused += usize::from(matches!(said, Ok(Ok(_))) && answer.ends_with(b"503"));
    }
    assert!(refused > 0, "what does not fit is told so");
    let grown = world.peak_memory() - before;
    assert!(grown < 150 * MIB, "{} MiB more than at rest", grown / MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_webhooks_cost_little() {
    let world = World::start(Engine::Sqlite).await;
    let client = world.client();
    let before = (world.peak_memory(), world.run(&["events"]).await.lines().count());
    let named = |n: u32| json!({"field": "messages", "value": {"metadata": {"phone_number_id": n.to_string()}, "statuses": [{}]}});
    let entries =
        |count: u32| json!({"entry": [{"id": "1", "changes": (0..count).map(named).collect::<Vec<_>>()}]}).to_string();
    let elements = format!(
        "{{\"entry\":[{{\"id\":\"1\",\"changes\":[{{\"field\":\"messages\",\"value\":{{\"messages\":[{}1]}}}}]}}]}}",
        "{},".repeat(1_200_000)
    );
    let bodies = [
        entries(900),
        entries(20_000),
        elements,
        "{\"entry\":[".to_owned() + &"{},".repeat(1_200_000) + "1]}",
        "[".repeat(4_000_000),
    ];
    let attack = (0..30).map(|n| {
        let request = signed(post(&client, "webhooks/whatsapp")).body(bodies[n % bodies.len()].clone());
        async move { answered(request).await }
    });
    let id = world.phone_number_id().await;
    let honest = async {
        for n in 0..5 {
            let taken = world.simulator.raw(&id, &json!({"hello": n}).to_string()).await;
            assert_eq!(taken["webhook_status"], 200, "Meta is heard in the meantime");
        }
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(attack), honest);
    for (status, code, _) in answers {
        assert!(
            (status, &*code) == (401, "UNAUTHENTICATED") || (status, &*code) == (503, "UNAVAILABLE"),
            "{status} {code}"
        );
    }
    others_are_served(&world).await;
    assert_eq!(world.run(&["events"]).await.lines().count(), before.1 + 5, "nothing forged was written");
    let grown = world.peak_memory() - before.0;
    assert!(grown < 400 * MIB, "{} MiB more than at rest", grown / MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_up_themselves_alone() {
    let limits = [("WASEND_HEADER_TIMEOUT", "1s"), ("WASEND_BODY_TIMEOUT", "2s")];
    let start = limits.into_iter().fold(Start::default(), |start, (name, value)| start.with(name, value));
    let world = start.on(Engine::Sqlite).await;
    let key = world.client().key;
    let mut slow = Vec::new();
    for _ in 0..200 {
        slow.push(("headers", begun(&world, "GET /graphql HTTP/1.1\r\nHost: a\r\nX-Slow:", b"").await));
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\nContent-Length: 5000\r\n"
        );
        slow.push(("body", begun(&world, &head, b"{").await));
    }
    let endless = format!("GET /graphql HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(1 << 20));
    slow.push(("endless headers", begun(&world, &endless, b"").await));
    others_are_served(&world).await;
    for (what, mut stream) in slow {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(STORY_TIMEOUT, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "slow {what}: the server ends it");
        let answer = String::from_utf8_lossy(&answer);
        assert!(what != "body" || answer.starts_with("HTTP/1.1 408"), "slow {what}: {answer}");
    }
}
