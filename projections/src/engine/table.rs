//! What a read model keeps: tables of texts and integers, described once in Rust, from which their DDL, loads and
//! writes are generated for both engines.

use crate::engine::cell::{CellField, CellValue, ColumnKind};

/// So many rows one SQLite statement writes with each value bound by itself, which is the cheapest for many; what is left
/// goes as one text, in one statement whatever its number.
pub(crate) const SQLITE_ROWS_MAX: usize = 128;

/// One table of a projection. Its primary key comes first and is not listed: the text column `id`, in which composite
/// keys are joined with `/`, or of an append-only table the column `position`.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// At most 40 bytes, lower case; the physical name is `{name}_v{version of the projection}`.
    pub name: &'static str,
    pub columns: &'static [Column],
    /// Each index as the names of its columns (`id` may be one); a name may be followed by ` DESC`.
    pub indexes: &'static [&'static [&'static str]],
    /// Rows are only ever added, at most one for an event, and never read back or changed by the fold, so they are not
    /// loaded.
    pub append_only: bool,
}

impl Table {
    /// The column of the primary key.
    pub const fn key(&self) -> Column {
        if self.append_only { Column::int("position") } else { Column::text("id") }
    }

    /// The error of a row whose column holds what no record writes.
    pub const fn damaged(&self, column: &'static str) -> DamagedRow {
        DamagedRow { table: self.name, column }
    }

    /// The key, and the others.
    pub fn all_columns(&self) -> impl Iterator<Item = Column> {
        std::iter::once(self.key()).chain(self.columns.iter().copied())
    }
}

/// A column by its name in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    pub nullable: bool,
}

impl Column {
    /// A column of values of the type.
    pub const fn of<T: CellField>(name: &'static str) -> Self {
        Self { name, kind: T::KIND, nullable: T::NULLABLE }
    }

    /// A column of texts, never null.
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Text, nullable: false }
    }

    /// A column of texts, perhaps null.
    pub const fn optional_text(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Text, nullable: true }
    }

    /// A column of 64-bit integers, never null.
    pub const fn int(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Int, nullable: false }
    }

    /// A column of 64-bit integers, perhaps null.
    pub const fn optional_int(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Int, nullable: true }
    }
}

/// A row of one table. `into_cells` and `from_cells` mirror each other: the key, and [`Table::columns`] in their order.
pub trait TableRecord: Sized + Clone + PartialEq + Send + Sync + 'static {
    const TABLE: &'static Table;

    /// The key, as a text.
    fn id(&self) -> String;

    fn into_cells(self) -> Vec<CellValue>;

    fn from_cells(cells: &mut CellReader) -> Result<Self, DamagedRow>;
}

/// A row in the database is not what its record writes. Names the table and column, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a row of {table} is damaged in column {column}")]
pub struct DamagedRow {
    pub table: &'static str,
    pub column: &'static str,
}

/// Takes a row's cells one after the other.
#[derive(Debug)]
pub struct CellReader {
    table: &'static Table,
    cells: std::vec::IntoIter<CellValue>,
    next: usize,
}

impl CellReader {
    /// Reads the cells of a row of the table, the key first.
    pub fn new(table: &'static Table, cells: Vec<CellValue>) -> Self {
        Self { table, cells: cells.into_iter(), next: 0 }
    }

    /// The next cell as a value of the column's type.
    pub fn field<T: CellField>(&mut self) -> Result<T, DamagedRow> {
        self.next += 1;
        self.cells.next().and_then(T::from_cell).ok_or_else(|| self.damaged())
    }

    /// The cell that was taken last is not what it should be.
    fn damaged(&self) -> DamagedRow {
        let column = self.table.all_columns().nth(self.next.saturating_sub(1)).unwrap_or(self.table.key());
        self.table.damaged(column.name)
    }
}
