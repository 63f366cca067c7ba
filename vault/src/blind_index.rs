//! Keyed hashes, by which personal values and secrets are found without being stored.

use hkdf::HkdfExtract;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasend_domain::{AccountId, BlindIndex, DataCategory, Personal, SubjectId};
use zeroize::Zeroizing;

use crate::{
    error::VaultError,
    key::{KeyName, RootKey, hex},
    key_resolver::KeyResolver,
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

    /// The keyed hash of a value that belongs to one subject: it can be recomputed only while the account's key and the
    /// subject's key for contents live, and so tells nothing of a person who is erased.
    pub async fn fingerprint(
        &self,
        account: AccountId,
        subject: SubjectId,
        value: &Personal<String>,
    ) -> Result<BlindIndex, VaultError> {
        let ring = self.ring(&fingerprint_roots(account, subject)).await?;
        fingerprint(&ring, account, subject, value)
    }

    /// The same for values of many subjects; the keys that memory does not hold are read together. A value whose keys
    /// are gone does not spoil the others.
    pub async fn fingerprints(
        &self,
        account: AccountId,
        values: &[(SubjectId, Personal<String>)],
    ) -> Vec<Result<BlindIndex, VaultError>> {
        let names = values.iter().flat_map(|(subject, _)| fingerprint_roots(account, *subject));
        match self.ring(&names.collect::<Vec<_>>()).await {
            Ok(ring) => values.iter().map(|(subject, value)| fingerprint(&ring, account, *subject, value)).collect(),
            Err(failure) => values.iter().map(|_| Err(failure.clone().into())).collect(),
        }
    }

    /// The hash under which a secret of the server's, such as an API key, is stored: 64 hexadecimal digits.
    pub fn server_hash(&self, secret: &str) -> String {
        hex(&BlindIndexer::new(&self.server).hash("secret", secret))
    }

    pub(crate) async fn indexer(&self, account: AccountId) -> Result<BlindIndexer, VaultError> {
        let name = KeyName::Index(account);
        Ok(BlindIndexer::new(self.ring(&[name]).await?.live(name, VaultError::UnknownAccount)?))
    }
}

const fn fingerprint_roots(account: AccountId, subject: SubjectId) -> [KeyName; 2] {
    [KeyName::Account(account), KeyName::Subject(account, subject, DataCategory::Content.purpose())]
}

fn fingerprint(
    ring: &KeyResolver,
    account: AccountId,
    subject: SubjectId,
    value: &Personal<String>,
) -> Result<BlindIndex, VaultError> {
    let [account_root, subject_root] = fingerprint_roots(account, subject);
    let roots =
        [ring.live(account_root, VaultError::UnknownAccount)?, ring.live(subject_root, VaultError::UnknownSubject)?];
    Ok(BlindIndexer::of_subject(roots, account, subject).index("fingerprint", value.expose()))
}

/// HMAC-SHA-256 of the domain's length, the domain and the value.
pub(crate) struct BlindIndexer(Hmac<Sha256>);

impl BlindIndexer {
    fn new(key: &RootKey) -> Self {
        Self(Hmac::new_from_slice(key.bytes()).expect("HMAC takes a key of any length"))
    }

    /// Under a key that is derived from the account's and the subject's, for nothing but fingerprints.
    fn of_subject(roots: [&RootKey; 2], account: AccountId, subject: SubjectId) -> Self {
        let (account, subject) = (account.uuid(), subject.uuid());
        Self::of_roots(&roots, &[b"wasend/fingerprint/v1", account.as_bytes(), subject.as_bytes()])
    }

    /// Under a key that is derived from all of the roots, for what the parts of `info` say.
    pub fn of_roots(roots: &[&RootKey], info: &[&[u8]]) -> Self {
        let mut extract = HkdfExtract::<Sha256>::new(None);
        for root in roots {
            extract.input_ikm(root.bytes());
        }
        let (_, hkdf) = extract.finalize();
        let mut key = Zeroizing::new([0; 32]);
        hkdf.expand_multi_info(info, &mut *key).expect("32 bytes are within the limits of HKDF");
        Self(Hmac::new_from_slice(&*key).expect("HMAC takes a key of any length"))
    }

    /// The index of the value in the domain: HMAC-SHA-256 in lower-case hexadecimal digits.
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
        let indexer = BlindIndexer::new(&RootKey::from_bytes([1; 32]));
        let index = indexer.index("wamid", "x");
        assert_eq!(index, indexer.index("wamid", "x"));
        assert_eq!(index.as_str().len(), 64);
        assert_ne!(index, indexer.index("wami", "dx"));
        assert_ne!(index, indexer.index("wamid", "y"));
        assert_ne!(index, BlindIndexer::new(&RootKey::from_bytes([2; 32])).index("wamid", "x"));
    }

    #[test]
    fn a_fingerprint_depends_on_both_roots_the_account_and_the_subject() {
        let [one, two, three] = [1, 2, 3].map(|byte| RootKey::from_bytes([byte; 32]));
        let (account, subject) = (AccountId::random(), SubjectId::random());
        let of = |roots, account, subject| BlindIndexer::of_subject(roots, account, subject).index("fingerprint", "x");
        let fingerprint = of([&one, &two], account, subject);
        assert_eq!(fingerprint, of([&one, &two], account, subject));
        let others = [
            of([&three, &two], account, subject),
            of([&one, &three], account, subject),
            of([&two, &one], account, subject),
            of([&one, &two], AccountId::random(), subject),
            of([&one, &two], account, SubjectId::random()),
            BlindIndexer::new(&one).index("fingerprint", "x"),
            BlindIndexer::new(&two).index("fingerprint", "x"),
        ];
        assert!(others.iter().all(|other| *other != fingerprint));
    }
}
