//! Rows of personal data as CSV, page by page: never a whole export in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes as Piece;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use wasend_commands::{CommandError, Commands};
use wasend_domain::content::{ContactAttributes, CustomerLabel};
use wasend_domain::import::RowReport;
use wasend_domain::{AccountId, ImportId, Opened, Sealed, SubjectId, UnavailableCause, UnavailableValue};
use wasend_processors::importer::cell::escape_formula;
use wasend_processors::importer::columns::{UNAVAILABLE, titles};
use wasend_processors::importer::report::report;
use wasend_projections::TableRecord;
use wasend_projections::contacts::{ContactRow, GroupRow, MembershipRow};
use wasend_vault::Person;

/// Rows read at once.
const EXPORT_ROWS_MAX: usize = 500;
const FIXED: [&str; 5] = ["phone", "bsuid", "name", "opted_out", UNAVAILABLE];

/// A CSV file piece by piece; ends with the first error.
pub type ExportBytes = BoxStream<'static, Result<Piece, CommandError>>;

/// One page after the other, until there is none.
fn pages<S: Send + 'static, F>(state: S, next: impl FnMut(S) -> F + Send + 'static) -> ExportBytes
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
        writer.write_record(row.iter().map(|cell| escape_formula(cell).into_owned())).expect("a Vec takes every row");
    }
    writer.into_inner().expect("a Vec is flushed").into()
}

/// What an import has to report, under the titles of its file.
pub fn errors(commands: Arc<Commands>, account: AccountId, id: ImportId) -> ExportBytes {
    pages(0_u64, move |from| {
        let commands = Arc::clone(&commands);
        async move {
            let Some(page) = report(&commands, account, id, from).await? else { return Ok(None) };
            let row = |report: RowReport| {
                let about = if report.line == 1 {
                    ["line", "code", "reason"].map(str::to_owned)
                } else {
                    [report.line.to_string(), report.code, report.reason]
                };
                about.into_iter().chain(report.cells).collect()
            };
            let lost = |unavailable: UnavailableValue| {
                vec![String::new(), "UNREADABLE".to_owned(), format!("rows that are not shown: {unavailable}")]
            };
            Ok(Some((
                page.rows.into_iter().map(row).chain(page.unavailable.into_iter().map(lost)).collect(),
                page.next,
            )))
        }
    })
}

#[derive(Clone)]
struct ContactExporter {
    commands: Arc<Commands>,
    account: AccountId,
    group: Option<String>,
}

/// Where an export of contacts is.
struct ExportCursor {
    after: String,
    /// The names of all attributes, once they are known.
    names: Option<Arc<Vec<String>>>,
}

/// The account's contacts as CSV, or those of one group; a page of [`EXPORT_ROWS_MAX`] rows is in memory at a time.
pub fn contacts(commands: Arc<Commands>, account: AccountId, group: Option<String>) -> ExportBytes {
    let exporter = ContactExporter { commands, account, group };
    pages(ExportCursor { after: String::new(), names: None }, move |place| exporter.clone().page(place))
}

impl ContactExporter {
    async fn page(self, place: ExportCursor) -> Result<Option<(Vec<Vec<String>>, ExportCursor)>, CommandError> {
        let Some(names) = place.names else {
            let names = Arc::new(self.names().await?);
            let mut header = titles(&FIXED, names.iter().cloned());
            // Behind the attributes: files that are read by place stay as they were.
            header.remove(FIXED.len() - 1);
            header.push(UNAVAILABLE.to_owned());
            return Ok(Some((vec![header], ExportCursor { after: String::new(), names: Some(names) })));
        };
        let (mut contacts, after) = self.contacts(&place.after).await?;
        let Some(after) = after else { return Ok(None) };
        // Each row beside its own person.
        contacts.retain(|contact| contact.id.parse::<SubjectId>().is_ok());
        let subjects: Vec<SubjectId> = contacts.iter().filter_map(|contact| contact.id.parse().ok()).collect();
        let people = self.commands.vault.identities(self.account, &subjects).await?;
        let attributes = self.attributes(&contacts).await?;
        let mut rows = Vec::with_capacity(contacts.len());
        for (contact, person) in contacts.iter().zip(people) {
            let (person, lost) = match person {
                Opened::Value(person) => (person.into_exposed(), None),
                // There is nothing left to export of one who was erased.
                Opened::Erased(_) => continue,
                Opened::Unavailable(unavailable) => (Person::default(), Some(unavailable)),
            };
            let (own, lost) = match attributes.get(&contact.id) {
                Some(Opened::Value(own)) => (Some(own.expose()), lost),
                Some(Opened::Unavailable(unavailable)) => (None, lost.or(Some(*unavailable))),
                Some(Opened::Erased(_)) | None => (None, lost),
            };
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let opted_out = if contact.opted_out { "true" } else { "" };
            let lost = lost.map(|lost| format!("{} {}", lost.why.name(), contact.id)).unwrap_or_default();
            let mut row =
                vec![text(person.phone()), text(person.bsuid()), text(person.name.as_deref()), opted_out.into()];
            row.extend(names.iter().map(|name| text(own.and_then(|own| own.0.get(name)).map(String::as_str))));
            row.push(lost);
            rows.push(row);
        }
        Ok(Some((rows, ExportCursor { after, names: Some(names) })))
    }

    /// The names of every attribute that any of the contacts has.
    async fn names(&self) -> Result<Vec<String>, CommandError> {
        let (mut names, mut after) = (BTreeSet::new(), String::new());
        loop {
            let (contacts, next) = self.contacts(&after).await?;
            let Some(next) = next else { return Ok(names.into_iter().collect()) };
            after = next;
            let own = self.attributes(&contacts).await?.into_values().filter_map(Opened::value);
            names.extend(own.flat_map(|own| own.into_exposed().0.into_keys()));
        }
    }

    /// The contacts of a page, and where the next one begins; none after the last.
    async fn contacts(&self, after: &str) -> Result<(Vec<ContactRow>, Option<String>), CommandError> {
        let reads = &self.commands.reads;
        let Some(group) = &self.group else {
            let rows = ContactRow::page(reads, self.account, after, EXPORT_ROWS_MAX).await?;
            let next = rows.last().map(ContactRow::listed);
            return Ok((rows, next));
        };
        let members = MembershipRow::of_group(reads, group, after, EXPORT_ROWS_MAX).await?;
        let next = members.last().map(TableRecord::id);
        let ids: Vec<_> = members.into_iter().map(|member| member.contact_id).collect();
        let mut rows = reads.by_ids::<ContactRow>(&ids).await?;
        Ok((ids.iter().filter_map(|id| rows.remove(id)).collect(), next))
    }

    /// The attributes of those that have any, by their ids.
    async fn attributes(
        &self,
        contacts: &[ContactRow],
    ) -> Result<BTreeMap<String, Opened<ContactAttributes>>, CommandError> {
        let damaged = || Opened::Unavailable(UnavailableValue { why: UnavailableCause::ValueDamaged, subject: None });
        let (mut found, mut ids, mut sealed) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (id, text) in contacts.iter().filter_map(|contact| Some((&contact.id, contact.attributes.as_deref()?))) {
            match Sealed::<ContactAttributes>::parse(text) {
                Ok(value) => {
                    ids.push(id.clone());
                    sealed.push(value);
                }
                Err(_) => _ = found.insert(id.clone(), damaged()),
            }
        }
        found.extend(ids.into_iter().zip(self.commands.vault.open_many(self.account, &sealed).await?));
        Ok(found)
    }
}

/// Every group with the number of its members.
pub fn groups(commands: Arc<Commands>, account: AccountId) -> ExportBytes {
    pages(String::new(), move |after| {
        let commands = Arc::clone(&commands);
        async move {
            let groups = GroupRow::page(&commands.reads, account, &after, EXPORT_ROWS_MAX).await?;
            let mut rows = Vec::with_capacity(groups.len() + 1);
            if after.is_empty() {
                rows.push(["id", "name", "members"].map(str::to_owned).to_vec());
            }
            let Some(last) = groups.last().map(|group| group.id.clone()) else {
                return Ok((!rows.is_empty()).then_some((rows, "~".to_owned())));
            };
            let sealed: Vec<_> = groups.iter().map(|group| Sealed::<CustomerLabel>::parse(&group.name).ok()).collect();
            let readable: Vec<_> = sealed.iter().flatten().cloned().collect();
            let mut opened = commands.vault.open_many(account, &readable).await?.into_iter();
            for (group, sealed) in groups.into_iter().zip(sealed) {
                // Of a name that is erased or cannot be read the cell is empty; the query `group` says why.
                let name = sealed.and_then(|_| opened.next()).and_then(Opened::value);
                let name = name.map(|label| label.into_exposed().0).unwrap_or_default();
                rows.push(vec![group.id, name, group.members.to_string()]);
            }
            Ok(Some((rows, last)))
        }
    })
}
