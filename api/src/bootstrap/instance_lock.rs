//! One server per data directory. The kernel frees the lock however its holder ends, so the next holder knows that the
//! one before is gone, and need not wait until the leases of the dead run out.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::cli::CliFailure;

/// Held for as long as the server runs.
pub struct InstanceLock(#[expect(dead_code, reason = "held for its drop alone")] File);

impl InstanceLock {
    /// Takes the lock of a data directory, without waiting. Errors: another server holds it; the file cannot be made.
    pub fn in_directory(directory: &Path) -> Result<Self, CliFailure> {
        let path = directory.join("server.lock");
        let cannot = |error| CliFailure::because(&format!("{} cannot be locked", path.display()), &error);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(CliFailure::Failed(format!("another server runs on the data directory {}", directory.display())))
            }
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }
}
