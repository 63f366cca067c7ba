//! How long to wait before something is tried again: exponential, with full jitter, so that those who failed together
//! do not return together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wasend_domain::{EventId, Time};

use crate::options::RetryWaits;

/// Random waits, enough to spread calls; the same ones under the same seed.
#[derive(Debug)]
pub(crate) struct RandomJitter(Mutex<fastrand::Rng>);

impl RandomJitter {
    /// A seed gives the same sequence again, for tests; none takes one of the operating system.
    pub fn new(seed: Option<u64>) -> Self {
        let random = || EventId::random().uuid().as_u64_pair().0;
        Self(Mutex::new(fastrand::Rng::with_seed(seed.unwrap_or_else(random))))
    }

    /// Somewhere from zero up to `most`, in microseconds.
    pub fn up_to(&self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_micros(random.u64(0..=micros))
    }
}

impl RetryWaits {
    /// The wait after `before` failures in a row: what was asked for (bounded), and a random time that may double.
    pub(crate) fn wait(&self, jitter: &RandomJitter, asked: Duration, before: u32) -> Duration {
        let most = self.first.saturating_mul(2_u32.saturating_pow(before)).min(self.longest);
        asked.min(self.asked_max).saturating_add(jitter.up_to(most))
    }
}

/// Failures in a row. Calls that were under way when one failed fail for the same reason and count once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FailureStreak {
    count: u32,
    last: Option<Time>,
}

impl FailureStreak {
    /// A call that began at `begun` failed: how many failures there were before.
    pub fn strike(&mut self, begun: Time, now: Time) -> u32 {
        if self.last.is_none_or(|last| begun > last) {
            self.count = self.count.saturating_add(1);
            self.last = Some(now);
        }
        self.count.saturating_sub(1)
    }

    /// A call that began at `begun` succeeded.
    pub fn relieve(&mut self, begun: Time) {
        if self.last.is_none_or(|last| begun > last) {
            *self = Self::default();
        }
    }

    /// Whether anything failed that has not succeeded since.
    pub const fn any(&self) -> bool {
        self.count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Time {
        Time::from_seconds(seconds)
    }

    #[test]
    fn what_is_asked_for_is_the_least_and_is_bounded() {
        let waits = RetryWaits::default();
        let jitter = RandomJitter::new(Some(7));
        for before in 0..40 {
            let most = Duration::from_secs(1 << before.min(20)).min(waits.longest);
            let wait = waits.wait(&jitter, Duration::from_secs(30), before);
            assert!((Duration::from_secs(30)..=Duration::from_secs(30) + most).contains(&wait), "{before}: {wait:?}");
        }
        let asked_for_a_year = waits.wait(&jitter, Duration::from_secs(365 * 86_400), 0);
        assert!(asked_for_a_year <= waits.asked_max + waits.first);
    }

    #[test]
    fn jitter_is_spread_and_repeatable() {
        let draw = |seed| {
            let jitter = RandomJitter::new(Some(seed));
            (0..100).map(|_| jitter.up_to(Duration::from_secs(1))).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let low = draw(3).iter().filter(|wait| **wait < Duration::from_millis(500)).count();
        assert!((30..=70).contains(&low), "{low}");
        assert_eq!(RandomJitter::new(Some(1)).up_to(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn calls_that_fail_together_count_once() {
        let mut strikes = FailureStreak::default();
        assert_eq!(strikes.strike(at(0), at(10)), 0);
        assert_eq!(strikes.strike(at(5), at(11)), 0);
        assert_eq!(strikes.strike(at(12), at(13)), 1);
        // It had begun before the last failure and proves nothing.
        strikes.relieve(at(12));
        assert_eq!(strikes.strike(at(14), at(15)), 2);
        strikes.relieve(at(16));
        assert_eq!(strikes.strike(at(17), at(18)), 0);
    }
}
