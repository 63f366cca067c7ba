//! An import of contacts from a file: begun, applied chunk by chunk, ended. What it did to each contact stands in the
//! contacts' own histories, appended together with the chunk.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

mod counters;
mod failure;
mod file;

pub use counters::RowCounters;
pub use failure::FileError;
pub use file::{
    ColumnMapping, ColumnTarget, FileFormat, FileLayout, ImportSource, LayoutColumn, NumberNotation, RowReport,
    RowReports, UploadFrame,
};

use crate::{BlindIndex, DecidingAggregate, GroupId, Sealed, Time, UploadId};

/// An import of contacts, as its events leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub started: Option<ImportStart>,
    /// How the file is read, once its first rows are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Sealed<FileLayout>>,
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
    /// Tells how the file is read. Repeating it changes nothing.
    Describe {
        layout: Sealed<FileLayout>,
        at: Time,
    },
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
    /// How the file is read: its encoding, its delimiter and what its columns hold.
    Described {
        layout: Sealed<FileLayout>,
        at: Time,
    },
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
            Self::Described { .. } => "ImportDescribed",
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
            Event::Described { layout, .. } => self.layout = Some(layout),
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
            (Command::Describe { .. }, None) if self.layout.is_some() => return Ok(vec![]),
            (Command::Describe { layout, at }, None) => Event::Described { layout, at },
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
    fn a_layout_is_told_once() {
        let mut import = started();
        let layout = |cipher: &str| Sealed::from_parts(SubjectId::random(), Day::from_number(1), cipher);
        let describe = |cipher: &str| Command::Describe { layout: layout(cipher), at: at() };
        assert_eq!(does(&mut import, describe("AA")), Ok(1));
        assert_eq!(does(&mut import, describe("BB")), Ok(0));
        assert_eq!(does(&mut Import::default(), describe("AA")), Err(Error::NotFound));
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
