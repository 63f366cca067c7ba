//! Several nodes on one database, and readers beside the writers.

use std::sync::Arc;

use wasend_eventlog::{EventFilter, EventLog, SqlLog};

use crate::harness::{Home, append, fresh, new_stream, part, stream};

crate::on_every_engine!(
    a_reader_beside_many_writers_misses_nothing,
    two_nodes_stay_gapless_and_agree,
    two_nodes_start_at_once,
    a_watcher_hears_of_both_nodes,
    a_lost_connection_is_made_again,
);

const WRITERS: usize = 32;
const EACH: usize = 15;

fn writers(logs: &[Arc<SqlLog>]) -> Vec<tokio::task::JoinHandle<()>> {
    (0..WRITERS)
        .map(|writer| {
            let log = logs[writer % logs.len()].clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    log.append(vec![new_stream()]).await.unwrap()[0].as_ref().unwrap();
                }
            })
        })
        .collect()
}

/// Reads behind the writers, a few events at a time, and trusts what it has seen to be final.
async fn follow(log: Arc<SqlLog>) {
    let mut seen = 0;
    while seen < (WRITERS * EACH) as u64 {
        for event in log.read(seen, 7, &EventFilter::default()).await.unwrap() {
            assert_eq!(event.position, seen + 1, "an event was missed");
            seen = event.position;
        }
        tokio::task::yield_now().await;
    }
}

async fn a_reader_beside_many_writers_misses_nothing(home: Home) {
    let log = home.log().await;
    let reader = tokio::spawn(follow(log.clone()));
    for writer in writers(&[log]) {
        writer.await.unwrap();
    }
    reader.await.unwrap();
}

async fn two_nodes_stay_gapless_and_agree(home: Home) {
    let (one, two) = (home.log().await, home.log().await);
    let readers = [tokio::spawn(follow(one.clone())), tokio::spawn(follow(two.clone()))];
    for writer in writers(&[one.clone(), two.clone()]) {
        writer.await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let on = |expected| append(fresh(), vec![part(stream(1), expected, 1)]);
    let (a, b) = tokio::join!(one.append(vec![on(0)]), two.append(vec![on(0)]));
    let accepted = [a.unwrap().remove(0), b.unwrap().remove(0)].iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted, 1);
    assert_eq!(one.head().await.unwrap(), (WRITERS * EACH) as u64 + 1);
}

async fn two_nodes_start_at_once(home: Home) {
    let (one, two, three) = tokio::join!(home.log(), home.log(), home.log());
    for log in [&one, &two, &three] {
        log.append(vec![new_stream()]).await.unwrap()[0].as_ref().unwrap();
    }
    assert_eq!(one.head().await.unwrap(), 3);
}

async fn a_watcher_hears_of_both_nodes(home: Home) {
    let (one, two) = (home.log().await, home.log().await);
    let mut watch = one.watch();
    for (log, position) in [(&one, 1), (&two, 2), (&one, 3), (&two, 4)] {
        log.append(vec![new_stream()]).await.unwrap()[0].as_ref().unwrap();
        watch.wait_for(|known| *known >= position).await.unwrap();
        assert_eq!(one.read(position - 1, 10, &EventFilter::default()).await.unwrap().len(), 1);
    }
}

/// Every connection of the node is cut while nothing is being written.
async fn a_lost_connection_is_made_again(home: Home) {
    let log = home.log().await;
    log.append(vec![new_stream()]).await.unwrap()[0].as_ref().unwrap();
    if let Home::Postgres { server, name } = &home {
        let mut connection = sqlx::ConnectOptions::connect(&**server).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(name)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    assert_eq!(log.append(vec![new_stream()]).await.unwrap()[0].as_ref().unwrap().last, 2);
    // A read of a connection that was used a moment ago is told that it is lost; the next one has another.
    let head = match log.head().await {
        Err(_) => log.head().await,
        head => head,
    };
    assert_eq!(head.unwrap(), 2);
}
