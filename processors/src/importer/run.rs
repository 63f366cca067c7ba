//! One import, from where it stands to its end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use wasend_commands::{CommandError, Commands};
use wasend_domain::import::{Command, FileError, FileLayout, Import, ImportSource};
use wasend_domain::{AccountId, Actor, ImportId, KeyPurpose, Opened, Personal};
use wasend_eventlog::{CommandFailure, LoadedAggregate, StreamLookup, execute, load};
use wasend_projections::Leases;
use wasend_projections::uploads::StoredUpload;

use super::chunk::{ChunkError, ChunkOutcome, ImportJob, KnownContacts};
use super::chunks::ReadPurpose;
use super::options::ImportOptions;
use super::reading::{ChunkReceiver, ReadFailure, RowChunk, read};
use super::row::{FileRow, PersonKey};
use crate::context::once;

/// What an import runs with.
pub(crate) struct ImportRun {
    pub commands: Arc<Commands>,
    pub leases: Leases,
    pub owner: String,
    pub options: ImportOptions,
    pub stop: CancellationToken,
}

impl ImportRun {
    /// Goes on with the import until it has ended, the node stops, or a store fails.
    #[tracing::instrument(name = "import.run", skip_all)]
    pub async fn import(&self, account: AccountId, id: ImportId) -> Result<(), CommandError> {
        let mut found = load::<Import>(&*self.commands.log, account, &[id.uuid()]).await?;
        let Some(import) = found.remove(&id.uuid()).and_then(StreamLookup::present) else { return Ok(()) };
        let Some(start) = import.state.started.clone() else { return Ok(()) };
        let upload = self.commands.uploads.get(start.upload).await?.filter(|upload| upload.account_id == account);
        if import.state.ended.is_none() {
            match self.work(account, id, import, upload.as_ref()).await {
                Ok(true) => self.command(account, id, Command::Finish { at: self.commands.clock.now() }).await?,
                Ok(false) => return Ok(()),
                Err(ImportStop::File(code)) => {
                    self.command(account, id, Command::Fail { code, at: self.commands.clock.now() }).await?;
                }
                Err(ImportStop::Failed(error)) => return Err(error),
            }
        }
        if let Some(upload) = upload {
            forget(&self.commands, &upload, &format!("import {id} ended")).await?;
        }
        Ok(())
    }

    async fn command(&self, account: AccountId, id: ImportId, command: Command) -> Result<(), CommandError> {
        let (log, clock) = (&*self.commands.log, &*self.commands.clock);
        let done = execute::<Import>(log, clock, once(account, Actor::System("importer")), id.uuid(), command).await;
        match done {
            // It was cancelled at the last moment.
            Ok(_) | Err(CommandFailure::Refused(_)) => Ok(()),
            Err(error) => Err(CommandError::unavailable(error)),
        }
    }

    /// True when every row is applied, false when the import was left to another or to later.
    async fn work(
        &self,
        account: AccountId,
        id: ImportId,
        import: LoadedAggregate<Import>,
        upload: Option<&StoredUpload>,
    ) -> Result<bool, ImportStop> {
        let (Some(upload), Some(start)) = (upload, &import.state.started.clone()) else {
            return Err(ImportStop::File(FileError::UploadLost));
        };
        let source = match self.commands.vault.open(account, &start.source).await.map_err(CommandError::from)? {
            Opened::Value(source) => Arc::new(source.into_exposed()),
            Opened::Erased(_) | Opened::Unavailable(_) => return Err(ImportStop::File(FileError::UploadLost)),
        };
        // The whole file is read once before anything is changed by it: an opt-out counts in whatever row it stands.
        let mut opted_out = HashSet::new();
        let mut first_pass =
            read(&self.commands, upload, Arc::clone(&source), &self.options.limits, ReadPurpose::OptOuts);
        while let Some(chunk) = first_pass.recv().await {
            opted_out.extend(chunk?.rows.iter().flat_map(FileRow::opted_out_keys));
        }
        let region = source.region();
        let (commands, received_at) = (Arc::clone(&self.commands), upload.created_at.min(start.at));
        let job = Arc::new(ImportJob { commands, id, account, start: start.clone(), received_at, region, opted_out });
        self.apply(&job, import, upload, source).await
    }

    async fn apply(
        &self,
        job: &Arc<ImportJob>,
        mut import: LoadedAggregate<Import>,
        upload: &StoredUpload,
        source: Arc<ImportSource>,
    ) -> Result<bool, ImportStop> {
        let done = import.state.chunks;
        let chunks = read(&self.commands, upload, source, &self.options.limits, ReadPurpose::Rows);
        // A person is in two chunks only as a repeated row, so the people of the next are prepared meanwhile.
        let (sender, mut prepared) = mpsc::channel(1);
        let preparing = prepare(Arc::clone(job), chunks, done, sender).in_current_span();
        let preparing = AbortOnDropHandle::new(tokio::spawn(preparing));
        let mut rows = 0;
        let renew_every = self.options.lease / 3;
        let mut renewed = self.commands.clock.now();
        for number in 0.. {
            let Some(next) = prepared.recv().await else { break };
            let PreparedChunk { chunk, repeats, known } = next?;
            rows += chunk.rows.len() as u64;
            if number == 0 && done == 0 {
                job.put_header(&chunk).await?;
                self.describe(job, &mut import, &chunk.layout).await?;
            }
            // What was applied before is only read again for who was in it.
            if number >= done {
                if let ChunkOutcome::Left = job.apply(&mut import, &chunk, number, rows, &repeats, known).await? {
                    return Ok(false);
                }
                metrics::counter!("wasend_import_rows_total").increment(chunk.rows.len() as u64);
            }
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            if self.commands.clock.now() > renewed.plus(renew_every) {
                if !self.renew(job.id, self.options.lease).await? {
                    return Ok(false);
                }
                renewed = self.commands.clock.now();
            }
        }
        // It ends with the file, unless it has died; what it says of that may quote a row.
        match preparing.await {
            Ok(()) => Ok(true),
            Err(_) => Err(CommandError::unavailable(ChunkError::Unprepared).into()),
        }
    }

    /// Tells how the file is read.
    async fn describe(
        &self,
        job: &ImportJob,
        import: &mut LoadedAggregate<Import>,
        layout: &FileLayout,
    ) -> Result<(), CommandError> {
        let at = self.commands.clock.now();
        let layout = Personal::new(layout.clone());
        let layout = self.commands.vault.seal(job.account, job.start.source.subject(), &layout, at.day()).await?;
        self.command(job.account, job.id, Command::Describe { layout, at }).await?;
        let mut found = load::<Import>(&*self.commands.log, job.account, &[job.id.uuid()]).await?;
        *import = found.remove(&job.id.uuid()).and_then(StreamLookup::present).unwrap_or_default();
        Ok(())
    }

    /// Renews the lease of the import; false if another node has it.
    pub async fn renew(&self, id: ImportId, lease: Duration) -> Result<bool, CommandError> {
        let held = self.leases.acquire(&*self.commands.clock, &lease_of(id), &self.owner, lease).await?;
        Ok(held.is_some())
    }
}

/// A chunk that was read, and what is known of its people, if it is to be applied.
struct PreparedChunk {
    chunk: RowChunk,
    repeats: HashMap<usize, u64>,
    known: Option<KnownContacts>,
}

/// Prepares the chunks from the one of this number on, one after the other.
async fn prepare(
    job: Arc<ImportJob>,
    mut chunks: ChunkReceiver,
    first: u64,
    prepared: mpsc::Sender<Result<PreparedChunk, ImportStop>>,
) {
    let mut seen = HashMap::new();
    for number in 0.. {
        let Some(chunk) = chunks.recv().await else { return };
        let next = async {
            let chunk = chunk?;
            let repeats = repeats(&chunk, &mut seen);
            let known = if number >= first { Some(job.learn(&chunk, &repeats).await?) } else { None };
            Ok(PreparedChunk { chunk, repeats, known })
        };
        let next = next.await;
        let failed = next.is_err();
        if prepared.send(next).await.is_err() || failed {
            return;
        }
    }
}

/// Why an import does not go on.
enum ImportStop {
    File(FileError),
    Failed(CommandError),
}

impl From<CommandError> for ImportStop {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}
impl From<ReadFailure> for ImportStop {
    fn from(broken: ReadFailure) -> Self {
        match broken {
            ReadFailure::File(error) => Self::File(error),
            ReadFailure::Store => Self::Failed(CommandError::unavailable(broken)),
        }
    }
}

pub(crate) fn lease_of(id: ImportId) -> String {
    format!("import/{id}")
}

/// Which rows of the chunk are about the person of an earlier line, and which line that was.
fn repeats(chunk: &RowChunk, seen: &mut HashMap<PersonKey, u64>) -> HashMap<usize, u64> {
    let mut repeats = HashMap::new();
    for (index, row) in chunk.rows.iter().enumerate() {
        let Ok(parsed) = &row.parsed else { continue };
        let keys = parsed.keys();
        match keys.iter().find_map(|key| seen.get(key)) {
            Some(line) => drop(repeats.insert(index, *line)),
            None => seen.extend(keys.into_iter().map(|key| (key, row.line))),
        }
    }
    repeats
}

/// Destroys the upload's key and deletes its pieces. May be repeated.
pub(crate) async fn forget(commands: &Commands, upload: &StoredUpload, why: &str) -> Result<(), CommandError> {
    let destroyed = commands.vault.destroy_subject(upload.account_id, upload.subject, &KeyPurpose::ALL, why).await;
    if let Err(error) = destroyed {
        // Repeated by the next sweep, for as long as the upload's row is there.
        tracing::warn!(%error, "an upload's key could not be destroyed yet");
        return Err(error.into());
    }
    Ok(commands.uploads.remove(upload.id).await?)
}
