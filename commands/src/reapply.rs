//! Applying an erasure again to a vault whose store was put back to a copy from before it.

use uuid::Uuid;
use wasend_domain::contact::Contact;
use wasend_domain::privacy::{Command, KeyDestruction, PrivacyRequest};
use wasend_domain::{AccountId, Actor, PrivacyRequestId, SubjectId};
use wasend_eventlog::{ExecutableAggregate, LoadedAggregate, StreamLookup, execute, load};
use wasend_projections::privacy::PrivacyRequestRow;
use wasend_vault::OptOutMoments;

use crate::{Caller, CommandError, Commands};

const ERASER: Actor = Actor::System("eraser");

/// What is read in the place of a value that an erasure destroyed.
pub fn erasure_reason(request: PrivacyRequestId) -> String {
    format!("erasure request {request}")
}

impl Commands {
    /// Destroys again every key that lives of a subject that was erased under the request, removes what leads to the
    /// subject, and keeps further keys from being made. Whether a key lived: then the request shows when it was
    /// repeated, which is recorded before anything is destroyed. A request that had not come to destroying its keys
    /// only loses what leads to the subject; its processor does the rest.
    pub async fn reapply_erasure(
        &self,
        account: AccountId,
        request: PrivacyRequestId,
        subject: SubjectId,
    ) -> Result<bool, CommandError> {
        let vault = &self.vault;
        let opted_out_at = self.opt_outs(account, subject).await?;
        let row = self.reads.get::<PrivacyRequestRow>(&request.to_string()).await?;
        let received_at = row.map_or_else(|| self.clock.now(), |row| row.received_at);
        let recorded = self.present::<PrivacyRequest>(account, request.uuid()).await?;
        if recorded.is_none_or(|recorded| recorded.state.destruction.is_none()) {
            vault.reapplying(vault.unlink(account, subject, received_at, opted_out_at)).await?;
            return Ok(false);
        }
        let living = vault.living(account, subject).await?;
        let fingerprints: Vec<_> = living.into_iter().map(|(_, fingerprint)| fingerprint).collect();
        let is_back = !fingerprints.is_empty();
        let number = vault.last_destruction().await? + 1;
        if is_back {
            self.record_repeat(account, request, fingerprints.clone(), number).await?;
            tracing::warn!(request.id = %request, "a person who was erased was in the vault's store again");
        }
        vault.reapplying(vault.unlink(account, subject, received_at, opted_out_at)).await?;
        vault.destroy_again(account, subject, &erasure_reason(request)).await?;
        vault.remove_from_directory(account, subject).await?;
        // Others destroyed keys meanwhile: the epoch that must end is the one of the later number.
        let last = vault.last_destruction().await?;
        if is_back && last > number {
            self.record_repeat(account, request, fingerprints, last).await?;
        }
        Ok(is_back)
    }

    /// The opt-outs of the person that the subject is, also of one that was merged.
    pub async fn opt_outs(&self, account: AccountId, subject: SubjectId) -> Result<OptOutMoments, CommandError> {
        let mut id = subject;
        loop {
            let Some(contact) = self.present::<Contact>(account, id.uuid()).await? else {
                return Ok(OptOutMoments::default());
            };
            let Some(into) = contact.state.merged_into else {
                let state = contact.state;
                return Ok(OptOutMoments { all: state.opted_out_at(), marketing: state.marketing_opted_out_at() });
            };
            id = into;
        }
    }

    async fn record_repeat(
        &self,
        account: AccountId,
        request: PrivacyRequestId,
        fingerprints: Vec<String>,
        number: i64,
    ) -> Result<(), CommandError> {
        let destruction = KeyDestruction { number, at: self.clock.now() };
        let context = Self::once(Caller { account_id: account, actor: ERASER });
        let command = Command::Repeat { fingerprints, destruction };
        let done = execute::<PrivacyRequest>(&*self.log, &*self.clock, context, request.uuid(), command).await;
        done.map(drop).map_err(CommandError::unavailable)
    }

    async fn present<A: ExecutableAggregate>(
        &self,
        account: AccountId,
        id: Uuid,
    ) -> Result<Option<LoadedAggregate<A>>, CommandError> {
        let mut found = load::<A>(&*self.log, account, &[id]).await?;
        Ok(found.remove(&id).and_then(StreamLookup::present))
    }
}
