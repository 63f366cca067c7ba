use wasend_domain::content::RawWebhook;
use wasend_domain::inbox::{Command, Inbox, Reason};
use wasend_domain::{InboxId, Personal};
use wasend_eventlog::{Failure, execute_new_all};
use wasend_projections::numbers::NumberRow;

use super::caller;
use crate::{Code, CommandError, Commands};

impl Commands {
    /// Keeps, sealed under the account, what was not understood. The same piece is kept once.
    pub(super) async fn keep(&self, unknown: Vec<(&NumberRow, Reason, &str)>) -> Result<(), CommandError> {
        let mut commands = Vec::with_capacity(unknown.len());
        for (number, reason, raw) in unknown {
            let (caller, now) = (caller(number)?, self.clock.now());
            let context = self.repeatable(caller, "keep", raw).await?;
            let subject = self.account_subject(caller.account_id).await?;
            let raw = Personal::new(RawWebhook(raw.to_owned()));
            let raw = self.vault.seal(caller.account_id, subject, &raw, now.day()).await?;
            commands.push((context, InboxId::fresh(now).uuid(), Command::Keep { reason, raw, at: now }));
        }
        for done in execute_new_all::<Inbox>(&*self.log, &*self.clock, commands).await {
            match done {
                // Kept by an earlier version, which recorded another fingerprint: the id says all about the piece.
                Ok(_) | Err(Failure::CommandReused) => {}
                Err(failure) => return Err(CommandError::of(failure, "webhook", |_| Code::Invalid)),
            }
        }
        Ok(())
    }
}
