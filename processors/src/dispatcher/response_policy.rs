//! What Meta's answer means: for the message, for the number's pace, and for others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wasend_domain::{MessageId, Personal, SubjectId, Time};
use wasend_whatsapp::errors::pair_backoff;
use wasend_whatsapp::{ErrorClass, GraphError, NotSent, SendFailure, SendReceipt, SubmissionStatus};

use crate::dispatcher::backoff::{FailureStreak, RandomJitter};
use crate::dispatcher::rate_limit::{NumberRateLimiter, PairRateLimiter};
use crate::options::DispatchOptions;

/// Messages whose refusals are remembered; a message that is forgotten starts to count anew.
const REFUSED_MESSAGES_MAX: usize = 10_000;

/// How an attempt ended; what is personal in it is not sealed yet.
pub(crate) enum AttemptOutcome {
    Submitted { submission: SendReceipt, held: bool },
    Deferred { until: Time, code: Option<i64> },
    Refused { code: Option<i64>, class: &'static str, text: Option<Personal<String>> },
    Unknown,
}

/// What follows beyond the message and the number's own pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SideEffect {
    None,
    /// Nothing is sent from the number until the cause of Meta's error is repaired.
    StopNumber {
        code: i64,
    },
    /// Every number of the business account waits.
    PauseWaba(Time),
    /// Every number behind the app waits.
    PauseApp(Time),
    /// The contact wants no more messages.
    OptOut,
}

/// A call that ended, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptFacts {
    pub message: MessageId,
    pub contact: SubjectId,
    pub begun: Time,
    pub now: Time,
}

/// How fast one number may send, learning from every answer.
pub(crate) struct NumberThrottle {
    pub bucket: NumberRateLimiter,
    pub pairs: PairRateLimiter,
    paused_until: Option<Time>,
    unreachable: FailureStreak,
    throttled: FailureStreak,
    refusals: HashMap<MessageId, u32>,
    jitter: Arc<RandomJitter>,
    options: DispatchOptions,
}

impl NumberThrottle {
    /// The policy of a number that has failed in nothing yet; `rate` is in messages a second.
    pub fn new(rate: u32, options: &DispatchOptions, jitter: Arc<RandomJitter>, now: Time) -> Self {
        Self {
            bucket: NumberRateLimiter::new(rate, options.burst, now),
            pairs: PairRateLimiter::new(options.pair_interval, options.pair_burst),
            paused_until: None,
            unreachable: FailureStreak::default(),
            throttled: FailureStreak::default(),
            refusals: HashMap::new(),
            jitter,
            options: options.clone(),
        }
    }

    /// Changes the rate of the number, in messages a second.
    pub fn set_rate(&mut self, rate: u32) {
        self.bucket.set_rate(rate, self.options.burst);
    }

    /// Until when the number sends nothing.
    pub fn paused_until(&self, now: Time) -> Option<Time> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Nothing is sent from the number until then.
    pub fn pause(&mut self, until: Time) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// What an answer of Meta's, or none, means for the message and for the number.
    pub fn respond(
        &mut self,
        facts: AttemptFacts,
        result: Result<SendReceipt, SendFailure>,
    ) -> (AttemptOutcome, SideEffect) {
        let AttemptFacts { message, contact, begun, .. } = facts;
        if !matches!(result, Err(SendFailure::NotSent(NotSent::Connect) | SendFailure::Unknown(_))) {
            self.unreachable.relieve(begun);
        }
        match result {
            Ok(submission) => {
                self.throttled.relieve(begun);
                self.pairs.relieve(contact, begun);
                self.refusals.remove(&message);
                let held = matches!(submission.message_status, Some(SubmissionStatus::Held | SubmissionStatus::Paused));
                (AttemptOutcome::Submitted { submission, held }, SideEffect::None)
            }
            Err(SendFailure::Unknown(_)) => {
                // One may be chance. Where nothing is answered any more, the whole queue would end up unknown.
                let before = self.unreachable.strike(begun, facts.now);
                if before > 0 {
                    self.pause(self.after(facts.now, Duration::ZERO, before));
                }
                (AttemptOutcome::Unknown, SideEffect::None)
            }
            Err(SendFailure::NotSent(NotSent::Connect)) => {
                let before = self.unreachable.strike(begun, facts.now);
                let until = self.after(facts.now, Duration::ZERO, before);
                self.pause(until);
                (AttemptOutcome::Deferred { until, code: None }, SideEffect::None)
            }
            Err(SendFailure::NotSent(NotSent::Request)) => {
                (AttemptOutcome::Refused { code: None, class: "request", text: None }, SideEffect::None)
            }
            Err(SendFailure::Refused(error)) => self.refused(facts, &error),
        }
    }

    fn refused(&mut self, facts: AttemptFacts, error: &GraphError) -> (AttemptOutcome, SideEffect) {
        let now = facts.now;
        let asked = error.class.backoff().max(error.retry_after).unwrap_or_default();
        let code = Some(error.code);
        match error.class {
            ErrorClass::Transient { .. } => {
                if self.refusals.len() >= REFUSED_MESSAGES_MAX {
                    self.refusals.clear();
                }
                let refusals = self.refusals.entry(facts.message).or_default();
                *refusals += 1;
                let before = *refusals - 1;
                if *refusals >= self.options.max_attempts {
                    self.refusals.remove(&facts.message);
                    return (refusal(error), SideEffect::None);
                }
                (AttemptOutcome::Deferred { until: self.after(now, asked, before), code }, SideEffect::None)
            }
            ErrorClass::ThrottlePair => {
                let before = self.pairs.strike(facts.contact, facts.begun, now);
                let asked = pair_backoff(before).max(error.retry_after.unwrap_or_default());
                let until = now.plus(asked.min(self.options.waits.asked_max));
                self.pairs.pause(facts.contact, now, until);
                (AttemptOutcome::Deferred { until, code }, SideEffect::None)
            }
            ErrorClass::ThrottleNumber => {
                let until = self.throttle(facts, asked);
                (AttemptOutcome::Deferred { until, code }, SideEffect::None)
            }
            ErrorClass::ThrottleAccount => {
                let until = self.throttle(facts, asked);
                (AttemptOutcome::Deferred { until, code }, SideEffect::PauseWaba(until))
            }
            ErrorClass::ThrottleApp => {
                let until = self.throttle(facts, asked);
                (AttemptOutcome::Deferred { until, code }, SideEffect::PauseApp(until))
            }
            ErrorClass::LongBackoff => {
                let until = now.plus(asked.min(self.options.waits.rest_max));
                self.pause(until);
                (AttemptOutcome::Deferred { until, code }, SideEffect::None)
            }
            ErrorClass::StopNumber | ErrorClass::StopAccount => {
                (AttemptOutcome::Deferred { until: now, code }, SideEffect::StopNumber { code: error.code })
            }
            ErrorClass::Suppress => (refusal(error), SideEffect::OptOut),
            ErrorClass::StopTemplate | ErrorClass::MarketingLimit | ErrorClass::Permanent => {
                (refusal(error), SideEffect::None)
            }
        }
    }

    /// The number sends nothing for a while.
    fn throttle(&mut self, facts: AttemptFacts, asked: Duration) -> Time {
        let before = self.throttled.strike(facts.begun, facts.now);
        let until = self.after(facts.now, asked, before);
        self.pause(until);
        until
    }

    fn after(&self, now: Time, asked: Duration, before: u32) -> Time {
        now.plus(self.options.waits.wait(&self.jitter, asked, before))
    }
}

fn refusal(error: &GraphError) -> AttemptOutcome {
    let text = match &error.details {
        Some(details) => format!("{}: {details}", error.message),
        None => error.message.clone(),
    };
    AttemptOutcome::Refused { code: Some(error.code), class: error.class.name(), text: Some(Personal::new(text)) }
}

#[cfg(test)]
mod tests {
    use wasend_whatsapp::{UnknownOutcome, classify};

    use super::*;

    const START: Time = Time::from_seconds(1_800_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pace() -> NumberThrottle {
        NumberThrottle::new(80, &DispatchOptions::default(), Arc::new(RandomJitter::new(Some(1))), START)
    }

    fn facts(now: Time) -> AttemptFacts {
        AttemptFacts { message: MessageId::random(), contact: SubjectId::random(), begun: now, now }
    }

    fn error(code: i64, retry_after: Option<Duration>) -> Result<SendReceipt, SendFailure> {
        Err(SendFailure::Refused(Box::new(GraphError {
            code,
            subcode: None,
            message: "no".into(),
            details: Some("really".into()),
            http_status: 400,
            class: classify(code, 400),
            retry_after,
        })))
    }

    fn deferred(ending: &AttemptOutcome) -> Option<Time> {
        if let AttemptOutcome::Deferred { until, .. } = ending { Some(*until) } else { None }
    }

    #[test]
    fn a_throttled_number_waits_as_long_as_meta_asks_and_longer_each_time() {
        let mut pace = pace();
        let (ending, consequence) = pace.respond(facts(START), error(130_429, Some(seconds(30))));
        let until = deferred(&ending).unwrap();
        assert!(until >= START.plus(seconds(30)) && until <= START.plus(seconds(31)));
        assert_eq!((pace.paused_until(START), consequence), (Some(until), SideEffect::None));
        assert_eq!(pace.paused_until(until), None);
        let hostile = pace.respond(facts(until), error(130_429, Some(seconds(u64::MAX)))).0;
        assert!(deferred(&hostile).unwrap() <= until.plus(seconds(3_600 + 300)));
    }

    #[test]
    fn a_throttled_pair_lets_the_others_go_on() {
        let mut pace = pace();
        let first = facts(START);
        let wait = |ending: AttemptOutcome, from: Time| deferred(&ending).unwrap().since(from);
        assert_eq!(wait(pace.respond(first, error(131_056, None)).0, START), seconds(1));
        let later = START.plus(seconds(10));
        let second = AttemptFacts { begun: later, now: later, ..first };
        assert_eq!(wait(pace.respond(second, error(131_056, None)).0, later), seconds(4));
        assert_eq!(pace.paused_until(later), None);
        assert_eq!((pace.pairs.room(first.contact, later), pace.pairs.room(SubjectId::random(), later)), (0, 45));
    }

    #[test]
    fn a_message_that_is_refused_for_passing_reasons_fails_in_the_end() {
        let mut pace = pace();
        let message = facts(START);
        for _ in 1..DispatchOptions::default().max_attempts {
            assert!(deferred(&pace.respond(message, error(131_016, None)).0).is_some());
            // What does not count.
            assert!(deferred(&pace.respond(message, error(130_429, None)).0).is_some());
        }
        let (ending, _) = pace.respond(message, error(131_016, None));
        assert!(matches!(ending, AttemptOutcome::Refused { code: Some(131_016), class: "transient", text: Some(_) }));
    }

    #[test]
    fn an_unreachable_meta_is_left_alone_for_longer_and_longer() {
        let mut pace = pace();
        let mut longest = Duration::ZERO;
        let mut now = START;
        for _ in 0..12 {
            let (ending, _) = pace.respond(facts(now), Err(SendFailure::NotSent(NotSent::Connect)));
            let until = deferred(&ending).unwrap();
            assert!(pace.paused_until(now).unwrap_or(until) >= until);
            longest = longest.max(until.since(now));
            now = until.plus(seconds(1));
        }
        assert!(longest > seconds(10) && longest <= seconds(300), "{longest:?}");
    }

    #[test]
    fn the_queue_does_not_run_into_a_meta_that_answers_nothing() {
        let mut pace = pace();
        let mut pauses = Vec::new();
        for round in 0..8 {
            let now = START.plus(seconds(round * 600));
            pace.respond(facts(now), Err(SendFailure::Unknown(UnknownOutcome::Timeout)));
            pauses.push(pace.paused_until(now).map_or(Duration::ZERO, |until| until.since(now)));
        }
        assert_eq!(pauses[0], Duration::ZERO);
        assert!(pauses.iter().max() > Some(&seconds(5)), "{pauses:?}");
        let now = START.plus(seconds(8 * 600));
        pace.respond(facts(now), error(131_026, None));
        pace.respond(facts(now.plus(seconds(1))), Err(SendFailure::Unknown(UnknownOutcome::Timeout)));
        assert_eq!(pace.paused_until(now), None);
    }

    #[test]
    fn each_class_has_its_consequence() {
        let judge = |code| pace().respond(facts(START), error(code, None));
        assert_eq!(judge(190).1, SideEffect::StopNumber { code: 190 });
        assert_eq!(deferred(&judge(131_042).0), Some(START));
        assert!(matches!(judge(80_007).1, SideEffect::PauseWaba(until) if until >= START.plus(seconds(60))));
        assert!(matches!(judge(4).1, SideEffect::PauseApp(_)));
        assert_eq!(deferred(&judge(131_048).0), Some(START.plus(seconds(4 * 3_600))));
        assert!(matches!(judge(131_050), (AttemptOutcome::Refused { class: "suppress", .. }, SideEffect::OptOut)));
        assert!(matches!(judge(132_001).0, AttemptOutcome::Refused { class: "stop_template", .. }));
        let AttemptOutcome::Refused { text: Some(text), .. } = judge(131_026).0 else { panic!("refused for good") };
        assert_eq!(text.expose(), "no: really");
        let unknown = pace().respond(facts(START), Err(SendFailure::Unknown(UnknownOutcome::Timeout))).0;
        assert!(matches!(unknown, AttemptOutcome::Unknown));
    }

    #[test]
    fn held_and_paused_are_held() {
        for (status, expected) in [
            (None, false),
            (Some(SubmissionStatus::Accepted), false),
            (Some(SubmissionStatus::Held), true),
            (Some(SubmissionStatus::Paused), true),
        ] {
            let submission = SendReceipt { wamid: "w".into(), wa_id: None, user_id: None, message_status: status };
            let (ending, _) = pace().respond(facts(START), Ok(submission));
            assert!(matches!(ending, AttemptOutcome::Submitted { held, .. } if held == expected));
        }
    }
}
