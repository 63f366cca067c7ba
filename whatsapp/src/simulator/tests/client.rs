//! Every way in which a call can end.

use async_trait::async_trait;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    errors::ErrorClass,
    gateway::{GraphError, NotSent, SubmissionStatus, UnknownOutcome},
    request::{BodyParameters, NamedParameter},
    simulator::{HeldOutcome, LinesUnavailable, SimulatedLines},
};

fn refused(result: Result<SendReceipt, SendFailure>) -> GraphError {
    match result {
        Err(SendFailure::Refused(error)) => *error,
        other => panic!("a refusal, not {other:?}"),
    }
}

fn accepted(world: &World) -> usize {
    world.meta.simulator().accepted().len()
}

#[tokio::test]
async fn an_accepted_message() {
    let world = World::new().await;
    let submission = world.send("m-1").await.unwrap();
    assert_eq!(submission.wa_id.as_deref(), Some(DIGITS));
    assert_eq!(submission.message_status, Some(SubmissionStatus::Accepted));
    let [message] = <[_; 1]>::try_from(world.meta.simulator().accepted()).unwrap();
    assert_eq!(message.wamid, submission.wamid);
    assert_eq!(message.to, DIGITS);
    assert_eq!(message.biz_opaque_callback_data.as_deref(), Some("m-1"));
}

/// While the numbers cannot be looked up.
struct NoLines;

#[async_trait]
impl SimulatedLines for NoLines {
    async fn line(&self, _: &str) -> Result<Option<SimulatedLine>, LinesUnavailable> {
        Err(LinesUnavailable)
    }

    async fn waba(&self, _: &str) -> Result<Vec<SimulatedLine>, LinesUnavailable> {
        Err(LinesUnavailable)
    }
}

#[tokio::test]
async fn a_number_that_cannot_be_looked_up_is_not_an_unknown_one() {
    let world = World::with(|options| options.lines = Arc::new(NoLines)).await;
    let error = refused(world.send("m").await);
    assert!(matches!(error.class, ErrorClass::Transient { .. }), "{:?}", error.class);
    assert_eq!(accepted(&world), 0);
}

#[tokio::test]
async fn a_bsuid_instead_of_a_phone() {
    let world = World::new().await;
    let mut request = text("m");
    request.to = RequestRecipient::Bsuid("US.13491208655302741918".into());
    let submission = world.api.send(&world.line, &request).await.unwrap();
    assert_eq!(submission.wa_id, None);
    assert_eq!(submission.user_id.as_deref(), Some("US.13491208655302741918"));
}

#[tokio::test]
async fn held_and_rewritten() {
    let world = World::new().await;
    world.script(vec![
        SimulatedBehaviour::Held { then: HeldOutcome::Sent },
        SimulatedBehaviour::WaId { wa_id: "5511912345678".into() },
    ]);
    let submission = world.send("m").await.unwrap();
    assert_eq!(submission.message_status, Some(SubmissionStatus::Held));
    assert_eq!(submission.wa_id.as_deref(), Some("5511912345678"));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let world = World::new().await;
    world.script_times(
        vec![SimulatedBehaviour::RateLimited { code: 131_056, retry_after: Some(4), times: Some(1) }],
        Some(1),
    );
    world.script_times(vec![SimulatedBehaviour::UnavailableBefore { times: None }], Some(1));
    world.script_times(vec![SimulatedBehaviour::Error { http_status: 403, code: 131_031, times: None }], Some(1));

    let pair = refused(world.send("m").await);
    assert_eq!((pair.code, pair.class), (131_056, ErrorClass::ThrottlePair));
    assert_eq!(pair.retry_after, Some(Duration::from_secs(4)));
    let unavailable = refused(world.send("m").await);
    assert_eq!((unavailable.code, unavailable.http_status), (131_016, 503));
    assert!(matches!(unavailable.class, ErrorClass::Transient { .. }));
    let locked = refused(world.send("m").await);
    assert_eq!((locked.http_status, locked.class), (403, ErrorClass::StopAccount));
    assert_eq!(accepted(&world), 0);
    world.send("m").await.unwrap();
}

#[tokio::test]
async fn what_meta_validates() {
    let world = World::new().await;
    let send = async |change: &dyn Fn(&mut SenderLine, &mut SendRequest)| {
        let (mut line, mut request) = (world.line.clone(), text("m"));
        change(&mut line, &mut request);
        let error = refused(world.api.send(&line, &request).await);
        (error.http_status, error.code, error.subcode)
    };
    let template = |name: &str, body: BodyParameters| RequestContent::Template {
        name: name.into(),
        language: "en_US".into(),
        body,
    };
    let positional = |count: usize| BodyParameters::Positional(vec!["x".into(); count]);

    assert_eq!(send(&|line, _| line.access_token = "other".into()).await, (401, 190, None));
    assert_eq!(send(&|line, _| line.phone_number_id = "7".into()).await, (400, 100, Some(33)));
    for to in ["", "+1 650 555 CALL", "12345", "1234567890123456"] {
        assert_eq!(send(&|_, request| request.to = RequestRecipient::Phone(to.into())).await, (400, 100, None), "{to}");
    }
    assert_eq!(send(&|_, request| request.to = RequestRecipient::Bsuid("no".into())).await, (400, 100, None));
    for body in [String::new(), "é".repeat(4_097)] {
        let content = RequestContent::Text { body, preview_url: false };
        assert_eq!(send(&|_, request| request.content = content.clone()).await, (400, 100, None));
    }
    let data = Some("x".repeat(513));
    assert_eq!(send(&|_, request| request.biz_opaque_callback_data.clone_from(&data)).await, (400, 100, None));
    for (name, body, code) in [
        ("no_such_template", positional(0), (404, 132_001)),
        ("order_update", positional(1), (400, 132_000)),
        ("order_update", positional(3), (400, 132_000)),
        ("hello_world", positional(1), (400, 132_000)),
        ("appointment_reminder", positional(2), (400, 132_012)),
        ("order_update", BodyParameters::Positional(vec!["x".into(), String::new()]), (400, 131_008)),
    ] {
        let content = template(name, body);
        let (http_status, code_seen, _) = send(&|_, request| request.content = content.clone()).await;
        assert_eq!((http_status, code_seen), code, "{name}");
    }
    assert_eq!(accepted(&world), 0);

    let named = |name: &str| NamedParameter { name: name.into(), text: "x".into() };
    for (name, body) in [
        ("hello_world", positional(0)),
        ("order_update", positional(2)),
        ("appointment_reminder", BodyParameters::Named(vec![named("first_name"), named("date")])),
    ] {
        let mut request = text("m");
        request.content = template(name, body);
        world.api.send(&world.line, &request).await.unwrap();
    }
    let longest = RequestContent::Text { body: "é".repeat(4_096), preview_url: false };
    let request = SendRequest { content: longest, ..text("m") };
    world.api.send(&world.line, &request).await.unwrap();
}

#[tokio::test]
async fn outcomes_that_nobody_knows() {
    for (behaviour, why, is_accepted) in [
        (
            SimulatedBehaviour::GatewayErrorBefore { times: None },
            UnknownOutcome::NoEnvelope { http_status: 502 },
            false,
        ),
        (SimulatedBehaviour::ServerErrorAfter, UnknownOutcome::NoEnvelope { http_status: 500 }, true),
        (SimulatedBehaviour::DropAfter, UnknownOutcome::ConnectionLost, true),
    ] {
        let world = World::new().await;
        // A first message, so that the second goes over a connection that was used before.
        world.send("first").await.unwrap();
        world.script(vec![behaviour]);
        assert_eq!(world.send("m").await, Err(SendFailure::Unknown(why)));
        let summary = world.meta.simulator().summary(10);
        assert_eq!(summary.counts.get("m").copied(), is_accepted.then_some(1), "{why:?}");
        assert!(summary.repeated.is_empty());
    }
}

#[tokio::test]
async fn a_dropped_connection_brings_not_one_byte() {
    let world = World::new().await;
    world.script(vec![SimulatedBehaviour::DropAfter]);
    let body = text("m").to_json().to_string();
    let address = world.meta.base_url.socket_addrs(|| None).unwrap()[0];
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v25.0/{}/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
        world.line.phone_number_id,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert_eq!(accepted(&world), 1);
}

#[tokio::test]
async fn no_answer_in_time_may_still_be_accepted() {
    let world = World::new().await;
    world.script(vec![SimulatedBehaviour::Delay { ms: 60_000 }]);
    let options = CloudApiOptions { total_timeout: Duration::from_millis(1_500), ..CloudApiOptions::default() };
    let hasty = CloudApi::new(&options).unwrap();
    let failure = hasty.send(&world.line, &text("m")).await.unwrap_err();
    assert_eq!(failure, SendFailure::Unknown(UnknownOutcome::Timeout));
    assert_eq!(accepted(&world), 1);
}

#[tokio::test]
async fn nothing_is_sent_without_a_connection() {
    let not_sent = |why| Err(SendFailure::NotSent(why));
    let mut line = World::new().await.line;
    let closed = listen().await.local_addr().unwrap();
    line.base_url = format!("http://{closed}/v25.0").parse().unwrap();
    assert_eq!(client().send(&line, &text("m")).await, not_sent(NotSent::Connect));
    // No resolver needs to be asked to know that a label of 64 characters does not exist.
    line.base_url = format!("https://{}.invalid/v25.0", "a".repeat(64)).parse().unwrap();
    assert_eq!(client().send(&line, &text("m")).await, not_sent(NotSent::Connect));

    let world = World::new().await;
    // TLS towards a server that speaks none.
    line.base_url = world.meta.base_url.as_str().replace("http:", "https:").parse().unwrap();
    assert_eq!(client().send(&line, &text("m")).await, not_sent(NotSent::Connect));
    line.access_token = "with\na line break".into();
    line.base_url = world.meta.base_url.clone();
    assert_eq!(client().send(&line, &text("m")).await, not_sent(NotSent::Request));
    line.base_url = "data:text/plain,x".parse().unwrap();
    assert_eq!(client().send(&line, &text("m")).await, not_sent(NotSent::Request));
    assert_eq!(accepted(&world), 0);
}

/// Answers every request with these bytes, whatever it says, and closes.
async fn answering(bytes: String) -> SenderLine {
    let mut line = World::new().await.line;
    let listener = listen().await;
    line.base_url = format!("http://{}/v25.0", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let read = connection.read(&mut request).await.unwrap();
            assert!(read > 0);
            connection.write_all(bytes.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    line
}

#[tokio::test]
async fn answers_that_are_cut_too_long_redirected_or_no_json() {
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{}", " ".repeat(2_000_000));
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"messages\"", UnknownOutcome::ConnectionLost),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", UnknownOutcome::Unreadable { http_status: 200 }),
        (huge.as_str(), UnknownOutcome::Unreadable { http_status: 200 }),
        (
            "HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
            UnknownOutcome::NoEnvelope { http_status: 307 },
        ),
        ("not HTTP at all\r\n\r\n", UnknownOutcome::ConnectionLost),
    ] {
        let line = answering(answer.to_owned()).await;
        let failure = client().send(&line, &text("m")).await.unwrap_err();
        assert_eq!(failure, SendFailure::Unknown(why), "{}", &answer[..20]);
    }
}

#[tokio::test]
async fn with_and_without_a_version_and_marked_as_read() {
    let world = World::new().await;
    let mut line = world.line.clone();
    line.base_url.set_path("");
    world.api.send(&line, &text("m")).await.unwrap();

    let mut url = world.line.base_url.clone();
    url.set_path(&format!("/v26.0/{}/messages", line.phone_number_id));
    let body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A"});
    let answer = browser().post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"success": true}));
    assert_eq!(accepted(&world), 1);
}
