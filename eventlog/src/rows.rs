//! How a recorded event is read from its row; the same on both engines.

use std::str::FromStr;

use wasend_domain::{Id, Metadata, Position, Recorded, Time};

use crate::{Db, LogError};

/// The columns of [`Row`], from the table alias `e`. Postgres keeps the two documents as `json`: cast, they are the
/// bytes that were written.
pub(crate) const COLUMNS: &str = "e.position, e.account_id, e.aggregate_type, e.aggregate_id, e.sequence, \
     e.event_id, e.event_type, e.event_version, CAST(e.payload AS TEXT), CAST(e.metadata AS TEXT), e.command_id, \
     e.recorded_at";

/// [`COLUMNS`], and then the checksum, where the engine keeps none of its own.
pub(crate) type Row =
    (i64, String, String, String, i64, String, String, String, String, String, String, i64, Option<i64>);

/// What follows [`COLUMNS`] in a query.
pub(crate) const fn checksum_column(db: &Db) -> &'static str {
    match db {
        Db::Sqlite(_) => "e.checksum",
        Db::Postgres(_) => "CAST(NULL AS BIGINT)",
    }
}

/// Of a row's numbers (sequence, moment) and texts, in the order of [`COLUMNS`]. The position is given out by the
/// database, after this is made; that it is the next shows when the log is read in order.
pub(crate) fn checksum(numbers: [i64; 2], texts: [&str; 9]) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    for number in numbers {
        sum.update(&number.to_le_bytes());
    }
    for text in texts {
        sum.update(&text.len().to_le_bytes());
        sum.update(text.as_bytes());
    }
    sum.finalize().into()
}

pub(crate) fn decode_all(rows: Vec<Row>) -> Result<Vec<Recorded>, LogError> {
    rows.into_iter().map(decode).collect()
}

fn decode(row: Row) -> Result<Recorded, LogError> {
    let position = position(row.0)?;
    let texts = [&row.1, &row.2, &row.3, &row.5, &row.6, &row.7, &row.8, &row.9, &row.10].map(String::as_str);
    if row.12.is_some_and(|sum| sum != checksum([row.4, row.11], texts)) {
        return Err(LogError::Damaged(format!("the event at position {position} is not what was written")));
    }
    Ok(Recorded {
        position,
        account_id: id(&row.1, position, "account_id")?,
        aggregate_type: row.2,
        aggregate_id: id::<()>(&row.3, position, "aggregate_id")?.uuid(),
        sequence: u64::try_from(row.4).map_err(|_| damaged(position, "sequence"))?,
        event_id: id(&row.5, position, "event_id")?,
        event_type: row.6,
        event_version: row.7,
        payload: row.8,
        metadata: metadata(&row.9).ok_or_else(|| damaged(position, "metadata"))?,
        command_id: row.10,
        recorded_at: Time::from_micros(row.11),
    })
}

pub(crate) fn position(stored: i64) -> Result<Position, LogError> {
    Position::try_from(stored).map_err(|_| LogError::Damaged("a position is negative".to_owned()))
}

pub(crate) fn metadata(json: &str) -> Option<Metadata> {
    serde_json::from_str(json).ok()
}

fn id<K>(text: &str, position: Position, column: &str) -> Result<Id<K>, LogError> {
    Id::from_str(text).map_err(|_| damaged(position, column))
}

/// Says where the damage is, never what was found there.
fn damaged(position: Position, column: &str) -> LogError {
    LogError::Damaged(format!("{column} of the event at position {position} is not readable"))
}

/// As the databases keep positions and sequences. Both end at 2^63, which is further than a log can grow.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let id = || "0190b5a0-0000-7000-8000-000000000001".to_owned();
        let text = |t: &str| t.to_owned();
        (
            7,
            id(),
            text("account"),
            id(),
            1,
            id(),
            text("Made"),
            text("1"),
            text("{}"),
            text(r#"{"actor":"meta"}"#),
            text("c"),
            5,
            None,
        )
    }

    #[test]
    fn a_row_becomes_an_event() {
        let event = decode(row()).unwrap();
        assert_eq!((event.position, event.sequence, event.metadata.actor()), (7, 1, "meta"));
    }

    #[test]
    fn another_value_than_was_written_is_damage() {
        let mut written = row();
        let of = |r: &Row| {
            let texts = [&r.1, &r.2, &r.3, &r.5, &r.6, &r.7, &r.8, &r.9, &r.10].map(String::as_str);
            checksum([r.4, r.11], texts)
        };
        written.12 = Some(of(&written));
        assert!(decode(written.clone()).is_ok());
        let spoil: [fn(&mut Row); 4] = [|r| r.4 = 2, |r| r.8 = "{ }".into(), |r| r.10 = "C".into(), |r| r.11 = 4];
        for spoil in spoil {
            let mut row = written.clone();
            spoil(&mut row);
            assert!(matches!(decode(row), Err(LogError::Damaged(_))));
        }
    }

    #[test]
    fn nonsense_is_damage_and_is_not_repeated_in_the_error() {
        let spoil: [fn(&mut Row); 6] = [
            |r| r.0 = -1,
            |r| r.1 = "secret".into(),
            |r| r.3 = "secret".into(),
            |r| r.4 = -1,
            |r| r.5 = "secret".into(),
            |r| r.9 = "[\"secret\"]".into(),
        ];
        for spoil in spoil {
            let mut row = row();
            spoil(&mut row);
            let error = decode(row).unwrap_err();
            assert!(matches!(error, LogError::Damaged(_)), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
