//! Compares a rebuilt table with the serving one, row by row in the order of their keys.

use std::collections::VecDeque;

use crate::engine::batch_rows::RawRow;
use crate::engine::cell::CellValue;
use crate::engine::rows::{self, TableShape};
use crate::engine::sql::{SqlTarget, StoreError};

const COMPARED_ROWS_MAX: i64 = 2_000;
/// How many differing rows a comparison names.
const NAMED_DIFFERENCES_MAX: usize = 10;

/// How a rebuilt table differs from the serving one at the same position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableComparison {
    pub table: &'static str,
    /// Rows that are the same in both.
    pub equal: u64,
    /// Rows of the same key with other cells.
    pub different: u64,
    /// Rows that only the serving table has.
    pub missing: u64,
    /// Rows that only the rebuilt table has.
    pub added: u64,
    /// The keys of the first rows that differ, are missing or were added.
    pub first: Vec<String>,
}

impl TableComparison {
    /// Whether both builds have the same rows.
    pub const fn is_equal(&self) -> bool {
        self.different == 0 && self.missing == 0 && self.added == 0
    }

    fn note(&mut self, row: &[CellValue]) {
        let key = match row.first() {
            Some(CellValue::Text(Some(id))) => id.clone(),
            Some(CellValue::Int(Some(position))) => position.to_string(),
            _ => return,
        };
        if self.first.len() < NAMED_DIFFERENCES_MAX {
            self.first.push(key);
        }
    }
}

pub(crate) async fn compare(
    (on_serving, serving): (&mut SqlTarget<'_>, &TableShape),
    (on_rebuilt, rebuilt): (&mut SqlTarget<'_>, &TableShape),
) -> Result<TableComparison, StoreError> {
    let mut comparison = TableComparison { table: serving.table.name, ..TableComparison::default() };
    let (mut left, mut right) = (TablePages::new(serving), TablePages::new(rebuilt));
    let (mut old, mut new) = (left.next(on_serving).await?, right.next(on_rebuilt).await?);
    loop {
        let order = match (&old, &new) {
            (None, None) => return Ok(comparison),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.first().cmp(&new.first()),
        };
        if order.is_eq() && old == new {
            comparison.equal += 1;
        } else if let Some(row) = if order.is_gt() { &new } else { &old } {
            comparison.note(row);
            match order {
                std::cmp::Ordering::Less => comparison.missing += 1,
                std::cmp::Ordering::Equal => comparison.different += 1,
                std::cmp::Ordering::Greater => comparison.added += 1,
            }
        }
        if order.is_le() {
            old = left.next(on_serving).await?;
        }
        if order.is_ge() {
            new = right.next(on_rebuilt).await?;
        }
    }
}

/// A table's rows in the order of their keys, read page by page.
struct TablePages<'a> {
    shape: &'a TableShape,
    page: VecDeque<RawRow>,
    after: Option<CellValue>,
    done: bool,
}

impl<'a> TablePages<'a> {
    fn new(shape: &'a TableShape) -> Self {
        Self { shape, page: VecDeque::new(), after: None, done: false }
    }

    async fn next(&mut self, on: &mut SqlTarget<'_>) -> Result<Option<RawRow>, StoreError> {
        if self.page.is_empty() && !self.done {
            let binds: Vec<CellValue> = self.after.take().into_iter().collect();
            let key = self.shape.table.key().name;
            let after = if binds.is_empty() { String::new() } else { format!("WHERE {key} > $1 ") };
            let sql = format!("{} {after}ORDER BY {key} LIMIT {COMPARED_ROWS_MAX}", self.shape.select());
            let kinds = rows::kinds(self.shape.table);
            self.page.extend(on.fetch(&sql, &binds, &kinds).await?);
            self.after = self.page.back().and_then(|row| row.first().cloned());
            self.done = self.page.is_empty();
        }
        Ok(self.page.pop_front())
    }
}
