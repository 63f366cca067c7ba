//! Why files cannot be imported.

use serde::{Deserialize, Serialize};

/// Why a file cannot be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FileError {
    /// No header, or nothing at all.
    EmptyFile,
    /// A title that cannot be one.
    EmptyHeader,
    /// Two columns are mapped to the same thing.
    DuplicateHeader,
    /// No column holds a phone number or a BSUID.
    NoPhoneColumn,
    /// The mapping names a column that the file does not have.
    UnknownColumn,
    TooManyColumns,
    TooManyRows,
    /// A row is longer than allowed; often a quotation mark that is never closed.
    RowTooLong,
    /// The upload is incomplete or was erased.
    UploadLost,
    /// More quotation marks are never closed than a damaged file has.
    TooManyOpenQuotes,
    /// A workbook that is damaged, locked with a password, or no workbook at all.
    WorkbookUnreadable,
    /// A workbook is larger than allowed, packed or unpacked.
    WorkbookTooLarge,
    /// Another kind of file: a PDF, a picture, an archive, a workbook of before 2007.
    FormatUnknown,
}

impl FileError {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 13] = [
        Self::EmptyFile,
        Self::EmptyHeader,
        Self::DuplicateHeader,
        Self::NoPhoneColumn,
        Self::UnknownColumn,
        Self::TooManyColumns,
        Self::TooManyRows,
        Self::RowTooLong,
        Self::UploadLost,
        Self::TooManyOpenQuotes,
        Self::WorkbookUnreadable,
        Self::WorkbookTooLarge,
        Self::FormatUnknown,
    ];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyFile => "EMPTY_FILE",
            Self::EmptyHeader => "EMPTY_HEADER",
            Self::DuplicateHeader => "DUPLICATE_HEADER",
            Self::NoPhoneColumn => "NO_PHONE_COLUMN",
            Self::UnknownColumn => "UNKNOWN_COLUMN",
            Self::TooManyColumns => "TOO_MANY_COLUMNS",
            Self::TooManyRows => "TOO_MANY_ROWS",
            Self::RowTooLong => "ROW_TOO_LONG",
            Self::UploadLost => "UPLOAD_LOST",
            Self::TooManyOpenQuotes => "TOO_MANY_OPEN_QUOTES",
            Self::WorkbookUnreadable => "WORKBOOK_UNREADABLE",
            Self::WorkbookTooLarge => "WORKBOOK_TOO_LARGE",
            Self::FormatUnknown => "FORMAT_UNKNOWN",
        }
    }
}
