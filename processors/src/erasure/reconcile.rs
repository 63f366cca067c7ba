//! The vault compared with the log. What the log says was destroyed must be destroyed in the vault's store, also when
//! that was put back to a copy in which it was not. Judged for each person: no counter decides, since everything that
//! destroys keys raises it.
//!
//! It runs before a server answers, whenever the vault is suspended, and as a sweep now and then. Every step may be
//! repeated, and by several nodes at once.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use wasend_commands::{CommandError, Commands};
use wasend_domain::{AccountId, Position, SubjectId};
use wasend_eventlog::{Db, EventLog};
use wasend_projections::privacy::PrivacyRequestRow;
use wasend_projections::{BuildState, ProjectionStatus, Projector, ReadModels};
use wasend_vault::{EpochPhase, Vault, VaultSuspension};

use super::OpenRequest;
use super::comparison::ComparisonRefused;
use super::losses::{self, AccountLoss};
use crate::{anchor, retention};

/// Requests that are compared in one step.
const RECONCILE_PAGE_MAX: u64 = 500;
/// How long the list of requests is waited for.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(15);
const RECONCILE_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What a comparison found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    /// Requests and days whose keys were there again, and are destroyed again.
    pub repeated: u64,
    /// People that the store does not know, and for whose accounts nothing is sent any more.
    pub lost_people: u64,
}

/// Destroys again what the vault's store holds although the log says that it was destroyed, and ends a suspension of the
/// vault. Fails, and leaves the vault suspended, where the list of requests cannot be read up to the log's head.
pub async fn reconcile(commands: &Commands, projector: &Projector) -> Result<ReconcileReport, CommandError> {
    let (vault, reads) = (&commands.vault, &commands.reads);
    let head = commands.log.head().await?;
    until_known(head, StatusSource::Projector(projector)).await?;
    refuse_returned_epoch(vault, reads).await?;
    let is_earlier_copy = vault.suspended() == Some(VaultSuspension::RolledBack);
    // Before anything is destroyed again: a person who is erased and unknown has a row afterwards.
    let losses = losses::find(&*commands.log, vault, is_earlier_copy).await?;
    let mut done =
        ReconcileReport { lost_people: hold_sending(commands, &losses).await?, ..ReconcileReport::default() };
    until_known(commands.log.head().await?, StatusSource::Projector(projector)).await?;
    commands.holds.refresh().await?;
    let known = vault.last_destruction().await?;
    let past = PrivacyRequestRow::newest_destruction(reads, known).await?;
    if past.is_some() || vault.suspended().is_some_and(|why| why != VaultSuspension::NotCompared) {
        vault.renew_lineage(past.unwrap_or(known)).await?;
    }
    let mut after = String::new();
    while let Some(page) = next_page(reads, &mut after).await? {
        for (open, subject) in not_applied(vault, &page).await? {
            done.repeated += u64::from(commands.reapply_erasure(open.account, open.request, subject).await?);
        }
    }
    done.repeated += retention::reapply(commands).await?;
    vault.resume().await?;
    anchor::move_to_head(commands).await?;
    if done.repeated > 0 {
        tracing::warn!(
            repeated = done.repeated,
            "the vault's store was an earlier copy than the log: what was erased since is erased again"
        );
    }
    Ok(done)
}

/// Sends nothing more for the accounts of which the store has lost something; how many people it does not know.
async fn hold_sending(commands: &Commands, losses: &BTreeMap<AccountId, AccountLoss>) -> Result<u64, CommandError> {
    let mut all = 0;
    for (account, loss) in losses {
        let people = loss.people.len() as u64;
        let opted_out = loss.people.values().filter(|is_out| **is_out).count();
        commands.hold_sending(*account, people).await?;
        tracing::error!(
            account.id = %account,
            people,
            people.opted_out = opted_out,
            opt_outs = loss.opt_outs,
            "the vault's store is an earlier copy than the log and does not know these people, nor these opt-outs: nothing \
             is sent for the account until `wasend vault resume-sending`"
        );
        all += people;
    }
    Ok(all)
}

/// The log says up to which epoch the keys are destroyed. A store that uses one of these opens only with a key that was
/// put back.
async fn refuse_returned_epoch(vault: &Vault, reads: &ReadModels) -> Result<(), CommandError> {
    let Some(destroyed) = PrivacyRequestRow::last_epoch(reads).await? else { return Ok(()) };
    let in_use =
        vault.epochs().await?.into_iter().filter(|row| !matches!(row.phase, EpochPhase::Ended | EpochPhase::Destroyed));
    match in_use.map(|row| row.epoch).min() {
        Some(found) if found <= destroyed => {
            Err(CommandError::unavailable(ComparisonRefused::EpochReturned { found, destroyed }))
        }
        _ => Ok(()),
    }
}

/// For a command of the terminal: ends the vault's suspension if its store holds nothing of what was erased, and else
/// says why not. Changes nothing.
pub async fn compare(models: &Db, log: &dyn EventLog, vault: &Vault) -> Result<(), CommandError> {
    let head = log.head().await?;
    if head > 0 {
        until_known(head, StatusSource::Database(models, log)).await?;
    }
    let reads = ReadModels::new(models.clone(), &wasend_projections::all());
    if head > 0 {
        refuse_returned_epoch(vault, &reads).await?;
    }
    losses::find(log, vault, false).await?;
    let mut after = String::new();
    let mut living = 0;
    while head > 0
        && let Some(page) = next_page(&reads, &mut after).await?
    {
        let destroyed = page.into_iter().filter(|(_, is_destroyed)| *is_destroyed).collect::<Vec<_>>();
        living += not_applied(vault, &destroyed).await?.len();
    }
    if living > 0 {
        return Err(CommandError::unavailable(ComparisonRefused::NotApplied(living)));
    }
    if head > 0 {
        retention::compare(&reads, vault).await?;
    }
    Ok(vault.resume().await?)
}

/// A request with a fence, and whether its keys were destroyed.
type FencedRequest = (OpenRequest, bool);

async fn next_page(reads: &ReadModels, after: &mut String) -> Result<Option<Vec<FencedRequest>>, CommandError> {
    let rows = PrivacyRequestRow::fenced(reads, after, RECONCILE_PAGE_MAX).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    after.clone_from(&last.id);
    Ok(Some(rows.iter().filter_map(|row| Some((OpenRequest::of(row)?, row.destruction.is_some()))).collect()))
}

/// The people of the requests whose keys the store does not show as destroyed, each under every subject of which that
/// is so.
async fn not_applied<'a>(
    vault: &Vault,
    page: &'a [FencedRequest],
) -> Result<Vec<(&'a OpenRequest, SubjectId)>, CommandError> {
    let subjects = page.iter().flat_map(|(open, _)| open.subjects.iter().map(move |subject| (open, *subject)));
    let subjects: Vec<_> = subjects.collect();
    let people: Vec<_> = subjects.iter().map(|(open, subject)| (open.account, *subject)).collect();
    let living: HashSet<_> = vault.not_destroyed(&people).await?.into_iter().collect();
    Ok(subjects.into_iter().filter(|(open, subject)| living.contains(&(open.account, *subject))).collect())
}

/// Who knows how far the read models are: the running engine, or their database.
#[derive(Clone, Copy)]
enum StatusSource<'a> {
    Projector(&'a Projector),
    Database(&'a Db, &'a dyn EventLog),
}

impl StatusSource<'_> {
    async fn status(self) -> Result<Vec<ProjectionStatus>, CommandError> {
        let status = match self {
            Self::Projector(projector) => projector.status().await,
            Self::Database(models, log) => wasend_projections::status(models, log, &wasend_projections::all()).await,
        };
        status.map_err(CommandError::unavailable)
    }
}

/// Waits until the list of requests shows everything up to the position.
async fn until_known(head: Position, source: StatusSource<'_>) -> Result<(), CommandError> {
    let give_up = Instant::now() + RECONCILE_TIMEOUT;
    loop {
        let all = source.status().await?;
        let list = all.into_iter().find(|status| status.current && status.name == "privacy");
        let shown = list.as_ref().map_or(0, |list| list.position);
        match list {
            Some(list) if list.state == BuildState::Poisoned => {
                let position = list.error_position.unwrap_or(list.position + 1);
                return Err(CommandError::unavailable(ComparisonRefused::Poisoned(position)));
            }
            Some(list) if list.position >= head => return Ok(()),
            _ if Instant::now() >= give_up => {
                return Err(CommandError::unavailable(ComparisonRefused::Behind { shown, head }));
            }
            _ => tokio::time::sleep(RECONCILE_POLL_INTERVAL).await,
        }
    }
}
