//! Reading one's own writes: up to where each account's clients have written through this process.
//!
//! The log is wrapped, so that every command counts, whatever door it came through. A query waits until the read models
//! show its account's last write, unless it names a position itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;
use wasend_domain::{AccountId, Position, RecordedEvent, StreamId};
use wasend_eventlog::{Append, AppendRejection, AppendedRange, EventFilter, EventLog, LogError};

/// Accounts that are remembered: about 4 MB.
const ACCOUNTS_MAX: usize = 50_000;

/// The last write of each account.
#[derive(Default)]
pub struct OwnWrites(Mutex<HashMap<AccountId, AccountWrites>>);

#[derive(Debug, Clone, Copy, Default)]
struct AccountWrites {
    last: Position,
    /// Read models that did not show it in time are not waited for again.
    given_up: Position,
}

impl OwnWrites {
    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, AccountWrites>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, account: AccountId, position: Position) {
        let mut accounts = self.accounts();
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(&account) {
            // The read models show all but the newest, which then wait no longer than they must.
            accounts.clear();
        }
        let writes = accounts.entry(account).or_default();
        writes.last = writes.last.max(position);
    }

    /// The position of the account's last write, if it has written through this process.
    pub fn last(&self, account: AccountId) -> Option<Position> {
        self.accounts().get(&account).map(|writes| writes.last)
    }

    /// The position that a query of the account waits for.
    pub fn awaited(&self, account: AccountId) -> Option<Position> {
        let writes = self.accounts().get(&account).copied()?;
        (writes.last > writes.given_up).then_some(writes.last)
    }

    /// Has later queries not wait for a position again.
    pub fn give_up(&self, account: AccountId, position: Position) {
        if let Some(writes) = self.accounts().get_mut(&account) {
            writes.given_up = writes.given_up.max(position);
        }
    }
}

/// A log that remembers what clients write.
pub struct RememberingLog<L> {
    log: L,
    writes: Arc<OwnWrites>,
}

impl<L> RememberingLog<L> {
    /// The log whose appends are noted in `writes`.
    pub fn new(log: L, writes: Arc<OwnWrites>) -> Self {
        Self { log, writes }
    }
}

#[async_trait]
impl<L: EventLog> EventLog for RememberingLog<L> {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Result<AppendedRange, AppendRejection>>, LogError> {
        let of_client = |append: &Append| append.metadata.is_of_client().then_some(append.account_id);
        let clients: Vec<_> = batch.iter().map(of_client).collect();
        let answers = self.log.append(batch).await?;
        for (client, answer) in clients.into_iter().zip(&answers) {
            if let (Some(account), Ok(range)) = (client, answer) {
                self.writes.note(account, range.last);
            }
        }
        Ok(answers)
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<RecordedEvent>, LogError> {
        self.log.load(streams).await
    }

    async fn command(&self, account_id: AccountId, command_id: &str) -> Result<Vec<RecordedEvent>, LogError> {
        self.log.command(account_id, command_id).await
    }

    async fn recorded(&self, account_id: AccountId, command_ids: &[String]) -> Result<HashSet<String>, LogError> {
        self.log.recorded(account_id, command_ids).await
    }

    async fn read(&self, after: Position, limit: usize, filter: &EventFilter) -> Result<Vec<RecordedEvent>, LogError> {
        self.log.read(after, limit, filter).await
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.log.watch()
    }

    async fn close(&self) {
        self.log.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_waits_for_its_last_write_until_it_gives_up() {
        let (writes, one, other) = (OwnWrites::default(), AccountId::random(), AccountId::random());
        writes.note(one, 7);
        writes.note(one, 5);
        assert_eq!((writes.last(one), writes.awaited(one), writes.awaited(other)), (Some(7), Some(7), None));
        writes.give_up(one, 7);
        writes.give_up(other, 7);
        assert_eq!((writes.last(one), writes.awaited(one), writes.last(other)), (Some(7), None, None));
        writes.note(one, 8);
        assert_eq!(writes.awaited(one), Some(8));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let writes = OwnWrites::default();
        (0..=ACCOUNTS_MAX).for_each(|_| writes.note(AccountId::random(), 1));
        assert!(writes.accounts().len() <= ACCOUNTS_MAX);
    }
}
