//! Files of contacts: how they are to be read, how they are read, and what is told of their rows.

use serde::{Deserialize, Serialize};

use crate::phone::PhoneRegion;
use crate::{DataCategory, PersonalValue};

/// How the file is called and read: column titles are the customer's own words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSource {
    pub filename: String,
    pub columns: Vec<ColumnMapping>,
    /// ISO 3166 code of the country of numbers that name none.
    pub region: Option<String>,
    /// How numbers without `+` are meant.
    #[serde(default, skip_serializing_if = "NumberNotation::is_as_written")]
    pub numbers: NumberNotation,
    /// The encoding that the caller says the file is in, by its name in the WHATWG's Encoding Standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// How numbers without `+` are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NumberNotation {
    /// In the form of the default region; without one they are refused.
    #[default]
    AsWritten,
    /// With their country code, as ids of WhatsApp are.
    International,
}

impl NumberNotation {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_as_written(&self) -> bool {
        *self == Self::AsWritten
    }
}

impl ImportSource {
    /// The country of numbers that name none.
    pub fn region(&self) -> Option<PhoneRegion> {
        self.region.as_deref().and_then(|region| region.parse().ok())
    }
}

/// What a column holds, where its title does not say so.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMapping {
    pub header: String,
    pub field: ColumnTarget,
}

/// What the cells of a column are taken for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ColumnTarget {
    Phone,
    /// Ids of WhatsApp: numbers with their country code, with `+` or without.
    WaId,
    Bsuid,
    Name,
    /// First, middle and last name make the name where no column holds it whole.
    FirstName,
    MiddleName,
    LastName,
    OptedOut,
    Ignore,
    /// A custom attribute of this name.
    Attribute(String),
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FileFormat {
    /// Rows of text, whatever parts their cells.
    Csv,
    /// Cards of an address book (RFC 6350, RFC 2426, vCard 2.1).
    Vcard,
    /// An Excel workbook (ECMA-376).
    Xlsx,
}

/// How a file is read: titles and names of sheets are the customer's own words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLayout {
    pub format: FileFormat,
    /// The encoding by its name in the WHATWG's Encoding Standard; none of a workbook.
    pub encoding: Option<String>,
    /// What parts cells; none where the format has no such sign.
    pub delimiter: Option<char>,
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// Whether the first row holds titles.
    pub has_header: bool,
    pub columns: Vec<LayoutColumn>,
}

/// What a column of a file is taken for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutColumn {
    /// Its title; made up where the file has none.
    pub header: String,
    pub field: ColumnTarget,
    /// Of columns with numbers: 1 for the one that is asked first. A row's number is the first that is valid.
    pub phone_rank: Option<u32>,
}

impl PersonalValue for FileLayout {
    const FIELD: &'static str = "import.layout";
    const CATEGORY: DataCategory = DataCategory::Label;
}

impl PersonalValue for ImportSource {
    const FIELD: &'static str = "import.source";
    const CATEGORY: DataCategory = DataCategory::Label;
}

/// One piece of a file that was uploaded, in base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadFrame(pub String);

impl PersonalValue for UploadFrame {
    const FIELD: &'static str = "upload.frame";
    const CATEGORY: DataCategory = DataCategory::Raw;
}

/// What a chunk reports of its rows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowReports(pub Vec<RowReport>);

/// A row that was not taken as it is, and why.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowReport {
    /// Of the file, 1 for the header.
    pub line: u64,
    pub code: String,
    pub reason: String,
    pub cells: Vec<String>,
}

impl PersonalValue for RowReports {
    const FIELD: &'static str = "import.reports";
    const CATEGORY: DataCategory = DataCategory::Raw;
}
