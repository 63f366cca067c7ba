use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    auth::fake::OneKey,
    http::tests::{listening, settings},
};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(address: SocketAddr, protocol: Option<&'static str>) -> Self {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        Self(connect_async(request).await.unwrap().0)
    }

    /// Acknowledged, with this as the payload of `connection_init`.
    async fn ready(address: SocketAddr, payload: Value) -> Self {
        let mut client = Self::connect(address, Some(super::PROTOCOL)).await;
        client.say(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(client.hear().await["type"], "connection_ack");
        client
    }

    async fn with_key(address: SocketAddr) -> Self {
        Self::ready(address, json!({"apiKey": OneKey::key()})).await
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({"id": id, "type": "subscribe", "payload": {"query": query}})).await;
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn hear(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message but {other:?}"),
        }
    }

    /// The code with which the server closes, whatever it says before.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(Message::Text(_)) => {}
                other => panic!("no close code but {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_subscription_is_answered_and_completed() {
    let (address, ..) = listening(settings()).await;
    let mut client = Client::with_key(address).await;
    client.subscribe("a", "subscription { count(to: 2) }").await;
    assert_eq!(client.hear().await, json!({"id": "a", "type": "next", "payload": {"data": {"count": 1}}}));
    assert_eq!(client.hear().await["payload"]["data"]["count"], 2);
    assert_eq!(client.hear().await, json!({"id": "a", "type": "complete"}));
    // The id is free again, and queries travel too.
    client.subscribe("a", "{ hello }").await;
    assert_eq!(client.hear().await["payload"]["data"]["hello"], "world");
    assert_eq!(client.hear().await["type"], "complete");
}

/// A connection without a library, after its handshake, and the answer's headers.
async fn raw(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let handshake = "GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws\r\n\r\n";
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        answer.push(char::from(stream.read_u8().await.unwrap()));
    }
    (stream, answer)
}

/// A frame of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = 0x80 | u8::try_from(payload.len()).unwrap();
    [&[first, length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn the_handshake_is_answered_in_the_spelling_of_its_headers() {
    let (address, ..) = listening(settings()).await;
    let (_, answer) = raw(address).await;
    assert!(answer.contains("\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"), "{answer}");
}

#[tokio::test]
async fn a_close_frame_is_answered_at_once_and_the_connection_ends() {
    let (address, shell, _) = listening(settings()).await;
    let close = |code: u16| frame(0x88, &code.to_be_bytes());
    let init = format!(r#"{{"type":"connection_init","payload":{{"apiKey":"{}"}}}}"#, OneKey::key());
    for (sent, answer) in [
        // RFC 6455, 5.5.1: the answer echoes the code.
        (vec![close(1000)], [&[0x88, 2][..], &1000_u16.to_be_bytes()].concat()),
        (vec![close(4900)], [&[0x88, 2][..], &4900_u16.to_be_bytes()].concat()),
        (vec![frame(0x88, &[])], vec![0x88, 0]),
        (vec![frame(0x81, init.as_bytes()), close(1000)], [&[0x88, 2][..], &1000_u16.to_be_bytes()].concat()),
        // A reserved bit, and a text that is not UTF-8.
        (vec![frame(0xf1, b"{}")], [&[0x88, 16][..], &1002_u16.to_be_bytes(), b"Protocol error"].concat()),
        (vec![frame(0x81, &[0xff])], [&[0x88, 11][..], &1007_u16.to_be_bytes(), b"Not UTF-8"].concat()),
    ] {
        let (mut stream, _) = raw(address).await;
        stream.write_all(&sent.concat()).await.unwrap();
        if answer.len() > 4 {
            // The server closes, and waits for the client's answer.
            let mut first = vec![0; answer.len()];
            stream.read_exact(&mut first).await.unwrap();
            assert_eq!(first, answer);
            continue;
        }
        let mut heard = Vec::new();
        let whole = tokio::time::timeout(Duration::from_millis(900), stream.read_to_end(&mut heard)).await;
        whole.expect("the server ends the connection").unwrap();
        assert!(heard.ends_with(&answer), "{heard:?}");
    }
    shell.life.stop();
    assert!(shell.life.drained(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_client_that_connects_for_each_operation_loses_none() {
    let (address, ..) = listening(settings()).await;
    let start = std::time::Instant::now();
    for _ in 0..10 {
        let mut client = Client::with_key(address).await;
        client.subscribe("a", "{ hello }").await;
        assert_eq!(client.hear().await["payload"]["data"]["hello"], "world");
        assert_eq!(client.hear().await["type"], "complete");
        client.0.close(None).await.unwrap();
        while let Some(message) = client.0.next().await {
            assert!(matches!(message, Ok(Message::Close(_))), "{message:?}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_cannot_be_executed_is_an_error_and_the_connection_goes_on() {
    let (address, ..) = listening(settings()).await;
    let mut client = Client::with_key(address).await;
    for document in ["{ hello", "subscription { nothing }"] {
        client.subscribe("a", document).await;
        let error = client.hear().await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("a")), "{document}");
        assert!(error["payload"][0]["extensions"]["code"].is_string());
    }
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn the_key_of_connection_init_is_the_callers() {
    let (address, _, key) = listening(settings()).await;
    let bearer = format!("bearer {}", OneKey::key());
    for payload in
        [json!({"Authorization": bearer}), json!({"authorization": bearer}), json!({"authToken": OneKey::key()})]
    {
        let mut client = Client::ready(address, payload).await;
        client.subscribe("a", "subscription { key }").await;
        assert_eq!(client.hear().await["payload"]["data"]["key"], key.actor.key_id.to_string());
    }
}

#[tokio::test]
async fn each_breach_of_the_protocol_has_its_close_code() {
    let mut config = settings();
    config.graphql.init_timeout = Duration::from_millis(300);
    config.graphql.message_limit = 16 << 10;
    let (address, ..) = listening(config).await;
    let subscribe = json!({"id": "a", "type": "subscribe", "payload": {"query": "subscription { never }"}});
    let init = json!({"type": "connection_init", "payload": {"apiKey": OneKey::key()}});
    let forged = json!({"type": "connection_init", "payload": {"Authorization": "Bearer wsk_forged"}});
    for (messages, code) in [
        (vec![], 4408),
        (vec![json!({"type": "nonsense"})], 4400),
        (vec![subscribe.clone()], 4401),
        (vec![json!({"type": "connection_init"})], 4401),
        (vec![json!({"type": "connection_init", "payload": {"apiKey": null}})], 4401),
        (vec![forged], 4403),
        (vec![init.clone(), init.clone()], 4429),
        (vec![init.clone(), subscribe.clone(), subscribe.clone()], 4409),
        (vec![init, json!({"type": "ping", "payload": {"x": "y".repeat(20_000)}})], 1009),
    ] {
        let mut client = Client::connect(address, Some(super::PROTOCOL)).await;
        for message in messages {
            client.say(message).await;
        }
        assert_eq!(client.closed().await, code);
    }
    assert_eq!(Client::connect(address, None).await.closed().await, 4406);
}

#[tokio::test]
async fn operations_at_once_are_limited_and_a_completed_one_makes_room() {
    let mut config = settings();
    config.graphql.max_subscriptions = 1;
    let (address, ..) = listening(config).await;
    let mut client = Client::with_key(address).await;
    client.subscribe("a", "subscription { never }").await;
    client.subscribe("b", "{ hello }").await;
    assert_eq!(client.hear().await["payload"][0]["extensions"]["code"], "TOO_MANY_SUBSCRIPTIONS");
    client.say(json!({"type": "complete", "id": "a"})).await;
    client.subscribe("a", "{ hello }").await;
    assert_eq!(client.hear().await["payload"]["data"]["hello"], "world");
}

#[tokio::test]
async fn a_revoked_key_ends_its_connection() {
    let mut config = settings();
    config.graphql.keep_alive = Duration::from_millis(50);
    let (address, _, key) = listening(config).await;
    let mut client = Client::ready(address, json!({"apiKey": OneKey::key()})).await;
    client.subscribe("a", "subscription { never }").await;
    key.revoked.store(true, Ordering::SeqCst);
    assert_eq!(client.closed().await, 4403);
}

#[tokio::test]
async fn a_stopping_server_says_goodbye() {
    let (address, shell, _) = listening(settings()).await;
    let mut client = Client::with_key(address).await;
    client.subscribe("a", "subscription { tick }").await;
    client.hear().await;
    shell.life.stop();
    assert_eq!(client.closed().await, 1001);
    drop(client);
    assert!(shell.life.drained(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_cut_off() {
    let mut config = settings();
    config.http.write_timeout = Duration::from_millis(200);
    let (address, shell, _) = listening(config).await;
    let mut client = Client::with_key(address).await;
    client.subscribe("a", "subscription { flood }").await;
    // The connection is the only task; it ends although the client keeps its side open and reads nothing.
    shell.life.tracker().close();
    tokio::time::timeout(Duration::from_secs(30), shell.life.tracker().wait()).await.expect("was cut off");
}
