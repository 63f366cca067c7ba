//! Files for the server's user alone, whatever the directory that they are in allows.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What others may do, in a file's mode.
const OTHERS: u32 = 0o077;
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes the database file if it is missing, readable by its owner alone; SQLite gives its side files the permissions of
/// the main one. Takes the rights of others from files that are there, and says so.
pub(crate) fn private_database(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    narrow(path);
    for side in SIDE_FILES {
        let mut name = path.as_os_str().to_owned();
        name.push(side);
        narrow(&PathBuf::from(name));
    }
    Ok(())
}

/// A file that is not there, or that another user owns, stays as it is.
fn narrow(path: &Path) {
    let Ok(meta) = fs::metadata(path) else { return };
    let mode = meta.permissions().mode();
    if mode & OTHERS == 0 {
        return;
    }
    let shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::warn!(file = %shown, "others could read the file; now its owner alone can"),
        Err(error) => tracing::warn!(file = %shown, %error, "others can read the file, and this cannot be changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_made_for_their_owner_and_narrowed_with_their_side_files() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let (new, old) = (directory.path().join("new.db"), directory.path().join("old.db"));
        private_database(&new).unwrap();
        assert_eq!(mode(&new), 0o600);
        let beside = [old.clone(), directory.path().join("old.db-wal"), directory.path().join("old.db-shm")];
        for path in &beside {
            fs::write(path, "kept").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap();
        }
        private_database(&old).unwrap();
        for path in &beside {
            assert_eq!((mode(path), fs::read_to_string(path).unwrap()), (0o600, "kept".to_owned()));
        }
    }
}
