//! Root keys and their names.

use std::{fmt, sync::Arc};

use sha2::{Digest, Sha256};
use wasend_domain::{AccountId, DataCategory, Day, Erased, KeyPurpose, SubjectId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::VaultFailure;

/// 256 random bits, cleared from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl RootKey {
    pub(crate) fn random() -> Result<Self, VaultFailure> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0).map_err(|_| VaultFailure::Entropy)?;
        Ok(key)
    }

    /// For holders of an epoch key, which unwrap it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself, 256 bits.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Recognises the key for ever after without revealing it: the key is random, so its hash says nothing.
    pub(crate) fn fingerprint(&self) -> String {
        let hash = Sha256::new().chain_update(b"wasend/kfp/v1").chain_update(self.0).finalize();
        hex(&hash)
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

/// Which key. Its text, the row's id, is never changed once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KeyName {
    /// Hashes what belongs to no account: API keys, by which the account is found in the first place.
    Server,
    /// Root of all that an account keeps.
    Account(AccountId),
    /// Makes the account's blind indexes.
    Index(AccountId),
    Subject(AccountId, SubjectId, KeyPurpose),
    Bucket(AccountId, DataCategory, Day),
}

impl KeyName {
    /// The kind as the store names it; never changed once released.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Account(_) => "account",
            Self::Index(_) => "index",
            Self::Subject(..) => "subject",
            Self::Bucket(..) => "bucket",
        }
    }

    /// The account of the key, none of the key of the server.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Server => None,
            Self::Account(account) | Self::Index(account) | Self::Subject(account, ..) | Self::Bucket(account, ..) => {
                Some(*account)
            }
        }
    }

    /// The subject of the key, none of keys of accounts, days and the server.
    pub const fn subject(&self) -> Option<SubjectId> {
        match self {
            Self::Subject(_, subject, _) => Some(*subject),
            _ => None,
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Server => f.write_str(kind),
            Self::Account(account) | Self::Index(account) => write!(f, "{kind}/{account}"),
            Self::Subject(account, subject, purpose) => write!(f, "{kind}/{account}/{subject}/{}", purpose.name()),
            Self::Bucket(account, category, day) => write!(f, "{kind}/{account}/{}/{}", category.name(), day.number()),
        }
    }
}

/// What the vault holds under a name.
#[derive(Debug, Clone)]
pub(crate) enum HeldKey {
    Live(Arc<RootKey>),
    Destroyed(Erased),
    /// The row is there and its wrapping does not open: bit rot, or a hand in the store.
    Damaged,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_published_formula() {
        // printf 'wasend/kfp/v1' | cat - <(head -c 32 /dev/zero) | sha256sum
        let expected = "7162772871703134abb1e2ac562255807c3e6333b23f1e2c5884b42f1bc7bee9";
        assert_eq!(RootKey::from_bytes([0; 32]).fingerprint(), expected);
    }

    #[test]
    fn a_key_never_prints() {
        assert_eq!(format!("{:?}", HeldKey::Live(Arc::new(RootKey::from_bytes([7; 32])))), "Live([key])");
    }

    #[test]
    fn names_are_distinct() {
        let account = AccountId::random();
        let subject = SubjectId::random();
        let day = Day::from_number(20_000);
        let mut names = vec![KeyName::Server, KeyName::Account(account), KeyName::Index(account)];
        names.extend(KeyPurpose::ALL.map(|purpose| KeyName::Subject(account, subject, purpose)));
        names.extend(DataCategory::ALL.map(|category| KeyName::Bucket(account, category, day)));
        let texts: std::collections::BTreeSet<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), names.len());
    }
}
