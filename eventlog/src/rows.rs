//! How a recorded event is read from its row; the same on both engines.

use std::str::FromStr;

use wasend_domain::{EventMetadata, Id, Position, RecordedEvent, Time};

use crate::{Db, LogError};

/// What a query selects of the table alias `e`, to be read by [`decode_rows`] (Postgres) or [`decode_packed`] (SQLite).
/// Postgres keeps the two documents as `json`: cast, they are the bytes that were written. On SQLite a row is one text:
/// the driver copies each value of a row under a lock, and SQLite makes one of thirteen faster. The separator stands in
/// no field but perhaps the last: the others are ids, numbers, names and JSON, which has no control characters. It is
/// written between the fields one by one: `concat_ws` left empty texts out until SQLite 3.47, their separators with them.
pub(crate) const fn columns(db: &Db) -> &'static str {
    match db {
        Db::Sqlite(_) => {
            "concat(e.position, char(31), e.account_id, char(31), e.aggregate_type, char(31), e.aggregate_id, char(31), \
             e.sequence, char(31), e.event_id, char(31), e.event_type, char(31), e.event_version, char(31), \
             e.recorded_at, char(31), e.checksum, char(31), e.payload, char(31), e.metadata, char(31), e.command_id)"
        }
        Db::Postgres(_) => {
            "e.position, e.account_id, e.aggregate_type, e.aggregate_id, e.sequence, e.event_id, e.event_type, \
             e.event_version, e.recorded_at, CAST(e.payload AS TEXT), CAST(e.metadata AS TEXT), e.command_id"
        }
    }
}

const SEPARATOR: char = '\u{1f}';

/// A row of Postgres, which checksums its pages.
pub(crate) type PostgresRow = (i64, String, String, String, i64, String, String, String, i64, String, String, String);

/// A row of SQLite.
pub(crate) type SqliteRow = (String,);

/// A row's values. The texts are in the order in which they go into the checksum.
#[derive(Debug, Clone, Copy)]
struct RowFields<'a> {
    position: i64,
    sequence: i64,
    recorded_at: i64,
    checksum: Option<i64>,
    texts: [&'a str; 9],
}

pub(crate) fn decode_rows(rows: &[PostgresRow]) -> Result<Vec<RecordedEvent>, LogError> {
    rows.iter().map(|row| decode(RowFields::of(row))).collect()
}

pub(crate) fn decode_packed(rows: &[SqliteRow]) -> Result<Vec<RecordedEvent>, LogError> {
    rows.iter().map(|(packed,)| decode(RowFields::unpack(packed)?)).collect()
}

impl<'a> RowFields<'a> {
    fn of(row: &'a PostgresRow) -> Self {
        let (position, account, kind, aggregate, sequence, event, event_type, version, at, payload, metadata, command) =
            row;
        let texts = [account, kind, aggregate, event, event_type, version, payload, metadata, command];
        let (position, sequence, recorded_at) = (*position, *sequence, *at);
        Self { position, sequence, recorded_at, checksum: None, texts: texts.map(String::as_str) }
    }

    fn unpack(packed: &'a str) -> Result<Self, LogError> {
        let mut fields = packed.splitn(13, SEPARATOR);
        let mut next = || fields.next();
        let mut all = || {
            let position = next()?.parse().ok()?;
            let (account, kind, aggregate) = (next()?, next()?, next()?);
            let sequence = next()?.parse().ok()?;
            let (event, event_type, version) = (next()?, next()?, next()?);
            let recorded_at = next()?.parse().ok()?;
            let checksum = next()?;
            let checksum = if checksum.is_empty() { None } else { Some(checksum.parse().ok()?) };
            let (payload, metadata, command) = (next()?, next()?, next()?);
            let texts = [account, kind, aggregate, event, event_type, version, payload, metadata, command];
            Some(Self { position, sequence, recorded_at, checksum, texts })
        };
        all().ok_or_else(|| LogError::Damaged("a row does not have the columns of an event".to_owned()))
    }
}

/// Of a row's numbers (sequence, moment) and texts, in the order of [`columns`]. The position is given out by the
/// database, after this is made; that it is the next shows when the log is read in order.
pub(crate) fn checksum(numbers: [i64; 2], texts: [&str; 9]) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    for number in numbers {
        sum.update(&number.to_le_bytes());
    }
    for text in texts {
        sum.update(&(text.len() as u64).to_le_bytes());
        sum.update(text.as_bytes());
    }
    sum.finalize().into()
}

fn decode(fields: RowFields<'_>) -> Result<RecordedEvent, LogError> {
    let RowFields { sequence, recorded_at, texts, .. } = fields;
    let position = position(fields.position)?;
    if fields.checksum.is_some_and(|sum| sum != checksum([sequence, recorded_at], texts)) {
        return Err(LogError::Damaged(format!("the event at position {position} is not what was written")));
    }
    let [account_id, aggregate_type, aggregate_id, event_id, event_type, event_version, payload, meta, command_id] =
        texts;
    Ok(RecordedEvent {
        position,
        account_id: id(account_id, position, "account_id")?,
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: id::<()>(aggregate_id, position, "aggregate_id")?.uuid(),
        sequence: u64::try_from(sequence).map_err(|_| damaged(position, "sequence"))?,
        event_id: id(event_id, position, "event_id")?,
        event_type: event_type.to_owned(),
        event_version: event_version.to_owned(),
        payload: payload.to_owned(),
        metadata: metadata(meta).ok_or_else(|| damaged(position, "metadata"))?,
        command_id: command_id.to_owned(),
        recorded_at: Time::from_micros(recorded_at),
    })
}

pub(crate) fn position(stored: i64) -> Result<Position, LogError> {
    Position::try_from(stored).map_err(|_| LogError::Damaged("a position is negative".to_owned()))
}

pub(crate) fn metadata(json: &str) -> Option<EventMetadata> {
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

    const ID: &str = "0190b5a0-0000-7000-8000-000000000001";

    fn fields() -> RowFields<'static> {
        let texts = [ID, "account", ID, ID, "Made", "1", "{}", r#"{"actor":"meta"}"#, "c"];
        RowFields { position: 7, sequence: 1, recorded_at: 5, checksum: None, texts }
    }

    #[test]
    fn a_row_becomes_an_event() {
        let event = decode(fields()).unwrap();
        assert_eq!((event.position, event.sequence, event.metadata.actor()), (7, 1, "meta"));
    }

    #[test]
    fn a_packed_row_is_the_same_event() {
        // Only the last of its texts is the client's.
        for (checksum, command) in [(None, "c"), (Some(4), "a\u{1f}b"), (None, "")] {
            let mut fields = fields();
            (fields.checksum, fields.texts[8]) = (checksum, command);
            let [account, kind, aggregate, event, event_type, version, payload, metadata, command] = fields.texts;
            let sum = checksum.map(|sum: i64| sum.to_string()).unwrap_or_default();
            let packed = ["7", account, kind, aggregate, "1", event, event_type, version, "5", &sum, payload, metadata];
            let packed = packed.map(|field| format!("{field}{SEPARATOR}")).concat() + command;
            let read = RowFields::unpack(&packed).unwrap();
            assert_eq!((read.position, read.sequence, read.recorded_at), (7, 1, 5));
            assert_eq!((read.checksum, read.texts), (checksum, fields.texts));
        }
        for odd in ["", "7", "x\u{1f}secret"] {
            let error = RowFields::unpack(odd).unwrap_err();
            assert!(matches!(&error, LogError::Damaged(_)) && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn another_value_than_was_written_is_damage() {
        let mut written = fields();
        written.checksum = Some(checksum([written.sequence, written.recorded_at], written.texts));
        assert!(decode(written).is_ok());
        let spoil: [fn(&mut RowFields<'_>); 4] =
            [|f| f.sequence = 2, |f| f.texts[6] = "{ }", |f| f.texts[8] = "C", |f| f.recorded_at = 4];
        for spoil in spoil {
            let mut fields = written;
            spoil(&mut fields);
            assert!(matches!(decode(fields), Err(LogError::Damaged(_))));
        }
    }

    #[test]
    fn nonsense_is_damage_and_is_not_repeated_in_the_error() {
        let spoil: [fn(&mut RowFields<'_>); 6] = [
            |f| f.position = -1,
            |f| f.texts[0] = "secret",
            |f| f.texts[2] = "secret",
            |f| f.sequence = -1,
            |f| f.texts[3] = "secret",
            |f| f.texts[7] = "[\"secret\"]",
        ];
        for spoil in spoil {
            let mut fields = fields();
            spoil(&mut fields);
            let error = decode(fields).unwrap_err();
            assert!(matches!(error, LogError::Damaged(_)), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
