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

use super::message::{ClientMessage, Closing, server};
use crate::{
    auth::{Denied, Identity},
    graphql::transport::{Refusal, answer::Answer, params::Params, prepare},
    http::{Shell, quota::Permit},
    problem::Code,
};

type Sink = SplitSink<WebSocket, Message>;

/// How long a client may take to answer a close frame.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

pub struct Connection {
    shell: Shell,
    identity: Identity,
    is_acknowledged: bool,
    /// Operations under way; dropping a sender ends its stream.
    running: HashMap<String, oneshot::Sender<()>>,
    answers: SelectAll<BoxStream<'static, Step>>,
    revoked: BoxFuture<'static, ()>,
    /// Keep-alive ticks since the client was last heard.
    silence: u8,
    /// The connection's own place among what its account has open.
    place: Option<Permit>,
}

/// What an operation does next.
enum Step {
    Answer(String, Answer),
    Done(String),
}

/// How a connection ends.
enum End {
    /// The client is gone.
    Gone,
    Close(Closing),
}

impl From<Closing> for End {
    fn from(closing: Closing) -> Self {
        Self::Close(closing)
    }
}

impl From<axum::Error> for End {
    fn from(error: axum::Error) -> Self {
        // The only word that axum passes on about a message above the limit.
        if error.to_string().contains("too long") { Self::Close(Closing::too_large()) } else { Self::Gone }
    }
}

impl Connection {
    pub fn new(shell: Shell, identity: Identity) -> Self {
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

    pub async fn run(mut self, socket: WebSocket) {
        let speaks_ours = socket.protocol().is_some();
        let (mut sink, mut source) = socket.split();
        let end = if speaks_ours { self.converse(&mut sink, &mut source).await } else { Closing::subprotocol().into() };
        let End::Close(closing) = end else { return };
        self.answers.clear();
        if sink.send(Message::Close(Some(closing.into()))).await.is_ok() {
            // Closing the socket under unread input would reset it, and the client would never see why.
            timeout(CLOSE_GRACE, async { while let Some(Ok(_)) = source.next().await {} }).await.ok();
        }
    }

    async fn converse(&mut self, sink: &mut Sink, source: &mut stream::SplitStream<WebSocket>) -> End {
        let stopping = self.shell.life.stopping();
        let mut init_deadline = Box::pin(sleep(self.shell.graphql.init_timeout));
        let mut tick = interval(self.shell.graphql.keep_alive);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            let step = tokio::select! {
                message = source.next() => match message {
                    Some(Ok(message)) => self.hear(message, sink).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(End::Gone),
                },
                Some(step) = self.answers.next(), if !self.answers.is_empty() => self.tell(step, sink).await,
                () = &mut init_deadline, if !self.is_acknowledged => Err(Closing::init_timeout().into()),
                _ = tick.tick() => self.keep_alive(sink).await,
                () = &mut self.revoked => Err(Closing::forbidden().into()),
                () = stopping.cancelled() => Err(Closing::going_away().into()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn hear(&mut self, message: Message, sink: &mut Sink) -> Result<(), End> {
        self.silence = 0;
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Closing::invalid("binary messages are not understood").into()),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Gone),
        };
        match ClientMessage::parse(&text)? {
            ClientMessage::Pong => Ok(()),
            ClientMessage::Ping => say(sink, server::pong()).await,
            ClientMessage::Complete { id } => {
                self.running.remove(&id);
                Ok(())
            }
            ClientMessage::ConnectionInit(payload) => {
                self.initialise(&payload).await?;
                say(sink, server::connection_ack()).await
            }
            ClientMessage::Subscribe { .. } if !self.is_acknowledged => Err(Closing::unauthorized().into()),
            ClientMessage::Subscribe { id, params } => self.subscribe(id, *params, sink).await,
        }
    }

    async fn initialise(&mut self, payload: &Map<String, Value>) -> Result<(), Closing> {
        if self.is_acknowledged {
            return Err(Closing::second_init());
        }
        if let Some(presented) = presented(payload) {
            let authenticator = &*self.shell.authenticator;
            let identity = match presented {
                Presented::Credentials(text) => Identity::of_credentials(authenticator, text).await,
                Presented::Secret(text) => Identity::of_secret(authenticator, text).await,
                Presented::Nonsense => Err(Denied::Invalid),
            };
            self.identity = identity.map_err(|denied| match denied {
                Denied::Invalid => Closing::forbidden(),
                Denied::Unavailable(_) => Closing::unavailable(),
            })?;
            self.revoked = watch(&self.shell, &self.identity);
        }
        self.place = Some(self.shell.quotas.stream(&self.identity.caller).map_err(|_| Closing::crowded())?);
        self.is_acknowledged = true;
        Ok(())
    }

    async fn subscribe(&mut self, id: String, params: Params, sink: &mut Sink) -> Result<(), End> {
        if self.running.contains_key(&id) {
            return Err(Closing::duplicate(&id).into());
        }
        let max = self.shell.graphql.max_subscriptions;
        if self.running.len() >= max {
            let message = format!("a connection runs at most {max} operations at once");
            let answer = Answer::refusal(Refusal::new(Code::TooManySubscriptions, message));
            return say(sink, server::error(&id, &answer)).await;
        }
        let place = match self.shell.quotas.stream(&self.identity.caller) {
            Ok(place) => place,
            Err(problem) => return say(sink, server::error(&id, &Answer::refusal(problem.into()))).await,
        };
        let prepared = match prepare(params, &self.identity, &self.shell) {
            Ok(prepared) => prepared,
            Err(answer) => return say(sink, server::error(&id, &answer)).await,
        };
        let (cancel, cancelled) = oneshot::channel();
        let (answered, done) = (id.clone(), id.clone());
        let steps = prepared
            .open(&*self.shell.engine, "ws")
            .map(move |answer| {
                // Held by the stream, so that it ends with it.
                let _place = &place;
                Step::Answer(answered.clone(), answer)
            })
            .chain(stream::iter([Step::Done(done)]))
            .take_until(cancelled);
        self.answers.push(steps.boxed());
        self.running.insert(id, cancel);
        Ok(())
    }

    async fn tell(&mut self, step: Step, sink: &mut Sink) -> Result<(), End> {
        match step {
            // An operation that was never begun ends with its errors.
            Step::Answer(id, answer) if answer.is_refused() => {
                self.running.remove(&id);
                say(sink, server::error(&id, &answer)).await
            }
            Step::Answer(id, answer) => say(sink, server::next(&id, &answer)).await,
            Step::Done(id) => {
                self.running.remove(&id);
                say(sink, server::complete(&id)).await
            }
        }
    }

    async fn keep_alive(&mut self, sink: &mut Sink) -> Result<(), End> {
        self.silence += 1;
        // Two pings were not answered: the connection is dead without having been closed.
        if self.silence > 2 {
            return Err(End::Gone);
        }
        Ok(sink.send(Message::Ping(Vec::new().into())).await?)
    }
}

async fn say(sink: &mut Sink, text: String) -> Result<(), End> {
    Ok(sink.send(Message::Text(text.into())).await?)
}

fn watch(shell: &Shell, identity: &Identity) -> BoxFuture<'static, ()> {
    let (identity, authenticator, every) = (identity.clone(), shell.authenticator.clone(), shell.graphql.keep_alive);
    async move { identity.until_revoked(&*authenticator, every).await }.boxed()
}

/// What `connection_init` presents as a key.
enum Presented<'a> {
    Credentials(&'a str),
    Secret(&'a str),
    Nonsense,
}

/// `Authorization` as in HTTP, or the key alone under the names that clients commonly use; names in any case.
fn presented(payload: &Map<String, Value>) -> Option<Presented<'_>> {
    payload.iter().find_map(|(name, value)| match (name.to_ascii_lowercase().as_str(), value) {
        ("authorization" | "authtoken" | "apikey", Value::Null) => None,
        ("authorization", Value::String(text)) => Some(Presented::Credentials(text)),
        ("authtoken" | "apikey", Value::String(text)) => Some(Presented::Secret(text)),
        ("authorization" | "authtoken" | "apikey", _) => Some(Presented::Nonsense),
        _ => None,
    })
}
