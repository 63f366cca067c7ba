//! How fast a number may send: messages per second in all, and to any one contact. Time is passed in.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wasend_domain::{SubjectId, Time};

use crate::context::earlier;
use crate::dispatcher::backoff::FailureStreak;

const SECOND: Duration = Duration::from_secs(1);
/// From this many on, contacts whose allowance is whole again are forgotten.
const TRACKED_PAIRS_MIN: usize = 1_024;

/// A budget that refills at a steady pace up to `burst`, as a generic cell rate algorithm: it is paid up to `paid`.
#[derive(Debug, Clone, Copy)]
struct RateBudget {
    paid: Time,
}

impl RateBudget {
    fn available(self, now: Time, interval: Duration, burst: u32) -> u32 {
        let room = (interval * burst).saturating_sub(self.paid.since(now));
        let whole = room.as_micros() / interval.as_micros().max(1);
        u32::try_from(whole).unwrap_or(burst).min(burst)
    }

    /// When `wanted` (at most `burst`) are available.
    fn ready_at(self, interval: Duration, burst: u32, wanted: u32) -> Time {
        earlier(self.paid, interval * burst.saturating_sub(wanted))
    }

    fn spend(&mut self, now: Time, interval: Duration, burst: u32, count: u32) {
        // What was paid ahead of a clock that was set back is at most a whole burst.
        let ahead = self.paid.since(now).min(interval * burst);
        self.paid = now.plus(ahead).plus(interval * count);
    }
}

/// A number's messages per second: evenly spaced but for a small burst, and never more than the rate in any second.
#[derive(Debug)]
pub(crate) struct NumberRateLimiter {
    rate: u32,
    burst: u32,
    budget: RateBudget,
    /// When the last messages went out, at most `rate` of them, in order.
    recent: VecDeque<Time>,
}

impl NumberRateLimiter {
    /// `rate` messages per second; what `burst` of time allows may go out at once, but always one.
    pub fn new(rate: u32, burst: Duration, now: Time) -> Self {
        let mut bucket = Self { rate: 0, burst: 0, budget: RateBudget { paid: now }, recent: VecDeque::new() };
        bucket.set_rate(rate, burst);
        bucket
    }

    /// Changes the rate, in messages a second; what was spent stays spent.
    pub fn set_rate(&mut self, rate: u32, burst: Duration) {
        self.rate = rate.max(1);
        let at_once = burst.as_micros() * u128::from(self.rate) / SECOND.as_micros();
        self.burst = u32::try_from(at_once).unwrap_or(self.rate).clamp(1, self.rate);
    }

    /// How many may go out at once at best.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    fn interval(&self) -> Duration {
        SECOND / self.rate
    }

    /// How many messages may be sent at once now.
    pub fn available(&mut self, now: Time) -> u32 {
        self.set_back_to(now);
        let gone = self.recent.partition_point(|sent| sent.plus(SECOND) <= now);
        let room = self.rate.saturating_sub(u32::try_from(self.recent.len() - gone).unwrap_or(u32::MAX));
        self.budget.available(now, self.interval(), self.burst).min(room)
    }

    /// When `wanted` messages may go out, of which there are at most [`Self::burst`].
    pub fn ready_at(&self, wanted: u32) -> Time {
        let wanted = wanted.min(self.burst);
        let smooth = self.budget.ready_at(self.interval(), self.burst, wanted);
        let must_leave = (self.recent.len() + wanted as usize).saturating_sub(self.rate as usize);
        match must_leave.checked_sub(1).and_then(|last| self.recent.get(last)) {
            Some(last) => smooth.max(last.plus(SECOND)),
            None => smooth,
        }
    }

    /// `count` messages go out now.
    pub fn spend(&mut self, now: Time, count: u32) {
        self.set_back_to(now);
        self.budget.spend(now, self.interval(), self.burst, count);
        self.recent.extend((0..count).map(|_| now));
        let surplus = self.recent.len().saturating_sub(self.rate as usize);
        self.recent.drain(..surplus);
    }

    /// A clock that was set back must not hold the number up until it has caught up.
    fn set_back_to(&mut self, now: Time) {
        if self.recent.back().is_some_and(|last| *last > now) {
            self.recent.iter_mut().for_each(|sent| *sent = (*sent).min(now));
        }
        self.budget.paid = self.budget.paid.min(now.plus(self.interval() * self.burst));
    }
}

/// Meta's limit between a number and one user: one message in `interval`, with `burst` borrowed from the future.
#[derive(Debug)]
pub(crate) struct PairRateLimiter {
    interval: Duration,
    burst: u32,
    contacts: HashMap<SubjectId, PairBudget>,
    forget_at: usize,
}

#[derive(Debug)]
struct PairBudget {
    budget: RateBudget,
    not_before: Time,
    strikes: FailureStreak,
}

impl PairRateLimiter {
    /// `burst` messages at once, and one more every `interval`.
    pub fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst: burst.max(1), contacts: HashMap::new(), forget_at: TRACKED_PAIRS_MIN }
    }

    /// How many messages may go to the contact now.
    pub fn room(&self, contact: SubjectId, now: Time) -> u32 {
        match self.contacts.get(&contact) {
            Some(pair) if pair.not_before > now => 0,
            Some(pair) => pair.budget.available(now, self.interval, self.burst),
            None => self.burst,
        }
    }

    /// When one more message may go to the contact, if not already.
    pub fn ready_at(&self, contact: SubjectId) -> Option<Time> {
        let pair = self.contacts.get(&contact)?;
        Some(pair.not_before.max(pair.budget.ready_at(self.interval, self.burst, 1)))
    }

    /// A message goes to the contact now.
    pub fn spend(&mut self, contact: SubjectId, now: Time) {
        let (interval, burst) = (self.interval, self.burst);
        self.pair(contact, now).budget.spend(now, interval, burst, 1);
    }

    /// Meta said that it was too many: how often it had said so before.
    pub fn strike(&mut self, contact: SubjectId, begun: Time, now: Time) -> u32 {
        self.pair(contact, now).strikes.strike(begun, now)
    }

    /// Nothing goes to the contact until then.
    pub fn pause(&mut self, contact: SubjectId, now: Time, until: Time) {
        let pair = self.pair(contact, now);
        pair.not_before = pair.not_before.max(until);
    }

    /// Meta took a message to the contact.
    pub fn relieve(&mut self, contact: SubjectId, begun: Time) {
        if let Some(pair) = self.contacts.get_mut(&contact) {
            pair.strikes.relieve(begun);
        }
    }

    fn pair(&mut self, contact: SubjectId, now: Time) -> &mut PairBudget {
        if self.contacts.len() >= self.forget_at {
            self.contacts.retain(|_, pair| pair.budget.paid > now || pair.not_before > now || pair.strikes.any());
            // Strikes of a contact that is never written to again would stay for ever.
            if self.contacts.len() >= self.forget_at {
                self.contacts.retain(|_, pair| pair.budget.paid > now || pair.not_before > now);
            }
            self.forget_at = TRACKED_PAIRS_MIN.max(self.contacts.len() * 2);
        }
        let new =
            || PairBudget { budget: RateBudget { paid: now }, not_before: now, strikes: FailureStreak::default() };
        self.contacts.entry(contact).or_insert_with(new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_micros(1_800_000_000_000_000 + millis * 1_000)
    }

    const BURST: Duration = Duration::from_millis(100);

    #[test]
    fn a_full_rate_is_used_evenly() {
        let mut bucket = NumberRateLimiter::new(80, BURST, at(0));
        assert_eq!((bucket.burst(), bucket.available(at(0))), (8, 8));
        bucket.spend(at(0), 8);
        assert_eq!(bucket.available(at(0)), 0);
        assert_eq!(bucket.ready_at(4), at(50));
        assert_eq!(bucket.available(at(50)), 4);
        assert_eq!(NumberRateLimiter::new(1, BURST, at(0)).burst(), 1);
    }

    #[test]
    fn a_clock_set_back_stops_nothing() {
        let mut bucket = NumberRateLimiter::new(10, BURST, at(0));
        bucket.spend(at(0), 1);
        let earlier = at(-3_600_000);
        assert_eq!(bucket.available(earlier), 0);
        assert_eq!(bucket.available(earlier.plus(Duration::from_millis(100))), 1);
    }

    #[test]
    fn a_pair_borrows_from_its_future() {
        let mut pairs = PairRateLimiter::new(Duration::from_secs(6), 45);
        let (ada, bob) = (SubjectId::random(), SubjectId::random());
        for _ in 0..45 {
            assert!(pairs.room(ada, at(0)) > 0);
            pairs.spend(ada, at(0));
        }
        assert_eq!((pairs.room(ada, at(0)), pairs.room(bob, at(0))), (0, 45));
        assert_eq!(pairs.ready_at(ada), Some(at(6_000)));
        assert_eq!((pairs.room(ada, at(6_000)), pairs.room(ada, at(270_000))), (1, 45));
        pairs.pause(ada, at(270_000), at(300_000));
        assert_eq!((pairs.room(ada, at(299_999)), pairs.room(ada, at(300_000))), (0, 45));
    }

    #[test]
    fn contacts_are_forgotten_when_their_allowance_is_whole() {
        let mut pairs = PairRateLimiter::new(Duration::from_secs(6), 45);
        for second in 0..10_000 {
            pairs.spend(SubjectId::random(), at(second * 1_000));
        }
        assert!(pairs.contacts.len() <= TRACKED_PAIRS_MIN, "{}", pairs.contacts.len());
    }

    proptest! {
        /// Whatever the moments at which it is asked, no second sees more than the rate, and a backlog is served.
        #[test]
        fn no_second_sees_more_than_the_rate(
            rate in 1_u32..1_000,
            gaps in proptest::collection::vec(0_i64..400_000, 1..200),
        ) {
            let mut bucket = NumberRateLimiter::new(rate, BURST, at(0));
            let (mut now, mut sent) = (at(0), Vec::new());
            for gap in gaps {
                now = now.plus(Duration::from_micros(gap.unsigned_abs()));
                let count = bucket.available(now);
                bucket.spend(now, count);
                sent.extend((0..count).map(|_| now));
                let ready = bucket.ready_at(1);
                prop_assert!(ready > now);
                prop_assert!(bucket.available(ready) > 0);
            }
            for window in sent.windows(rate as usize + 1) {
                let (first, last) = (window[0], window[rate as usize]);
                prop_assert!(last >= first.plus(SECOND), "more than {rate} within a second");
            }
        }

        /// Any stretch of time sees at most a burst and one message for each interval in it.
        #[test]
        fn a_pair_is_never_written_to_too_often(
            burst in 1_u32..50,
            gaps in proptest::collection::vec(0_i64..20_000, 1..200),
        ) {
            let interval = Duration::from_secs(6);
            let mut pairs = PairRateLimiter::new(interval, burst);
            let contact = SubjectId::random();
            let (mut now, mut sent) = (at(0), Vec::new());
            for gap in gaps {
                now = now.plus(Duration::from_millis(gap.unsigned_abs()));
                while pairs.room(contact, now) > 0 {
                    pairs.spend(contact, now);
                    sent.push(now);
                }
                let ready = pairs.ready_at(contact).unwrap();
                prop_assert!(ready > now && pairs.room(contact, ready) > 0);
            }
            for (first, start) in sent.iter().enumerate() {
                for (count, end) in sent[first..].iter().enumerate() {
                    let allowed = u128::from(burst) + end.since(*start).as_micros() / interval.as_micros();
                    prop_assert!((count as u128) < allowed);
                }
            }
        }
    }
}
