//! The epoch key in a file beside the database. Whoever can read the file and the database can read everything, and
//! deleting a file is no proof that its bytes are gone from a disk: a key management service is the stronger holder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{
    epoch::{EpochError, EpochKey, Named, Wrapper},
    key::{RootKey, hex},
};

/// The epoch key as 64 hexadecimal digits in `epoch-1.key`, readable by its owner alone.
pub struct FileEpoch {
    path: PathBuf,
    wrapper: OnceLock<Wrapper>,
}

const FIRST_EPOCH: i64 = 1;

impl FileEpoch {
    /// The key in `directory`, which is made with the key at the first start.
    pub fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join(format!("epoch-{FIRST_EPOCH}.key")), wrapper: OnceLock::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn load(&self, in_use: bool) -> Result<RootKey, EpochError> {
        match self.read() {
            Err(EpochError::Missing { .. }) if !in_use => {
                self.create()?;
                self.read()
            }
            result => result,
        }
    }

    fn read(&self) -> Result<RootKey, EpochError> {
        let path = || self.path.display().to_string();
        let meta = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(EpochError::Missing { path: path() }),
            result => result.map_err(|error| self.io(&error))?,
        };
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(EpochError::Permissions { path: path(), mode });
        }
        let text = Zeroizing::new(fs::read(&self.path).map_err(|error| self.io(&error))?);
        parse(text.trim_ascii_end()).ok_or_else(|| EpochError::Malformed { path: path() })
    }

    /// Either the whole key is durable under its name or nothing is, and a key that exists is never replaced.
    fn create(&self) -> Result<(), EpochError> {
        let key = RootKey::random().map_err(|_| EpochError::Entropy)?;
        let text = Zeroizing::new(hex(key.bytes()) + "\n");
        self.write(text.as_bytes()).map_err(|error| self.io(&error))
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let draft = self.path.with_extension(format!("{}.draft", uuid::Uuid::new_v4()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        // A link fails where a rename would overwrite the key of a process that started at the same moment.
        let linked = match fs::hard_link(&draft, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        };
        fs::remove_file(&draft)?;
        linked?;
        File::open(directory)?.sync_all()?;
        match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn io(&self, error: &io::Error) -> EpochError {
        EpochError::Io { path: self.path.display().to_string(), reason: error.to_string() }
    }

    fn wrapper(&self) -> Result<&Wrapper, EpochError> {
        self.wrapper.get().ok_or(EpochError::NotReady)
    }
}

fn parse(text: &[u8]) -> Option<RootKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(RootKey::from_bytes(*bytes))
}

#[async_trait]
impl EpochKey for FileEpoch {
    fn epoch(&self) -> i64 {
        FIRST_EPOCH
    }

    async fn prepare(&self, in_use: bool) -> Result<(), EpochError> {
        if self.wrapper.get().is_none() {
            let wrapper = Wrapper::new(&self.load(in_use)?);
            self.wrapper.get_or_init(|| wrapper);
        }
        Ok(())
    }

    async fn wrap(&self, keys: &[Named<'_, RootKey>]) -> Result<Vec<String>, EpochError> {
        let wrapper = self.wrapper()?;
        keys.iter().map(|named| wrapper.wrap(named)).collect()
    }

    async fn unwrap(&self, keys: &[Named<'_, str>]) -> Result<Vec<Option<RootKey>>, EpochError> {
        let wrapper = self.wrapper()?;
        Ok(keys.iter().map(|named| wrapper.unwrap(named)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(directory: &tempfile::TempDir) -> FileEpoch {
        FileEpoch::in_directory(&directory.path().join("keys"))
    }

    #[test]
    fn the_first_start_makes_a_private_key_and_the_next_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = key(&directory).load(false).unwrap();
        let again = key(&directory).load(true).unwrap();
        assert_eq!(first.bytes(), again.bytes());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(key(&directory).path()), 0o600);
        assert_eq!(mode(&directory.path().join("keys")), 0o700);
        let names: Vec<_> = fs::read_dir(directory.path().join("keys")).unwrap().collect();
        assert_eq!(names.len(), 1, "no draft is left behind");
    }

    #[test]
    fn a_key_in_use_is_never_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let error = key(&directory).load(true).unwrap_err();
        assert!(matches!(error, EpochError::Missing { .. }), "{error}");
        assert!(!key(&directory).path().exists());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        key(&directory).load(false).unwrap();
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(key(&directory).path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = key(&directory).load(true).unwrap_err();
            assert!(matches!(error, EpochError::Permissions { mode: found, .. } if found == mode), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_alone() {
        for text in ["", "abc", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            let directory = tempfile::tempdir().unwrap();
            key(&directory).write(text.as_bytes()).unwrap();
            assert!(matches!(key(&directory).load(false), Err(EpochError::Malformed { .. })), "{text}");
            assert_eq!(fs::read_to_string(key(&directory).path()).unwrap(), text);
        }
    }

    #[test]
    fn two_that_start_at_once_use_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| key(&directory).load(false).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap().bytes().to_owned()).collect()
        });
        assert!(keys.iter().all(|key| key == &keys[0]));
    }
}
