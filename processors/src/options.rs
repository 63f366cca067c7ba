//! How the processors run.

use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How the dispatcher runs.
#[derive(Debug, Clone)]
pub struct DispatchOptions {
    /// Most calls to Meta under way for one number, outcomes that are still being recorded included.
    pub calls_per_number: usize,
    /// Most calls to Meta under way on this node.
    pub calls: usize,
    /// After this a call is given up and its outcome is unknown. Longer than the gateway's own timeouts.
    pub call_timeout: Duration,
    /// How long a node that has died keeps the others from sending for its numbers.
    pub lease: Duration,
    /// A call without a recorded outcome for so long was made by a node that is gone. Longer than
    /// `call_timeout`.
    pub orphan_after: Duration,
    /// How much of a second's messages may go out at once after a pause.
    pub burst: Duration,
    /// Meta allows one message in this time from a number to one user (Cloud API, "Pair rate limits").
    pub pair_interval: Duration,
    /// How many may go to one user at once, at the expense of the time after (same page).
    pub pair_burst: u32,
    /// How often a message is tried that Meta refuses for passing reasons. Throttling does not count.
    pub max_attempts: u32,
    pub waits: RetryWaits,
    /// Most rows read from the list at once.
    pub page: usize,
    /// Wait after a store or the log failed.
    pub store_pause: Duration,
    /// The longest nap: a clock that was set is noticed after it.
    pub tick: Duration,
    /// Makes the jitter repeatable; random without it.
    pub seed: Option<u64>,
}

impl Default for DispatchOptions {
    fn default() -> Self {
        Self {
            calls_per_number: 200,
            calls: 2_000,
            call_timeout: seconds(60),
            lease: seconds(5),
            orphan_after: seconds(180),
            burst: Duration::from_millis(100),
            pair_interval: seconds(6),
            pair_burst: 45,
            max_attempts: 8,
            waits: RetryWaits::default(),
            page: 500,
            store_pause: seconds(1),
            tick: seconds(1),
            seed: None,
        }
    }
}

/// How long is waited before something is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetryWaits {
    /// Upper bound of the first random wait; it doubles with each further one.
    pub first: Duration,
    /// Upper bound of every random wait.
    pub longest: Duration,
    /// Most that is waited because Meta asks, by `Retry-After` or by what its error codes mean.
    pub asked_max: Duration,
    /// Most that a number rests when Meta suspects spam from it.
    pub rest_max: Duration,
}

impl Default for RetryWaits {
    fn default() -> Self {
        Self { first: seconds(1), longest: seconds(300), asked_max: seconds(3_600), rest_max: seconds(4 * 3_600) }
    }
}

/// How the timers run.
#[derive(Debug, Clone)]
pub struct TimerOptions {
    /// How often is looked for what is overdue.
    pub tick: Duration,
    /// How long a node that has died keeps the others from looking. Longer than `tick`.
    pub lease: Duration,
    /// A call's unknown outcome that no webhook has told by then is shown to people.
    pub reconcile_after: Duration,
    /// A message that was not delivered by then will not be. Meta itself tries for 30 days.
    pub message_ttl: Duration,
    /// Most messages in one append.
    pub batch: usize,
}

impl Default for TimerOptions {
    fn default() -> Self {
        Self {
            tick: seconds(5),
            lease: seconds(20),
            reconcile_after: seconds(15 * 60),
            message_ttl: seconds(31 * 24 * 3_600),
            batch: 500,
        }
    }
}
