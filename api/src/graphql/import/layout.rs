//! How a file of contacts is read.

use async_graphql::{Enum, SimpleObject};
use wasend_domain::import::{ColumnTarget, FileFormat, FileLayout, LayoutColumn};

use super::ImportField;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "FileFormat")]
pub enum ImportFormat {
    /// Rows of text, whatever parts their cells.
    Csv,
    /// Cards of an address book, one row each.
    Vcard,
    /// An Excel workbook.
    Xlsx,
}

/// How a file is read.
#[derive(SimpleObject)]
pub struct ImportLayout {
    format: ImportFormat,
    /// By its name in the WHATWG's Encoding Standard, such as `UTF-8` or `windows-1251`; null of a workbook.
    encoding: Option<String>,
    /// What parts the cells of a CSV file.
    delimiter: Option<String>,
    /// The sheet of a workbook: the first that is visible and has cells.
    sheet: Option<String>,
    /// Whether the first row holds titles. Without them columns are called `column 1`, `column 2`, ….
    has_header: bool,
    columns: Vec<ImportLayoutColumn>,
}

/// What a column of a file is taken for.
#[derive(SimpleObject)]
pub struct ImportLayoutColumn {
    /// Its title; a second one that is equal has ` (2)` behind it.
    header: String,
    field: ImportField,
    /// Name of the attribute.
    attribute: Option<String>,
    /// Of columns with numbers: 1 for the one that is asked first. A row's number is the first that is valid; the others are
    /// kept as attributes.
    phone_rank: Option<u32>,
}

impl From<FileLayout> for ImportLayout {
    fn from(layout: FileLayout) -> Self {
        let FileLayout { format, encoding, delimiter, sheet, has_header, columns } = layout;
        Self {
            format: format.into(),
            encoding,
            delimiter: delimiter.map(String::from),
            sheet,
            has_header,
            columns: columns.into_iter().map(ImportLayoutColumn::from).collect(),
        }
    }
}

impl From<LayoutColumn> for ImportLayoutColumn {
    fn from(column: LayoutColumn) -> Self {
        let (field, attribute) = match column.field {
            ColumnTarget::Phone => (ImportField::Phone, None),
            ColumnTarget::WaId => (ImportField::WaId, None),
            ColumnTarget::Bsuid => (ImportField::Bsuid, None),
            ColumnTarget::Name => (ImportField::Name, None),
            ColumnTarget::FirstName => (ImportField::FirstName, None),
            ColumnTarget::MiddleName => (ImportField::MiddleName, None),
            ColumnTarget::LastName => (ImportField::LastName, None),
            ColumnTarget::OptedOut => (ImportField::OptedOut, None),
            ColumnTarget::Ignore => (ImportField::Ignore, None),
            ColumnTarget::Attribute(name) => (ImportField::Attribute, Some(name)),
        };
        Self { header: column.header, field, attribute, phone_rank: column.phone_rank }
    }
}
