//! Meta's error codes, and what each asks us to do. Meta's rule: decide by `code`, never by title or HTTP status; the
//! same code may come as a refusal or, later, in a `failed` status.
//! Source: Cloud API "Error codes" and "Throughput" pages, May 2026.

use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What to do about an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same message may be tried again, not before `after`; a few times, with jitter.
    Transient { after: Duration },
    /// The number sends too fast: slow the number down and send the same message again.
    ThrottleNumber,
    /// Too many messages from this number to this one user: only the pair waits, see [`pair_backoff`].
    ThrottlePair,
    /// The WhatsApp Business Account exceeded its hourly calls.
    ThrottleAccount,
    /// The app exceeded its hourly calls: every number behind it waits.
    ThrottleApp,
    /// Meta suspects spam from this number: hours of rest, and a human should look.
    LongBackoff,
    /// The number cannot send until it is repaired (token, permission, registration). Keep the queue.
    StopNumber,
    /// The whole business account is locked or unpaid. Keep the queue.
    StopAccount,
    /// The template, language or category cannot be sent now: whatever uses it stops.
    StopTemplate,
    /// Meta keeps marketing from this user for now: no retry within 24 hours, by default none at all.
    MarketingLimit,
    /// The user stopped marketing messages: never again until the user resumes them.
    Suppress,
    /// This message to this recipient will never succeed.
    Permanent,
}

impl ErrorClass {
    /// The name under which it is recorded and shown; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::ThrottleNumber => "throttle_number",
            Self::ThrottlePair => "throttle_pair",
            Self::ThrottleAccount => "throttle_account",
            Self::ThrottleApp => "throttle_app",
            Self::LongBackoff => "long_backoff",
            Self::StopNumber => "stop_number",
            Self::StopAccount => "stop_account",
            Self::StopTemplate => "stop_template",
            Self::MarketingLimit => "marketing_limit",
            Self::Suppress => "suppress",
            Self::Permanent => "permanent",
        }
    }

    /// Whether the same message may be sent again without a repair.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Transient { .. }
            | Self::ThrottleNumber
            | Self::ThrottlePair
            | Self::ThrottleAccount
            | Self::ThrottleApp
            | Self::LongBackoff => true,
            Self::StopNumber
            | Self::StopAccount
            | Self::StopTemplate
            | Self::MarketingLimit
            | Self::Suppress
            | Self::Permanent => false,
        }
    }

    /// Whether the queue behind the number must rest until an operator acts; the message itself is not at fault.
    pub fn stops_sending(self) -> bool {
        matches!(self, Self::StopNumber | Self::StopAccount)
    }

    /// Shortest wait before the same message is tried again; `None` where it must not be tried.
    pub fn backoff(self) -> Option<Duration> {
        match self {
            Self::Transient { after } => Some(after),
            Self::ThrottleNumber => Some(seconds(1)),
            Self::ThrottlePair => Some(seconds(6)),
            Self::ThrottleAccount | Self::ThrottleApp => Some(seconds(60)),
            Self::LongBackoff => Some(seconds(4 * 3600)),
            _ => None,
        }
    }
}

/// Wait after the `attempt`th (from 0) error 131056 for one pair: 4^attempt seconds, held at about a day.
pub fn pair_backoff(attempt: u32) -> Duration {
    seconds(4_u64.pow(attempt.min(8)))
}

/// What `code` asks for. `http_status` decides only about codes that are not in Meta's table; use 0 for a code that
/// came in a webhook.
pub fn classify(code: i64, http_status: u16) -> ErrorClass {
    match code {
        0 | 3 | 10 | 33 | 190 | 200..=299 => ErrorClass::StopNumber,
        131_005 | 131_037 | 131_045 | 133_006 | 133_010 => ErrorClass::StopNumber,
        368 | 131_031 | 131_042 | 131_044 => ErrorClass::StopAccount,
        1 => ErrorClass::Transient { after: seconds(10) },
        // Service unavailable: Meta's own updates take up to five minutes.
        2 => ErrorClass::Transient { after: seconds(300) },
        131_000 | 131_016 | 133_004 => ErrorClass::Transient { after: seconds(5) },
        // Maintenance or a throughput upgrade, about one minute; and media that Meta could not fetch.
        131_053 | 131_057 | 2_494_100 => ErrorClass::Transient { after: seconds(60) },
        4 => ErrorClass::ThrottleApp,
        80_007 | 80_008 => ErrorClass::ThrottleAccount,
        130_429 | 133_016 => ErrorClass::ThrottleNumber,
        131_056 => ErrorClass::ThrottlePair,
        131_048 => ErrorClass::LongBackoff,
        131_063 | 131_064 | 132_001 | 132_015 | 132_016 | 132_068 | 132_069 => ErrorClass::StopTemplate,
        131_049 => ErrorClass::MarketingLimit,
        131_050 => ErrorClass::Suppress,
        100
        | 130_472
        | 130_497
        | 131_008
        | 131_009
        | 131_021
        | 131_026
        | 131_030
        | 131_047
        | 131_051
        | 131_052
        | 131_059
        | 131_062
        | 132_000
        | 132_005
        | 132_007
        | 132_008
        | 132_012
        | 135_000
        | 137_000
        | 2_388_000..=2_388_999 => ErrorClass::Permanent,
        _ => classify_by_status(http_status),
    }
}

fn classify_by_status(http_status: u16) -> ErrorClass {
    match http_status {
        401 | 403 => ErrorClass::StopNumber,
        429 => ErrorClass::ThrottleNumber,
        500..=599 => ErrorClass::Transient { after: seconds(60) },
        _ => ErrorClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorClass as C;

    fn transient(after: u64) -> C {
        C::Transient { after: seconds(after) }
    }

    #[test]
    fn every_known_code_has_its_class() {
        let table: &[(C, &[i64])] = &[
            (C::StopNumber, &[0, 190, 3, 10, 200, 250, 299, 131_005, 131_045, 133_010, 133_006, 33, 131_037]),
            (C::StopAccount, &[368, 131_031, 131_042, 131_044]),
            (transient(10), &[1]),
            (transient(300), &[2]),
            (transient(5), &[131_016, 131_000, 133_004]),
            (transient(60), &[131_057, 2_494_100, 131_053]),
            (C::ThrottleApp, &[4]),
            (C::ThrottleAccount, &[80_007, 80_008]),
            (C::ThrottleNumber, &[130_429, 133_016]),
            (C::LongBackoff, &[131_048]),
            (C::ThrottlePair, &[131_056]),
            (C::StopTemplate, &[131_063, 131_064, 132_001, 132_015, 132_016, 132_068, 132_069]),
            (C::MarketingLimit, &[131_049]),
            (C::Suppress, &[131_050]),
            (
                C::Permanent,
                &[
                    100, 131_008, 131_009, 131_051, 135_000, 131_021, 131_026, 131_030, 131_047, 130_472, 130_497,
                    131_052, 131_059, 131_062, 132_000, 132_008, 132_012, 132_005, 132_007, 137_000, 2_388_019,
                    2_388_040, 2_388_293, 2_388_299,
                ],
            ),
        ];
        for (class, codes) in table {
            for code in *codes {
                // The HTTP status must not matter for a code that is known.
                for status in [0, 400, 401, 403, 429, 500, 503] {
                    assert_eq!(classify(*code, status), *class, "code {code}, HTTP {status}");
                }
            }
        }
    }

    #[test]
    fn unknown_codes_go_by_http_status() {
        let expected = [
            (0, C::Permanent),
            (400, C::Permanent),
            (404, C::Permanent),
            (401, C::StopNumber),
            (403, C::StopNumber),
            (429, C::ThrottleNumber),
            (500, transient(60)),
            (503, transient(60)),
        ];
        for (status, class) in expected {
            assert_eq!(classify(999_999, status), class, "HTTP {status}");
            assert_eq!(classify(-1, status), class, "HTTP {status}");
        }
    }

    #[test]
    fn only_what_may_be_tried_again_has_a_backoff() {
        for code in [1, 2, 4, 100, 190, 368, 80_007, 130_429, 131_048, 131_049, 131_050, 131_056] {
            let class = classify(code, 400);
            assert_eq!(class.is_retryable(), class.backoff().is_some(), "code {code}");
        }
    }

    #[test]
    fn a_pair_waits_four_to_the_power_of_the_attempt() {
        let waits: Vec<u64> = (0..4).map(|attempt| pair_backoff(attempt).as_secs()).collect();
        assert_eq!(waits, [1, 4, 16, 64]);
        assert_eq!(pair_backoff(u32::MAX), pair_backoff(8));
    }
}
