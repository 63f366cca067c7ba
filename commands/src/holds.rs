//! Accounts for which nothing is sent: the vault's store was put back to an earlier copy, and may lack opt-outs. The
//! operator decides when sending goes on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use wasend_domain::account::{Account, Command};
use wasend_domain::{AccountId, Actor, Position};
use wasend_eventlog::execute;
use wasend_projections::ReadModels;
use wasend_projections::accounts::AccountRow;

use crate::{Caller, CommandEffect, CommandError, Commands};

/// How old the list of held accounts may be that a decision rests on.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The accounts whose sending is held, read from the read models once a second at most.
pub struct SendingHolds {
    reads: ReadModels,
    known: Mutex<Option<(Instant, HashSet<AccountId>)>>,
}

impl SendingHolds {
    /// No account is known to be held before the first question.
    pub fn new(reads: ReadModels) -> Self {
        Self { reads, known: Mutex::new(None) }
    }

    /// Whether nothing is to be sent for the account; the answer is at most a second old.
    pub async fn is_held(&self, account: AccountId) -> Result<bool, CommandError> {
        let mut known = self.known.lock().await;
        if let Some((read_at, held)) = &*known
            && read_at.elapsed() < MAX_AGE
        {
            return Ok(held.contains(&account));
        }
        let held = self.read().await?;
        let is_held = held.contains(&account);
        *known = Some((Instant::now(), held));
        Ok(is_held)
    }

    /// Reads the list anew, so that the next decision rests on what the read models show now.
    pub async fn refresh(&self) -> Result<(), CommandError> {
        let mut known = self.known.lock().await;
        *known = Some((Instant::now(), self.read().await?));
        drop(known);
        Ok(())
    }

    async fn read(&self) -> Result<HashSet<AccountId>, CommandError> {
        let rows = AccountRow::held(&self.reads).await?;
        Ok(rows.iter().filter_map(|row| row.id.parse().ok()).collect())
    }
}

impl Commands {
    /// Sends nothing more for the account until [`Self::resume_sending`]: the vault's store knows nothing of
    /// `lost_people` that the log speaks of, or lacks opt-outs. What waits to be sent stays in its queue. Repeating it
    /// for as many people or fewer changes nothing.
    pub async fn hold_sending(&self, account: AccountId, lost_people: u64) -> Result<Position, CommandError> {
        let command = Command::HoldSending { lost_people, at: self.clock.now() };
        self.change_hold(account, Actor::System("eraser"), command).await
    }

    /// Ends the hold, at the operator's word. Repeating it changes nothing.
    pub async fn resume_sending(&self, account: AccountId) -> Result<CommandEffect<AccountId>, CommandError> {
        let command = Command::ResumeSending { at: self.clock.now() };
        let position = self.change_hold(account, Actor::Operator, command).await?;
        Ok(CommandEffect { value: account, position })
    }

    async fn change_hold(&self, account: AccountId, actor: Actor, command: Command) -> Result<Position, CommandError> {
        let context = Self::once(Caller { account_id: account, actor });
        let done = execute::<Account>(&*self.log, &*self.clock, context, account.uuid(), command).await;
        done.map(|done| done.position).map_err(|failure| CommandError::of(failure, "account", crate::account::code))
    }
}
