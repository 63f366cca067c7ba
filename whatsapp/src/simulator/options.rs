//! How the simulator is set up.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::lines::SimulatedLines;

/// Unix seconds.
pub type UnixClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the simulator is started with.
#[derive(Clone)]
pub struct SimulatorOptions {
    /// Which numbers exist.
    pub lines: Arc<dyn SimulatedLines>,
    /// Dates statuses and messages.
    pub clock: UnixClock,
    /// Where webhooks are posted; `None` until [`super::Simulator::set_webhook_url`].
    pub webhook_url: Option<Url>,
    pub delays: StatusDelays,
    /// Accepted messages that are remembered; beyond it the oldest are forgotten.
    pub max_messages: usize,
    /// Background tasks; beyond it messages are refused with 130429.
    pub max_pending: usize,
    /// Webhooks posted at once.
    pub webhook_concurrency: usize,
    /// How often a webhook is posted that is not answered with 200. (Meta tries for seven days.)
    pub webhook_attempts: u32,
    /// Before the second attempt; doubles with each further one, up to 10 seconds.
    pub webhook_backoff: Duration,
    /// For one attempt.
    pub webhook_timeout: Duration,
    /// How long a batch waits to become full.
    pub batch_linger: Duration,
}

/// How long Meta takes. Each is counted from the step before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusDelays {
    pub sent: Duration,
    pub delivered: Duration,
    pub read: Duration,
    /// How long a held message stays held.
    pub held: Duration,
}

impl StatusDelays {
    /// Every status at once.
    pub const ZERO: Self =
        Self { sent: Duration::ZERO, delivered: Duration::ZERO, read: Duration::ZERO, held: Duration::ZERO };
}

impl Default for StatusDelays {
    fn default() -> Self {
        Self {
            sent: Duration::from_millis(150),
            delivered: Duration::from_millis(300),
            read: Duration::from_millis(600),
            held: Duration::from_millis(500),
        }
    }
}

impl SimulatorOptions {
    /// Posts no webhooks until it has a URL.
    pub fn new(lines: Arc<dyn SimulatedLines>, clock: UnixClock) -> Self {
        Self {
            lines,
            clock,
            webhook_url: None,
            delays: StatusDelays::default(),
            max_messages: 200_000,
            max_pending: 200_000,
            webhook_concurrency: 64,
            webhook_attempts: 8,
            webhook_backoff: Duration::from_millis(200),
            webhook_timeout: Duration::from_secs(10),
            batch_linger: Duration::from_millis(250),
        }
    }
}
