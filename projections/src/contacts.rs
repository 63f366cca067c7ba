//! Contacts, groups, and which contact belongs to which group. Who a contact is, the vault knows.

use wasend_domain::contact::{ConsentChoice, Contact, ContactPart, Event as ContactEvent};
use wasend_domain::group::Event as GroupEvent;
use wasend_domain::{AccountId, AnyEvent, RecordedEvent, Time};

use crate::engine::reads::places;
use crate::engine::record::table_record;
use crate::pagination::RowFilter;
use crate::{BatchKeys, BatchRows, CellValue, FoldError, Projection, ReadModels, StoreError, Table, TableRecord};

table_record! {
    /// A contact as queries show it; who that is, only the vault knows.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ContactRow in "contacts" indexed by [["account_id", "listed"], ["account_id", "opted_out", "listed"]] {
        key pub id: String,
        pub account_id: String,
        pub source: String,
        pub opted_out: bool,
        /// When and through which channel it last opted out or in.
        pub choice_at: Option<Time>,
        pub choice_via: Option<String>,
        pub marketing_opted_out: bool,
        /// Where the latest words stand among others ([`ConsentChoice::order`]): on all messages, and on marketing.
        pub consent_at: Option<Time>,
        pub marketing_at: Option<Time>,
        /// Sealed `ContactAttributes`.
        pub attributes: Option<String>,
        pub created_at: Time,
        pub updated_at: Time,
        derived listed: String = Self::listed,
    }
}

table_record! {
    /// A group as queries show it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GroupRow in "groups" indexed by [["account_id", "id"]] {
        key pub id: String,
        pub account_id: String,
        /// Sealed `CustomerLabel`.
        pub name: String,
        pub members: i64,
        pub created_at: Time,
        pub updated_at: Time,
    }
}

table_record! {
    /// That a contact belongs to a group.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MembershipRow in "memberships" indexed by [["group_id", "id"], ["contact_id", "group_id"]] {
        key Self::key,
        pub account_id: String,
        pub group_id: String,
        pub contact_id: String,
        pub joined_at: Time,
    }
}

table_record! {
    /// A contact that was merged, by its id. Its own row is gone.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MergedContactRow in "merged_contacts" indexed by [["into_id", "id"]] {
        key pub id: String,
        pub account_id: String,
        /// The contact that goes on as the person.
        pub into_id: String,
    }
}

impl ContactRow {
    /// What the contact itself makes of the word.
    fn hear(&mut self, word: ConsentChoice, recorded_at: Time) {
        let mut contact = Contact {
            opted_out: self.opted_out,
            consent_at: self.consent_at,
            marketing_opted_out: self.marketing_opted_out,
            marketing_at: self.marketing_at,
            ..Contact::default()
        };
        contact.hear(word);
        if (contact.opted_out, contact.consent_at) != (self.opted_out, self.consent_at) {
            self.choice_at = Some(word.at.unwrap_or(recorded_at));
            self.choice_via = Some(word.via.name().to_owned());
        }
        (self.opted_out, self.consent_at) = (contact.opted_out, contact.consent_at);
        (self.marketing_opted_out, self.marketing_at) = (contact.marketing_opted_out, contact.marketing_at);
    }

    /// Its place in the list of contacts: by creation. The id alone is random and says nothing of it.
    pub fn listed(&self) -> String {
        format!("{:020}/{}", self.created_at.micros(), self.id)
    }
}

fn membership(group: &str, contact: &str) -> String {
    format!("{group}/{contact}")
}

static TABLES: &[&Table] = &[ContactRow::TABLE, GroupRow::TABLE, MembershipRow::TABLE, MergedContactRow::TABLE];

/// The projection of the four tables.
pub struct ContactsProjection;

impl Projection for ContactsProjection {
    fn name(&self) -> &'static str {
        "contacts"
    }

    fn version(&self) -> u32 {
        2
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        let id = recorded.aggregate_id.to_string();
        match event {
            AnyEvent::Contact(change) => {
                if let ContactEvent::GroupJoined { group } | ContactEvent::GroupLeft { group } = change {
                    keys.touch::<GroupRow>(group.to_string());
                    keys.touch::<MembershipRow>(membership(&group.to_string(), &id));
                }
                if let ContactEvent::Absorbed { contact } = change {
                    keys.touch::<MergedContactRow>(contact.to_string());
                }
                keys.touch::<ContactRow>(id);
            }
            AnyEvent::Group(_) => keys.touch::<GroupRow>(id),
            _ => {}
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        match event {
            AnyEvent::Contact(change) => contact(change, recorded, rows),
            AnyEvent::Group(change) => group(change, recorded, rows),
            _ => Ok(()),
        }
    }
}

fn contact(change: &ContactEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
    let (id, at) = (recorded.aggregate_id.to_string(), recorded.recorded_at);
    if let ContactEvent::Created { source, attributes } = change {
        rows.put(ContactRow {
            id,
            account_id: recorded.account_id.to_string(),
            source: source.name().to_owned(),
            opted_out: false,
            choice_at: None,
            choice_via: None,
            marketing_opted_out: false,
            consent_at: None,
            marketing_at: None,
            attributes: attributes.as_ref().map(|sealed| sealed.as_str().to_owned()),
            created_at: at,
            updated_at: at,
        });
        return Ok(());
    }
    if let ContactEvent::ErasureHeld { .. } | ContactEvent::ErasureHoldLifted { .. } = change {
        // The requests themselves say which of them hold whose data.
        return Ok(());
    }
    if let ContactEvent::Absorbed { contact } = change {
        let account_id = recorded.account_id.to_string();
        rows.put(MergedContactRow { id: contact.to_string(), account_id, into_id: id.clone() });
    }
    if let ContactEvent::Merged { .. } = change {
        rows.delete::<ContactRow>(&id);
        return Ok(());
    }
    let known = rows.get::<ContactRow>(&id).cloned();
    if known.is_none() && matches!(change, ContactEvent::Erased { .. } | ContactEvent::Absorbed { .. }) {
        // A person that only the directory knew, or that was merged.
        return Ok(());
    }
    let mut row = known.ok_or(FoldError("a contact begins with its creation"))?;
    row.updated_at = at;
    match change {
        ContactEvent::Created { .. }
        | ContactEvent::Erased { .. }
        | ContactEvent::Absorbed { .. }
        | ContactEvent::Merged { .. }
        | ContactEvent::ErasureHeld { .. }
        | ContactEvent::ErasureHoldLifted { .. } => {}
        ContactEvent::Updated { changed, attributes } if changed.contains(&ContactPart::Attributes) => {
            row.attributes = attributes.as_ref().map(|sealed| sealed.as_str().to_owned());
        }
        ContactEvent::Updated { .. } => {}
        ContactEvent::OptedOut { via, scope, at: said } => {
            let (opted_out, scope, via, at) = (true, *scope, *via, *said);
            row.hear(ConsentChoice { opted_out, scope, via, at }, recorded.recorded_at);
        }
        ContactEvent::OptedIn { via, scope, at: said } => {
            let (opted_out, scope, via, at) = (false, *scope, *via, *said);
            row.hear(ConsentChoice { opted_out, scope, via, at }, recorded.recorded_at);
        }
        ContactEvent::GroupJoined { group } => {
            let group_id = group.to_string();
            member(rows, &group_id, 1);
            rows.put(MembershipRow { account_id: row.account_id.clone(), group_id, contact_id: id, joined_at: at });
        }
        ContactEvent::GroupLeft { group } => {
            member(rows, &group.to_string(), -1);
            rows.delete::<MembershipRow>(&membership(&group.to_string(), &id));
        }
    }
    rows.put(row);
    Ok(())
}

/// A deleted group has no row; leaving it later changes nothing.
fn member(rows: &mut BatchRows, group: &str, by: i64) {
    if let Some(row) = rows.get::<GroupRow>(group).cloned() {
        rows.put(GroupRow { members: row.members + by, ..row });
    }
}

fn group(change: &GroupEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
    let (id, at) = (recorded.aggregate_id.to_string(), recorded.recorded_at);
    match change {
        GroupEvent::Created { name } => rows.put(GroupRow {
            id,
            account_id: recorded.account_id.to_string(),
            name: name.as_str().to_owned(),
            members: 0,
            created_at: at,
            updated_at: at,
        }),
        GroupEvent::Renamed { name } => {
            let row = rows.get::<GroupRow>(&id).cloned().ok_or(FoldError("a group begins with its creation"))?;
            rows.put(GroupRow { name: name.as_str().to_owned(), updated_at: at, ..row });
        }
        GroupEvent::Deleted {} => rows.delete::<GroupRow>(&id),
    }
    Ok(())
}

impl ContactRow {
    /// Up to `limit` contacts of the account in the order of the list, after the place `after` ([`Self::listed`]).
    pub async fn page(
        reads: &ReadModels,
        account: AccountId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE account_id = $1 AND listed > $2 ORDER BY listed LIMIT $3";
        reads.fetch(TAIL, &[CellValue::text(&account), after.into(), CellValue::count(limit as u64)]).await
    }

    /// Narrows a list of contacts to those of one group.
    pub fn in_group(reads: &ReadModels, list: RowFilter, group: &str) -> Result<RowFilter, StoreError> {
        let memberships = reads.physical::<MembershipRow>()?;
        let members = |place: &str| format!("id IN (SELECT contact_id FROM {memberships} WHERE group_id = {place})");
        Ok(list.matching(members, group))
    }
}

impl GroupRow {
    /// Up to `limit` groups of the account by id, after the id `after`.
    pub async fn page(
        reads: &ReadModels,
        account: AccountId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        reads.fetch(TAIL, &[CellValue::text(&account), after.into(), CellValue::count(limit as u64)]).await
    }
}

impl MembershipRow {
    fn key(&self) -> String {
        membership(&self.group_id, &self.contact_id)
    }

    /// Up to `limit` memberships of the group by id, after the id `after`. Whose group it is, the caller has checked.
    pub async fn of_group(reads: &ReadModels, group: &str, after: &str, limit: usize) -> Result<Vec<Self>, StoreError> {
        const TAIL: &str = "WHERE group_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        reads.fetch(TAIL, &[group.into(), after.into(), CellValue::count(limit as u64)]).await
    }

    /// The memberships of these contacts, by group.
    pub async fn of_contacts(reads: &ReadModels, contacts: &[&str]) -> Result<Vec<Self>, StoreError> {
        let tail = format!("WHERE contact_id IN ({}) ORDER BY group_id", places(1, contacts.len()));
        reads.fetch(&tail, &contacts.iter().copied().map(CellValue::from).collect::<Vec<_>>()).await
    }
}

impl MergedContactRow {
    /// The ids of the contacts that were merged into this one, oldest first by id.
    pub async fn into_contact(reads: &ReadModels, contact: &str) -> Result<Vec<String>, StoreError> {
        let rows: Vec<Self> = reads.fetch("WHERE into_id = $1 ORDER BY id", &[contact.into()]).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}
