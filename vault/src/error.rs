//! What can go wrong. A refusal is the caller's to explain; a [`VaultFailure`] is the machine's.

use std::sync::Arc;

use wasend_domain::{Erased, UnavailableValue};

/// The vault could not do its work. Carries no personal data.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultFailure {
    #[error("the vault's store failed: {0}")]
    Store(Arc<sqlx::Error>),
    #[error("the vault's store could not be brought up to date: {0}")]
    Migration(Arc<sqlx::migrate::MigrateError>),
    #[error("the vault's directory {path}: {reason}")]
    Directory { path: String, reason: String },
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The server's own key does not unwrap although the epoch key is right, or a row that is always there is gone: bit
    /// rot, or a hand in the store.
    #[error("a wrapped key is damaged: restore the vault's store from its backup")]
    DamagedKey,
    /// The same, found while an epoch was to end: nothing that cannot be put under the next one is thrown away.
    #[error(
        "{count} wrapped keys are damaged, the first is {first}: the epoch cannot end before they are restored from a \
         backup or given up with `wasend vault rotate --give-up-damaged`"
    )]
    DamagedKeys { count: usize, first: String },
    /// The epoch changed while keys were made: wrap them anew.
    #[error("the epoch has passed in which the key was wrapped")]
    EpochPassed,
    #[error("the operating system gives no random bytes")]
    Entropy,
    #[error("a value cannot be written as JSON, or is larger than 4 GiB")]
    Encoding,
    /// The destruction is durable, but readers kept the write-ahead log from being emptied: repeat it.
    #[error("the key is destroyed, but its old bytes could not be cleared from the write-ahead log yet")]
    Residue,
    #[error("the vault is closed")]
    Closed,
    /// Nothing is opened or sealed for now.
    #[error("the vault is suspended: {0}")]
    Suspended(VaultSuspension),
}

/// Why the vault opens and seals nothing; a later one outweighs an earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum VaultSuspension {
    #[error("its store has not been compared with the erasures in the log yet")]
    NotCompared,
    #[error(
        "its store was put back to an earlier copy while this process used it; the erasures in the log are applied to it \
         again first"
    )]
    RolledBack,
    #[error("its file was replaced while this process used it: restart the server")]
    Replaced,
}

impl From<sqlx::Error> for VaultFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<sqlx::migrate::MigrateError> for VaultFailure {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migration(Arc::new(error))
    }
}

/// Why something was not sealed, created or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    #[error("the vault knows no such account")]
    UnknownAccount,
    /// The account has no such subject, or the subject has no key for the purpose of what was to be sealed.
    #[error("the vault knows no such subject in the account")]
    UnknownSubject,
    /// A key that this needs was destroyed: nothing new is kept under it.
    #[error("the key is destroyed since {}", .0.since)]
    Erased(Erased),
    /// A key or an entry that this needs is missing or damaged.
    #[error("{0}")]
    Unavailable(UnavailableValue),
    /// Another subject of the account already bears the identity. The vault never merges two.
    #[error("another subject already bears this identity")]
    AliasTaken,
    #[error("a subject needs at least one identity")]
    NoIdentity,
    #[error(transparent)]
    Failure(#[from] VaultFailure),
}

/// Why an epoch key cannot be made, read, used or destroyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    #[error(
        "the vault holds keys, but the epoch key {path} that opens them is missing: copy it from another node or restore \
         it from its backup; without it nothing personal can ever be read again"
    )]
    Missing { path: String },
    /// Most likely an old copy of the store: the key that it is wrapped with is destroyed, as it should be.
    #[error(
        "this copy of the vault's store needs the key of epoch {epoch}, and the one at hand is of epoch {newest}: if \
         epoch {epoch} has ended, nothing can ever open the copy; restore one that was made after that"
    )]
    Ended { epoch: i64, newest: i64 },
    #[error("the epoch key {path} may be read by others (mode {mode:03o}): run `chmod 600` on it")]
    Permissions { path: String, mode: u32 },
    #[error("{path} is not an epoch key (64 hexadecimal digits)")]
    Malformed { path: String },
    #[error("the key of epoch {0} at hand is not the one that this vault's keys are wrapped with")]
    WrongKey(i64),
    #[error("the epoch key {path}: {reason}")]
    Io { path: String, reason: String },
    #[error("the key of epoch {0} is not loaded")]
    NotReady(i64),
    #[error("the operating system gives no random bytes")]
    Entropy,
}
