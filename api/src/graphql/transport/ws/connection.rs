//! One connection: its state and its loop.

use std::{collections::HashMap, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::oneshot,
    future::BoxFuture,
    stream::{self, BoxStream, SelectAll, SplitSink},
};
use serde_json::{Map, Value};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::message::{ClientMessage, CloseReason, server};
use crate::{
    auth::{CallerIdentity, KeyDenied, RequestCaller},
    graphql::transport::{RequestRefusal, params::RequestParams, prepare, response::OperationResponse},
    http::{HttpState, quota::OperationPermit},
    problem::ProblemCode,
};

type SocketSink = SplitSink<WebSocket, Message>;

/// How long a client may take to answer a close frame.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// One WebSocket and the operations that run on it.
pub struct SocketConnection {
    shell: HttpState,
    identity: CallerIdentity,
    is_acknowledged: bool,
    /// Operations under way; dropping a sender ends its stream.
    running: HashMap<String, oneshot::Sender<()>>,
    answers: SelectAll<BoxStream<'static, OperationStep>>,
    revoked: BoxFuture<'static, ()>,
    /// Keep-alive ticks since the client was last heard.
    silence: u8,
    /// The connection's own place among what its account has open.
    place: Option<OperationPermit>,
}

/// What an operation does next.
enum OperationStep {
    Answer(String, OperationResponse),
    Done(String),
}

/// How a connection ends.
enum ConnectionEnd {
    /// The client is gone.
    Gone,
    /// The client closes, and waits for the answer to its close frame.
    Answer,
    Close(CloseReason),
}

impl From<CloseReason> for ConnectionEnd {
    fn from(closing: CloseReason) -> Self {
        Self::Close(closing)
    }
}

impl From<axum::Error> for ConnectionEnd {
    fn from(error: axum::Error) -> Self {
        // The only words that axum passes on about what the library refuses.
        let error = error.to_string();
        if error.contains("too long") {
            Self::Close(CloseReason::too_large())
        } else if error.contains("without closing handshake") {
            Self::Gone
        } else if error.contains("protocol error") {
            Self::Close(CloseReason::malformed_frame())
        } else if error.contains("UTF-8") {
            Self::Close(CloseReason::malformed_text())
        } else {
            Self::Gone
        }
    }
}

impl SocketConnection {
    /// A connection whose `connection_init` has not come yet.
    pub fn new(shell: HttpState, identity: CallerIdentity) -> Self {
        let revoked = watch(&shell, &identity);
        Self {
            shell,
            identity,
            is_acknowledged: false,
            running: HashMap::new(),
            answers: SelectAll::new(),
            revoked,
            silence: 0,
            place: None,
        }
    }

    /// Serves the socket until either side closes it, the key is revoked, or the server stops.
    pub async fn run(mut self, socket: WebSocket) {
        let speaks_ours = socket.protocol().is_some();
        let (mut sink, mut source) = socket.split();
        let end =
            if speaks_ours { self.converse(&mut sink, &mut source).await } else { CloseReason::subprotocol().into() };
        self.answers.clear();
        let must_wait = match end {
            ConnectionEnd::Gone => false,
            // The library answers the client's close frame while the socket is read on.
            ConnectionEnd::Answer => true,
            ConnectionEnd::Close(closing) => sink.send(Message::Close(Some(closing.into()))).await.is_ok(),
        };
        if must_wait {
            // Closing the socket under unread input would reset it, and the client would never see why.
            timeout(CLOSE_GRACE, async { while let Some(Ok(_)) = source.next().await {} }).await.ok();
        }
    }

    async fn converse(&mut self, sink: &mut SocketSink, source: &mut stream::SplitStream<WebSocket>) -> ConnectionEnd {
        let stopping = self.shell.life.stopping();
        let mut init_deadline = Box::pin(sleep(self.shell.graphql.init_timeout));
        let mut tick = interval(self.shell.graphql.keep_alive);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            let step = tokio::select! {
                message = source.next() => match message {
                    Some(Ok(message)) => self.handle_message(message, sink).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(ConnectionEnd::Gone),
                },
                Some(step) = self.answers.next(), if !self.answers.is_empty() => self.send_step(step, sink).await,
                () = &mut init_deadline, if !self.is_acknowledged => Err(CloseReason::init_timeout().into()),
                _ = tick.tick() => self.keep_alive(sink).await,
                () = &mut self.revoked => Err(CloseReason::forbidden().into()),
                () = stopping.cancelled() => Err(CloseReason::going_away().into()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn handle_message(&mut self, message: Message, sink: &mut SocketSink) -> Result<(), ConnectionEnd> {
        self.silence = 0;
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(CloseReason::invalid("binary messages are not understood").into()),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(ConnectionEnd::Answer),
        };
        match ClientMessage::parse(&text)? {
            ClientMessage::Pong => Ok(()),
            ClientMessage::Ping => send_text(sink, server::pong()).await,
            ClientMessage::Complete { id } => {
                self.running.remove(&id);
                Ok(())
            }
            ClientMessage::ConnectionInit(payload) => {
                self.initialise(&payload).await?;
                send_text(sink, server::connection_ack()).await
            }
            ClientMessage::Subscribe { .. } if !self.is_acknowledged => Err(CloseReason::unauthorized().into()),
            ClientMessage::Subscribe { id, params } => self.subscribe(id, *params, sink).await,
        }
    }

    async fn initialise(&mut self, payload: &Map<String, Value>) -> Result<(), CloseReason> {
        if self.is_acknowledged {
            return Err(CloseReason::second_init());
        }
        if let Some(presented) = presented(payload) {
            let authenticator = &*self.shell.authenticator;
            let identity = match presented {
                PresentedKey::Credentials(text) => CallerIdentity::of_credentials(authenticator, text).await,
                PresentedKey::Secret(text) => CallerIdentity::of_secret(authenticator, text).await,
                PresentedKey::Nonsense => Err(KeyDenied::Invalid),
            };
            self.identity = identity.map_err(|denied| match denied {
                KeyDenied::Invalid => CloseReason::forbidden(),
                KeyDenied::Unavailable(_) => CloseReason::unavailable(),
            })?;
            self.revoked = watch(&self.shell, &self.identity);
        }
        if matches!(self.identity.caller, RequestCaller::Anonymous) {
            return Err(CloseReason::unauthorized());
        }
        self.place = Some(self.shell.quotas.stream(&self.identity.caller).map_err(|_| CloseReason::crowded())?);
        self.is_acknowledged = true;
        Ok(())
    }

    async fn subscribe(
        &mut self,
        id: String,
        params: RequestParams,
        sink: &mut SocketSink,
    ) -> Result<(), ConnectionEnd> {
        if self.running.contains_key(&id) {
            return Err(CloseReason::duplicate(&id).into());
        }
        let max = self.shell.graphql.max_subscriptions;
        if self.running.len() >= max {
            let message = format!("a connection runs at most {max} operations at once");
            let answer = OperationResponse::refusal(RequestRefusal::new(ProblemCode::TooManySubscriptions, message));
            return send_text(sink, server::error(&id, &answer)).await;
        }
        let place = match self.shell.quotas.stream(&self.identity.caller) {
            Ok(place) => place,
            Err(problem) => {
                return send_text(sink, server::error(&id, &OperationResponse::refusal(problem.into()))).await;
            }
        };
        let prepared = match prepare(params, &self.identity, &self.shell).await {
            Ok(prepared) => prepared,
            Err(answer) => return send_text(sink, server::error(&id, &answer)).await,
        };
        let (cancel, cancelled) = oneshot::channel();
        let (answered, done) = (id.clone(), id.clone());
        let steps = prepared
            .open(&self.shell.engine, "ws")
            .map(move |answer| {
                // Held by the stream, so that it ends with it.
                let _place = &place;
                OperationStep::Answer(answered.clone(), answer)
            })
            .chain(stream::iter([OperationStep::Done(done)]))
            .take_until(cancelled);
        self.answers.push(steps.boxed());
        self.running.insert(id, cancel);
        Ok(())
    }

    async fn send_step(&mut self, step: OperationStep, sink: &mut SocketSink) -> Result<(), ConnectionEnd> {
        match step {
            // An operation that was never begun ends with its errors.
            OperationStep::Answer(id, answer) if answer.is_refused() => {
                self.running.remove(&id);
                send_text(sink, server::error(&id, &answer)).await
            }
            OperationStep::Answer(id, answer) => send_text(sink, server::next(&id, &answer)).await,
            OperationStep::Done(id) => {
                self.running.remove(&id);
                send_text(sink, server::complete(&id)).await
            }
        }
    }

    async fn keep_alive(&mut self, sink: &mut SocketSink) -> Result<(), ConnectionEnd> {
        self.silence += 1;
        // Two pings were not answered: the connection is dead without having been closed.
        if self.silence > 2 {
            return Err(ConnectionEnd::Gone);
        }
        Ok(sink.send(Message::Ping(Vec::new().into())).await?)
    }
}

async fn send_text(sink: &mut SocketSink, text: String) -> Result<(), ConnectionEnd> {
    Ok(sink.send(Message::Text(text.into())).await?)
}

fn watch(shell: &HttpState, identity: &CallerIdentity) -> BoxFuture<'static, ()> {
    let (identity, authenticator, every) = (identity.clone(), shell.authenticator.clone(), shell.graphql.keep_alive);
    async move { identity.until_revoked(&*authenticator, every).await }.boxed()
}

/// What `connection_init` presents as a key.
enum PresentedKey<'a> {
    Credentials(&'a str),
    Secret(&'a str),
    Nonsense,
}

/// `Authorization` as in HTTP, or the key alone under the names that clients commonly use; names in any case.
fn presented(payload: &Map<String, Value>) -> Option<PresentedKey<'_>> {
    payload.iter().find_map(|(name, value)| match (name.to_ascii_lowercase().as_str(), value) {
        ("authorization" | "authtoken" | "apikey", Value::Null) => None,
        ("authorization", Value::String(text)) => Some(PresentedKey::Credentials(text)),
        ("authtoken" | "apikey", Value::String(text)) => Some(PresentedKey::Secret(text)),
        ("authorization" | "authtoken" | "apikey", _) => Some(PresentedKey::Nonsense),
        _ => None,
    })
}
