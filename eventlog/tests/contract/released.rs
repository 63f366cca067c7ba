//! Logs that released versions wrote: their rows are put in by SQL, as those versions left them.

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use wasend_domain::RecordedEvent;
use wasend_eventlog::{Db, EventFilter, EventLog, LogError, with_db};

use crate::harness::{Home, account, append, fresh, part, stream};

crate::on_every_engine!(
    a_log_older_than_the_checksums_is_read,
    rows_of_the_release_are_read_with_their_checksums_and_without,
    empty_texts_are_read_in_every_column_that_takes_them,
    the_bundled_sqlite_is_new_enough,
);

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// The last migration before the column `checksum`, which PostgreSQL never had.
const OLD_SQLITE: i64 = 4;
const OLD_POSTGRES: i64 = 3;

/// An event of stream 7: its sequence, type, version, payload and command id. The position is the sequence.
type Row<'a> = (i64, &'a str, &'a str, &'a str, &'a str);

const PAYLOAD: &str = r#"{"Deposited": { "b":1,"amount":1} }"#;
/// Of the first row of [`PLAIN`], and of the third with empty texts: by Python's `zlib.crc32` of the two numbers, and of the
/// length and the bytes of each text.
const CHECKSUM_1: i64 = 2_876_998_376;
const CHECKSUM_EMPTY: i64 = 400_272_373;
const PLAIN: [Row<'_>; 2] = [(1, "Deposited", "1.0", PAYLOAD, "c1"), (2, "Deposited", "1.0", PAYLOAD, "c2")];

fn insert((sequence, event_type, version, payload, command): Row<'_>, checksum: Option<i64>) -> String {
    let (column, value) = checksum.map_or_else(Default::default, |sum| (", checksum", format!(", {sum}")));
    format!(
        "INSERT INTO events (position, account_id, aggregate_type, aggregate_id, sequence, event_id, event_type, \
         event_version, payload, metadata, command_id, recorded_at{column}) \
         VALUES ({sequence}, '{}', 'account', '{}', {sequence}, '00000000-0000-0000-0000-0000000000e{sequence}', \
         '{event_type}', '{version}', '{payload}', '{{\"actor\":\"meta\"}}', '{command}', 1795400000000000{value})",
        account(1),
        stream(7).aggregate_id,
    )
}

/// A log at the last migration of an old version, with these rows in it.
async fn old_log(home: &Home, rows: &[Row<'_>]) {
    match home {
        Home::Sqlite(folder) => {
            let options = SqliteConnectOptions::new().filename(folder.path().join("wasend.db"));
            let mut connection: SqliteConnection = options.create_if_missing(true).connect().await.unwrap();
            SQLITE.run_to(OLD_SQLITE, &mut connection).await.unwrap();
            for row in rows {
                sqlx::query(AssertSqlSafe(insert(*row, None))).execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        Home::Postgres { server, name } => {
            let options = PgConnectOptions::clone(server).database(name);
            let mut connection: PgConnection = options.connect().await.unwrap();
            POSTGRES.run_to(OLD_POSTGRES, &mut connection).await.unwrap();
            for row in rows {
                sqlx::query(AssertSqlSafe(insert(*row, None))).execute(&mut connection).await.unwrap();
            }
            let head = format!("UPDATE log_head SET position = {}", rows.len());
            sqlx::query(AssertSqlSafe(head)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

/// Every way to read them gives the same rows.
async fn read(log: &dyn EventLog, rows: &[Row<'_>]) {
    let seen = |event: &RecordedEvent| {
        assert_eq!((event.account_id, event.metadata.actor()), (account(1), "meta"));
        (event.event_type.clone(), event.event_version.clone(), event.payload.clone(), event.command_id.clone())
    };
    let events = log.read(0, 100, &EventFilter::default()).await.unwrap();
    let wanted: Vec<_> = rows.iter().map(|row| (row.1.into(), row.2.into(), row.3.into(), row.4.into())).collect();
    assert_eq!(events.iter().map(seen).collect::<Vec<_>>(), wanted);
    assert_eq!(log.load(&[stream(7)]).await.unwrap(), events);
    for (row, event) in rows.iter().zip(&events) {
        assert_eq!(log.command(account(1), row.4).await.unwrap(), std::slice::from_ref(event));
    }
}

async fn a_log_older_than_the_checksums_is_read(home: Home) {
    old_log(&home, &PLAIN).await;
    let log = home.log().await;
    read(&*log, &PLAIN).await;
    log.append(vec![append(fresh(), vec![part(stream(7), 2, 1)])]).await.unwrap()[0].as_ref().unwrap();
    let events = home.log().await.load(&[stream(7)]).await.unwrap();
    assert_eq!(
        events.iter().map(|event| (event.position, event.sequence)).collect::<Vec<_>>(),
        [(1, 1), (2, 2), (3, 3)]
    );
}

async fn rows_of_the_release_are_read_with_their_checksums_and_without(home: Home) {
    let log = home.log().await;
    let Db::Sqlite(sqlite) = log.db() else {
        // PostgreSQL checksums its pages.
        return;
    };
    let sums = [Some(CHECKSUM_1), None];
    for (row, sum) in PLAIN.iter().zip(sums) {
        sqlx::query(AssertSqlSafe(insert(*row, sum))).execute(sqlite.pool()).await.unwrap();
    }
    read(&*log, &PLAIN).await;
    // What is not verified is read as it is; what is verified is not.
    let change = "UPDATE events SET payload = '{}' WHERE position = $1";
    sqlx::query(change).bind(2).execute(sqlite.pool()).await.unwrap();
    assert_eq!(log.read(1, 1, &EventFilter::default()).await.unwrap()[0].payload, "{}");
    sqlx::query(change).bind(1).execute(sqlite.pool()).await.unwrap();
    assert!(
        matches!(log.read(0, 1, &EventFilter::default()).await, Err(LogError::Damaged(why)) if why.contains("position 1"))
    );
}

async fn empty_texts_are_read_in_every_column_that_takes_them(home: Home) {
    let log = home.log().await;
    let rows = [(1, "", "1.0", PAYLOAD, "c1"), (2, "Deposited", "", PAYLOAD, "c2"), (3, "", "", PAYLOAD, "")];
    for row in rows {
        let sum = matches!(&home, Home::Sqlite(_)).then_some(CHECKSUM_EMPTY).filter(|_| row.0 == 3);
        let statement = insert(row, sum);
        with_db!(log.db(), pool => {
            sqlx::query(AssertSqlSafe(statement)).execute(pool).await.unwrap();
        });
    }
    read(&*log, &rows).await;
    // Those that are ids or JSON are damage, and the others are read all the same.
    for column in ["account_id", "aggregate_id", "event_id"] {
        let empty = format!("UPDATE events SET {column} = '', event_type = 'Deposited' WHERE position = 3");
        with_db!(log.db(), pool => {
            sqlx::query(AssertSqlSafe(empty)).execute(pool).await.unwrap();
        });
        assert!(matches!(log.read(2, 1, &EventFilter::default()).await, Err(LogError::Damaged(_))));
        assert_eq!(log.read(0, 2, &EventFilter::default()).await.unwrap().len(), 2);
    }
}

/// From 3.51.3 on the WAL cannot be reset under a reader, which lost committed pages: <https://sqlite.org/wal.html>.
async fn the_bundled_sqlite_is_new_enough(home: Home) {
    let Db::Sqlite(sqlite) = home.db().await else { return };
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(sqlite.pool()).await.unwrap();
    let numbers: Vec<u32> = version.split('.').map(|number| number.parse().unwrap()).collect();
    assert!(numbers.as_slice() >= &[3, 51, 3], "SQLite {version}");
}
