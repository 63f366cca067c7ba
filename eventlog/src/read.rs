//! Reading the log; the same on both engines but for how a set of streams is asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use uuid::Uuid;
use wasend_domain::{AccountId, Position, RecordedEvent, StreamId};

use crate::db::is_damage;
use crate::rows::{PostgresRow, SqliteRow, columns, decode_packed, decode_rows, stored};
use crate::{Db, EventFilter, LogError};

/// Streams that are loaded by one statement.
const STREAMS_BATCH_MAX: usize = 1_000;
/// Commands that are looked up by one statement.
const COMMANDS_BATCH_MAX: usize = 1_000;

/// Runs the same query for [`columns`] on either engine: `fetch!(db, sql, query => query.bind(1))`. The text is put
/// together from constants of this crate; values are bound.
macro_rules! fetch {
    ($db:expr, $sql:expr, $query:ident => $bound:expr) => {
        match $db {
            Db::Sqlite(sqlite) => {
                let $query = sqlx::query_as::<_, SqliteRow>(AssertSqlSafe($sql));
                decode_packed(&$bound.fetch_all(sqlite.pool()).await?)?
            }
            Db::Postgres(pool) => {
                let $query = sqlx::query_as::<_, PostgresRow>(AssertSqlSafe($sql));
                decode_rows(&$bound.fetch_all(pool).await?)?
            }
        }
    };
}

impl From<sqlx::Error> for LogError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // A value of another type than was written.
            sqlx::Error::ColumnDecode { index, .. } => Self::Damaged(format!("column {index} is not readable")),
            error if is_damage(&error) => Self::Damaged(error.to_string()),
            error => Self::Unavailable(Arc::new(error)),
        }
    }
}

pub(crate) async fn load(db: &Db, streams: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError> {
    let mut streams = streams.to_vec();
    streams.sort_unstable();
    streams.dedup();
    let (columns, mut events) = (columns(db), Vec::new());
    for chunk in streams.chunks(STREAMS_BATCH_MAX) {
        let pairs: Vec<_> = chunk.iter().map(|s| (s.aggregate_type, s.aggregate_id)).collect();
        let pairs = serde_json::to_string(&pairs).map_err(|error| LogError::Unavailable(Arc::new(error)))?;
        let found = match db {
            Db::Sqlite(sqlite) => {
                let sql = format!(
                    "SELECT {columns} FROM json_each($1) s CROSS JOIN events e \
                      WHERE e.aggregate_type = s.value ->> 0 AND e.aggregate_id = s.value ->> 1 \
                      ORDER BY s.key, e.sequence"
                );
                decode_packed(
                    &sqlx::query_as::<_, SqliteRow>(AssertSqlSafe(sql)).bind(pairs).fetch_all(sqlite.pool()).await?,
                )?
            }
            Db::Postgres(pool) => {
                // OFFSET 0 keeps the lookup by index, one for each stream, whatever the statistics say. How many streams
                // there are is not seen while it is planned, as it is of an array, which would be planned anew each time.
                let sql = format!(
                    "SELECT {columns} FROM json_array_elements($1::json) WITH ORDINALITY s(stream, n) \
                      CROSS JOIN LATERAL (SELECT * FROM events e \
                                           WHERE e.aggregate_type = s.stream ->> 0 AND e.aggregate_id = s.stream ->> 1 \
                                           ORDER BY e.sequence OFFSET 0) e \
                      ORDER BY s.n, e.sequence"
                );
                decode_rows(&sqlx::query_as::<_, PostgresRow>(AssertSqlSafe(sql)).bind(pairs).fetch_all(pool).await?)?
            }
        };
        events.extend(found);
    }
    Ok(events)
}

/// The streams of several askers, loaded together; an answer for each.
pub(crate) async fn load_each(db: &Db, asked: &[Vec<StreamId>]) -> Vec<Result<Vec<RecordedEvent>, LogError>> {
    let streams = asked.concat();
    let events = match load(db, &streams).await {
        Ok(events) => events,
        Err(error) => return asked.iter().map(|_| Err(error.clone())).collect(),
    };
    // The events of a stream stand together.
    let is_same =
        |a: &RecordedEvent, b: &RecordedEvent| a.aggregate_id == b.aggregate_id && a.aggregate_type == b.aggregate_type;
    let found: HashMap<(Uuid, &str), &[RecordedEvent]> = events
        .chunk_by(is_same)
        .filter_map(|events| events.first().map(|first| ((first.aggregate_id, first.aggregate_type.as_str()), events)))
        .collect();
    let answer = |streams: &Vec<StreamId>| {
        let mut streams = streams.clone();
        streams.sort_unstable();
        streams.dedup();
        let of = |stream: &StreamId| found.get(&(stream.aggregate_id, stream.aggregate_type)).copied();
        Ok(streams.iter().filter_map(of).flatten().cloned().collect())
    };
    asked.iter().map(answer).collect()
}

pub(crate) async fn command(db: &Db, account_id: AccountId, command_id: &str) -> Result<Vec<RecordedEvent>, LogError> {
    let sql = format!(
        "SELECT {} FROM events e \
          WHERE e.account_id = $1 AND e.command_id = $2 AND length(e.command_id) <> 36 ORDER BY e.position",
        columns(db)
    );
    Ok(fetch!(db, sql, query => query.bind(account_id.to_string()).bind(command_id)))
}

pub(crate) async fn recorded(
    db: &Db,
    account_id: AccountId,
    command_ids: &[String],
) -> Result<HashSet<String>, LogError> {
    /// One lookup by index for each, whatever the statistics say.
    const AMONG: &str = "WHERE (SELECT min(e.position) FROM events e \
                                 WHERE e.account_id = $1 AND e.command_id = c.value AND length(e.command_id) <> 36) \
                               IS NOT NULL";
    let (account_id, mut found) = (account_id.to_string(), HashSet::new());
    for chunk in command_ids.chunks(COMMANDS_BATCH_MAX) {
        let ids = serde_json::to_string(chunk).map_err(|error| LogError::Unavailable(Arc::new(error)))?;
        let ids: Vec<String> = match db {
            Db::Sqlite(sqlite) => {
                let sql = format!("SELECT c.value FROM json_each($2) c {AMONG}");
                sqlx::query_scalar(AssertSqlSafe(sql)).bind(&account_id).bind(ids).fetch_all(sqlite.pool()).await?
            }
            Db::Postgres(pool) => {
                let sql = format!("SELECT c.value FROM json_array_elements_text($2::json) c(value) {AMONG}");
                sqlx::query_scalar(AssertSqlSafe(sql)).bind(&account_id).bind(ids).fetch_all(pool).await?
            }
        };
        found.extend(ids);
    }
    Ok(found)
}

pub(crate) async fn read(
    db: &Db,
    after: Position,
    limit: usize,
    filter: &EventFilter,
) -> Result<Vec<RecordedEvent>, LogError> {
    let stream = filter.stream;
    let only = [
        ("account_id", filter.account_id.map(|id| id.to_string())),
        ("aggregate_type", stream.map(|stream| stream.aggregate_type.to_owned())),
        ("aggregate_id", stream.map(|stream| stream.aggregate_id.to_string())),
    ];
    let only: Vec<_> = only.into_iter().filter_map(|(column, text)| Some((column, text?))).collect();
    let conditions: String =
        only.iter().zip(4..).map(|((column, _), n)| format!(" AND e.{column} = ${n}")).collect::<Vec<_>>().concat();
    let sql = format!(
        "SELECT {} FROM events e WHERE e.position > $1 AND e.position <= $2{conditions} ORDER BY e.position LIMIT $3",
        columns(db)
    );
    let until = filter.until.unwrap_or(Position::MAX);
    // There is an event at every position, so that unfiltered the range itself is the limit. PostgreSQL plans a statement
    // that is prepared for any range, and would rather sort half the log than trust a limit that it does not know; where
    // the range says little, the statement is planned anew.
    let planned_once = only.is_empty();
    let until = if planned_once { until.min(after.saturating_add(limit as u64)) } else { until };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let events = fetch!(db, sql, query => {
        let query = query.persistent(planned_once).bind(stored(after)).bind(stored(until)).bind(limit);
        only.iter().fold(query, |query, (_, text)| query.bind(text))
    });
    // A reader of everything meets every position.
    if only.is_empty()
        && let Some((position, _)) = (after + 1..).zip(&events).find(|(position, event)| event.position != *position)
    {
        return Err(LogError::Damaged(format!("there is no event at position {position}")));
    }
    Ok(events)
}
