//! Rows of personal data as CSV, page by page: never a whole export in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes as Piece;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use wasend_commands::{CommandError, Commands};
use wasend_domain::content::{Attributes, Label};
use wasend_domain::import::RowReport;
use wasend_domain::{AccountId, ImportId, Opened, Sealed, SubjectId};
use wasend_processors::importer::cell::guard;
use wasend_processors::importer::columns::titles;
use wasend_processors::importer::report::report;
use wasend_projections::Cell;
use wasend_projections::contacts::{ContactRow, GroupRow, MembershipRow};

/// Rows read at once.
const PAGE: usize = 500;
const FIXED: [&str; 4] = ["phone", "bsuid", "name", "opted_out"];

pub type Bytes = BoxStream<'static, Result<Piece, CommandError>>;

/// One page after the other, until there is none.
fn pages<S: Send + 'static, F>(state: S, next: impl FnMut(S) -> F + Send + 'static) -> Bytes
where
    F: Future<Output = Result<Option<(Vec<Vec<String>>, S)>, CommandError>> + Send + 'static,
{
    stream::unfold((Some(state), next), |(state, mut next)| async move {
        match next(state?).await {
            Ok(Some((rows, state))) => Some((Ok(written(&rows)), (Some(state), next))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                Some((Err(error), (None, next)))
            }
        }
    })
    .boxed()
}

/// Every cell is quoted, and none begins like a formula.
fn written(rows: &[Vec<String>]) -> Piece {
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).flexible(true).from_writer(vec![]);
    for row in rows {
        writer.write_record(row.iter().map(|cell| guard(cell).into_owned())).expect("a Vec takes every row");
    }
    writer.into_inner().expect("a Vec is flushed").into()
}

/// What an import has to report, under the titles of its file.
pub fn errors(commands: Arc<Commands>, account: AccountId, id: ImportId) -> Bytes {
    pages(0_u64, move |from| {
        let commands = Arc::clone(&commands);
        async move {
            let Some((reports, next)) = report(&commands, account, id, from).await? else { return Ok(None) };
            let row = |report: RowReport| {
                let about = if report.line == 1 {
                    ["line", "code", "reason"].map(str::to_owned)
                } else {
                    [report.line.to_string(), report.code, report.reason]
                };
                about.into_iter().chain(report.cells).collect()
            };
            Ok(Some((reports.into_iter().map(row).collect(), next)))
        }
    })
}

#[derive(Clone)]
struct Exporter {
    commands: Arc<Commands>,
    account: AccountId,
    group: Option<String>,
}

/// Where an export of contacts is.
struct Place {
    after: String,
    /// The names of all attributes, once they are known.
    names: Option<Arc<Vec<String>>>,
}

pub fn contacts(commands: Arc<Commands>, account: AccountId, group: Option<String>) -> Bytes {
    let exporter = Exporter { commands, account, group };
    pages(Place { after: String::new(), names: None }, move |place| exporter.clone().page(place))
}

impl Exporter {
    async fn page(self, place: Place) -> Result<Option<(Vec<Vec<String>>, Place)>, CommandError> {
        let Some(names) = place.names else {
            let names = Arc::new(self.names().await?);
            let header = titles(&FIXED, names.iter().cloned());
            return Ok(Some((vec![header], Place { after: String::new(), names: Some(names) })));
        };
        let (contacts, after) = self.contacts(&place.after).await?;
        let Some(after) = after else { return Ok(None) };
        let subjects: Vec<SubjectId> = contacts.iter().filter_map(|contact| contact.id.parse().ok()).collect();
        let people = self.commands.vault.identities(self.account, &subjects).await;
        let attributes = self.attributes(&contacts).await?;
        let mut rows = Vec::with_capacity(contacts.len());
        for (contact, person) in contacts.iter().zip(people) {
            // There is nothing left to export of one who was erased.
            let Opened::Value(person) = person? else { continue };
            let person = person.expose();
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let opted_out = if contact.opted_out { "true" } else { "" };
            let mut row =
                vec![text(person.phone()), text(person.bsuid()), text(person.name.as_deref()), opted_out.into()];
            let own = attributes.get(&contact.id);
            row.extend(names.iter().map(|name| text(own.and_then(|own| own.get(name)).map(String::as_str))));
            rows.push(row);
        }
        Ok(Some((rows, Place { after, names: Some(names) })))
    }

    /// The names of every attribute that any of the contacts has.
    async fn names(&self) -> Result<Vec<String>, CommandError> {
        let (mut names, mut after) = (BTreeSet::new(), String::new());
        loop {
            let (contacts, next) = self.contacts(&after).await?;
            let Some(next) = next else { return Ok(names.into_iter().collect()) };
            after = next;
            names.extend(self.attributes(&contacts).await?.into_values().flat_map(BTreeMap::into_keys));
        }
    }

    /// The contacts of a page, and where the next one begins; none after the last.
    async fn contacts(&self, after: &str) -> Result<(Vec<ContactRow>, Option<String>), CommandError> {
        const ALL: &str = "WHERE account_id = $1 AND listed > $2 ORDER BY listed LIMIT 500";
        const MEMBERS: &str = "WHERE group_id = $1 AND id > $2 ORDER BY id LIMIT 500";
        debug_assert_eq!(PAGE, 500, "the limit in both texts");
        let reads = &self.commands.reads;
        let Some(group) = &self.group else {
            let binds = [Cell::text(&self.account), after.into()];
            let rows: Vec<ContactRow> = reads.fetch(ALL, &binds).await?;
            let next = rows.last().map(ContactRow::listed);
            return Ok((rows, next));
        };
        let binds = [group.as_str().into(), after.into()];
        let members: Vec<MembershipRow> = reads.fetch(MEMBERS, &binds).await?;
        let next = members.last().map(|member| format!("{}/{}", member.group_id, member.contact_id));
        let ids: Vec<_> = members.into_iter().map(|member| member.contact_id).collect();
        let mut rows = reads.by_ids::<ContactRow>(&ids).await?;
        Ok((ids.iter().filter_map(|id| rows.remove(id)).collect(), next))
    }

    async fn attributes(
        &self,
        contacts: &[ContactRow],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, CommandError> {
        let sealed = |contact: &ContactRow| {
            Some((contact.id.clone(), Sealed::<Attributes>::parse(contact.attributes.as_deref()?).ok()?))
        };
        let (ids, sealed): (Vec<_>, Vec<_>) = contacts.iter().filter_map(sealed).unzip();
        let mut found = BTreeMap::new();
        for (id, opened) in ids.into_iter().zip(self.commands.vault.open_many(self.account, &sealed).await) {
            if let Opened::Value(attributes) = opened? {
                found.insert(id, attributes.into_exposed().0);
            }
        }
        Ok(found)
    }
}

/// Every group with the number of its members.
pub fn groups(commands: Arc<Commands>, account: AccountId) -> Bytes {
    pages(String::new(), move |after| {
        let commands = Arc::clone(&commands);
        async move {
            const PAGE_OF_GROUPS: &str = "WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT 500";
            let binds = [Cell::text(&account), after.as_str().into()];
            let groups: Vec<GroupRow> = commands.reads.fetch(PAGE_OF_GROUPS, &binds).await?;
            let mut rows = Vec::with_capacity(groups.len() + 1);
            if after.is_empty() {
                rows.push(["id", "name", "members"].map(str::to_owned).to_vec());
            }
            let Some(last) = groups.last().map(|group| group.id.clone()) else {
                return Ok((!rows.is_empty()).then_some((rows, "~".to_owned())));
            };
            let sealed: Vec<_> = groups.iter().filter_map(|group| Sealed::<Label>::parse(&group.name).ok()).collect();
            for (group, opened) in groups.iter().zip(commands.vault.open_many(account, &sealed).await) {
                let name = opened?.value().map(|label| label.into_exposed().0).unwrap_or_default();
                rows.push(vec![group.id.clone(), name, group.members.to_string()]);
            }
            Ok(Some((rows, last)))
        }
    })
}
