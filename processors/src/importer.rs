//! The importer: goes on with every import that has not ended and that no other node has, and deletes what is no
//! longer needed.

pub mod cell;
mod chunk;
pub mod chunks;
pub mod columns;
mod consent_words;
mod decode;
mod delimited;
mod lines;
pub mod options;
mod parse;
pub mod preview;
pub mod reading;
mod record;
pub mod report;
pub mod row;
mod run;
mod sweep;
mod titles;
mod vcard;
mod workbook;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wasend_commands::CommandError;
use wasend_domain::{EventId, ImportId};
use wasend_projections::Projector;
use wasend_projections::imports::ImportRow;

use options::ImportOptions;
use run::{ImportRun, lease_of};

use crate::context::ProgressWatcher;
use crate::processor::{Processor, ProcessorContext};

/// The list of what is left to do, oldest first.
/// Imports that are looked at in one round.
const IMPORTS_PAGE_MAX: u64 = 100;

/// Runs imports until it is shut down. Dropped without that, it ends like a process that dies.
pub struct Importer {
    stop: CancellationToken,
    manager: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

impl Processor for Importer {
    type Options = ImportOptions;

    /// Starts the task that carries out imports; on several nodes each import has one.
    fn start(context: &ProcessorContext, options: ImportOptions) -> Self {
        let stop = CancellationToken::new();
        let run = Arc::new(ImportRun {
            commands: Arc::clone(&context.commands),
            leases: context.leases.clone(),
            owner: EventId::random().to_string(),
            options,
            stop: stop.clone(),
        });
        let sweeper = tokio::spawn(sweep::run(Arc::clone(&run)));
        let projector = Arc::clone(&context.projector);
        let manager = ImportManager { run, projector, busy: HashSet::new(), running: JoinSet::new() };
        Self { stop, manager: tokio::spawn(manager.run()), sweeper }
    }

    /// Finishes the chunks under way, for `grace` at most. The imports go on with the next start, or on another node.
    async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        let both = async { tokio::join!(&mut self.manager, &mut self.sweeper) };
        if timeout(grace, both).await.is_err() {
            tracing::warn!("imports did not pause in time; they go on where their last chunk ended");
        }
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        self.manager.abort();
        self.sweeper.abort();
    }
}

struct ImportManager {
    run: Arc<ImportRun>,
    projector: Arc<Projector>,
    busy: HashSet<ImportId>,
    running: JoinSet<ImportId>,
}

impl ImportManager {
    async fn run(mut self) {
        let mut ticks = interval(self.run.options.tick.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = ProgressWatcher::of(&self.projector);
        let stop = self.run.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                // Imports that run make news themselves; they need not be looked for then.
                Some(_) = news.next(), if self.running.is_empty() => {}
                Some(ended) = self.running.join_next() => self.ended(ended),
            }
            if let Err(error) = self.start_imports().await {
                tracing::warn!(%error, "imports cannot be looked for now");
            }
        }
        while let Some(ended) = self.running.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<ImportId, tokio::task::JoinError>) {
        match ended {
            Ok(id) => drop(self.busy.remove(&id)),
            Err(error) => {
                // Which one it was is not known any more.
                tracing::error!(panicked = error.is_panic(), "an import broke off");
                if self.running.is_empty() {
                    self.busy.clear();
                }
            }
        }
    }

    async fn start_imports(&mut self) -> Result<(), CommandError> {
        if self.running.len() >= self.run.options.at_once {
            return Ok(());
        }
        let rows = ImportRow::open(&self.run.commands.reads, IMPORTS_PAGE_MAX).await?;
        for row in rows {
            let (Ok(account), Ok(id)) = (row.account_id.parse(), row.id.parse::<ImportId>()) else { continue };
            if self.running.len() >= self.run.options.at_once {
                break;
            }
            if self.busy.contains(&id) || !self.run.renew(id, self.run.options.lease).await? {
                continue;
            }
            self.busy.insert(id);
            let (run, pause) = (Arc::clone(&self.run), self.run.options.tick);
            self.running.spawn(async move {
                if let Err(error) = Box::pin(run.import(account, id)).await {
                    tracing::warn!(%error, "an import cannot go on for now");
                    tokio::time::sleep(pause).await;
                }
                if let Err(error) = run.leases.release(&[lease_of(id)], &run.owner).await {
                    tracing::warn!(%error, "an import's lease could not be given back; it expires");
                }
                id
            });
        }
        Ok(())
    }
}
