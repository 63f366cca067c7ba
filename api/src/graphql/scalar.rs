//! Scalars beyond those of GraphQL itself.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use wasend_domain::{Day, Time};

/// GraphQL `Position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PositionScalar(pub wasend_domain::Position);

/// A place in the history of all events: 1 for the first, then without gaps. Written as a number; a decimal string is
/// read as well, for clients whose numbers end at 2^53.
#[Scalar(name = "Position", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259#section-6")]
impl ScalarType for PositionScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let storable = number.filter(|number| i64::try_from(*number).is_ok());
        storable.map(Self).ok_or_else(|| InputValueError::custom("is not a position: a whole number from 0"))
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        self.0.into()
    }
}

/// GraphQL `DateTime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub Time);

/// A moment: RFC 3339, such as `2026-11-23T02:17:06.123456Z`. Answers are in UTC with microseconds.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(parsed(&value)?))
    }

    fn is_valid(value: &Value) -> bool {
        parsed::<Time>(value).is_ok()
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

/// GraphQL `Date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateScalar(pub Day);

/// A day in UTC: `2026-11-23`.
#[Scalar(name = "Date", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for DateScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(parsed(&value)?))
    }

    fn is_valid(value: &Value) -> bool {
        parsed::<Day>(value).is_ok()
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

/// A value in JSON, of any form.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonScalar(Value);

impl JsonScalar {
    /// Reads JSON. A text that is none is a string.
    pub fn of_text(text: String) -> Self {
        let value = serde_json::from_str(&text).ok().and_then(|value| Value::from_json(value).ok());
        Self(value.unwrap_or(Value::String(text)))
    }
}

/// A value of JSON: an object, list, string, number, boolean or null, as it is and not as a text.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for JsonScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value))
    }

    fn to_value(&self) -> Value {
        self.0.clone()
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<T, String> {
    match value {
        Value::String(text) => text.parse().map_err(|error: T::Err| error.to_string()),
        _ => Err("is not a string".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_number_or_its_digits() {
        for value in [Value::from(7), Value::from("7")] {
            assert_eq!(PositionScalar::parse(value).ok(), Some(PositionScalar(7)));
        }
        for value in [Value::from(-1), Value::from(1.5), Value::from(""), Value::from("+7"), Value::from(u64::MAX)] {
            assert!(!PositionScalar::is_valid(&value), "{value}");
        }
        assert_eq!(PositionScalar(9_007_199_254_740_993).to_value(), Value::from(9_007_199_254_740_993_u64));
    }

    #[test]
    fn times_and_days_are_read_as_they_are_written() {
        let time = DateTime::parse("2026-11-23T03:00:00+01:00".into()).ok().map(|time| time.to_value());
        assert_eq!(time, Some("2026-11-23T02:00:00.000000Z".into()));
        assert_eq!(DateScalar::parse("2026-11-23".into()).ok().map(|day| day.to_value()), Some("2026-11-23".into()));
        assert!(!DateScalar::is_valid(&"2026-11-31".into()) && !DateTime::is_valid(&1_700_000_000.into()));
    }
}
