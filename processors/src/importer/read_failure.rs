//! Why a file cannot be read to its end.

use std::io;

use wasend_domain::import::FileError;

/// Why the rows end before the file does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadFailure {
    #[error("the file cannot be imported")]
    File(FileError),
    /// It may be tried again.
    #[error("a piece of the file cannot be read for now")]
    Store,
}

/// Why a file cannot be read on.
pub(super) fn broken(error: &io::Error) -> ReadFailure {
    if error.kind() == io::ErrorKind::InvalidData {
        return ReadFailure::File(FileError::RowTooLong);
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadFailure>());
    inner.cloned().unwrap_or(ReadFailure::Store)
}
