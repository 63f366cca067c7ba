//! Time as the log keeps it. Nothing reads the clock but a [`Clock`], which is injected.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A moment: microseconds since 1970-01-01T00:00:00 UTC, the finest that both databases keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// The moment so many microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From unix seconds, as Meta gives them; saturates.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Nothing for a moment that RFC 3339 cannot write: before the year 0 or after 9999.
    pub fn if_writable(self) -> Option<Self> {
        const YEAR_0_MICROS: i64 = -62_167_219_200_000_000;
        const YEAR_10000_MICROS: i64 = 253_402_300_800_000_000;
        (YEAR_0_MICROS..YEAR_10000_MICROS).contains(&self.0).then_some(self)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The UTC day this moment falls on.
    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(86_400_000_000))
    }

    /// The moment so much later, the last one there is at most.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this moment, zero if it lies after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with microseconds.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

/// The text is not a moment or day in the ISO 8601 / RFC 3339 form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a date or time (RFC 3339)")]
pub struct InvalidTime;

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTime)?;
        // An offset can move the last day of the last year into the next.
        Self(moment.timestamp_micros()).if_writable().ok_or(InvalidTime)
    }
}

/// A UTC day: days since 1970-01-01. Usage is counted and retention keys are cut by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(i64);

impl Day {
    /// The day so many days after 1970-01-01.
    pub const fn from_number(days: i64) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// `YYYY-MM-DD`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp(self.0.saturating_mul(86_400), 0) {
            Some(moment) => write!(f, "{}", moment.date_naive()),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl FromStr for Day {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let date: chrono::NaiveDate = text.parse().map_err(|_| InvalidTime)?;
        let midnight = date.and_hms_opt(0, 0, 0).ok_or(InvalidTime)?;
        let midnight = Time::from_seconds(midnight.and_utc().timestamp()).if_writable();
        Ok(midnight.ok_or(InvalidTime)?.day())
    }
}

/// Where the time comes from: the machine in service, a fixed value in tests.
pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let time: Time = "2026-11-23T02:17:06.123456Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-23T02:17:06.123456Z");
        assert_eq!(time.day().to_string(), "2026-11-23");
        assert_eq!("2026-11-23".parse(), Ok(time.day()));
        assert_eq!("yesterday".parse::<Time>(), Err(InvalidTime));
    }

    #[test]
    fn years_have_four_digits() {
        for text in ["9999-12-31T23:59:59.999999Z", "0000-01-01T00:00:00.000000Z"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        for text in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00", "+10000-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<Time>(), Err(InvalidTime), "{text}");
        }
        for text in ["+10000-01-01", "+262142-12-31", "-0001-01-01"] {
            assert_eq!(text.parse::<Day>(), Err(InvalidTime), "{text}");
        }
        assert_eq!("9999-12-31".parse::<Day>().unwrap().to_string(), "9999-12-31");
    }

    #[test]
    fn a_moment_before_1970_falls_on_the_day_before() {
        assert_eq!(Time::from_micros(-1).day(), Day::from_number(-1));
    }
}
