//! Finding people that no alias leads to any more: the directory's index is damaged, but their entries can be read.

use std::collections::{BTreeSet, HashMap};

use wasend_domain::{AccountId, SubjectId};

use crate::{
    blind_index::BlindIndexer,
    directory::{PersonAliases, entry_key, open_person, read_owners, spellings},
    error::{VaultError, VaultFailure},
    key::KeyName,
    person::{Person, PersonIdentity},
    vault::Vault,
};

/// Entries that are in memory at once.
const PAGE: i64 = 500;

impl Vault {
    /// The subject whose entry bears the identity, by reading the entries of the account one page after the other until
    /// it is found: for an identity that the index does not lead from. An entry that cannot be read is passed over.
    pub async fn search(&self, account: AccountId, identity: &PersonIdentity) -> Result<Option<SubjectId>, VaultError> {
        let _turn = self.searching.acquire().await.map_err(|_| VaultFailure::Closed)?;
        let indexer = self.indexer(account).await?;
        let known = spellings(&indexer, identity);
        let wanted = known.iter().map(|index| index.as_str().to_owned()).collect();
        let found = self.search_entries(account, &indexer, &wanted, 1).await?;
        Ok(found.into_values().next())
    }

    /// Lets the identity lead to the subject again, if it leads nowhere.
    pub async fn mend_alias(
        &self,
        account: AccountId,
        subject: SubjectId,
        identity: &PersonIdentity,
    ) -> Result<(), VaultError> {
        let indexer = self.indexer(account).await?;
        for index in PersonAliases::of(&indexer, std::slice::from_ref(identity)).own {
            self.store.put_alias(account, &index, subject).await?;
        }
        Ok(())
    }

    /// Mends rows of the index that name no subject, given with what they say instead: each leads again to the subject
    /// whose entry bears its identity, and is removed if no entry that can be read does. Whose the indexes are now.
    pub(crate) async fn mend_damaged(
        &self,
        account: AccountId,
        damaged: Vec<(String, String)>,
    ) -> Result<HashMap<String, SubjectId>, VaultError> {
        // Those who meet the same rows at the same time read the entries once.
        let _turn = self.mending.lock().await;
        let asked: Vec<_> = damaged.iter().map(|(index, _)| index.as_str()).collect();
        let (mut owners, damaged) = read_owners(self.store.aliases(account, &asked).await?);
        if damaged.is_empty() {
            return Ok(owners);
        }
        let indexer = self.indexer(account).await?;
        let wanted: BTreeSet<_> = damaged.iter().map(|(index, _)| index.clone()).collect();
        let found = self.search_entries(account, &indexer, &wanted, wanted.len()).await?;
        let mut mended = 0_u64;
        for (index, said) in damaged {
            match found.get(&index) {
                Some(subject) => {
                    mended += self.store.point_alias(account, (&index, &said), *subject).await?;
                    owners.insert(index, *subject);
                }
                None => self.store.drop_alias(account, (&index, &said)).await?,
            }
        }
        tracing::warn!(damaged = wanted.len(), mended, "rows of the directory's index were damaged");
        Ok(owners)
    }

    /// Reads the entries of the account until bearers of `enough` of the wanted indexes are found.
    async fn search_entries(
        &self,
        account: AccountId,
        indexer: &BlindIndexer,
        wanted: &BTreeSet<String>,
        enough: usize,
    ) -> Result<HashMap<String, SubjectId>, VaultFailure> {
        let mut bearers = HashMap::new();
        let mut after = String::new();
        loop {
            let rows = self.store.people_after(account, &after, PAGE).await?;
            let Some((last, _)) = rows.last() else { return Ok(bearers) };
            after.clone_from(last);
            for (subject, person) in self.open_page(account, rows).await? {
                let borne = person.identities().into_iter().flat_map(|identity| spellings(indexer, &identity));
                for index in borne.filter(|index| wanted.contains(index.as_str())) {
                    bearers.entry(index.as_str().to_owned()).or_insert(subject);
                }
                if bearers.len() >= enough {
                    return Ok(bearers);
                }
            }
        }
    }

    /// Who the subjects of the rows are, of those that can be read.
    async fn open_page(
        &self,
        account: AccountId,
        rows: Vec<(String, String)>,
    ) -> Result<Vec<(SubjectId, Person)>, VaultFailure> {
        let rows: Vec<(SubjectId, String)> =
            rows.into_iter().filter_map(|(subject, person)| Some((subject.parse().ok()?, person))).collect();
        let mut names = vec![KeyName::Account(account)];
        names.extend(rows.iter().map(|(subject, _)| entry_key(account, *subject).1));
        let ring = self.ring(&names).await?;
        let open = |(subject, sealed): (SubjectId, String)| {
            let person = open_person(&ring, account, subject, Some(&sealed)).value()?;
            Some((subject, person.into_exposed()))
        };
        Ok(rows.into_iter().filter_map(open).collect())
    }
}
