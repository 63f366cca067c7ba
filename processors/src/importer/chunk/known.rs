//! What is known of a chunk's people before anything is decided: looked up as a set.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;
use wasend_commands::{Caller, CommandError};
use wasend_domain::contact::{ConsentScope, Contact};
use wasend_domain::import::MergeMode;
use wasend_domain::{Opened, SubjectId, Time, UnavailableCause};
use wasend_eventlog::{LoadedAggregate, StreamLookup, load};
use wasend_projections::uploads::UploadPart;
use wasend_vault::PersonIdentity;

use super::super::reading::RowChunk;
use super::super::row::{ParsedRow, RowError};
use super::{IMPORTER, ImportJob};

/// The contacts of a chunk, as they are.
pub(crate) struct KnownContacts {
    pub subjects: Vec<Option<Result<SubjectId, RowError>>>,
    pub contacts: HashMap<Uuid, LoadedAggregate<Contact>>,
    pub names: HashMap<SubjectId, Option<String>>,
    pub attributes: HashMap<SubjectId, BTreeMap<String, String>>,
    /// Those whose name or attributes, with which an update is compared, cannot be read.
    pub unreadable: HashMap<SubjectId, UnavailableCause>,
    /// Rows of people who are new to the account and had opted out before they were erased.
    /// Each with the moment of the opt-out.
    pub suppressed: HashMap<usize, Time>,
    /// Rows of people who were erased after the file was received.
    pub erased: HashSet<usize>,
    /// Rows that told a further number or id of a known contact.
    pub learnt: HashSet<usize>,
    /// The subjects of people unknown before, by their rows.
    pub made: HashMap<usize, SubjectId>,
}

impl KnownContacts {
    /// Whether a person is just being erased: once unlinked, the person in the file is a new subject.
    pub fn is_closing(&self) -> bool {
        self.contacts.values().any(|contact| contact.state.erased.is_some())
    }
}

impl ImportJob {
    /// Looks a chunk's people up, and makes subjects of the unknown ones.
    pub(crate) async fn learn(
        &self,
        chunk: &RowChunk,
        repeats: &HashMap<usize, u64>,
    ) -> Result<KnownContacts, CommandError> {
        let learnt = self.learn_identities(chunk, repeats).await?;
        loop {
            let mut known = self.known(chunk, repeats).await?;
            known.learnt.clone_from(&learnt);
            if self.start.dry_run || known.is_closing() || self.make_new(chunk, repeats, &mut known).await? {
                return Ok(known);
            }
        }
    }

    /// Keeps what rows tell of known contacts besides that by which they are known; which rows did. Two contacts of one
    /// row turn out to be one person, and are merged. Only an import that updates contacts does so.
    async fn learn_identities(
        &self,
        chunk: &RowChunk,
        repeats: &HashMap<usize, u64>,
    ) -> Result<HashSet<usize>, CommandError> {
        let mut learnt = HashSet::new();
        if self.start.dry_run || self.start.mode != MergeMode::Update {
            return Ok(learnt);
        }
        let rows = chunk.rows.iter().enumerate().filter(|(index, _)| !repeats.contains_key(index));
        let several = rows.filter_map(|(index, row)| {
            let identities = row.parsed.as_ref().ok()?.identities();
            (identities.len() > 1).then_some((index, identities))
        });
        let several: Vec<_> = several.collect();
        if several.is_empty() {
            return Ok(learnt);
        }
        let all: Vec<_> = several.iter().flat_map(|(_, identities)| identities.clone()).collect();
        let (account, vault) = (self.account, &self.commands.vault);
        let erased = vault.erased_since(account, &all, self.received_at).await?;
        let (mut bearers, mut erased) = (vault.find_many(account, &all).await?.into_iter(), erased.into_iter());
        let mut news = Vec::new();
        for (index, identities) in several {
            let bearers: Vec<_> = bearers.by_ref().take(identities.len()).collect();
            let is_erased = erased.by_ref().take(identities.len()).fold(false, |any, one| any | one);
            let first = bearers.iter().flatten().next().copied().filter(|_| !is_erased);
            if let Some(first) = first.filter(|first| bearers.iter().any(|bearer| *bearer != Some(*first))) {
                news.push((index, first, identities));
            }
        }
        let lines = self.note_learnt(chunk, news.iter().map(|(index, ..)| chunk.rows[*index].line)).await?;
        let caller = Caller { account_id: account, actor: IMPORTER };
        for (_, first, identities) in news {
            let contact = self.commands.resolve(caller, first).await?;
            self.commands.learn_identities(caller, contact, &identities, None).await?;
        }
        learnt.extend((0..chunk.rows.len()).filter(|index| lines.contains(&chunk.rows[*index].line)));
        Ok(learnt)
    }

    /// Notes which lines tell of further identities before these are kept: a node that goes on after another died finds
    /// them kept already. All lines of the chunk that were ever noted.
    async fn note_learnt(
        &self,
        chunk: &RowChunk,
        news: impl Iterator<Item = u64>,
    ) -> Result<BTreeSet<u64>, CommandError> {
        let Some(first) = chunk.rows.first().map(|row| row.line) else { return Ok(BTreeSet::new()) };
        let uploads = &self.commands.uploads;
        let parts = uploads.parts(&self.id, UploadPart::Learnt, first, 1).await?;
        let noted = parts.into_iter().find(|(part, _)| *part == first).map(|(_, lines)| lines).unwrap_or_default();
        let mut lines: BTreeSet<u64> = noted.split(',').filter_map(|line| line.parse().ok()).collect();
        let before = lines.len();
        lines.extend(news);
        if lines.len() > before {
            let text = lines.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            uploads.put(&self.id, UploadPart::Learnt, first, &[&text], self.commands.clock.now()).await?;
        }
        Ok(lines)
    }

    /// Puts the contacts that go on in the place of those that were merged.
    async fn follow_merges(
        &self,
        subjects: &mut [Option<Result<SubjectId, RowError>>],
        contacts: &mut HashMap<Uuid, LoadedAggregate<Contact>>,
    ) -> Result<(), CommandError> {
        let caller = Caller { account_id: self.account, actor: IMPORTER };
        for subject in subjects.iter_mut().filter_map(|slot| slot.as_mut()?.as_mut().ok()) {
            if contacts.get(&subject.uuid()).is_some_and(|contact| contact.state.merged_into.is_some()) {
                let (survivor, contact) = self.commands.resolved_contact(caller, *subject).await?;
                contacts.insert(survivor.uuid(), contact);
                *subject = survivor;
            }
        }
        contacts.retain(|_, contact| contact.state.merged_into.is_none());
        Ok(())
    }

    async fn known(&self, chunk: &RowChunk, repeats: &HashMap<usize, u64>) -> Result<KnownContacts, CommandError> {
        let vault = &self.commands.vault;
        let mut identities = Vec::with_capacity(chunk.rows.len());
        let mut owners = Vec::with_capacity(chunk.rows.len());
        for (index, row) in chunk.rows.iter().enumerate() {
            if row.parsed.is_ok() && repeats.contains_key(&index) {
                continue;
            }
            let own = row.people();
            owners.extend(own.iter().map(|_| index));
            identities.extend(own);
        }
        let bearers = vault.find_many(self.account, &identities).await?;
        let mut subjects: Vec<Option<Result<SubjectId, RowError>>> = vec![None; chunk.rows.len()];
        for ((index, identity), bearer) in owners.into_iter().zip(&identities).zip(bearers) {
            let Some(bearer) = bearer else { continue };
            let slot = &mut subjects[index];
            match slot {
                Some(Ok(known)) if *known != bearer && matches!(identity, PersonIdentity::Bsuid(_)) => {
                    *slot = Some(Err(RowError::OtherContacts));
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
        let mut contacts: HashMap<Uuid, LoadedAggregate<Contact>> =
            found.into_iter().filter_map(|(id, stream)| Some((id, StreamLookup::present(stream)?))).collect();
        self.follow_merges(&mut subjects, &mut contacts).await?;
        let known: Vec<SubjectId> = subjects.iter().flatten().filter_map(|found| found.ok()).collect();
        let suppressed = self.suppressed(chunk, &subjects, &contacts).await?;
        let (names, attributes, unreadable, made) = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
        let learnt = HashSet::new();
        // Looked up after the directory: a person that it does not know any more is among them.
        let erased = self.erased(chunk).await?;
        let mut state =
            KnownContacts { subjects, contacts, names, attributes, unreadable, suppressed, erased, learnt, made };
        self.open(&known, &mut state).await?;
        Ok(state)
    }

    /// Which rows are about people who had opted out before they were erased: that they come again does not undo it.
    async fn suppressed(
        &self,
        chunk: &RowChunk,
        subjects: &[Option<Result<SubjectId, RowError>>],
        contacts: &HashMap<Uuid, LoadedAggregate<Contact>>,
    ) -> Result<HashMap<usize, Time>, CommandError> {
        let new = |subject: &Option<Result<SubjectId, RowError>>| match subject {
            None => true,
            // Made by a node that died before it said so.
            Some(Ok(subject)) => contacts.get(&subject.uuid()).is_none_or(|contact| !contact.state.created),
            Some(Err(_)) => false,
        };
        let (mut rows, mut identities) = (vec![], vec![]);
        for (index, row) in chunk.rows.iter().enumerate().filter(|(index, _)| new(&subjects[*index])) {
            for identity in row.parsed.iter().flat_map(ParsedRow::identities) {
                rows.push(index);
                identities.push(identity);
            }
        }
        let marks = self.commands.vault.suppressed(self.account, &identities, ConsentScope::All).await?;
        let mut suppressed = HashMap::new();
        for (index, at) in rows.into_iter().zip(marks).filter_map(|(index, mark)| Some((index, mark?))) {
            suppressed.entry(index).and_modify(|latest: &mut Time| *latest = at.max(*latest)).or_insert(at);
        }
        Ok(suppressed)
    }

    /// Which rows, also repeated ones, are about people who were erased after the file was received.
    async fn erased(&self, chunk: &RowChunk) -> Result<HashSet<usize>, CommandError> {
        let (mut rows, mut identities) = (vec![], vec![]);
        for (index, row) in chunk.rows.iter().enumerate() {
            for identity in row.parsed.iter().flat_map(ParsedRow::identities) {
                rows.push(index);
                identities.push(identity);
            }
        }
        let marks = self.commands.vault.erased_since(self.account, &identities, self.received_at).await?;
        Ok(rows.into_iter().zip(marks).filter_map(|(index, erased)| erased.then_some(index)).collect())
    }

    /// What an update is compared with.
    async fn open(&self, subjects: &[SubjectId], known: &mut KnownContacts) -> Result<(), CommandError> {
        let vault = &self.commands.vault;
        let compared = |subject: &&SubjectId| {
            let exists = known.contacts.get(&subject.uuid()).is_some_and(|contact| contact.state.created);
            !exists || self.start.mode == MergeMode::Update
        };
        let subjects: Vec<_> = subjects.iter().filter(compared).copied().collect();
        for (subject, person) in subjects.iter().zip(vault.identities(self.account, &subjects).await?) {
            if let Opened::Unavailable(unavailable) = &person {
                known.unreadable.insert(*subject, unavailable.why);
            }
            known.names.insert(*subject, person.value().and_then(|person| person.into_exposed().name));
        }
        let sealed = |subject: &SubjectId| {
            let contact = known.contacts.get(&subject.uuid())?;
            Some((*subject, contact.state.attributes.clone()?))
        };
        let (owners, sealed): (Vec<_>, Vec<_>) = subjects.iter().filter_map(sealed).unzip();
        for (subject, attributes) in owners.into_iter().zip(vault.open_many(self.account, &sealed).await?) {
            if let Opened::Unavailable(unavailable) = &attributes {
                known.unreadable.insert(subject, unavailable.why);
            }
            let attributes = attributes.value().map(|attributes| attributes.into_exposed().0);
            known.attributes.insert(subject, attributes.unwrap_or_default());
        }
        Ok(())
    }
}
