//! What an import has to tell of rows that were not taken as they are. A row about somebody whom the account knows is
//! sealed under that person's key and is erased with them; the others are sealed under the import's own.

use std::collections::{BTreeMap, HashMap};

use wasend_commands::{CommandError, Commands};
use wasend_domain::import::{RowReport, RowReports};
use wasend_domain::{AccountId, ImportId, Opened, Personal, Sealed, SubjectId};
use wasend_projections::uploads::Part;

use super::chunk::Job;
use super::reading::Chunk;
use super::row::Wrong;

/// Between the sealed values of one part; none of them holds it.
const AND: &str = "\n";
/// Parts that are read at once.
const PAGE: usize = 8;

impl Job {
    /// The titles of the columns: the first part.
    pub async fn put_header(&self, chunk: &Chunk) -> Result<(), CommandError> {
        let header = RowReport { line: 1, code: String::new(), reason: String::new(), cells: chunk.header.to_vec() };
        self.put_rows(0, BTreeMap::from([(self.start.source.subject(), vec![header])])).await
    }

    /// What a chunk has to tell, once its people are known.
    pub async fn put_report(&self, chunk: &Chunk, number: u64, rows: &[(usize, Wrong)]) -> Result<(), CommandError> {
        if rows.is_empty() {
            return Ok(());
        }
        let named = |(index, _): &(usize, Wrong)| {
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
        let sealed = self.commands.vault.seal_many(self.account, &reports, now.day()).await;
        let sealed = sealed.into_iter().collect::<Result<Vec<_>, _>>()?;
        let text = sealed.iter().map(Sealed::as_str).collect::<Vec<_>>().join(AND);
        Ok(self.commands.uploads.put(&self.id, Part::Report, part, &[&text], now).await?)
    }
}

/// The report's rows from a part on, in the order of the file, and the part after them; none after the last. Rows about
/// people who were erased meanwhile are left out.
pub async fn report(
    commands: &Commands,
    account: AccountId,
    id: ImportId,
    from: u64,
) -> Result<Option<(Vec<RowReport>, u64)>, CommandError> {
    let parts = commands.uploads.parts(&id, Part::Report, from, PAGE).await?;
    let Some((last, _)) = parts.last() else { return Ok(None) };
    let next = last + 1;
    let texts = parts.iter().flat_map(|(_, text)| text.split(AND));
    let sealed: Vec<_> = texts.filter_map(|text| Sealed::<RowReports>::parse(text).ok()).collect();
    let mut rows = Vec::new();
    for opened in commands.vault.open_many(account, &sealed).await {
        if let Opened::Value(reports) = opened? {
            rows.extend(reports.into_exposed().0);
        }
    }
    rows.sort_by_key(|row| row.line);
    Ok(Some((rows, next)))
}
