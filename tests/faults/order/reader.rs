//! A process that reads behind the appenders, and trusts what it has seen to be final.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use wasend_domain::Position;
use wasend_eventlog::{EventFilter, EventLog, LogError, SqlLog};

use super::{Seen, open};

/// Reads until its input ends and it has seen everything; prints what that was.
pub async fn run(url: &str, follows: bool) -> Result<(), String> {
    let log = open(url).await?;
    let (mut seen, mut watch) = (Seen::default(), log.watch());
    let mut ended = tokio::spawn(async { tokio::io::stdin().read_to_end(&mut Vec::new()).await });
    loop {
        let over = ended.is_finished();
        let announced = if follows { *watch.borrow_and_update() } else { 0 };
        // The head first: what comes while it reads is for the next round.
        let head = retried(|| log.head()).await;
        while read(&log, &mut seen).await? > 0 {}
        if seen.count < announced.max(head) {
            return Err(format!(
                "position {} was announced, and {} is the last to be read",
                announced.max(head),
                seen.count
            ));
        }
        if over {
            println!("{}", seen.told());
            return Ok(());
        }
        let news = async { if follows { watch.changed().await.is_ok() } else { std::future::pending().await } };
        tokio::select! {
            _ = news => {}
            () = tokio::time::sleep(Duration::from_millis(if follows { 500 } else { 3 })) => {}
            _ = &mut ended, if !over => {}
        }
    }
}

async fn read(log: &SqlLog, seen: &mut Seen) -> Result<usize, String> {
    let (after, filter): (Position, _) = (seen.count, EventFilter::default());
    let events = retried(|| log.read(after, 37, &filter)).await;
    events.iter().try_for_each(|event| seen.add(event))?;
    Ok(events.len())
}

/// The database may be away for a while.
async fn retried<T, F: Future<Output = Result<T, LogError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
