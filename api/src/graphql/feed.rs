//! What the subscriptions are fed from: one task on each node reads what is new in the append-only read models, once
//! for all accounts, and passes it on through a bounded channel.
//!
//! Rows of such a table appear in the order of their positions, because one fold after the other writes them. So
//! a reader that has come to a row has met everything before it and needs to remember the last row alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, stream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use wasend_domain::{AccountId, Position};
use wasend_projections::audit::AuditRow;
use wasend_projections::feed::{self, FeedRow};
use wasend_projections::messages::StatusRow;
use wasend_projections::{ReadModels, StoreError};

/// Most rows that are read and passed on at once.
const FEED_ROWS_MAX: usize = 2_000;
/// Batches that wait for a slow subscriber; one that falls behind further reads from the table again.
const SUBSCRIBER_BATCHES_MAX: usize = 8;
/// Rows of history that a subscriber reads at once.
const HISTORY_ROWS_MAX: usize = 200;
/// How often news is looked for that no position announces: a projection that catches up on its own.
const UNANNOUNCED_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How often the table is read without subscribers. A new subscriber is passed the rows since the last read, some of
/// which it has read from the table already.
const IDLE_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The wait after a failure of the database.
pub const FEED_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The running feed; ends when it is dropped.
pub struct ChangeFeed {
    pub statuses: FeedChannel<StatusRow>,
    pub audit: FeedChannel<AuditRow>,
    task: JoinHandle<()>,
}

impl ChangeFeed {
    /// Starts the task that reads what changed after each new position of the read models; ends with the drop.
    pub fn start(reads: ReadModels, position: watch::Receiver<Position>) -> Self {
        let (statuses, audit) = (FeedChannel::new(reads.clone()), FeedChannel::new(reads));
        let task = tokio::spawn(run(FeedSource::new(&statuses), FeedSource::new(&audit), position));
        Self { statuses, audit, task }
    }
}

impl Drop for ChangeFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut statuses: FeedSource<StatusRow>,
    mut audit: FeedSource<AuditRow>,
    mut position: watch::Receiver<Position>,
) {
    loop {
        let folded = *position.borrow_and_update();
        let told = async { statuses.publish_until(folded).await.and(audit.publish_until(folded).await) };
        if let Err(error) = told.await {
            tracing::warn!(%error, "subscriptions wait for the read models");
            tokio::time::sleep(FEED_RETRY_DELAY).await;
            continue;
        }
        match tokio::time::timeout(UNANNOUNCED_POLL_INTERVAL, position.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_)) => return,
        }
    }
}

/// Where one table's news can be had.
#[derive(Clone)]
pub struct FeedChannel<R> {
    reads: ReadModels,
    sender: broadcast::Sender<Arc<[R]>>,
}

impl<R: FeedRow> FeedChannel<R> {
    fn new(reads: ReadModels) -> Self {
        Self { reads, sender: broadcast::Sender::new(SUBSCRIBER_BATCHES_MAX) }
    }

    /// The account's rows after a position, in order, without gap or repetition, and on without end; without a
    /// position, those that come from now on. A reader that is slow costs no memory.
    pub async fn follow(
        &self,
        account: AccountId,
        after: Option<Position>,
    ) -> Result<impl Stream<Item = R> + Send + use<R>, StoreError> {
        // Before anything is read, so that nothing falls between what is read and what is received.
        let news = self.sender.subscribe();
        let last = match after {
            Some(after) => after,
            None => feed::newest::<R>(&self.reads).await?,
        };
        let follower = FeedFollower {
            reads: self.reads.clone(),
            account: account.to_string(),
            news,
            last,
            live: false,
            ready: Arc::default(),
            given: 0,
        };
        Ok(stream::unfold(follower, |mut follower| async { Some((follower.next().await?, follower)) }))
    }
}

/// The feed's own end of a channel.
struct FeedSource<R> {
    channel: FeedChannel<R>,
    /// None until there was a look at the table.
    last: Option<Position>,
    looked: Instant,
}

impl<R: FeedRow> FeedSource<R> {
    fn new(channel: &FeedChannel<R>) -> Self {
        Self {
            channel: FeedChannel { reads: channel.reads.clone(), sender: channel.sender.clone() },
            last: None,
            looked: Instant::now(),
        }
    }

    /// Passes on what is new up to a position.
    async fn publish_until(&mut self, until: Position) -> Result<(), StoreError> {
        let FeedChannel { reads, sender } = &self.channel;
        let mut last = match self.last {
            Some(last) if sender.receiver_count() > 0 => last,
            Some(_) if self.looked.elapsed() < IDLE_POLL_INTERVAL => return Ok(()),
            known => {
                // No subscriber before the read: a later one reads these rows from the table.
                let head = feed::newest::<R>(reads).await?;
                self.looked = Instant::now();
                match known {
                    Some(last) if sender.receiver_count() > 0 => last,
                    _ => head,
                }
            }
        };
        self.last = Some(last);
        while sender.receiver_count() > 0 {
            let rows = feed::between::<R>(reads, last, until, FEED_ROWS_MAX).await?;
            let Some(newest) = rows.last() else { break };
            last = newest.position();
            self.last = Some(last);
            let more = rows.len() == FEED_ROWS_MAX;
            // That the last listener has just gone is no failure.
            drop(sender.send(rows.into()));
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// A subscriber's end: first what the table holds, then what is passed on.
struct FeedFollower<R> {
    reads: ReadModels,
    account: String,
    news: broadcast::Receiver<Arc<[R]>>,
    /// Everything of the account up to here was given out.
    last: Position,
    live: bool,
    /// The rows that were read last, shared with the other subscribers: one that does not read holds no copy.
    ready: Arc<[R]>,
    /// How many of them were given out or passed over.
    given: usize,
}

impl<R: FeedRow> FeedFollower<R> {
    /// None only when the feed ends. While the database does not answer, it waits: an error in the place of a row would
    /// leave that row out.
    async fn next(&mut self) -> Option<R> {
        loop {
            while let Some(row) = self.ready.get(self.given) {
                self.given += 1;
                if row.position() > self.last && row.account_id() == self.account {
                    self.last = row.position();
                    return Some(row.clone());
                }
            }
            // A subscriber that only waits keeps no rows alive.
            self.queue_rows(Arc::default());
            if self.live {
                match self.news.recv().await {
                    Ok(rows) => self.queue_rows(rows),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.live = false,
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            } else {
                match feed::of_account::<R>(&self.reads, &self.account, self.last, HISTORY_ROWS_MAX).await {
                    Ok(rows) => {
                        self.live = rows.len() < HISTORY_ROWS_MAX;
                        self.queue_rows(rows.into());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a subscription waits for the read models");
                        tokio::time::sleep(FEED_RETRY_DELAY).await;
                    }
                }
            }
        }
    }

    fn queue_rows(&mut self, rows: Arc<[R]>) {
        (self.ready, self.given) = (rows, 0);
    }
}
