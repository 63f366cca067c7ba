//! Epoch keys in files beside the database. With the files and the database everything can be read, and
//! overwriting a file is no proof that its bytes are gone from a disk: a key management service is the stronger holder.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{
    epoch::{EpochKey, KeyWrapper, NamedKey},
    error::EpochError,
    key::{RootKey, hex},
};

/// Each epoch's key as 64 hexadecimal digits in `epoch-<number>.key`, readable by its owner alone.
pub struct FileEpoch {
    directory: PathBuf,
    loaded: RwLock<BTreeMap<i64, Arc<KeyWrapper>>>,
}

impl FileEpoch {
    /// The keys in `directory`, which is made with the first of them.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), loaded: RwLock::default() }
    }

    /// The file of the epoch's key.
    pub fn path(&self, epoch: i64) -> PathBuf {
        self.directory.join(format!("epoch-{epoch}.key"))
    }

    fn read(&self, epoch: i64) -> Result<RootKey, EpochError> {
        let path = self.path(epoch);
        let shown = || path.display().to_string();
        let meta = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(EpochError::Missing { path: shown() }),
            result => result.map_err(|error| failed(&path, &error))?,
        };
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(EpochError::Permissions { path: shown(), mode });
        }
        let text = Zeroizing::new(fs::read(&path).map_err(|error| failed(&path, &error))?);
        parse(text.trim_ascii_end()).ok_or_else(|| EpochError::Malformed { path: shown() })
    }

    /// Either the whole key is durable under its name or nothing is.
    fn write(&self, epoch: i64, text: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let draft = self.directory.join(format!("epoch-{epoch}.{}.draft", uuid::Uuid::new_v4()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        // A link fails where a rename would overwrite the key of a process that started at the same moment.
        let linked = match fs::hard_link(&draft, self.path(epoch)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        };
        fs::remove_file(&draft)?;
        linked?;
        self.sync()?;
        match self.directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }

    /// Epochs of which a file lies in the directory, also one that was never finished.
    fn files(&self) -> io::Result<Vec<(i64, PathBuf)>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if let Some(epoch) = path.file_name().and_then(|name| number(name.to_str()?)) {
                found.push((epoch, path));
            }
        }
        Ok(found)
    }

    /// A name in the directory is durable, or durably gone, only with the directory.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn loaded(&self, epoch: i64) -> Result<Arc<KeyWrapper>, EpochError> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.get(&epoch).cloned().ok_or(EpochError::NotReady(epoch))
    }
}

/// The epoch of `epoch-7.key` or `epoch-7.….draft`.
fn number(name: &str) -> Option<i64> {
    let mut parts = name.strip_prefix("epoch-")?.split('.');
    let (number, kind) = (parts.next()?, parts.next_back()?);
    ["key", "draft"].contains(&kind).then(|| number.parse().ok())?
}

/// Overwrites the file in its place before it removes the name.
fn shred(path: &Path) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let overwrite = || {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(KEY_FILE_BYTES_MAX);
        file.write_all(&vec![b'0'; length])?;
        file.sync_all()?;
        fs::remove_file(path)
    };
    // Nodes that share the directory all try.
    overwrite().or_else(|error| if gone(&error) { Ok(()) } else { Err(error) })
}

/// Far longer than any key file.
const KEY_FILE_BYTES_MAX: usize = 1 << 16;

fn failed(path: &Path, error: &io::Error) -> EpochError {
    EpochError::Io { path: path.display().to_string(), reason: error.to_string() }
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
    async fn create(&self, epoch: i64) -> Result<(), EpochError> {
        let key = RootKey::random().map_err(|_| EpochError::Entropy)?;
        let text = Zeroizing::new(hex(key.bytes()) + "\n");
        self.write(epoch, text.as_bytes()).map_err(|error| failed(&self.path(epoch), &error))
    }

    async fn load(&self, epoch: i64) -> Result<(), EpochError> {
        let wrapper = Arc::new(KeyWrapper::new(&self.read(epoch)?));
        self.loaded.write().unwrap_or_else(PoisonError::into_inner).insert(epoch, wrapper);
        Ok(())
    }

    async fn destroy_until(&self, epoch: i64) -> Result<bool, EpochError> {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner).retain(|loaded, _| *loaded > epoch);
        let files = self.files().map_err(|error| failed(&self.directory, &error))?;
        let mut changed = false;
        for (_, path) in files.iter().filter(|(number, _)| *number <= epoch) {
            shred(path).map_err(|error| failed(path, &error))?;
            changed = true;
        }
        if changed {
            self.sync().map_err(|error| failed(&self.directory, &error))?;
        }
        Ok(changed)
    }

    async fn newest(&self) -> Result<i64, EpochError> {
        let files = self.files().map_err(|error| failed(&self.directory, &error))?;
        Ok(files.into_iter().map(|(epoch, _)| epoch).max().unwrap_or(0))
    }

    fn place(&self) -> String {
        self.directory.display().to_string()
    }

    async fn wrap(&self, keys: &[NamedKey<'_, RootKey>]) -> Result<Vec<String>, EpochError> {
        keys.iter().map(|named| self.loaded(named.epoch)?.wrap(named)).collect()
    }

    async fn unwrap(&self, keys: &[NamedKey<'_, str>]) -> Result<Vec<Option<RootKey>>, EpochError> {
        keys.iter().map(|named| Ok(self.loaded(named.epoch)?.unwrap(named))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(directory: &tempfile::TempDir) -> FileEpoch {
        FileEpoch::in_directory(&directory.path().join("keys"))
    }

    #[tokio::test]
    async fn a_key_is_private_and_the_next_process_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        keys(&directory).create(1).await.unwrap();
        let first = keys(&directory).read(1).unwrap();
        keys(&directory).create(1).await.unwrap();
        assert_eq!(first.bytes(), keys(&directory).read(1).unwrap().bytes(), "one that exists is never replaced");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&keys(&directory).path(1)), 0o600);
        assert_eq!(mode(&directory.path().join("keys")), 0o700);
        let names: Vec<_> = fs::read_dir(directory.path().join("keys")).unwrap().collect();
        assert_eq!(names.len(), 1, "no draft is left behind");
    }

    #[tokio::test]
    async fn a_lost_key_is_never_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let error = keys(&directory).load(1).await.unwrap_err();
        assert!(matches!(error, EpochError::Missing { .. }), "{error}");
        assert!(!keys(&directory).path(1).exists());
    }

    #[tokio::test]
    async fn a_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        keys(&directory).create(1).await.unwrap();
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(keys(&directory).path(1), fs::Permissions::from_mode(mode)).unwrap();
            let error = keys(&directory).load(1).await.unwrap_err();
            assert!(matches!(error, EpochError::Permissions { mode: found, .. } if found == mode), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_and_left_alone() {
        for text in ["", "abc", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            let directory = tempfile::tempdir().unwrap();
            keys(&directory).write(1, text.as_bytes()).unwrap();
            keys(&directory).create(1).await.unwrap();
            assert!(matches!(keys(&directory).load(1).await, Err(EpochError::Malformed { .. })), "{text}");
            assert_eq!(fs::read_to_string(keys(&directory).path(1)).unwrap(), text);
        }
    }

    #[test]
    fn two_that_start_at_once_use_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let write =
            |n: u8| keys(&directory).write(1, &[b'0' + n; 64]).and_then(|()| fs::read(keys(&directory).path(1)));
        let found: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|n| scope.spawn(move || write(n).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(found.iter().all(|key| key == &found[0]));
    }

    #[tokio::test]
    async fn destroyed_keys_are_overwritten_removed_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let keys = keys(&directory);
        for epoch in 1..=3 {
            keys.create(epoch).await.unwrap();
            keys.load(epoch).await.unwrap();
        }
        // What a process that died while it made a key leaves behind; the other name shows what became of the bytes.
        let draft = directory.path().join("keys/epoch-2.0a.draft");
        let witness = directory.path().join("witness");
        fs::write(&draft, "f".repeat(64)).unwrap();
        fs::hard_link(keys.path(2), &witness).unwrap();
        for _ in 0..2 {
            keys.destroy_until(2).await.unwrap();
            assert!(!keys.path(1).exists() && !keys.path(2).exists() && !draft.exists());
            assert_eq!(fs::read(&witness).unwrap(), [b'0'; 65]);
        }
        assert_eq!(keys.newest().await.unwrap(), 3);
        let key = RootKey::random().unwrap();
        let wrap = async |epoch| keys.wrap(&[NamedKey { id: "a", kind: "a", epoch, key: &key }]).await;
        assert_eq!(wrap(2).await, Err(EpochError::NotReady(2)));
        assert!(wrap(3).await.is_ok());
    }
}
