//! Reading the log; the same on both engines but for how a set of streams is asked for.

use std::sync::Arc;

use wasend_domain::{AccountId, Position, Recorded, StreamId};

use crate::rows::{COLUMNS, Row, decode_all, stored};
use crate::{Db, Filter, LogError, with_db};

/// Streams that are loaded by one statement.
const STREAMS: usize = 1_000;

impl From<sqlx::Error> for LogError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // A value of another type than was written.
            sqlx::Error::ColumnDecode { index, .. } => Self::Damaged(format!("column {index} is not readable")),
            error => Self::Unavailable(Arc::new(error)),
        }
    }
}

pub(crate) async fn load(db: &Db, streams: &[StreamId]) -> Result<Vec<Recorded>, LogError> {
    let mut streams = streams.to_vec();
    streams.sort_unstable();
    streams.dedup();
    let mut events = Vec::new();
    for chunk in streams.chunks(STREAMS) {
        let found = match db {
            Db::Sqlite(sqlite) => {
                let pairs: Vec<_> = chunk.iter().map(|s| (s.aggregate_type, s.aggregate_id)).collect();
                let pairs = serde_json::to_string(&pairs).map_err(|error| LogError::Unavailable(Arc::new(error)))?;
                let sql = format!(
                    "SELECT {COLUMNS} FROM json_each($1) s CROSS JOIN events e \
                      WHERE e.aggregate_type = s.value ->> 0 AND e.aggregate_id = s.value ->> 1 \
                      ORDER BY s.key, e.sequence"
                );
                sqlx::query_as::<_, Row>(&sql).bind(pairs).fetch_all(sqlite.pool()).await?
            }
            Db::Postgres(pool) => {
                // OFFSET 0 keeps the lookup by index, one for each stream, whatever the statistics say.
                let sql = format!(
                    "SELECT {COLUMNS} FROM unnest($1::text[], $2::text[]) WITH ORDINALITY s(type, id, n) \
                      CROSS JOIN LATERAL (SELECT * FROM events e \
                                           WHERE e.aggregate_type = s.type AND e.aggregate_id = s.id \
                                           ORDER BY e.sequence OFFSET 0) e \
                      ORDER BY s.n, e.sequence"
                );
                sqlx::query_as::<_, Row>(&sql)
                    .bind(chunk.iter().map(|s| s.aggregate_type).collect::<Vec<_>>())
                    .bind(chunk.iter().map(|s| s.aggregate_id.to_string()).collect::<Vec<_>>())
                    .fetch_all(pool)
                    .await?
            }
        };
        events.extend(decode_all(found)?);
    }
    Ok(events)
}

pub(crate) async fn command(db: &Db, account_id: AccountId, command_id: &str) -> Result<Vec<Recorded>, LogError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events e \
          WHERE e.account_id = $1 AND e.command_id = $2 AND length(e.command_id) <> 36 ORDER BY e.position"
    );
    let found: Vec<Row> = with_db!(db, pool => {
        sqlx::query_as(&sql).bind(account_id.to_string()).bind(command_id).fetch_all(pool).await
    })?;
    decode_all(found)
}

pub(crate) async fn read(db: &Db, after: Position, limit: usize, filter: &Filter) -> Result<Vec<Recorded>, LogError> {
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
        "SELECT {COLUMNS} FROM events e WHERE e.position > $1 AND e.position <= $2{conditions} \
          ORDER BY e.position LIMIT $3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let until = filter.until.unwrap_or(Position::MAX);
    let found: Vec<Row> = with_db!(db, pool => {
        let mut query = sqlx::query_as(&sql).bind(stored(after)).bind(stored(until)).bind(limit);
        for (_, text) in &only {
            query = query.bind(text);
        }
        query.fetch_all(pool).await
    })?;
    decode_all(found)
}
