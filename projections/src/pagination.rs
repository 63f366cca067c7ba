//! Lists: filtered by account and more, cut into pages by the value of one unique column (keyset pagination), so that
//! a page costs the same wherever it lies and nothing is skipped or repeated while rows come in.

use crate::engine::cell::CellValue;
use crate::engine::reads::{ReadModels, places};
use crate::engine::sql::StoreError;
use crate::engine::table::TableRecord;

/// Conditions that all hold; column names are the caller's own constants, values are bound.
#[derive(Debug, Clone, Default)]
pub struct RowFilter {
    account_id: String,
    conditions: Vec<String>,
    binds: Vec<CellValue>,
}

impl RowFilter {
    /// Everything is listed for one account only.
    pub fn of_account(account_id: &str) -> Self {
        Self { account_id: account_id.to_owned(), ..Self::default() }.and("account_id", "=", account_id)
    }

    /// Narrows the list by one more condition.
    #[must_use]
    pub fn and(mut self, column: &'static str, operator: &'static str, value: impl Into<CellValue>) -> Self {
        let place = self.bind(value.into());
        self.conditions.push(format!("{column} {operator} {place}"));
        self
    }

    /// Holds if the option is absent.
    #[must_use]
    pub fn and_if(self, column: &'static str, operator: &'static str, value: Option<impl Into<CellValue>>) -> Self {
        match value {
            Some(value) => self.and(column, operator, value),
            None => self,
        }
    }

    /// Holds for none if the list is empty, for all if it is absent.
    #[must_use]
    pub fn one_of(mut self, column: &'static str, values: Option<Vec<String>>) -> Self {
        if let Some(values) = values {
            let places = places(self.binds.len() + 1, values.len());
            self.binds.extend(values.into_iter().map(CellValue::from));
            self.conditions.push(format!("{column} IN ({places})"));
        }
        self
    }

    /// Narrows the list by a condition over the place of one value.
    #[must_use]
    pub(crate) fn matching(mut self, condition: impl FnOnce(&str) -> String, value: impl Into<CellValue>) -> Self {
        let place = self.bind(value.into());
        self.conditions.push(condition(&place));
        self
    }

    /// Holds for rows whose aggregate of a type has an event after a position; `history` is the table of the audit trail.
    pub(crate) fn changed_after(mut self, history: &str, aggregate_type: &str, position: u64) -> Self {
        let account = self.bind(CellValue::from(self.account_id.as_str()));
        let (aggregate_type, position) = (self.bind(aggregate_type.into()), self.bind(CellValue::count(position)));
        self.conditions.push(format!(
            "id IN (SELECT aggregate_id FROM {history} \
             WHERE account_id = {account} AND position > {position} AND aggregate_type = {aggregate_type})"
        ));
        self
    }

    fn bind(&mut self, value: CellValue) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("WHERE {}", self.conditions.join(" AND ")) }
    }
}

/// A page of a list: at most `limit` rows, from the list's start or end, between two cursors.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The unique column whose order is the list's.
    pub column: &'static str,
    pub descending: bool,
    pub after: Option<CellValue>,
    pub before: Option<CellValue>,
    pub limit: usize,
    /// The last rows of the window instead of the first.
    pub from_end: bool,
}

/// One page, in the list's order.
#[derive(Debug, Clone)]
pub struct RowPage<R> {
    pub rows: Vec<R>,
    pub has_next: bool,
    pub has_previous: bool,
}

/// Reads one page.
pub async fn list<R: TableRecord>(
    reads: &ReadModels,
    filter: RowFilter,
    page: PageRequest,
) -> Result<RowPage<R>, StoreError> {
    let PageRequest { column, descending, after, before, limit, from_end } = page;
    let (has_after, has_before) = (after.is_some(), before.is_some());
    let (later, earlier) = if descending { ("<", ">") } else { (">", "<") };
    let filter = filter.and_if(column, later, after).and_if(column, earlier, before);
    let order = if descending == from_end { "ASC" } else { "DESC" };
    let tail = format!("{} ORDER BY {column} {order} LIMIT {}", filter.sql(), limit.saturating_add(1));
    let turn = reads.query_permit(&filter.account_id).await;
    let mut rows = reads.fetch::<R>(&tail, &filter.binds).await?;
    drop(turn);
    let more = rows.len() > limit;
    rows.truncate(limit);
    if from_end {
        rows.reverse();
    }
    // What lies on the side of a cursor exists: the cursor's own row did when it was made.
    let (has_next, has_previous) = if from_end { (has_before, more) } else { (more, has_after) };
    Ok(RowPage { rows, has_next, has_previous })
}

/// How many rows there are, for `totalCount`.
pub async fn count<R: TableRecord>(reads: &ReadModels, filter: &RowFilter) -> Result<u64, StoreError> {
    let _turn = reads.query_permit(&filter.account_id).await;
    reads.count::<R>(&filter.sql(), &filter.binds).await
}
