//! Appends: gapless, all or nothing, durable.

use uuid::Uuid;
use wasend_eventlog::{Append, AppendRejection, AppendedRange, Db, EventFilter, EventLog, LogError, NewEvent};

use crate::harness::{Home, account, append, fresh, new_stream, part, stream};

crate::on_every_engine!(
    gapless_under_concurrency,
    all_or_nothing_over_several_streams,
    a_conflict_does_not_spoil_its_neighbours,
    a_stream_belongs_to_one_account,
    ten_thousand_events_at_once,
    what_cannot_be_stored_is_refused_alone,
    a_closed_log_refuses,
    a_database_that_cannot_write_acknowledges_nothing,
    reopened_it_goes_on,
);

fn new(first: u64, last: u64) -> AppendedRange {
    AppendedRange { first, last, repeated: false }
}

async fn gapless_under_concurrency(home: Home) {
    let log = home.log().await;
    let clients = (0..32).map(|client| {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                // Every third meets a conflict.
                let expected = if n % 3 == 0 { 7 } else { 0 };
                let id = stream(Uuid::new_v4().as_u128());
                let answers =
                    log.append(vec![append(fresh(), vec![part(id, expected, 1 + client % 3)])]).await.unwrap();
                assert_eq!(answers[0].is_err(), expected == 7);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let events = log.read(0, usize::MAX, &EventFilter::default()).await.unwrap();
    assert!(!events.is_empty());
    assert!(events.iter().zip(1..).all(|(event, position)| event.position == position));
    assert_eq!(log.head().await.unwrap(), events.len() as u64);
    assert_eq!(*log.watch().borrow(), events.len() as u64);
}

async fn all_or_nothing_over_several_streams(home: Home) {
    let log = home.log().await;
    let answers = log.append(vec![append(fresh(), vec![part(stream(1), 0, 2), part(stream(2), 0, 1)])]).await.unwrap();
    assert_eq!(answers, [Ok(new(1, 3))]);
    let answers = log.append(vec![append(fresh(), vec![part(stream(1), 2, 1), part(stream(2), 0, 1)])]).await.unwrap();
    assert_eq!(answers, [Err(AppendRejection::Conflict { stream: stream(2), actual: 1 })]);
    assert_eq!(log.head().await.unwrap(), 3);
    assert_eq!(log.append(vec![]).await.unwrap(), []);
    assert_eq!(log.append(vec![append(fresh(), vec![])]).await.unwrap(), [Ok(new(3, 3))]);
}

async fn a_conflict_does_not_spoil_its_neighbours(home: Home) {
    let log = home.log().await;
    let on = |expected| append(fresh(), vec![part(stream(1), expected, 1)]);
    let answers = log.append(vec![on(0), on(0), on(1), new_stream()]).await.unwrap();
    assert_eq!(
        answers,
        [Ok(new(1, 1)), Err(AppendRejection::Conflict { stream: stream(1), actual: 1 }), Ok(new(2, 2)), Ok(new(3, 3))]
    );
    let sequences: Vec<_> = log.load(&[stream(1)]).await.unwrap().iter().map(|e| (e.sequence, e.position)).collect();
    assert_eq!(sequences, [(1, 1), (2, 2)]);
}

async fn a_stream_belongs_to_one_account(home: Home) {
    let log = home.log().await;
    let on =
        |owner, expected| Append { account_id: account(owner), ..append(fresh(), vec![part(stream(1), expected, 1)]) };
    log.append(vec![on(1, 0)]).await.unwrap()[0].as_ref().unwrap();
    let conflict = Err(AppendRejection::Conflict { stream: stream(1), actual: 1 });
    assert_eq!(log.append(vec![on(2, 1), on(2, 0)]).await.unwrap(), [conflict.clone(), conflict]);
    assert_eq!(log.append(vec![on(1, 1)]).await.unwrap(), [Ok(new(2, 2))]);
}

async fn ten_thousand_events_at_once(home: Home) {
    let log = home.log().await;
    assert_eq!(
        log.append(vec![append(fresh(), vec![part(stream(1), 0, 10_000)])]).await.unwrap(),
        [Ok(new(1, 10_000))]
    );
    let events = log.load(&[stream(1)]).await.unwrap();
    assert_eq!(events.len(), 10_000);
    assert!(events.iter().zip(1..).all(|(event, n)| (event.sequence, event.position) == (n, n)));
}

async fn what_cannot_be_stored_is_refused_alone(home: Home) {
    let log = home.log().await;
    let spoil: [fn(&mut NewEvent); 3] =
        [|e| e.payload = "{".into(), |e| e.event_type = "a\0b".into(), |e| e.event_version = "\0".into()];
    for spoil in spoil {
        let mut bad = new_stream();
        spoil(&mut bad.streams[0].events[0]);
        let (bad, good) = tokio::join!(log.append(vec![bad]), log.append(vec![new_stream()]));
        assert!(matches!(bad, Err(LogError::Malformed(_))));
        assert!(good.unwrap()[0].is_ok());
    }
    assert_eq!(log.head().await.unwrap(), 3);
}

async fn a_closed_log_refuses(home: Home) {
    let log = home.log().await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(vec![new_stream()]).await })
        })
        .collect();
    log.close().await;
    let mut acknowledged = 0;
    for append in waiting {
        match append.await.unwrap() {
            Ok(answers) => acknowledged += answers.len() as u64,
            Err(error) => assert!(matches!(error, LogError::Closed), "{error}"),
        }
    }
    assert_eq!(log.head().await.unwrap(), acknowledged);
    assert!(matches!(log.append(vec![new_stream()]).await, Err(LogError::Closed)));
    log.close().await;
}

/// The database refuses to insert, for a reason that has nothing to do with the batch.
async fn a_database_that_cannot_write_acknowledges_nothing(home: Home) {
    let log = home.log().await;
    log.append(vec![new_stream()]).await.unwrap()[0].as_ref().unwrap();
    let (broken, mended) = match log.db() {
        Db::Sqlite(_) => (
            "CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'broken'); END",
            "DROP TRIGGER broken",
        ),
        Db::Postgres(_) => ("UPDATE log_head SET position = 0", "UPDATE log_head SET position = 1"),
    };
    wasend_eventlog::with_db!(log.db(), pool => { sqlx::query(broken).execute(pool).await.unwrap(); });
    let (one, other) = tokio::join!(log.append(vec![new_stream()]), log.append(vec![new_stream()]));
    assert!(matches!((one, other), (Err(LogError::Unavailable(_)), Err(LogError::Unavailable(_)))));
    assert_eq!(log.read(0, 10, &EventFilter::default()).await.unwrap().len(), 1);
    wasend_eventlog::with_db!(log.db(), pool => { sqlx::query(mended).execute(pool).await.unwrap(); });
    assert_eq!(log.append(vec![new_stream()]).await.unwrap(), [Ok(new(2, 2))]);
}

async fn reopened_it_goes_on(home: Home) {
    let log = home.log().await;
    log.append(vec![append(fresh(), vec![part(stream(1), 0, 3)])]).await.unwrap()[0].as_ref().unwrap();
    let before = log.read(0, 10, &EventFilter::default()).await.unwrap();
    log.close().await;
    log.db().close().await;
    let log = home.log().await;
    assert_eq!(*log.watch().borrow(), 3);
    assert_eq!(log.append(vec![append(fresh(), vec![part(stream(1), 3, 1)])]).await.unwrap(), [Ok(new(4, 4))]);
    assert_eq!(log.read(0, 3, &EventFilter::default()).await.unwrap(), before);
}
