//! The subject directory: who the subjects of an account are. It finds them by a whole identity alone; names and parts
//! of numbers are sealed and cannot be searched.

use std::{collections::HashMap, sync::Arc};

use wasend_domain::{
    AccountId, BlindIndex, KeyPurpose, Opened, Personal, SubjectId, UnavailableCause, UnavailableValue,
};
use zeroize::Zeroizing;

use crate::{
    blind_index::BlindIndexer,
    error::{VaultError, VaultFailure},
    key::{HeldKey, KeyName, RootKey},
    key_resolver::{KeyResolver, opened},
    person::{NewPerson, Person, PersonIdentity},
    seal::{self, SealBinding},
    store::{CreationBatch, NewSubject},
    vault::Vault,
};

/// Subjects that one transaction creates at most.
const SUBJECTS_BATCH_MAX: usize = 10_000;

impl Vault {
    /// The subject that bears any of the identities (the first that is known decides), or else a new one that bears
    /// them all; and whether it is new. An identity that a known subject does not bear yet is not added: see
    /// [`Self::add_alias`]. However many ask for a new person at once, one subject comes of it.
    pub async fn subject_for(&self, account: AccountId, person: &NewPerson) -> Result<(SubjectId, bool), VaultError> {
        let found = self.subjects_for(account, std::slice::from_ref(person)).await?;
        found.first().copied().ok_or(VaultError::NoIdentity)
    }

    /// The same for many persons, in their order; thousands are created in one transaction. Refused as a whole if one
    /// has no identity.
    pub async fn subjects_for(
        &self,
        account: AccountId,
        people: &[NewPerson],
    ) -> Result<Vec<(SubjectId, bool)>, VaultError> {
        self.subjects(account, people, true).await
    }

    /// The same for persons just not found by [`Self::find_many`]: they are not looked up before they are created.
    pub async fn subjects_for_unknown(
        &self,
        account: AccountId,
        people: &[NewPerson],
    ) -> Result<Vec<(SubjectId, bool)>, VaultError> {
        self.subjects(account, people, false).await
    }

    async fn subjects(
        &self,
        account: AccountId,
        people: &[NewPerson],
        mut look: bool,
    ) -> Result<Vec<(SubjectId, bool)>, VaultError> {
        if people.iter().any(|person| person.identities.is_empty()) {
            return Err(VaultError::NoIdentity);
        }
        let indexer = self.indexer(account).await?;
        let aliases: Vec<_> = people.iter().map(|person| PersonAliases::of(&indexer, &person.identities)).collect();
        let mut found: Vec<Option<(SubjectId, bool)>> = vec![None; people.len()];
        // Once around, unless others take and free the same aliases at the same moment.
        while found.contains(&None) {
            if std::mem::replace(&mut look, true) {
                self.fill_known(account, &aliases, &mut found).await?;
            }
            let open: Vec<_> = (0..people.len()).filter(|i| found[*i].is_none()).take(SUBJECTS_BATCH_MAX).collect();
            if !open.is_empty() {
                self.fill_new(account, people, &aliases, &open, &mut found).await?;
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// A subject without an entry in the directory, for what belongs to the account itself: labels, credentials.
    pub async fn create_subject(&self, account: AccountId) -> Result<SubjectId, VaultError> {
        let root = KeyName::Account(account);
        self.ring(&[root]).await?.live(root, VaultError::UnknownAccount)?;
        let subject = SubjectId::random();
        self.create_keys(&KeyPurpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose))).await?;
        Ok(subject)
    }

    /// The bearer of the identity, none if the account knows no such person.
    pub async fn find(&self, account: AccountId, identity: &PersonIdentity) -> Result<Option<SubjectId>, VaultError> {
        let found = self.find_many(account, std::slice::from_ref(identity)).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// The bearer of each identity, in their order.
    pub async fn find_many(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
    ) -> Result<Vec<Option<SubjectId>>, VaultError> {
        let indexer = self.indexer(account).await?;
        let wanted: Vec<_> = identities.iter().map(|identity| spellings(&indexer, identity)).collect();
        let owners = self.owners(account, wanted.iter().flatten()).await?;
        Ok(wanted.iter().map(|spellings| owner(&owners, spellings)).collect())
    }

    /// Whose the indexes are. A row of the index that names no subject is mended first.
    async fn owners(
        &self,
        account: AccountId,
        indexes: impl Iterator<Item = &BlindIndex>,
    ) -> Result<HashMap<String, SubjectId>, VaultError> {
        let indexes: Vec<_> = indexes.map(BlindIndex::as_str).collect();
        let (mut owners, damaged) = read_owners(self.store.aliases(account, &indexes).await?);
        if !damaged.is_empty() {
            owners.extend(self.mend_damaged(account, damaged).await?);
        }
        Ok(owners)
    }

    async fn fill_known(
        &self,
        account: AccountId,
        aliases: &[PersonAliases],
        found: &mut [Option<(SubjectId, bool)>],
    ) -> Result<(), VaultError> {
        let unknown = aliases.iter().zip(&*found).filter(|(_, found)| found.is_none());
        let owners = self.owners(account, unknown.flat_map(|(aliases, _)| &aliases.known)).await?;
        for (aliases, found) in aliases.iter().zip(found) {
            *found = found.or_else(|| owner(&owners, &aliases.known).map(|owner| (owner, false)));
        }
        Ok(())
    }

    async fn fill_new(
        &self,
        account: AccountId,
        people: &[NewPerson],
        aliases: &[PersonAliases],
        open: &[usize],
        found: &mut [Option<(SubjectId, bool)>],
    ) -> Result<(), VaultError> {
        let root = KeyName::Account(account);
        let stamp = self.cache.stamp();
        let now = self.clock.now();
        let ring = self.ring(&[root]).await?;
        let root = ring.live(root, VaultError::UnknownAccount)?;
        let names: Vec<_> = SubjectId::random_together(open.len()).map(|subject| entry_key(account, subject)).collect();
        let fresh: Vec<_> = names.iter().map(|_| RootKey::random()).collect::<Result<_, _>>()?;
        let pairs: Vec<_> = names.iter().map(|(_, name)| *name).zip(&fresh).collect();
        let rows = self.epochs.wrap(&pairs).await?;
        let mut subjects = Vec::with_capacity(open.len());
        for (((i, (subject, _)), key), row) in open.iter().zip(&names).zip(&fresh).zip(rows) {
            let person = seal_person([root, key], account, *subject, &Person::new(&people[*i]))?;
            subjects.push(NewSubject {
                account,
                subject: *subject,
                aliases: aliases[*i].own.clone(),
                person,
                key: row,
            });
        }
        let owners = match self.queue.create(CreationBatch { keys: Vec::new(), subjects }).await {
            // The caller finds them open still, and comes again.
            Err(VaultFailure::EpochPassed) => {
                self.epochs.follow(&self.store).await?;
                return Ok(());
            }
            result => result?,
        };
        let mut created = Vec::new();
        for (((i, (subject, name)), key), owner) in open.iter().zip(names).zip(fresh).zip(owners) {
            found[*i] = owner.map(|owner| (owner, owner == subject));
            if owner == Some(subject) {
                created.push((name, HeldKey::Live(Arc::new(key))));
            }
        }
        // Not kept if a key was destroyed meanwhile; then they are read when they are needed.
        self.cache.keep(stamp, now, created);
        Ok(())
    }

    /// Who the subject is.
    pub async fn identity(&self, account: AccountId, subject: SubjectId) -> Result<Opened<Person>, VaultFailure> {
        let found = self.identities(account, &[subject]).await?.pop();
        let (why, subject) = (UnavailableCause::EntryMissing, Some(subject));
        Ok(found.unwrap_or(Opened::Unavailable(UnavailableValue { why, subject })))
    }

    /// Who the subjects are, in their order. One that was removed from the directory is erased if its key is destroyed,
    /// and unavailable otherwise.
    pub async fn identities(
        &self,
        account: AccountId,
        subjects: &[SubjectId],
    ) -> Result<Vec<Opened<Person>>, VaultFailure> {
        let (entries, ring) = self.entries(account, subjects).await?;
        let open = |subject: &SubjectId| open_person(&ring, account, *subject, entries.get(subject));
        Ok(subjects.iter().map(open).collect())
    }

    /// Whether the directory has an entry of the subject, readable or not.
    pub async fn has_entry(&self, account: AccountId, subject: SubjectId) -> Result<bool, VaultFailure> {
        Ok(!self.store.people(account, &[subject]).await?.is_empty())
    }

    async fn entries(
        &self,
        account: AccountId,
        subjects: &[SubjectId],
    ) -> Result<(HashMap<SubjectId, String>, KeyResolver), VaultFailure> {
        let rows = self.store.people(account, subjects).await?;
        let entries = rows.into_iter().filter_map(|(subject, person)| Some((subject.parse().ok()?, person))).collect();
        let mut names = vec![KeyName::Account(account)];
        names.extend(subjects.iter().map(|subject| entry_key(account, *subject).1));
        Ok((entries, self.ring(&names).await?))
    }

    /// Gives the subject another name, or none.
    pub async fn update_profile(
        &self,
        account: AccountId,
        subject: SubjectId,
        name: Option<&Personal<String>>,
    ) -> Result<(), VaultError> {
        loop {
            let (before, mut person, ring) = self.entry(account, subject).await?;
            person.name = name.map(|name| name.expose().clone());
            let after = seal_person(living_keys(&ring, account, subject)?, account, subject, &person)?;
            // False if the entry was changed meanwhile.
            if self.store.update_person((account, subject), (&before, &after)).await? {
                return Ok(());
            }
        }
    }

    /// The same for many subjects in one transaction, each named once.
    pub async fn update_profiles(
        &self,
        account: AccountId,
        profiles: &[(SubjectId, Personal<String>)],
    ) -> Result<(), VaultError> {
        let mut open: Vec<_> = profiles.iter().collect();
        while !open.is_empty() {
            let subjects: Vec<_> = open.iter().map(|(subject, _)| *subject).collect();
            let (mut entries, ring) = self.entries(account, &subjects).await?;
            let mut changes = Vec::with_capacity(open.len());
            for (subject, name) in &open {
                let before = entries.remove(subject);
                let mut person = match (open_person(&ring, account, *subject, before.as_ref()), &before) {
                    (Opened::Value(person), Some(_)) => person.into_exposed(),
                    (Opened::Erased(erased), _) => return Err(VaultError::Erased(erased)),
                    (Opened::Unavailable(unavailable), _) => return Err(VaultError::Unavailable(unavailable)),
                    (Opened::Value(_), None) => return Err(VaultError::UnknownSubject),
                };
                person.name = Some(name.expose().clone());
                let after = seal_person(living_keys(&ring, account, *subject)?, account, *subject, &person)?;
                changes.push((*subject, before.unwrap_or_default(), after));
            }
            let done = self.store.update_people(account, &changes).await?;
            // Those that were changed meanwhile stay.
            open = open.into_iter().zip(done).filter(|(_, done)| !done).map(|(profile, _)| profile).collect();
        }
        Ok(())
    }

    /// Lets the subject be found by one more identity, which becomes the newest of its kind. Repeating it changes
    /// nothing else.
    pub async fn add_alias(
        &self,
        account: AccountId,
        subject: SubjectId,
        identity: &PersonIdentity,
    ) -> Result<(), VaultError> {
        let PersonAliases { own, known } =
            PersonAliases::of(&self.indexer(account).await?, std::slice::from_ref(identity));
        let [index] = own.as_slice() else { return Err(VaultError::NoIdentity) };
        loop {
            let owners = self.owners(account, known.iter()).await?;
            if owners.values().any(|owner| *owner != subject) {
                return Err(VaultError::AliasTaken);
            }
            let (before, mut person, ring) = self.entry(account, subject).await?;
            person.add(identity);
            let after = seal_person(living_keys(&ring, account, subject)?, account, subject, &person)?;
            // False if it was taken, or the entry changed, meanwhile.
            if self.store.add_alias((account, subject), index, (&before, &after)).await? {
                return Ok(());
            }
        }
    }

    /// The subject's entry, sealed and opened, to be changed.
    pub(crate) async fn entry(
        &self,
        account: AccountId,
        subject: SubjectId,
    ) -> Result<(String, Person, KeyResolver), VaultError> {
        let (mut entries, ring) = self.entries(account, &[subject]).await?;
        let sealed = entries.remove(&subject);
        match (open_person(&ring, account, subject, sealed.as_ref()), sealed) {
            (Opened::Value(person), Some(sealed)) => Ok((sealed, person.into_exposed(), ring)),
            (Opened::Erased(erased), _) => Err(VaultError::Erased(erased)),
            (Opened::Unavailable(unavailable), _) => Err(VaultError::Unavailable(unavailable)),
            (Opened::Value(_), None) => Err(VaultError::UnknownSubject),
        }
    }
}

/// The keyed hashes of a person's identities.
pub(crate) struct PersonAliases {
    /// Those that are stored, one for each identity.
    pub own: Vec<BlindIndex>,
    /// Those under which the person may be known, the likeliest first.
    pub known: Vec<BlindIndex>,
}

impl PersonAliases {
    /// The hashes of the identities under the index key of the account.
    pub fn of(indexer: &BlindIndexer, identities: &[PersonIdentity]) -> Self {
        let own = |identity: &PersonIdentity| indexer.index(identity.domain(), &identity.canonical());
        Self {
            own: identities.iter().map(own).collect(),
            known: identities.iter().flat_map(|identity| spellings(indexer, identity)).collect(),
        }
    }
}

pub(crate) fn spellings(indexer: &BlindIndexer, identity: &PersonIdentity) -> Vec<BlindIndex> {
    identity.spellings().iter().map(|spelling| indexer.index(identity.domain(), spelling)).collect()
}

/// Whose the indexes are, and the rows that name no subject.
pub(crate) fn read_owners(rows: Vec<(String, String)>) -> (HashMap<String, SubjectId>, Vec<(String, String)>) {
    let (mut owners, mut damaged) = (HashMap::with_capacity(rows.len()), Vec::new());
    for (index, subject) in rows {
        match subject.parse() {
            Ok(subject) => _ = owners.insert(index, subject),
            Err(_) => damaged.push((index, subject)),
        }
    }
    (owners, damaged)
}

fn owner(owners: &HashMap<String, SubjectId>, indexes: &[BlindIndex]) -> Option<SubjectId> {
    indexes.iter().find_map(|index| owners.get(index.as_str()).copied())
}

/// The key that, with the account's, seals the subject's entry.
pub(crate) fn entry_key(account: AccountId, subject: SubjectId) -> (SubjectId, KeyName) {
    (subject, KeyName::Subject(account, subject, KeyPurpose::Messaging))
}

pub(crate) fn living_keys(
    ring: &KeyResolver,
    account: AccountId,
    subject: SubjectId,
) -> Result<[&RootKey; 2], VaultError> {
    let root = ring.live(KeyName::Account(account), VaultError::UnknownAccount)?;
    Ok([root, ring.live(entry_key(account, subject).1, VaultError::UnknownSubject)?])
}

fn place(account: AccountId, subject: SubjectId) -> SealBinding<'static> {
    SealBinding { account, subject, category: "directory", day: None, field: "directory.person" }
}

pub(crate) fn seal_person(
    keys: [&RootKey; 2],
    account: AccountId,
    subject: SubjectId,
    person: &Person,
) -> Result<String, VaultFailure> {
    let plaintext = Zeroizing::new(serde_json::to_vec(person).map_err(|_| VaultFailure::Encoding)?);
    seal::seal(&keys, &place(account, subject), &plaintext)
}

pub(crate) fn open_person(
    ring: &KeyResolver,
    account: AccountId,
    subject: SubjectId,
    sealed: Option<&String>,
) -> Opened<Person> {
    opened(subject, ring.all(&[KeyName::Account(account), entry_key(account, subject).1]), |keys| {
        let sealed = sealed.ok_or(UnavailableCause::EntryMissing)?;
        let plaintext = seal::open(&keys, &place(account, subject), sealed)?;
        serde_json::from_slice(&plaintext).map_err(|_| UnavailableCause::ValueDamaged)
    })
}
