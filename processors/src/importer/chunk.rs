//! Applying one chunk: looked up, decided and appended as a set, together with the import's own progress, so that no
//! row counts twice and none is lost, wherever a node dies.

mod newcomers;

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;
use wasend_commands::contact::ATTRIBUTES_MAX;
use wasend_commands::{CommandError, Commands};
use wasend_domain::contact::{self, Contact, Part as Changed, Source, Via};
use wasend_domain::content::Attributes;
use wasend_domain::import::{Command, Counters, Import, Mode, RowReports, Start};
use wasend_domain::{AccountId, Actor, ImportId, Personal, Sealed, SubjectId};
use wasend_eventlog::{Failure, Loaded, Plan, Rejected, Stream, load};
use wasend_projections::uploads::Part;
use wasend_vault::Identity;

use super::reading::Chunk;
use super::row::{Parsed, Row, Wrong};
use crate::shared::once;

/// How often a chunk is decided again after others changed its contacts first.
const ATTEMPTS: usize = 64;
const ACTOR: Actor = Actor::System("importer");

/// The import that a chunk belongs to.
pub(crate) struct Job<'a> {
    pub commands: &'a Commands,
    pub id: ImportId,
    pub account: AccountId,
    pub start: &'a Start,
}

/// What came of a chunk.
pub(crate) enum Applied {
    Done,
    /// The import has ended, or another node goes on with it.
    Left,
}

/// What a row is about to do.
struct Act {
    subject: SubjectId,
    commands: Vec<contact::Command>,
    /// Attributes to be sealed into the first of the commands.
    attributes: Option<BTreeMap<String, String>>,
}

/// The contacts of a chunk, as they are.
struct Known {
    subjects: Vec<Option<Result<SubjectId, Wrong>>>,
    contacts: HashMap<Uuid, Loaded<Contact>>,
    names: HashMap<SubjectId, Option<String>>,
    attributes: HashMap<SubjectId, BTreeMap<String, String>>,
}

/// Decisions about a chunk.
#[derive(Default)]
struct Verdict {
    counters: Counters,
    reports: Vec<(usize, Wrong)>,
    acts: Vec<Act>,
    /// Rows of people who are not known yet.
    new: Vec<usize>,
    names: BTreeMap<u64, (SubjectId, String)>,
}

impl Job<'_> {
    /// Applies the chunk of this number. `repeats` says which of its rows repeat an earlier line.
    pub async fn apply(
        &self,
        chunk: &Chunk,
        number: u64,
        rows: u64,
        repeats: &HashMap<usize, u64>,
    ) -> Result<Applied, CommandError> {
        let intent = self.intent(number).await?;
        for _ in 0..ATTEMPTS {
            let mut found = load::<Import>(&*self.commands.log, self.account, &[self.id.uuid()]).await?;
            let Some(mut import) = found.remove(&self.id.uuid()).and_then(Stream::present) else {
                return Ok(Applied::Left);
            };
            if import.state.ended.is_some() || import.state.chunks != number {
                return Ok(Applied::Left);
            }
            let mut known = self.known(chunk, repeats).await?;
            let verdict = self.decide(chunk, repeats, &mut known, &intent);
            if self.record(chunk, number, rows, &mut import, known, verdict).await? {
                return Ok(Applied::Done);
            }
        }
        Err(CommandError::unavailable(std::io::Error::other("others keep changing the contacts of a chunk")))
    }

    /// The lines whose contacts' names this chunk had begun to change when a node died: they read alike by now.
    async fn intent(&self, number: u64) -> Result<HashSet<u64>, CommandError> {
        let parts = self.commands.uploads.parts(&self.id, Part::Intent, number, 1).await?;
        let lines = parts.into_iter().filter(|(part, _)| *part == number).map(|(_, lines)| lines).next();
        Ok(lines.unwrap_or_default().split(',').filter_map(|line| line.parse().ok()).collect())
    }

    async fn known(&self, chunk: &Chunk, repeats: &HashMap<usize, u64>) -> Result<Known, CommandError> {
        let vault = &self.commands.vault;
        let mut identities = Vec::with_capacity(chunk.rows.len());
        let mut owners = Vec::with_capacity(chunk.rows.len());
        for (index, row) in chunk.rows.iter().enumerate() {
            let Ok(parsed) = &row.parsed else { continue };
            if !repeats.contains_key(&index) {
                let own = candidates(parsed);
                owners.extend(own.iter().map(|_| index));
                identities.extend(own);
            }
        }
        let bearers = vault.find_many(self.account, &identities).await?;
        let mut subjects: Vec<Option<Result<SubjectId, Wrong>>> = vec![None; chunk.rows.len()];
        for ((index, identity), bearer) in owners.into_iter().zip(&identities).zip(bearers) {
            let Some(bearer) = bearer else { continue };
            let slot = &mut subjects[index];
            match slot {
                Some(Ok(known)) if *known != bearer && matches!(identity, Identity::Bsuid(_)) => {
                    *slot = Some(Err(Wrong::OtherContacts));
                }
                None => *slot = Some(Ok(bearer)),
                Some(_) => {}
            }
        }
        let mut known: Vec<SubjectId> = subjects.iter().flatten().filter_map(|found| found.ok()).collect();
        known.sort_unstable();
        known.dedup();
        let ids: Vec<_> = known.iter().map(SubjectId::uuid).collect();
        let found = if ids.is_empty() { HashMap::new() } else { load(&*self.commands.log, self.account, &ids).await? };
        let contacts: HashMap<Uuid, Loaded<Contact>> =
            found.into_iter().filter_map(|(id, stream)| Some((id, Stream::present(stream)?))).collect();
        let mut state = Known { subjects, contacts, names: HashMap::new(), attributes: HashMap::new() };
        self.open(&known, &mut state).await?;
        Ok(state)
    }

    /// What an update is compared with.
    async fn open(&self, subjects: &[SubjectId], known: &mut Known) -> Result<(), CommandError> {
        let vault = &self.commands.vault;
        let compared = |subject: &&SubjectId| {
            let exists = known.contacts.get(&subject.uuid()).is_some_and(|contact| contact.state.created);
            !exists || self.start.mode == Mode::Update
        };
        let subjects: Vec<_> = subjects.iter().filter(compared).copied().collect();
        for (subject, person) in subjects.iter().zip(vault.identities(self.account, &subjects).await) {
            let person = person?.value();
            known.names.insert(*subject, person.and_then(|person| person.into_exposed().name));
        }
        let sealed = |subject: &SubjectId| {
            let contact = known.contacts.get(&subject.uuid())?;
            Some((*subject, contact.state.attributes.clone()?))
        };
        let (owners, sealed): (Vec<_>, Vec<_>) = subjects.iter().filter_map(sealed).unzip();
        for (subject, attributes) in owners.into_iter().zip(vault.open_many(self.account, &sealed).await) {
            let attributes = attributes?.value().map(|attributes| attributes.into_exposed().0);
            known.attributes.insert(subject, attributes.unwrap_or_default());
        }
        Ok(())
    }

    fn decide(
        &self,
        chunk: &Chunk,
        repeats: &HashMap<usize, u64>,
        known: &mut Known,
        intent: &HashSet<u64>,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        for (index, row) in chunk.rows.iter().enumerate() {
            verdict.counters.total += 1;
            let parsed = match &row.parsed {
                Ok(parsed) => parsed,
                Err(wrong) => {
                    verdict.invalid(index, *wrong);
                    continue;
                }
            };
            if let Some(line) = repeats.get(&index) {
                verdict.counters.duplicate_in_file += 1;
                verdict.reports.push((index, Wrong::DuplicateInFile(*line)));
                continue;
            }
            match known.subjects[index] {
                Some(Err(wrong)) => verdict.invalid(index, wrong),
                Some(Ok(subject)) => self.decide_known(index, row, parsed, subject, known, intent, &mut verdict),
                None => {
                    verdict.new.push(index);
                    verdict.taken(index, parsed, parsed.opted_out);
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
        row: &Row,
        parsed: &Parsed,
        subject: SubjectId,
        known: &mut Known,
        intent: &HashSet<u64>,
        verdict: &mut Verdict,
    ) {
        let contact = known.contacts.entry(subject.uuid()).or_default();
        let (exists, opted_out) = (contact.state.created, contact.state.opted_out);
        if exists && self.start.mode != Mode::Update {
            verdict.counters.duplicate_existing += 1;
            verdict.counters.suppressed += u64::from(opted_out);
            if self.start.mode == Mode::CreateOnly {
                verdict.reports.push((index, Wrong::DuplicateExisting));
            }
            return;
        }
        let name_now = known.names.get(&subject).and_then(Option::as_ref);
        let renamed = parsed.name.as_ref().filter(|name| Some(*name) != name_now);
        let touched = renamed.is_some() || (parsed.name.is_some() && intent.contains(&row.line));
        let mut merged = known.attributes.get(&subject).cloned().unwrap_or_default();
        merged.extend(parsed.attributes.clone());
        let differs = known.attributes.get(&subject).map_or(!merged.is_empty(), |before| *before != merged);
        if merged.len() > ATTRIBUTES_MAX {
            verdict.invalid(index, Wrong::TooManyAttributes);
            return;
        }
        let mut changed = Vec::new();
        changed.extend(touched.then_some(Changed::Name));
        changed.extend(differs.then_some(Changed::Attributes));
        let mut commands = Vec::new();
        if !exists {
            commands.push(contact::Command::Create { source: Source::Import, attributes: None });
        } else if !changed.is_empty() {
            commands.push(contact::Command::Update { changed, attributes: None });
        }
        commands.extend(self.join(&contact.state));
        if parsed.opted_out && !opted_out {
            commands.push(contact::Command::OptOut { via: Via::Api });
        }
        verdict.taken(index, parsed, opted_out || parsed.opted_out);
        match (exists, commands.is_empty()) {
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
            verdict.acts.push(Act { subject, commands, attributes });
        }
        if differs {
            known.attributes.insert(subject, merged);
        }
    }

    fn join(&self, contact: &Contact) -> Option<contact::Command> {
        self.start.group.filter(|group| !contact.groups.contains(group)).map(contact::Command::JoinGroup)
    }

    /// False if others were faster: everything is to be decided again.
    async fn record(
        &self,
        chunk: &Chunk,
        number: u64,
        rows: u64,
        import: &mut Loaded<Import>,
        mut known: Known,
        mut verdict: Verdict,
    ) -> Result<bool, CommandError> {
        let (commands, now) = (self.commands, self.commands.clock.now());
        let mut plan = Plan::new(once(self.account, ACTOR), now);
        let apply = Command::Apply { chunk: number, rows, bytes: chunk.bytes, counters: verdict.counters, at: now };
        plan.decide(self.id.uuid(), import, apply).map_err(unplanned)?;
        if !self.start.dry_run {
            if !self.make_new(chunk, &mut verdict, &known).await? {
                return Ok(false);
            }
            self.rename(number, &verdict).await?;
            self.seal(&mut verdict).await?;
            for act in &verdict.acts {
                let contact = known.contacts.entry(act.subject.uuid()).or_default();
                for command in &act.commands {
                    plan.decide(act.subject.uuid(), contact, command.clone()).map_err(unplanned)?;
                }
            }
        }
        self.report(chunk, number, &verdict).await?;
        let answers = commands.log.append(vec![plan.into_append()]).await?;
        match answers.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err(Rejected::Conflict { .. } | Rejected::CommandReused)) | None => Ok(false),
        }
    }

    /// Names live in the vault, outside the append: which are about to change is noted before they do.
    async fn rename(&self, number: u64, verdict: &Verdict) -> Result<(), CommandError> {
        if verdict.names.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = verdict.names.keys().map(u64::to_string).collect();
        let now = self.commands.clock.now();
        self.commands.uploads.put(&self.id, Part::Intent, number, &[&lines.join(",")], now).await?;
        let names: HashMap<_, _> = verdict.names.values().cloned().collect();
        let names: Vec<_> = names.into_iter().map(|(subject, name)| (subject, Personal::new(name))).collect();
        Ok(self.commands.vault.update_profiles(self.account, &names).await?)
    }

    async fn seal(&self, verdict: &mut Verdict) -> Result<(), CommandError> {
        let value = |act: &mut Act| Some((act.subject, Personal::new(Attributes(act.attributes.take()?))));
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
            let sealed: Sealed<Attributes> = sealed?;
            if let Some(contact::Command::Create { attributes, .. } | contact::Command::Update { attributes, .. }) =
                verdict.acts[place].commands.first_mut()
            {
                *attributes = Some(sealed);
            }
        }
        Ok(())
    }

    /// Stores what is to be told of the rows, under the import's own key.
    async fn report(&self, chunk: &Chunk, number: u64, verdict: &Verdict) -> Result<(), CommandError> {
        if verdict.reports.is_empty() {
            return Ok(());
        }
        let reports = verdict.reports.iter().map(|(index, wrong)| chunk.rows[*index].report(*wrong)).collect();
        let (subject, now) = (self.start.source.subject(), self.commands.clock.now());
        let reports = Personal::new(RowReports(reports));
        let sealed = self.commands.vault.seal(self.account, subject, &reports, now.day()).await?;
        // The first part holds the header.
        Ok(self.commands.uploads.put(&self.id, Part::Report, number + 1, &[sealed.as_str()], now).await?)
    }
}

impl Verdict {
    fn invalid(&mut self, index: usize, wrong: Wrong) {
        self.counters.invalid += 1;
        self.reports.push((index, wrong));
    }

    fn taken(&mut self, index: usize, parsed: &Parsed, suppressed: bool) {
        self.counters.suppressed += u64::from(suppressed);
        if parsed.doubtful {
            self.counters.warnings += 1;
            self.reports.push((index, Wrong::PhoneNotValid));
        }
    }
}

/// By what the row's person may be known, the likeliest first.
fn candidates(parsed: &Parsed) -> Vec<Identity> {
    let phones = parsed.phone.iter().flat_map(wasend_domain::phone::PhoneNumber::candidates);
    let phones = phones.map(|phone| Identity::phone(phone.as_str()));
    phones.chain(parsed.bsuid.iter().map(|bsuid| Identity::bsuid(bsuid.as_str()))).collect()
}

/// The aggregates were loaded, so that none of them refuses.
fn unplanned<E: std::error::Error + Send + Sync + 'static>(failure: Failure<E>) -> CommandError {
    CommandError::unavailable(failure)
}
