//! Applying one chunk: looked up, decided and appended as a set, together with the import's own progress, so that no
//! row counts twice and none is lost, wherever a node dies.

mod known;
mod newcomers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use wasend_commands::contact::ATTRIBUTES_MAX;
use wasend_commands::{Caller, CommandError, Commands};
use wasend_domain::contact::{
    self, ConsentChannel, ConsentChoice, ConsentScope, Contact, ContactOrigin, ContactPart as Changed,
};
use wasend_domain::content::ContactAttributes;
use wasend_domain::import::{Command, Import, ImportStart, MergeMode, RowCounters};
use wasend_domain::phone::PhoneRegion;
use wasend_domain::{AccountId, Actor, ImportId, Personal, Sealed, SubjectId, Time};
use wasend_eventlog::{AppendRejection, CommandFailure, LoadedAggregate, StreamLookup, UnitOfWork, load};
use wasend_projections::uploads::UploadPart;

pub(crate) use known::KnownContacts;

use super::reading::RowChunk;
use super::row::{FileRow, ParsedRow, PersonKey, RowError};
use crate::context::once;

/// How often a chunk is decided again after others changed its contacts first.
const CHUNK_ATTEMPTS_MAX: usize = 64;
/// Between the fence of an erasure and its next step, usually.
const UNLINKING_RETRY_DELAY: Duration = Duration::from_millis(50);
const IMPORTER: Actor = Actor::System("importer");

/// The import that a chunk belongs to.
pub(crate) struct ImportJob {
    pub commands: Arc<Commands>,
    pub id: ImportId,
    pub account: AccountId,
    pub start: ImportStart,
    /// When the file was received: it may hold what was erased since.
    pub received_at: Time,
    /// Of numbers that name none.
    pub region: Option<PhoneRegion>,
    /// The people that any row of the file says are opted out.
    pub opted_out: HashSet<PersonKey>,
}

/// Why a chunk was not applied although the stores answered. The import goes on with it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("other commands keep changing the contacts of the chunk")]
    Contended,
    /// The task that reads the file ended without a chunk; what it says of that may quote a row.
    #[error("the chunk could not be prepared")]
    Unprepared,
}

/// What came of a chunk.
pub(crate) enum ChunkOutcome {
    Done,
    /// The import has ended, or another node goes on with it.
    Left,
}

/// What a row is about to do.
struct RowAction {
    subject: SubjectId,
    commands: Vec<contact::Command>,
    /// Attributes to be sealed into the first of the commands.
    attributes: Option<BTreeMap<String, String>>,
}

/// Decisions about a chunk.
#[derive(Default)]
struct ChunkDecision {
    counters: RowCounters,
    reports: Vec<(usize, RowError)>,
    acts: Vec<RowAction>,
    /// Rows of people who are not known yet.
    new: Vec<usize>,
    names: BTreeMap<u64, (SubjectId, String)>,
    /// Rows that were put aside, of people who are not known, and say that these do not want messages.
    unknown_opt_outs: Vec<usize>,
}

impl ImportJob {
    /// Applies the chunk of this number to the import, as it was last seen. `repeats` says which of the rows repeat an
    /// earlier line; what was prepared a moment ago is looked up again if others were faster.
    pub async fn apply(
        &self,
        import: &mut LoadedAggregate<Import>,
        chunk: &RowChunk,
        number: u64,
        rows: u64,
        repeats: &HashMap<usize, u64>,
        mut looked_up: Option<KnownContacts>,
    ) -> Result<ChunkOutcome, CommandError> {
        let intent = self.intent(number).await?;
        for _ in 0..CHUNK_ATTEMPTS_MAX {
            if import.state.ended.is_some() || import.state.chunks != number {
                return Ok(ChunkOutcome::Left);
            }
            let mut known = match looked_up.take() {
                Some(known) => known,
                None => self.learn(chunk, repeats).await?,
            };
            if known.is_closing() {
                tokio::time::sleep(UNLINKING_RETRY_DELAY).await;
                continue;
            }
            let verdict = self.decide(chunk, repeats, &mut known, &intent);
            if self.record(chunk, number, rows, import, known, verdict).await? {
                return Ok(ChunkOutcome::Done);
            }
            let mut found = load::<Import>(&*self.commands.log, self.account, &[self.id.uuid()]).await?;
            match found.remove(&self.id.uuid()).and_then(StreamLookup::present) {
                Some(now) => *import = now,
                None => return Ok(ChunkOutcome::Left),
            }
        }
        Err(CommandError::unavailable(ChunkError::Contended))
    }

    /// The lines whose contacts' names this chunk had begun to change when a node died: they read alike by now.
    async fn intent(&self, number: u64) -> Result<HashSet<u64>, CommandError> {
        let parts = self.commands.uploads.parts(&self.id, UploadPart::Intent, number, 1).await?;
        let lines = parts.into_iter().filter(|(part, _)| *part == number).map(|(_, lines)| lines).next();
        Ok(lines.unwrap_or_default().split(',').filter_map(|line| line.parse().ok()).collect())
    }

    fn decide(
        &self,
        chunk: &RowChunk,
        repeats: &HashMap<usize, u64>,
        known: &mut KnownContacts,
        intent: &HashSet<u64>,
    ) -> ChunkDecision {
        let mut verdict = ChunkDecision::default();
        verdict.counters.blank = chunk.blank;
        for (index, row) in chunk.rows.iter().enumerate() {
            verdict.counters.total += 1;
            let parsed = match &row.parsed {
                Ok(parsed) => parsed,
                Err(wrong) => {
                    verdict.invalid(index, *wrong);
                    if !row.opted_out.is_empty() {
                        self.heed_opt_out(index, known, &mut verdict);
                    }
                    continue;
                }
            };
            if known.erased.contains(&index) {
                verdict.counters.erased += 1;
                verdict.reports.push((index, RowError::Erased));
                continue;
            }
            if let Some(line) = repeats.get(&index) {
                verdict.counters.duplicate_in_file += 1;
                verdict.reports.push((index, RowError::DuplicateInFile(*line)));
                continue;
            }
            match known.subjects[index] {
                Some(Err(wrong)) => {
                    verdict.invalid(index, wrong);
                    if self.says_opted_out(parsed) {
                        self.heed_opt_out(index, known, &mut verdict);
                    }
                }
                Some(Ok(subject)) => self.decide_known(index, row, parsed, subject, known, intent, &mut verdict),
                None => {
                    verdict.new.push(index);
                    verdict.taken(index, parsed, self.opts_out(index, parsed, known).is_some());
                    verdict.counters.created += 1;
                }
            }
        }
        verdict
    }

    #[expect(clippy::too_many_arguments, reason = "one row with all that is known of it")]
    fn decide_known(
        &self,
        index: usize,
        row: &FileRow,
        parsed: &ParsedRow,
        subject: SubjectId,
        known: &mut KnownContacts,
        intent: &HashSet<u64>,
        verdict: &mut ChunkDecision,
    ) {
        let opts_out = self.opts_out(index, parsed, known);
        let contact = known.contacts.entry(subject.uuid()).or_default();
        let (exists, opted_out) = (contact.state.created, contact.state.opted_out);
        if exists && self.start.mode != MergeMode::Update {
            verdict.counters.duplicate_existing += 1;
            verdict.counters.suppressed += u64::from(contact.state.opted_out_after(opts_out));
            if self.start.mode == MergeMode::CreateOnly {
                verdict.reports.push((index, RowError::DuplicateExisting));
            }
            if self.says_opted_out(parsed) {
                self.heed_opt_out(index, known, verdict);
            }
            return;
        }
        if let Some(why) = known.unreadable.get(&subject) {
            verdict.counters.unreadable += 1;
            verdict.reports.push((index, RowError::Unreadable(*why)));
            let heeded = opts_out.filter(|word| exists && contact.state.heeds(*word)).and_then(ConsentChoice::command);
            // That they do not want messages counts, whatever else the file says.
            verdict.acts.extend(heeded.map(|command| RowAction { subject, commands: vec![command], attributes: None }));
            return;
        }
        let name_now = known.names.get(&subject).and_then(Option::as_ref);
        let renamed = parsed.name.as_ref().filter(|name| Some(*name) != name_now);
        let touched = renamed.is_some() || (parsed.name.is_some() && intent.contains(&row.line));
        let mut merged = known.attributes.get(&subject).cloned().unwrap_or_default();
        merged.extend(parsed.attributes.clone());
        let differs = known.attributes.get(&subject).map_or(!merged.is_empty(), |before| *before != merged);
        if merged.len() > ATTRIBUTES_MAX {
            verdict.invalid(index, RowError::TooManyAttributes);
            if self.says_opted_out(parsed) {
                self.heed_opt_out(index, known, verdict);
            }
            return;
        }
        let mut changed = Vec::new();
        changed.extend(touched.then_some(Changed::Name));
        changed.extend(differs.then_some(Changed::Attributes));
        let mut commands = Vec::new();
        if !exists {
            commands.push(contact::Command::Create { source: ContactOrigin::Import, attributes: None });
        } else if !changed.is_empty() {
            commands.push(contact::Command::Update { changed, attributes: None });
        }
        commands.extend(self.join(&contact.state));
        let opted_out_after = contact.state.opted_out_after(opts_out);
        verdict.taken(index, parsed, opted_out_after);
        // An opt-out that is only said again moves its moment, and leaves the contact as it was.
        let is_unchanged = commands.is_empty() && opted_out_after == opted_out && !known.learnt.contains(&index);
        commands.extend(opts_out.filter(|word| contact.state.heeds(*word)).and_then(ConsentChoice::command));
        match (exists, is_unchanged) {
            (false, _) => verdict.counters.created += 1,
            (true, true) => verdict.counters.unchanged += 1,
            (true, false) => verdict.counters.updated += 1,
        }
        if let Some(name) = renamed {
            verdict.names.insert(row.line, (subject, name.clone()));
            known.names.insert(subject, Some(name.clone()));
        }
        if !commands.is_empty() {
            let attributes = differs.then(|| merged.clone());
            verdict.acts.push(RowAction { subject, commands, attributes });
        }
        if differs {
            known.attributes.insert(subject, merged);
        }
    }

    /// The opt-out of a person who does not want messages, by the file or by what they said before they were erased;
    /// the later of the two. The file says so since the import was accepted.
    fn opts_out(&self, index: usize, parsed: &ParsedRow, known: &KnownContacts) -> Option<ConsentChoice> {
        let file = self.says_opted_out(parsed).then_some((self.start.at, ConsentChannel::Api));
        let list = known.suppressed.get(&index).map(|at| (*at, ConsentChannel::Suppression));
        let (at, via) = [list, file].into_iter().flatten().max_by_key(|(at, _)| *at)?;
        Some(ConsentChoice { opted_out: true, scope: ConsentScope::All, via, at: Some(at) })
    }

    /// Whether the row, or any other of the file about the same person, says that the person does not want messages.
    fn says_opted_out(&self, parsed: &ParsedRow) -> bool {
        parsed.opted_out || (!self.opted_out.is_empty() && parsed.keys().iter().any(|key| self.opted_out.contains(key)))
    }

    /// The row is put aside, and says that its person does not want messages: that counts all the same. Who is known
    /// neither to the account nor by an earlier row is put on the list of opt-outs.
    fn heed_opt_out(&self, index: usize, known: &KnownContacts, verdict: &mut ChunkDecision) {
        let choice = ConsentChoice {
            opted_out: true,
            scope: ConsentScope::All,
            via: ConsentChannel::Api,
            at: Some(self.start.at),
        };
        let Some(Ok(subject)) = known.subjects[index] else {
            verdict.unknown_opt_outs.push(index);
            return;
        };
        let is_heeded = known.contacts.get(&subject.uuid()).is_some_and(|contact| {
            let state = &contact.state;
            state.created && state.erased.is_none() && state.heeds(choice)
        });
        if let Some(command) = choice.command().filter(|_| is_heeded) {
            verdict.acts.push(RowAction { subject, commands: vec![command], attributes: None });
        }
    }

    fn join(&self, contact: &Contact) -> Option<contact::Command> {
        self.start.group.filter(|group| !contact.groups.contains(group)).map(contact::Command::JoinGroup)
    }

    /// False if others were faster: everything is to be decided again.
    async fn record(
        &self,
        chunk: &RowChunk,
        number: u64,
        rows: u64,
        import: &mut LoadedAggregate<Import>,
        mut known: KnownContacts,
        mut verdict: ChunkDecision,
    ) -> Result<bool, CommandError> {
        let (commands, now) = (&self.commands, self.commands.clock.now());
        let mut plan = UnitOfWork::new(once(self.account, IMPORTER), now);
        let apply = Command::Apply { chunk: number, rows, bytes: chunk.bytes, counters: verdict.counters, at: now };
        plan.decide(self.id.uuid(), import, apply).map_err(unplanned)?;
        if !self.start.dry_run {
            self.act_on_new(chunk, &mut verdict, &known);
            self.rename(number, &verdict).await?;
            self.seal(&mut verdict).await?;
            for act in &verdict.acts {
                let contact = known.contacts.entry(act.subject.uuid()).or_default();
                for command in &act.commands {
                    plan.decide(act.subject.uuid(), contact, command.clone()).map_err(unplanned)?;
                }
            }
        }
        if !self.start.dry_run {
            self.list_opt_outs(chunk, &verdict).await?;
        }
        self.put_report(chunk, number, &verdict.reports).await?;
        let answers = commands.log.append(vec![plan.into_append()]).await?;
        match answers.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err(AppendRejection::Conflict { .. } | AppendRejection::CommandReused)) | None => Ok(false),
        }
    }

    /// Puts the people of rows that were put aside, unknown to the account, on the list of opt-outs.
    async fn list_opt_outs(&self, chunk: &RowChunk, verdict: &ChunkDecision) -> Result<(), CommandError> {
        let caller = Caller { account_id: self.account, actor: IMPORTER };
        for row in verdict.unknown_opt_outs.iter().map(|index| &chunk.rows[*index]) {
            self.commands.opt_out_unknown(caller, &row.people(), ConsentScope::All, self.start.at).await?;
        }
        Ok(())
    }

    /// Names live in the vault, outside the append: which are about to change is noted before they do.
    async fn rename(&self, number: u64, verdict: &ChunkDecision) -> Result<(), CommandError> {
        if verdict.names.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = verdict.names.keys().map(u64::to_string).collect();
        let now = self.commands.clock.now();
        self.commands.uploads.put(&self.id, UploadPart::Intent, number, &[&lines.join(",")], now).await?;
        let names: HashMap<_, _> = verdict.names.values().cloned().collect();
        let names: Vec<_> = names.into_iter().map(|(subject, name)| (subject, Personal::new(name))).collect();
        Ok(self.commands.vault.update_profiles(self.account, &names).await?)
    }

    async fn seal(&self, verdict: &mut ChunkDecision) -> Result<(), CommandError> {
        let value = |act: &mut RowAction| Some((act.subject, Personal::new(ContactAttributes(act.attributes.take()?))));
        let mut values = Vec::new();
        let mut places = Vec::new();
        for (place, act) in verdict.acts.iter_mut().enumerate() {
            if let Some(value) = value(act) {
                values.push(value);
                places.push(place);
            }
        }
        let day = self.commands.clock.now().day();
        let sealed = self.commands.vault.seal_many(self.account, &values, day).await;
        for (place, sealed) in places.into_iter().zip(sealed) {
            let sealed: Sealed<ContactAttributes> = sealed?;
            if let Some(contact::Command::Create { attributes, .. } | contact::Command::Update { attributes, .. }) =
                verdict.acts[place].commands.first_mut()
            {
                *attributes = Some(sealed);
            }
        }
        Ok(())
    }
}

impl ChunkDecision {
    fn invalid(&mut self, index: usize, wrong: RowError) {
        self.counters.invalid += 1;
        self.reports.push((index, wrong));
    }

    fn taken(&mut self, index: usize, parsed: &ParsedRow, suppressed: bool) {
        self.counters.suppressed += u64::from(suppressed);
        for warning in &parsed.warnings {
            self.counters.warnings += 1;
            self.reports.push((index, *warning));
        }
    }
}

/// The aggregates were loaded, so that none of them refuses.
fn unplanned<E: std::error::Error + Send + Sync + 'static>(failure: CommandFailure<E>) -> CommandError {
    CommandError::unavailable(failure)
}
