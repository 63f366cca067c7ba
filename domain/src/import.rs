//! An import of contacts from a file: begun, applied chunk by chunk, ended. What it did to each contact stands in the
//! contacts' own histories, appended together with the chunk.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

mod counters;

pub use counters::RowCounters;

use crate::phone::PhoneRegion;
use crate::{BlindIndex, DataCategory, DecidingAggregate, GroupId, PersonalValue, Sealed, Time, UploadId};

/// An import of contacts, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub started: Option<ImportStart>,
    /// Chunks applied so far: the number of the next one.
    pub chunks: u64,
    /// Rows read so far, the header not counted.
    pub rows: u64,
    pub counters: RowCounters,
    pub ended: Option<RunEnd>,
}

/// What an import was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportStart {
    pub source: Sealed<ImportSource>,
    pub upload: UploadId,
    /// Keyed hash of the file.
    pub content: BlindIndex,
    pub bytes: u64,
    pub mode: MergeMode,
    pub dry_run: bool,
    pub group: Option<GroupId>,
    pub at: Time,
}

/// How the file is called and read: column titles are the customer's own words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSource {
    pub filename: String,
    pub columns: Vec<ColumnMapping>,
    /// ISO 3166 code of the country of numbers that name none.
    pub region: Option<String>,
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
    OptedOut,
    Ignore,
    /// A custom attribute of this name.
    Attribute(String),
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

/// What becomes of contacts that exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MergeMode {
    /// They are reported as errors.
    CreateOnly,
    /// What the file says of them is taken over.
    Update,
    /// They are left as they are.
    Skip,
}

impl MergeMode {
    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateOnly => "CREATE_ONLY",
            Self::Update => "UPDATE",
            Self::Skip => "SKIP",
        }
    }
}

/// Why a file cannot be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FileError {
    /// No header, or nothing at all.
    EmptyFile,
    EmptyHeader,
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
}

impl FileError {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 9] = [
        Self::EmptyFile,
        Self::EmptyHeader,
        Self::DuplicateHeader,
        Self::NoPhoneColumn,
        Self::UnknownColumn,
        Self::TooManyColumns,
        Self::TooManyRows,
        Self::RowTooLong,
        Self::UploadLost,
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
        }
    }
}

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    Finished,
    Failed(FileError),
    Cancelled,
}

/// What may be done to an import.
#[derive(Debug, Clone)]
pub enum Command {
    Start(Box<ImportStart>),
    /// The next chunk, after which so many rows of the file are read.
    Apply {
        chunk: u64,
        rows: u64,
        bytes: u64,
        counters: RowCounters,
        at: Time,
    },
    Finish {
        at: Time,
    },
    Fail {
        code: FileError,
        at: Time,
    },
    Cancel {
        at: Time,
    },
}

/// What happened to an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Started(ImportStart),
    /// `counters` are this chunk's alone; `rows` and `bytes` are those of the file read so far.
    ChunkApplied {
        chunk: u64,
        rows: u64,
        bytes: u64,
        counters: RowCounters,
        at: Time,
    },
    Finished {
        at: Time,
    },
    Failed {
        code: FileError,
        at: Time,
    },
    Cancelled {
        at: Time,
    },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Started(_) => "ImportStarted",
            Self::ChunkApplied { .. } => "ImportChunkApplied",
            Self::Finished { .. } => "ImportFinished",
            Self::Failed { .. } => "ImportFailed",
            Self::Cancelled { .. } => "ImportCancelled",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Why a command to an import is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no such import")]
    NotFound,
    #[error("the import has ended already")]
    Ended,
    /// Another node has applied the chunk, or one before it is missing.
    #[error("this is not the import's next chunk")]
    NotNext,
}

impl Aggregate for Import {
    crate::aggregate::bridge!("import");

    fn apply(&mut self, event: Event) {
        match event {
            Event::Started(start) => self.started = Some(start),
            Event::ChunkApplied { chunk, rows, counters, .. } => {
                self.chunks = chunk + 1;
                self.rows = rows;
                self.counters = self.counters.plus(counters);
            }
            Event::Finished { .. } => self.ended = Some(RunEnd::Finished),
            Event::Failed { code, .. } => self.ended = Some(RunEnd::Failed(code)),
            Event::Cancelled { .. } => self.ended = Some(RunEnd::Cancelled),
        }
    }
}

impl DecidingAggregate for Import {
    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        let event = match (command, self.ended) {
            (Command::Start(_), _) if self.started.is_some() => return Ok(vec![]),
            (Command::Start(start), _) => Event::Started(*start),
            _ if self.started.is_none() => return Err(Error::NotFound),
            (Command::Cancel { .. }, Some(RunEnd::Cancelled)) | (Command::Finish { .. }, Some(RunEnd::Finished)) => {
                return Ok(vec![]);
            }
            (_, Some(_)) => return Err(Error::Ended),
            (Command::Apply { chunk, .. }, None) if chunk != self.chunks => return Err(Error::NotNext),
            (Command::Apply { chunk, rows, bytes, counters, at }, None) => {
                Event::ChunkApplied { chunk, rows, bytes, counters, at }
            }
            (Command::Finish { at }, None) => Event::Finished { at },
            (Command::Fail { code, at }, None) => Event::Failed { code, at },
            (Command::Cancel { at }, None) => Event::Cancelled { at },
        };
        Ok(vec![event])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Day, SubjectId};

    fn at() -> Time {
        Time::from_seconds(1)
    }

    fn started() -> Import {
        let mut import = Import::default();
        import.apply(Event::Started(ImportStart {
            source: Sealed::from_parts(SubjectId::random(), Day::from_number(1), "AA"),
            upload: UploadId::random(),
            content: BlindIndex::from_hex("ab".into()),
            bytes: 1,
            mode: MergeMode::Update,
            dry_run: false,
            group: None,
            at: at(),
        }));
        import
    }

    fn chunk(chunk: u64) -> Command {
        let counters = RowCounters { total: 2, created: 2, ..RowCounters::default() };
        Command::Apply { chunk, rows: 2 * (chunk + 1), bytes: 9, counters, at: at() }
    }

    fn does(import: &mut Import, command: Command) -> Result<usize, Error> {
        let events = import.decide(command)?;
        let count = events.len();
        for event in events {
            import.apply(event);
        }
        Ok(count)
    }

    #[test]
    fn each_chunk_is_applied_once_and_in_order() {
        let mut import = started();
        assert_eq!(does(&mut import, chunk(1)), Err(Error::NotNext));
        assert_eq!(does(&mut import, chunk(0)), Ok(1));
        assert_eq!(does(&mut import, chunk(0)), Err(Error::NotNext));
        assert_eq!(does(&mut import, chunk(1)), Ok(1));
        assert_eq!((import.counters.created, import.rows), (4, 4));
    }

    #[test]
    fn nothing_follows_the_end() {
        for (end, repeated) in [(Command::Cancel { at: at() }, Ok(0)), (Command::Finish { at: at() }, Ok(0))] {
            let mut import = started();
            assert_eq!((does(&mut import, end.clone()), does(&mut import, end)), (Ok(1), repeated));
            assert_eq!(does(&mut import, chunk(0)), Err(Error::Ended));
            assert_eq!(does(&mut import, Command::Fail { code: FileError::EmptyFile, at: at() }), Err(Error::Ended));
        }
        assert_eq!(does(&mut Import::default(), Command::Cancel { at: at() }), Err(Error::NotFound));
    }
}
