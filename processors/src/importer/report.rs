//! What an import has to tell of rows that were not taken as they are. A row about a person that the account knows is
//! sealed under that person's key and is erased with them; the others are sealed under the import's own.

use std::collections::{BTreeMap, HashMap};

use wasend_commands::{CommandError, Commands};
use wasend_domain::import::{RowReport, RowReports};
use wasend_domain::{AccountId, ImportId, Opened, Personal, Sealed, SubjectId, UnavailableCause, UnavailableValue};
use wasend_projections::uploads::UploadPart;
use wasend_vault::VaultError;

use super::chunk::ImportJob;
use super::reading::RowChunk;
use super::row::RowError;

/// Between the sealed values of one part; none of them holds it.
const AND: &str = "\n";
/// Parts that are read at once.
const REPORT_PARTS_MAX: usize = 8;

impl ImportJob {
    /// The titles of the columns: the first part.
    pub async fn put_header(&self, chunk: &RowChunk) -> Result<(), CommandError> {
        let titles = chunk.layout.columns.iter().map(|column| column.header.clone()).collect();
        let header = RowReport { line: 1, code: String::new(), reason: String::new(), cells: titles };
        self.put_rows(0, BTreeMap::from([(self.start.source.subject(), vec![header])])).await
    }

    /// What a chunk has to tell, once its people are known.
    pub async fn put_report(
        &self,
        chunk: &RowChunk,
        number: u64,
        rows: &[(usize, RowError)],
    ) -> Result<(), CommandError> {
        if rows.is_empty() {
            return Ok(());
        }
        let named = |(index, _): &(usize, RowError)| {
            let row = &chunk.rows[*index];
            row.identities(self.region).into_iter().map(|identity| (*index, identity)).collect::<Vec<_>>()
        };
        let (owners, identities): (Vec<_>, Vec<_>) = rows.iter().flat_map(named).unzip();
        let bearers = self.commands.vault.find_many(self.account, &identities).await?;
        let mut subjects = HashMap::new();
        for (index, bearer) in owners.into_iter().zip(bearers) {
            if let Some(bearer) = bearer {
                subjects.entry(index).or_insert(bearer);
            }
        }
        let mut reports: BTreeMap<SubjectId, Vec<RowReport>> = BTreeMap::new();
        for (index, wrong) in rows {
            let subject = subjects.get(index).copied().unwrap_or_else(|| self.start.source.subject());
            reports.entry(subject).or_default().push(chunk.rows[*index].report(*wrong));
        }
        self.put_rows(number + 1, reports).await
    }

    async fn put_rows(&self, part: u64, reports: BTreeMap<SubjectId, Vec<RowReport>>) -> Result<(), CommandError> {
        let now = self.commands.clock.now();
        let reports: Vec<_> =
            reports.into_iter().map(|(subject, rows)| (subject, Personal::new(RowReports(rows)))).collect();
        let day = now.day();
        let mut sealed = Vec::with_capacity(reports.len());
        let mut emptied = Vec::new();
        let results = self.commands.vault.seal_many(self.account, &reports, day).await;
        for ((subject, reports), result) in reports.into_iter().zip(results) {
            match result {
                Ok(value) => sealed.push(value),
                // There is no key to seal the person's cells under: what is reported of the row names no person.
                Err(VaultError::Unavailable(_) | VaultError::UnknownSubject | VaultError::Erased(_))
                    if subject != self.start.source.subject() =>
                {
                    emptied.extend(reports.into_exposed().0.into_iter().map(emptied_row));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !emptied.is_empty() {
            let reports = Personal::new(RowReports(emptied));
            sealed.push(self.commands.vault.seal(self.account, self.start.source.subject(), &reports, day).await?);
        }
        let text = sealed.iter().map(Sealed::as_str).collect::<Vec<_>>().join(AND);
        Ok(self.commands.uploads.put(&self.id, UploadPart::Report, part, &[&text], now).await?)
    }
}

fn emptied_row(row: RowReport) -> RowReport {
    RowReport { cells: row.cells.iter().map(|_| String::new()).collect(), ..row }
}

/// A page of a report.
pub struct ReportPage {
    /// In the order of the file. Rows about people who were erased meanwhile are left out.
    pub rows: Vec<RowReport>,
    /// Why rows about one person each cannot be read.
    pub unavailable: Vec<UnavailableValue>,
    /// The part after them.
    pub next: u64,
}

/// The report's rows from a part on; none after the last.
pub async fn report(
    commands: &Commands,
    account: AccountId,
    id: ImportId,
    from: u64,
) -> Result<Option<ReportPage>, CommandError> {
    let parts = commands.uploads.parts(&id, UploadPart::Report, from, REPORT_PARTS_MAX).await?;
    let Some((last, _)) = parts.last() else { return Ok(None) };
    let mut page = ReportPage { rows: vec![], unavailable: vec![], next: last + 1 };
    let mut sealed = Vec::new();
    for text in parts.iter().flat_map(|(_, text)| text.split(AND)).filter(|text| !text.is_empty()) {
        match Sealed::<RowReports>::parse(text) {
            Ok(value) => sealed.push(value),
            Err(_) => page.unavailable.push(UnavailableValue { why: UnavailableCause::ValueDamaged, subject: None }),
        }
    }
    for opened in commands.vault.open_many(account, &sealed).await? {
        match opened {
            Opened::Value(reports) => page.rows.extend(reports.into_exposed().0),
            Opened::Erased(_) => {}
            Opened::Unavailable(unavailable) => page.unavailable.push(unavailable),
        }
    }
    page.rows.sort_by_key(|row| row.line);
    Ok(Some(page))
}
