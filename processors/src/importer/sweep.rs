//! Deleting what is no longer needed: files of imports that have ended, files that no import took, old reports.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wasend_commands::CommandError;
use wasend_domain::import::Import;
use wasend_domain::{ImportId, KeyPurpose};
use wasend_eventlog::{StreamLookup, load};
use wasend_projections::imports::ImportRow;
use wasend_projections::uploads::{StoredUpload, UploadPart};

use super::run::{ImportRun, forget};
use crate::context::earlier;

const SWEEP_LEASE: &str = "import/sweep";

pub(crate) async fn run(run: Arc<ImportRun>) {
    let mut ticks = interval(run.options.sweep);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = run.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = Box::pin(sweep(&run)).await {
            tracing::warn!(%error, "what imports have left behind cannot be deleted for now");
        }
    }
}

/// Meta delivers webhooks again for seven days.
const ERASED_RETENTION: Duration = Duration::from_secs(8 * 24 * 3_600);

/// Forgets the identities of people who were erased, once no file and no webhook from before can bring them back.
async fn forget_erased(run: &ImportRun) -> Result<(), CommandError> {
    let commands = &run.commands;
    let long_ago = earlier(commands.clock.now(), ERASED_RETENTION);
    let oldest = commands.uploads.oldest().await?.unwrap_or(long_ago);
    commands.vault.forget_erased(long_ago.min(oldest)).await?;
    Ok(())
}

async fn sweep(run: &ImportRun) -> Result<(), CommandError> {
    let commands = &run.commands;
    if run.leases.acquire(&*commands.clock, SWEEP_LEASE, &run.owner, run.options.sweep).await?.is_none() {
        return Ok(());
    }
    let now = commands.clock.now();
    let unused = earlier(now, run.options.unused);
    for upload in commands.uploads.unused(unused).await? {
        forget(commands, &upload, "no import took the upload").await?;
    }
    for upload in commands.uploads.used().await? {
        if is_over(run, &upload, unused).await? {
            forget(commands, &upload, "the import has ended").await?;
        }
    }
    for part in [UploadPart::Intent, UploadPart::Learnt] {
        for owner in commands.uploads.older(part, earlier(now, run.options.reports)).await? {
            commands.uploads.delete_parts(&owner, part).await?;
        }
    }
    for owner in commands.uploads.older(UploadPart::Report, earlier(now, run.options.reports)).await? {
        if let Some(row) = commands.reads.get::<ImportRow>(&owner).await?
            && let (Ok(account), Ok(id)) = (row.account_id.parse(), row.id.parse::<ImportId>())
            && row.state.has_ended()
        {
            let mut found = load::<Import>(&*commands.log, account, &[id.uuid()]).await?;
            let import = found.remove(&id.uuid()).and_then(StreamLookup::present);
            if let Some(start) = import.and_then(|import| import.state.started) {
                let subject = start.source.subject();
                let why = "reports of imports are kept for a short time";
                commands.vault.destroy_subject(account, subject, &[KeyPurpose::Messaging], why).await?;
            }
            commands.uploads.delete_parts(&owner, UploadPart::Report).await?;
        }
    }
    forget_erased(run).await
}

/// Whether its import has ended, or never began.
async fn is_over(run: &ImportRun, upload: &StoredUpload, long_ago: wasend_domain::Time) -> Result<bool, CommandError> {
    let Some(id) = upload.import else { return Ok(false) };
    let mut found = load::<Import>(&*run.commands.log, upload.account_id, &[id.uuid()]).await?;
    match found.remove(&id.uuid()).and_then(StreamLookup::present) {
        Some(import) => Ok(import.state.ended.is_some()),
        // Its start may still be under way.
        None => Ok(run.commands.uploads.begun_before(upload.id, long_ago).await?),
    }
}
