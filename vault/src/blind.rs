//! Keyed hashes, by which personal values and secrets are found without being stored.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasend_domain::{AccountId, BlindIndex, Personal};

use crate::{
    error::VaultError,
    key::{KeyName, RootKey, hex},
    vault::Vault,
};

impl Vault {
    /// The index of a value in a domain such as `wamid` or `idempotency`. The same value has another index in every
    /// other domain and account.
    pub async fn index(
        &self,
        account: AccountId,
        domain: &str,
        value: &Personal<String>,
    ) -> Result<BlindIndex, VaultError> {
        let indexer = self.indexer(account).await?;
        Ok(indexer.index(domain, value.expose()))
    }

    /// The same for many values at once.
    pub async fn index_many(
        &self,
        account: AccountId,
        domain: &str,
        values: &[Personal<String>],
    ) -> Result<Vec<BlindIndex>, VaultError> {
        let indexer = self.indexer(account).await?;
        Ok(values.iter().map(|value| indexer.index(domain, value.expose())).collect())
    }

    /// The hash under which a secret of the server's, such as an API key, is stored: 64 hexadecimal digits.
    pub fn server_hash(&self, secret: &str) -> String {
        hex(&Indexer::new(&self.server).hash("secret", secret))
    }

    pub(crate) async fn indexer(&self, account: AccountId) -> Result<Indexer, VaultError> {
        let name = KeyName::Index(account);
        Ok(Indexer::new(self.ring(&[name]).await?.live(name, VaultError::UnknownAccount)?))
    }
}

/// HMAC-SHA-256 of the domain's length, the domain and the value.
pub(crate) struct Indexer(Hmac<Sha256>);

impl Indexer {
    fn new(key: &RootKey) -> Self {
        Self(Hmac::new_from_slice(key.bytes()).expect("HMAC takes a key of any length"))
    }

    pub fn index(&self, domain: &str, value: &str) -> BlindIndex {
        BlindIndex::from_hex(hex(&self.hash(domain, value)))
    }

    fn hash(&self, domain: &str, value: &str) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(b"wasend/index/v1");
        mac.update(&(domain.len() as u64).to_be_bytes());
        mac.update(domain.as_bytes());
        mac.update(value.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_domains_and_values_are_kept_apart() {
        let indexer = Indexer::new(&RootKey::from_bytes([1; 32]));
        let index = indexer.index("wamid", "x");
        assert_eq!(index, indexer.index("wamid", "x"));
        assert_eq!(index.as_str().len(), 64);
        assert_ne!(index, indexer.index("wami", "dx"));
        assert_ne!(index, indexer.index("wamid", "y"));
        assert_ne!(index, Indexer::new(&RootKey::from_bytes([2; 32])).index("wamid", "x"));
    }
}
