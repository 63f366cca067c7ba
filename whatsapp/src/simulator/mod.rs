//! A stand-in for Meta over real HTTP: it validates as Meta validates, answers as Meta answers, posts signed status
//! webhooks, and misbehaves on request. It knows the numbers it is told about ([`SimulatedLines`]) and keeps everything in
//! bounded memory.
//!
//! Meta's side, with any `/v{N}.0` before it or none: `POST /{phone}/messages`, `GET /{phone}`,
//! `GET` and `POST /{waba}/message_templates`. The scripting side is `/_simulator/…`, see [`control`].
//!
//! | file | holds |
//! |---|---|
//! | [`options`] | how it is set up |
//! | [`lines`] | which numbers exist |
//! | [`running`] | serving it on a listener |
//! | [`behaviour`] | the ways in which it misbehaves |
//! | `scripts` | which recipient gets which behaviour, how often |
//! | `messages` | accepting a message |
//! | `validate` | what Meta checks of a message |
//! | `templates` | the templates of each business account |
//! | `nodes` | access tokens, and what is known of a number |
//! | `refusal` | Meta's error answers, and answers that are not Meta's |
//! | [`wamid`] | message ids of Meta's structure |
//! | [`ledger`] | what was accepted |
//! | `lifecycle` | which statuses follow, and when |
//! | `changes` | the JSON of webhooks |
//! | `outbox` | signing and posting webhooks, with retries and in batches |
//! | [`inbound`] | messages from users, and raw webhooks |
//! | [`control`] | scripting it over HTTP |

pub mod behaviour;
pub mod control;
pub mod inbound;
pub mod ledger;
pub mod lines;
pub mod options;
pub mod running;
pub mod wamid;

mod changes;
mod lifecycle;
mod messages;
mod nodes;
mod outbox;
mod refusal;
mod scripts;
mod templates;
mod validate;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    routing::{get, post},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub use self::{
    behaviour::{HeldOutcome, RecipientScript, SimulatedBehaviour},
    control::LedgerSummary,
    inbound::{ButtonReply, InboundRequest, PostedWebhook},
    ledger::AcceptedMessage,
    lines::{LinesUnavailable, MemoryLines, SimulatedLine, SimulatedLines},
    options::{SimulatorOptions, StatusDelays},
    running::RunningSimulator,
    scripts::TooManyScripts,
};
use self::{ledger::MessageLedger, outbox::WebhookOutbox, scripts::ScriptQueue, templates::TemplateStore};
use crate::client::ClientError;

/// Cheap to clone; clones are the same simulator.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<SimulatorInner>,
}

struct SimulatorInner {
    options: SimulatorOptions,
    ledger: Mutex<MessageLedger>,
    scripts: Mutex<ScriptQueue>,
    templates: Mutex<TemplateStore>,
    outbox: WebhookOutbox,
    /// Background tasks that have not ended: messages whose statuses are still to come, batches still to be posted.
    pending: watch::Sender<usize>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Simulator {
    pub fn new(options: SimulatorOptions) -> Result<Self, ClientError> {
        let inner = SimulatorInner {
            ledger: Mutex::new(MessageLedger::new(options.max_messages)),
            scripts: Mutex::default(),
            templates: Mutex::default(),
            outbox: WebhookOutbox::new(&options)?,
            pending: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Everything that the simulator serves. Serve it on a separate listener: an answer that is dropped on purpose
    /// takes its connection with it.
    pub fn router(&self) -> Router {
        let mut router = control::routes();
        for version in ["", "/{version}"] {
            router = router
                .route(&format!("{version}/{{id}}"), get(nodes::phone_number))
                .route(&format!("{version}/{{id}}/messages"), post(messages::send))
                .route(&format!("{version}/{{id}}/message_templates"), get(templates::list).post(templates::create));
        }
        router.with_state(self.clone())
    }

    /// Where webhooks go from now on; `None` keeps them from being posted.
    pub fn set_webhook_url(&self, url: Option<Url>) {
        self.inner.outbox.set_webhook_url(url);
    }

    /// Adds a script. It replaces an earlier one without `times` for the same recipient.
    pub fn script(&self, script: RecipientScript) -> Result<(), TooManyScripts> {
        lock(&self.inner.scripts).add(script)
    }

    pub fn clear_scripts(&self) {
        lock(&self.inner.scripts).clear();
    }

    /// What was accepted and is still remembered, oldest first.
    pub fn accepted(&self) -> Vec<AcceptedMessage> {
        lock(&self.inner.ledger).messages().cloned().collect()
    }

    /// Tasks in the background that have not ended.
    pub fn pending(&self) -> usize {
        *self.inner.pending.borrow()
    }

    /// Waits until every status of every accepted message was posted or given up.
    pub async fn settled(&self) {
        let mut pending = self.inner.pending.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(pending.wait_for(|count| *count == 0).await);
    }

    /// Abandons what is still to be posted, and waits for the background tasks to end.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn now(&self) -> i64 {
        (self.inner.options.clock)()
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.pending.send_modify(|count| *count += 1);
        let done = TaskGuard(self.clone());
        let stopping = self.inner.stopping.clone();
        self.inner.tasks.spawn(async move {
            let _done = done;
            stopping.run_until_cancelled(work).await;
        });
    }
}

/// Counts a task as ended however it ends.
struct TaskGuard(Simulator);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.inner.pending.send_modify(|count| *count -= 1);
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
