//! Data loaders: what many resolvers of a request ask for at the same time becomes one query. Every key names the
//! account, so that nothing crosses accounts, and nothing is kept from one request to the next.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Result;
use async_graphql::dataloader::{DataLoader, Loader};
use wasend_domain::{AccountId, Opened, PersonalValue, Sealed, SubjectId, UnavailableCause, UnavailableValue};
use wasend_projections::accounts::{AccountRow, ApiKeyRow};
use wasend_projections::contacts::{ContactRow, GroupRow, MembershipRow, MergedContactRow};
use wasend_projections::imports::ImportRow;
use wasend_projections::messages::{MessageRow, StatusRow};
use wasend_projections::numbers::NumberRow;
use wasend_projections::privacy::PrivacyRequestRow;
use wasend_projections::{ReadModels, TableRecord};
use wasend_vault::{Person, Vault};

use crate::problem::ProblemCode;

/// A row that belongs to an account.
pub trait OwnedRow: TableRecord {
    fn account_id(&self) -> &str;
}

impl OwnedRow for ContactRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for AccountRow {
    fn account_id(&self) -> &str {
        &self.id
    }
}
impl OwnedRow for MergedContactRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for ImportRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for GroupRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for ApiKeyRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for MessageRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for PrivacyRequestRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}
impl OwnedRow for NumberRow {
    fn account_id(&self) -> &str {
        &self.account_id
    }
}

/// A store did not answer; the log tells more. A single row that cannot be read is a value, and never this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server cannot answer for now; repeat the request after a while")]
pub struct LoadFailure;

impl LoadFailure {
    fn store(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a read model cannot be read");
        Self
    }

    fn vault(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "personal values cannot be opened");
        Self
    }

    fn graphql(self) -> async_graphql::Error {
        ProblemCode::Unavailable.graphql(self.to_string())
    }
}

/// What is loaded: a `T` of an account's, under a text.
struct LoadKey<T> {
    account: AccountId,
    text: String,
    what: PhantomData<fn() -> T>,
}

impl<T> LoadKey<T> {
    fn new(account: AccountId, text: &str) -> Self {
        Self { account, text: text.to_owned(), what: PhantomData }
    }
}
impl<T> Clone for LoadKey<T> {
    fn clone(&self) -> Self {
        Self::new(self.account, &self.text)
    }
}
impl<T> PartialEq for LoadKey<T> {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account && self.text == other.text
    }
}
impl<T> Eq for LoadKey<T> {}
impl<T> Hash for LoadKey<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.account.hash(state);
        self.text.hash(state);
    }
}

/// Things that are not rows: an opened value, a person, a message's history, a contact's groups.
struct OpenedValue<T>(PhantomData<T>);
struct PersonEntry;
struct MessageHistory;
struct ContactGroups;
struct ErasureHolds;

/// All loaders.
pub struct DataLoaders(DataLoader<LoaderSource>);

impl DataLoaders {
    /// Loaders over the read models and the vault. What is asked for in one poll of a query is one load.
    pub fn new(reads: ReadModels, vault: Arc<Vault>) -> Self {
        // Loads of the same moment are submitted before the task yields; a timer would add a millisecond or two to each
        // level of a query.
        let spawn = |load| tokio::spawn(async { (tokio::task::yield_now().await, load.await).1 });
        Self(DataLoader::new(LoaderSource { reads, vault }, spawn).delay(Duration::ZERO))
    }

    /// The account's row under this id.
    pub async fn row<R: OwnedRow>(&self, account: AccountId, id: &str) -> Result<Option<R>> {
        self.0.load_one(LoadKey::<R>::new(account, id)).await.map_err(LoadFailure::graphql)
    }

    /// Opens a sealed value, given in its stored form.
    pub async fn open<T>(&self, account: AccountId, sealed: &str) -> Result<Opened<T>>
    where
        T: PersonalValue + Clone + Send + Sync + 'static,
    {
        let opened = self.0.load_one(LoadKey::<OpenedValue<T>>::new(account, sealed)).await;
        opened.map(found).map_err(LoadFailure::graphql)
    }

    /// The contact of the id, or the one that it was merged into.
    pub async fn contact(&self, account: AccountId, id: &str) -> Result<Option<ContactRow>> {
        if let Some(row) = self.row::<ContactRow>(account, id).await? {
            return Ok(Some(row));
        }
        match self.row::<MergedContactRow>(account, id).await? {
            Some(merged) => self.row::<ContactRow>(account, &merged.into_id).await,
            None => Ok(None),
        }
    }

    /// Who a contact is.
    pub async fn person(&self, account: AccountId, contact: &str) -> Result<Opened<Person>> {
        self.0.load_one(LoadKey::<PersonEntry>::new(account, contact)).await.map(found).map_err(LoadFailure::graphql)
    }

    /// What became of a message, step by step.
    pub async fn history(&self, account: AccountId, message: &str) -> Result<Vec<StatusRow>> {
        let rows =
            self.0.load_one(LoadKey::<MessageHistory>::new(account, message)).await.map_err(LoadFailure::graphql)?;
        Ok(rows.unwrap_or_default())
    }

    /// The groups that a contact belongs to, oldest first.
    pub async fn groups(&self, account: AccountId, contact: &str) -> Result<Vec<GroupRow>> {
        let ids =
            self.0.load_one(LoadKey::<ContactGroups>::new(account, contact)).await.map_err(LoadFailure::graphql)?;
        let keys: Vec<_> = ids.unwrap_or_default().iter().map(|id| LoadKey::<GroupRow>::new(account, id)).collect();
        // A group that was deleted has no row any more.
        let mut rows = self.0.load_many(keys.clone()).await.map_err(LoadFailure::graphql)?;
        Ok(keys.iter().filter_map(|key| rows.remove(key)).collect())
    }
}

impl DataLoaders {
    /// The refused requests that hold a contact's data, oldest first.
    pub async fn holds(&self, account: AccountId, contact: &str) -> Result<Vec<String>> {
        let ids =
            self.0.load_one(LoadKey::<ErasureHolds>::new(account, contact)).await.map_err(LoadFailure::graphql)?;
        Ok(ids.unwrap_or_default())
    }
}

impl Loader<LoadKey<ErasureHolds>> for LoaderSource {
    type Value = Vec<String>;
    type Error = LoadFailure;

    async fn load(
        &self,
        keys: &[LoadKey<ErasureHolds>],
    ) -> Result<HashMap<LoadKey<ErasureHolds>, Vec<String>>, LoadFailure> {
        let rows = PrivacyRequestRow::holding(&self.reads, &texts(keys)).await.map_err(LoadFailure::store)?;
        let requests = grouped(keys, rows, |row| (row.account_id.clone(), row.contact_id.clone()));
        let ids = |rows: Vec<PrivacyRequestRow>| rows.into_iter().map(|row| row.id).collect();
        Ok(requests.into_iter().map(|(key, rows)| (key, ids(rows))).collect())
    }
}

/// What was loaded; nothing is loaded for a text of which not even the form is right.
fn found<T>(loaded: Option<Opened<T>>) -> Opened<T> {
    loaded.unwrap_or(Opened::Unavailable(UnavailableValue { why: UnavailableCause::ValueDamaged, subject: None }))
}

struct LoaderSource {
    reads: ReadModels,
    vault: Arc<Vault>,
}

impl<R: OwnedRow> Loader<LoadKey<R>> for LoaderSource {
    type Value = R;
    type Error = LoadFailure;

    async fn load(&self, keys: &[LoadKey<R>]) -> Result<HashMap<LoadKey<R>, R>, LoadFailure> {
        let ids: Vec<_> = keys.iter().map(|key| key.text.clone()).collect();
        let rows = self.reads.by_ids::<R>(&ids).await.map_err(LoadFailure::store)?;
        let own = |key: &&LoadKey<R>| rows.get(&key.text).filter(|row| row.account_id() == key.account.to_string());
        Ok(keys.iter().filter_map(|key| Some((key.clone(), own(&key)?.clone()))).collect())
    }
}

impl<T: PersonalValue + Clone + Send + Sync + 'static> Loader<LoadKey<OpenedValue<T>>> for LoaderSource {
    type Value = Opened<T>;
    type Error = LoadFailure;

    async fn load(
        &self,
        keys: &[LoadKey<OpenedValue<T>>],
    ) -> Result<HashMap<LoadKey<OpenedValue<T>>, Self::Value>, LoadFailure> {
        let mut loaded = HashMap::with_capacity(keys.len());
        for (account, keys) in by_account(keys) {
            let readable: Vec<_> = keys.iter().filter_map(|key| Some((*key, Sealed::parse(&key.text).ok()?))).collect();
            let sealed: Vec<Sealed<T>> = readable.iter().map(|(_, sealed)| sealed.clone()).collect();
            let opened = self.vault.open_many(account, &sealed).await.map_err(LoadFailure::vault)?;
            loaded.extend(readable.into_iter().zip(opened).map(|((key, _), opened)| (key.clone(), opened)));
        }
        Ok(loaded)
    }
}

impl Loader<LoadKey<PersonEntry>> for LoaderSource {
    type Value = Opened<Person>;
    type Error = LoadFailure;

    async fn load(
        &self,
        keys: &[LoadKey<PersonEntry>],
    ) -> Result<HashMap<LoadKey<PersonEntry>, Self::Value>, LoadFailure> {
        let mut loaded = HashMap::with_capacity(keys.len());
        for (account, keys) in by_account(keys) {
            let readable: Vec<_> = keys.iter().filter_map(|key| Some((*key, key.text.parse().ok()?))).collect();
            let subjects: Vec<SubjectId> = readable.iter().map(|(_, subject)| *subject).collect();
            let people = self.vault.identities(account, &subjects).await.map_err(LoadFailure::vault)?;
            loaded.extend(readable.into_iter().zip(people).map(|((key, _), person)| (key.clone(), person)));
        }
        Ok(loaded)
    }
}

impl Loader<LoadKey<MessageHistory>> for LoaderSource {
    type Value = Vec<StatusRow>;
    type Error = LoadFailure;

    async fn load(
        &self,
        keys: &[LoadKey<MessageHistory>],
    ) -> Result<HashMap<LoadKey<MessageHistory>, Vec<StatusRow>>, LoadFailure> {
        let rows = StatusRow::of_messages(&self.reads, &texts(keys)).await.map_err(LoadFailure::store)?;
        Ok(grouped(keys, rows, |row| (row.account_id.clone(), row.message_id.clone())))
    }
}

impl Loader<LoadKey<ContactGroups>> for LoaderSource {
    type Value = Vec<String>;
    type Error = LoadFailure;

    async fn load(
        &self,
        keys: &[LoadKey<ContactGroups>],
    ) -> Result<HashMap<LoadKey<ContactGroups>, Vec<String>>, LoadFailure> {
        let rows = MembershipRow::of_contacts(&self.reads, &texts(keys)).await.map_err(LoadFailure::store)?;
        let memberships = grouped(keys, rows, |row| (row.account_id.clone(), row.contact_id.clone()));
        let ids = |rows: Vec<MembershipRow>| rows.into_iter().map(|row| row.group_id).collect();
        Ok(memberships.into_iter().map(|(key, rows)| (key, ids(rows))).collect())
    }
}

fn by_account<T>(keys: &[LoadKey<T>]) -> HashMap<AccountId, Vec<&LoadKey<T>>> {
    let mut accounts = HashMap::<_, Vec<_>>::new();
    for key in keys {
        accounts.entry(key.account).or_default().push(key);
    }
    accounts
}

fn texts<T>(keys: &[LoadKey<T>]) -> Vec<&str> {
    keys.iter().map(|key| key.text.as_str()).collect()
}

/// Rows by the key that asked for them; those that no key's account owns fall away.
fn grouped<T, R>(
    keys: &[LoadKey<T>],
    rows: Vec<R>,
    owner: impl Fn(&R) -> (String, String),
) -> HashMap<LoadKey<T>, Vec<R>> {
    let known: HashMap<_, _> = keys.iter().map(|key| ((key.account.to_string(), key.text.clone()), key)).collect();
    let mut found = HashMap::<_, Vec<_>>::new();
    for row in rows {
        if let Some(key) = known.get(&owner(&row)) {
            found.entry(LoadKey::clone(key)).or_default().push(row);
        }
    }
    found
}
