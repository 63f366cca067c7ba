//! What Meta's answer means: for the message, for the number's pace, and for others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wasend_domain::{MessageId, Personal, SubjectId, Time};
use wasend_whatsapp::errors::pair_backoff;
use wasend_whatsapp::{ErrorClass, GraphError, MessageStatus, NotSent, SendFailure, Submission};

use crate::backoff::{Jitter, Strikes};
use crate::options::DispatchOptions;
use crate::pace::{Bucket, Pairs};

/// Messages whose refusals are remembered; a message that is forgotten starts to count anew.
const REFUSED_MESSAGES: usize = 10_000;

/// How an attempt ended; what is personal in it is not sealed yet.
pub(crate) enum Ending {
    Submitted { submission: Submission, held: bool },
    Deferred { until: Time, code: Option<i64> },
    Refused { code: Option<i64>, class: &'static str, text: Option<Personal<String>> },
    Unknown,
}

/// What follows beyond the message and the number's own pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
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
pub(crate) struct Facts {
    pub message: MessageId,
    pub contact: SubjectId,
    pub begun: Time,
    pub now: Time,
}

/// How fast one number may send, learning from every answer.
pub(crate) struct Pace {
    pub bucket: Bucket,
    pub pairs: Pairs,
    paused_until: Option<Time>,
    unreachable: Strikes,
    throttled: Strikes,
    refusals: HashMap<MessageId, u32>,
    jitter: Arc<Jitter>,
    options: DispatchOptions,
}

impl Pace {
    pub fn new(rate: u32, options: &DispatchOptions, jitter: Arc<Jitter>, now: Time) -> Self {
        Self {
            bucket: Bucket::new(rate, options.burst, now),
            pairs: Pairs::new(options.pair_interval, options.pair_burst),
            paused_until: None,
            unreachable: Strikes::default(),
            throttled: Strikes::default(),
            refusals: HashMap::new(),
            jitter,
            options: options.clone(),
        }
    }

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

    pub fn judge(&mut self, facts: Facts, result: Result<Submission, SendFailure>) -> (Ending, Consequence) {
        let Facts { message, contact, begun, .. } = facts;
        if !matches!(result, Err(SendFailure::NotSent(NotSent::Connect) | SendFailure::Unknown(_))) {
            self.unreachable.relieve(begun);
        }
        match result {
            Ok(submission) => {
                self.throttled.relieve(begun);
                self.pairs.relieve(contact, begun);
                self.refusals.remove(&message);
                let held = matches!(submission.message_status, Some(MessageStatus::Held | MessageStatus::Paused));
                (Ending::Submitted { submission, held }, Consequence::None)
            }
            Err(SendFailure::Unknown(_)) => {
                // One may be chance. Where nothing is answered any more, the whole queue would end up unknown.
                let before = self.unreachable.strike(begun, facts.now);
                if before > 0 {
                    self.pause(self.after(facts.now, Duration::ZERO, before));
                }
                (Ending::Unknown, Consequence::None)
            }
            Err(SendFailure::NotSent(NotSent::Connect)) => {
                let before = self.unreachable.strike(begun, facts.now);
                let until = self.after(facts.now, Duration::ZERO, before);
                self.pause(until);
                (Ending::Deferred { until, code: None }, Consequence::None)
            }
            Err(SendFailure::NotSent(NotSent::Request)) => {
                (Ending::Refused { code: None, class: "request", text: None }, Consequence::None)
            }
            Err(SendFailure::Refused(error)) => self.refused(facts, &error),
        }
    }

    fn refused(&mut self, facts: Facts, error: &GraphError) -> (Ending, Consequence) {
        let now = facts.now;
        let asked = error.class.backoff().max(error.retry_after).unwrap_or_default();
        let code = Some(error.code);
        match error.class {
            ErrorClass::Transient { .. } => {
                if self.refusals.len() >= REFUSED_MESSAGES {
                    self.refusals.clear();
                }
                let refusals = self.refusals.entry(facts.message).or_default();
                *refusals += 1;
                let before = *refusals - 1;
                if *refusals >= self.options.max_attempts {
                    self.refusals.remove(&facts.message);
                    return (refusal(error), Consequence::None);
                }
                (Ending::Deferred { until: self.after(now, asked, before), code }, Consequence::None)
            }
            ErrorClass::ThrottlePair => {
                let before = self.pairs.strike(facts.contact, facts.begun, now);
                let asked = pair_backoff(before).max(error.retry_after.unwrap_or_default());
                let until = now.plus(asked.min(self.options.waits.asked_max));
                self.pairs.pause(facts.contact, now, until);
                (Ending::Deferred { until, code }, Consequence::None)
            }
            ErrorClass::ThrottleNumber => {
                let until = self.throttle(facts, asked);
                (Ending::Deferred { until, code }, Consequence::None)
            }
            ErrorClass::ThrottleAccount => {
                let until = self.throttle(facts, asked);
                (Ending::Deferred { until, code }, Consequence::PauseWaba(until))
            }
            ErrorClass::ThrottleApp => {
                let until = self.throttle(facts, asked);
                (Ending::Deferred { until, code }, Consequence::PauseApp(until))
            }
            ErrorClass::LongBackoff => {
                let until = now.plus(asked.min(self.options.waits.rest_max));
                self.pause(until);
                (Ending::Deferred { until, code }, Consequence::None)
            }
            ErrorClass::StopNumber | ErrorClass::StopAccount => {
                (Ending::Deferred { until: now, code }, Consequence::StopNumber { code: error.code })
            }
            ErrorClass::Suppress => (refusal(error), Consequence::OptOut),
            ErrorClass::StopTemplate | ErrorClass::MarketingLimit | ErrorClass::Permanent => {
                (refusal(error), Consequence::None)
            }
        }
    }

    /// The number sends nothing for a while.
    fn throttle(&mut self, facts: Facts, asked: Duration) -> Time {
        let before = self.throttled.strike(facts.begun, facts.now);
        let until = self.after(facts.now, asked, before);
        self.pause(until);
        until
    }

    fn after(&self, now: Time, asked: Duration, before: u32) -> Time {
        now.plus(self.options.waits.wait(&self.jitter, asked, before))
    }
}

fn refusal(error: &GraphError) -> Ending {
    let text = match &error.details {
        Some(details) => format!("{}: {details}", error.message),
        None => error.message.clone(),
    };
    Ending::Refused { code: Some(error.code), class: error.class.name(), text: Some(Personal::new(text)) }
}

#[cfg(test)]
mod tests {
    use wasend_whatsapp::{Unknown, classify};

    use super::*;

    const START: Time = Time::from_seconds(1_800_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pace() -> Pace {
        Pace::new(80, &DispatchOptions::default(), Arc::new(Jitter::new(Some(1))), START)
    }

    fn facts(now: Time) -> Facts {
        Facts { message: MessageId::random(), contact: SubjectId::random(), begun: now, now }
    }

    fn error(code: i64, retry_after: Option<Duration>) -> Result<Submission, SendFailure> {
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

    fn deferred(ending: &Ending) -> Option<Time> {
        if let Ending::Deferred { until, .. } = ending { Some(*until) } else { None }
    }

    #[test]
    fn a_throttled_number_waits_as_long_as_meta_asks_and_longer_each_time() {
        let mut pace = pace();
        let (ending, consequence) = pace.judge(facts(START), error(130_429, Some(seconds(30))));
        let until = deferred(&ending).unwrap();
        assert!(until >= START.plus(seconds(30)) && until <= START.plus(seconds(31)));
        assert_eq!((pace.paused_until(START), consequence), (Some(until), Consequence::None));
        assert_eq!(pace.paused_until(until), None);
        let hostile = pace.judge(facts(until), error(130_429, Some(seconds(u64::MAX)))).0;
        assert!(deferred(&hostile).unwrap() <= until.plus(seconds(3_600 + 300)));
    }

    #[test]
    fn a_throttled_pair_lets_the_others_go_on() {
        let mut pace = pace();
        let first = facts(START);
        let wait = |ending: Ending, from: Time| deferred(&ending).unwrap().since(from);
        assert_eq!(wait(pace.judge(first, error(131_056, None)).0, START), seconds(1));
        let later = START.plus(seconds(10));
        let second = Facts { begun: later, now: later, ..first };
        assert_eq!(wait(pace.judge(second, error(131_056, None)).0, later), seconds(4));
        assert_eq!(pace.paused_until(later), None);
        assert_eq!((pace.pairs.room(first.contact, later), pace.pairs.room(SubjectId::random(), later)), (0, 45));
    }

    #[test]
    fn a_message_that_is_refused_for_passing_reasons_fails_in_the_end() {
        let mut pace = pace();
        let message = facts(START);
        for _ in 1..DispatchOptions::default().max_attempts {
            assert!(deferred(&pace.judge(message, error(131_016, None)).0).is_some());
            // What does not count.
            assert!(deferred(&pace.judge(message, error(130_429, None)).0).is_some());
        }
        let (ending, _) = pace.judge(message, error(131_016, None));
        assert!(matches!(ending, Ending::Refused { code: Some(131_016), class: "transient", text: Some(_) }));
    }

    #[test]
    fn an_unreachable_meta_is_left_alone_for_longer_and_longer() {
        let mut pace = pace();
        let mut longest = Duration::ZERO;
        let mut now = START;
        for _ in 0..12 {
            let (ending, _) = pace.judge(facts(now), Err(SendFailure::NotSent(NotSent::Connect)));
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
            pace.judge(facts(now), Err(SendFailure::Unknown(Unknown::Timeout)));
            pauses.push(pace.paused_until(now).map_or(Duration::ZERO, |until| until.since(now)));
        }
        assert_eq!(pauses[0], Duration::ZERO);
        assert!(pauses.iter().max() > Some(&seconds(5)), "{pauses:?}");
        let now = START.plus(seconds(8 * 600));
        pace.judge(facts(now), error(131_026, None));
        pace.judge(facts(now.plus(seconds(1))), Err(SendFailure::Unknown(Unknown::Timeout)));
        assert_eq!(pace.paused_until(now), None);
    }

    #[test]
    fn each_class_has_its_consequence() {
        let judge = |code| pace().judge(facts(START), error(code, None));
        assert_eq!(judge(190).1, Consequence::StopNumber { code: 190 });
        assert_eq!(deferred(&judge(131_042).0), Some(START));
        assert!(matches!(judge(80_007).1, Consequence::PauseWaba(until) if until >= START.plus(seconds(60))));
        assert!(matches!(judge(4).1, Consequence::PauseApp(_)));
        assert_eq!(deferred(&judge(131_048).0), Some(START.plus(seconds(4 * 3_600))));
        assert!(matches!(judge(131_050), (Ending::Refused { class: "suppress", .. }, Consequence::OptOut)));
        assert!(matches!(judge(132_001).0, Ending::Refused { class: "stop_template", .. }));
        let Ending::Refused { text: Some(text), .. } = judge(131_026).0 else { panic!("refused for good") };
        assert_eq!(text.expose(), "no: really");
        let unknown = pace().judge(facts(START), Err(SendFailure::Unknown(Unknown::Timeout))).0;
        assert!(matches!(unknown, Ending::Unknown));
    }

    #[test]
    fn held_and_paused_are_held() {
        for (status, expected) in [
            (None, false),
            (Some(MessageStatus::Accepted), false),
            (Some(MessageStatus::Held), true),
            (Some(MessageStatus::Paused), true),
        ] {
            let submission = Submission { wamid: "w".into(), wa_id: None, user_id: None, message_status: status };
            let (ending, _) = pace().judge(facts(START), Ok(submission));
            assert!(matches!(ending, Ending::Submitted { held, .. } if held == expected));
        }
    }
}
