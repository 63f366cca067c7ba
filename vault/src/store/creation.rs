//! What is created, and changed in the directory.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasend_domain::{AccountId, BlindIndex, SubjectId, Time};

use super::{
    VaultStore,
    sql::{BOUND_ROWS_MAX, SqlValue, VaultTransaction, with_list},
};
use crate::{error::VaultFailure, lineage::StoreLineage};

pub(super) const INSERT_KEYS: &str = "INSERT INTO keys \
     (id, account_id, kind, subject_id, epoch, wrapped, fingerprint, created_at) VALUES {rows} \
     ON CONFLICT (id) DO NOTHING";
pub(super) const INSERT_ALIASES: &str = "INSERT INTO aliases (account_id, blind_index, subject_id) VALUES {rows} \
     ON CONFLICT (account_id, blind_index) DO NOTHING";
pub(super) const ALIASES_OF_SUBJECTS: &str = "DELETE FROM aliases WHERE account_id = $1 AND subject_id IN ({list})";
pub(super) const INSERT_SUBJECTS: &str =
    "INSERT INTO subjects (account_id, subject_id, person, created_at) VALUES {rows}";
pub(super) const UPDATE_PERSON: &str =
    "UPDATE subjects SET person = $1 WHERE account_id = $2 AND subject_id = $3 AND person = $4";

/// A key to be stored; if one of its name exists, that one stays.
pub(crate) struct NewKey {
    pub id: String,
    pub account: String,
    pub kind: &'static str,
    pub subject: Option<String>,
    pub epoch: i64,
    pub wrapped: String,
    pub fingerprint: String,
}

/// A subject to be stored, unless one of its aliases is already taken.
pub(crate) struct NewSubject {
    pub account: AccountId,
    pub subject: SubjectId,
    pub aliases: Vec<BlindIndex>,
    pub person: String,
    pub key: NewKey,
}

#[derive(Default)]
pub(crate) struct CreationBatch {
    pub keys: Vec<NewKey>,
    pub subjects: Vec<NewSubject>,
}

/// An alias as both engines compare it.
type AliasColumns = (String, String);

impl VaultStore {
    /// Stores the batch in one transaction. For each of its subjects in order: who bears one of its aliases now, be it
    /// the new subject or another; `None` if that was left open and is to be looked up again. Refused with
    /// [`VaultFailure::EpochPassed`] if any of its keys is wrapped under another epoch than the current one, and with
    /// [`VaultFailure::Suspended`] if the store was put back to an earlier copy.
    pub async fn create(
        &self,
        batch: &CreationBatch,
        now: Time,
        lineage: &StoreLineage,
    ) -> Result<Vec<Option<SubjectId>>, VaultFailure> {
        let mut tx = self.begin().await?;
        let writes = tx.count_write(lineage).await?;
        tx.require_current(batch.keys.iter().chain(batch.subjects.iter().map(|new| &new.key))).await?;
        let mut claims = AliasClaims::of(&batch.subjects);
        tx.claim(&mut claims).await?;
        let winners: Vec<_> = batch.subjects.iter().filter(|new| claims.owner(new) == Some(new.subject)).collect();
        let keys = batch.keys.iter().chain(winners.iter().map(|new| &new.key));
        tx.insert_keys(keys, now).await?;
        let rows = winners.iter().map(|new| {
            let ids = [new.account.to_string(), new.subject.to_string()].map(SqlValue::from);
            ids.into_iter().chain([new.person.as_str().into(), now.micros().into()]).collect()
        });
        tx.insert(INSERT_SUBJECTS, rows.collect()).await?;
        tx.commit().await?;
        lineage.wrote(writes);
        Ok(batch.subjects.iter().map(|new| claims.owner(new)).collect())
    }

    /// False if another subject bears the alias already, or none is to be found unchanged under
    /// `before`: then nothing is stored.
    pub async fn add_alias(
        &self,
        (account, subject): (AccountId, SubjectId),
        alias: &BlindIndex,
        (before, after): (&str, &str),
    ) -> Result<bool, VaultFailure> {
        let (account, subject) = (account.to_string(), subject.to_string());
        let mut tx = self.begin().await?;
        let row = vec![account.as_str().into(), alias.as_str().into(), subject.as_str().into()];
        tx.insert(INSERT_ALIASES, vec![row]).await?;
        let text = with_list(super::lookup::ALIASES, 2, 1);
        let owners: Vec<(String, String)> =
            tx.fetch(&text, vec![account.as_str().into(), alias.as_str().into()]).await?;
        let ours = owners.iter().any(|(_, owner)| *owner == subject);
        let cells = vec![after.into(), account.as_str().into(), subject.as_str().into(), before.into()];
        if !ours || tx.execute(UPDATE_PERSON, cells).await? == 0 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Changes entries from what was before to what is after in one transaction; false for each that was no longer so.
    pub async fn update_people(
        &self,
        account: AccountId,
        changes: &[(SubjectId, String, String)],
    ) -> Result<Vec<bool>, VaultFailure> {
        let account = account.to_string();
        let mut tx = self.begin().await?;
        let mut done = Vec::with_capacity(changes.len());
        for (subject, before, after) in changes {
            let cells: Vec<SqlValue<'_>> = vec![
                after.as_str().into(),
                account.as_str().into(),
                subject.to_string().into(),
                before.as_str().into(),
            ];
            done.push(tx.execute(UPDATE_PERSON, cells).await? > 0);
        }
        tx.commit().await?;
        Ok(done)
    }

    /// False if the entry is no longer `before`.
    pub async fn update_person(
        &self,
        (account, subject): (AccountId, SubjectId),
        (before, after): (&str, &str),
    ) -> Result<bool, VaultFailure> {
        let mut tx = self.begin().await?;
        let cells = vec![after.into(), account.to_string().into(), subject.to_string().into(), before.into()];
        let changed = tx.execute(UPDATE_PERSON, cells).await? > 0;
        tx.commit().await?;
        Ok(changed)
    }
}

/// Who gets which alias. Sorted, so that batches of several nodes wait for each other and never deadlock.
struct AliasClaims {
    owners: BTreeMap<AliasColumns, SubjectId>,
    /// Subjects that gave way to an earlier one of the same batch.
    gave_way: HashMap<SubjectId, SubjectId>,
    /// Subjects that gave way to one that was stored before.
    lost: HashMap<SubjectId, SubjectId>,
}

impl AliasClaims {
    fn of(subjects: &[NewSubject]) -> Self {
        let mut claims = Self { owners: BTreeMap::new(), gave_way: HashMap::new(), lost: HashMap::new() };
        for new in subjects {
            let aliases: Vec<_> = aliases(new).collect();
            match aliases.iter().find_map(|alias| claims.owners.get(alias).copied()) {
                Some(earlier) => _ = claims.gave_way.insert(new.subject, earlier),
                None => claims.owners.extend(aliases.into_iter().map(|alias| (alias, new.subject))),
            }
        }
        claims
    }

    /// Left open where a subject gave way to one that then lost: the alias they shared may be free again.
    fn owner(&self, new: &NewSubject) -> Option<SubjectId> {
        match self.gave_way.get(&new.subject) {
            Some(earlier) => (!self.lost.contains_key(earlier)).then_some(*earlier),
            None => Some(self.lost.get(&new.subject).copied().unwrap_or(new.subject)),
        }
    }
}

fn aliases(new: &NewSubject) -> impl Iterator<Item = AliasColumns> {
    new.aliases.iter().map(|index| (new.account.to_string(), index.as_str().to_owned()))
}

impl VaultTransaction {
    /// Claims the aliases. A subject that finds one of its aliases taken gives way and leaves the others free again.
    async fn claim(&mut self, claims: &mut AliasClaims) -> Result<(), VaultFailure> {
        let claimed: Vec<_> = claims.owners.iter().map(|(alias, subject)| (alias, subject.to_string())).collect();
        let row = |((account, index), subject): &(&AliasColumns, String)| {
            vec![account.clone().into(), index.clone().into(), subject.clone().into()]
        };
        if self.insert(INSERT_ALIASES, claimed.iter().map(row).collect()).await? == claimed.len() as u64 {
            // None was taken.
            return Ok(());
        }
        let mut losers: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        for (alias, owner) in self.taken(&claimed).await? {
            let Some(claimant) = claims.owners.get(&alias) else { continue };
            if *claimant != owner {
                losers.entry(alias.0).or_default().insert(claimant.to_string());
                claims.lost.entry(*claimant).or_insert(owner);
            }
        }
        for (account, subjects) in losers {
            let mut cells: Vec<SqlValue<'_>> = vec![account.into()];
            let text = with_list(ALIASES_OF_SUBJECTS, 2, subjects.len());
            cells.extend(subjects.into_iter().map(SqlValue::from));
            self.execute(&text, cells).await?;
        }
        Ok(())
    }

    /// The subject that each of the claimed aliases belongs to now.
    async fn taken(
        &mut self,
        claimed: &[(&AliasColumns, String)],
    ) -> Result<Vec<(AliasColumns, SubjectId)>, VaultFailure> {
        let mut taken = Vec::with_capacity(claimed.len());
        for of_account in claimed.chunk_by(|one, two| one.0.0 == two.0.0) {
            for chunk in of_account.chunks(BOUND_ROWS_MAX) {
                let account = &chunk[0].0.0;
                let mut cells: Vec<SqlValue<'_>> = vec![account.as_str().into()];
                cells.extend(chunk.iter().map(|(alias, _)| SqlValue::from(alias.1.as_str())));
                let text = with_list(super::lookup::ALIASES, 2, chunk.len());
                for (index, subject) in self.fetch::<(String, String)>(&text, cells).await? {
                    if let Ok(subject) = subject.parse() {
                        taken.push(((account.clone(), index), subject));
                    }
                }
            }
        }
        Ok(taken)
    }

    pub(super) async fn insert_keys<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a NewKey>,
        now: Time,
    ) -> Result<(), VaultFailure> {
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by(|one, two| one.id.cmp(&two.id));
        let row = |key: &&'a NewKey| -> Vec<SqlValue<'a>> {
            vec![
                key.id.as_str().into(),
                key.account.as_str().into(),
                key.kind.into(),
                key.subject.as_deref().into(),
                key.epoch.into(),
                key.wrapped.as_str().into(),
                key.fingerprint.as_str().into(),
                now.micros().into(),
            ]
        };
        self.insert(INSERT_KEYS, keys.iter().map(row).collect()).await.map(drop)
    }
}
