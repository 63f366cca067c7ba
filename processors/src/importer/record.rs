//! Rows as a file holds them, before it is known what their columns are.

use std::collections::VecDeque;

use super::reading::ReadFailure;
use super::row::RowError;

/// Rows that are looked at before the first is given: what columns hold is told from them where no title says it.
pub(crate) const SAMPLE_ROWS_MAX: usize = 100;

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// On which it begins, 1 for the file's first, as an editor or a table program counts them.
    pub line: u64,
    pub cells: Vec<String>,
    /// What makes it no row.
    pub fault: Option<RowError>,
}

impl Record {
    /// Whether no reader sees anything in it.
    pub fn is_blank(&self) -> bool {
        self.fault.is_none() && self.cells.iter().all(|cell| is_blank(cell))
    }

    /// Bytes of its cells.
    pub fn size(&self) -> usize {
        self.cells.iter().map(String::len).sum()
    }
}

/// Whether a cell holds nothing but blanks and marks that no reader sees.
pub(crate) fn is_blank(cell: &str) -> bool {
    cell.chars().all(|c| c.is_whitespace() || wasend_domain::phone::is_invisible_mark(c))
}

/// Gives the rows of a file in order.
pub(crate) trait RowSource {
    /// The next row. `width` is the number of columns, once it is known.
    fn next_row(&mut self, width: Option<usize>) -> Result<Option<Record>, ReadFailure>;
}

/// The rows of a source, the first of which can be looked at.
pub(crate) struct SampledRows<'a> {
    source: &'a mut dyn RowSource,
    first: VecDeque<Record>,
}

impl<'a> SampledRows<'a> {
    /// Reads the first rows; blank ones before the first other are left away.
    pub fn of(source: &'a mut dyn RowSource) -> Result<Self, ReadFailure> {
        let mut first = VecDeque::new();
        while first.len() <= SAMPLE_ROWS_MAX {
            let width = first.front().map(|record: &Record| record.cells.len());
            let Some(record) = source.next_row(width)? else { break };
            if !first.is_empty() || !record.is_blank() {
                first.push_back(record);
            }
        }
        Ok(Self { source, first })
    }

    /// The first rows, which are still to be given.
    pub fn sample(&mut self) -> &[Record] {
        self.first.make_contiguous()
    }

    /// The next row.
    pub fn next(&mut self, width: usize) -> Result<Option<Record>, ReadFailure> {
        match self.first.pop_front() {
            Some(record) => Ok(Some(record)),
            None => self.source.next_row(Some(width)),
        }
    }
}
