//! The epoch key: wraps every other key and is held outside the database, so that a copy of the database alone
//! opens nothing. An epoch lasts until it is rotated: then the living keys are wrapped by the next one's key, and this
//! one's is destroyed.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::{error::EpochError, key::RootKey};

/// A key and the name that its wrapping is bound to, so that one row's wrapping never serves another's.
#[derive(Debug, Clone, Copy)]
pub struct NamedKey<'a, T: ?Sized> {
    pub id: &'a str,
    pub kind: &'a str,
    pub epoch: i64,
    pub key: &'a T,
}

/// Who holds the epoch keys: a directory ([`crate::FileEpoch`]), a key management service, a hardware module. Works on
/// many keys at once, since some holders are a network away.
#[async_trait]
pub trait EpochKey: Send + Sync {
    /// Makes the key of an epoch, durably. One that exists is never replaced.
    async fn create(&self, epoch: i64) -> Result<(), EpochError>;

    /// Makes the key of an epoch ready for use, from where it is kept. A holder that has lost it fails, and never makes
    /// another.
    async fn load(&self, epoch: i64) -> Result<(), EpochError>;

    /// Destroys the keys of all epochs up to this one, where they are kept and in memory. Repeating it changes nothing.
    /// Whether one was kept.
    async fn destroy_until(&self, epoch: i64) -> Result<bool, EpochError>;

    /// The newest epoch of which a key is kept, in use or not; 0 if there is none.
    async fn newest(&self) -> Result<i64, EpochError>;

    /// Where it keeps the keys, for people who look for them.
    fn place(&self) -> String;

    /// The wrapped form of each key under its epoch, as text, in the order given.
    async fn wrap(&self, keys: &[NamedKey<'_, RootKey>]) -> Result<Vec<String>, EpochError>;

    /// Each key in the order given; `None` where the wrapping does not open, and [`EpochError::NotReady`] where the
    /// key of an epoch is not loaded.
    async fn unwrap(&self, keys: &[NamedKey<'_, str>]) -> Result<Vec<Option<RootKey>>, EpochError>;
}

/// An epoch key in memory: AES-256-GCM with a random nonce, base64 of nonce ‖ ciphertext ‖ tag.
pub(crate) struct KeyWrapper(Aes256Gcm);

const NONCE_BYTES: usize = 12;

impl KeyWrapper {
    /// Wraps and unwraps under this epoch key.
    pub fn new(key: &RootKey) -> Self {
        Self(Aes256Gcm::new(key.bytes().into()))
    }

    /// The key wrapped: base64 of nonce, ciphertext and tag. Fails if the system gives no random bytes.
    pub fn wrap(&self, named: &NamedKey<'_, RootKey>) -> Result<String, EpochError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| EpochError::Entropy)?;
        let payload = Payload { msg: named.key.bytes(), aad: &bound(named.id, named.kind, named.epoch) };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).expect("32 bytes are within the limits of AES-GCM");
        Ok(BASE64_STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// The key, none if the text is damaged or was wrapped under another name, kind or epoch.
    pub fn unwrap(&self, named: &NamedKey<'_, str>) -> Option<RootKey> {
        let wrapped = BASE64_STANDARD.decode(named.key).ok()?;
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &bound(named.id, named.kind, named.epoch) };
        let bytes = Zeroizing::new(self.0.decrypt(&Nonce::from(*nonce), payload).ok()?);
        Some(RootKey::from_bytes(bytes.as_slice().try_into().ok()?))
    }
}

/// Associated data of a wrapping. Ids and kinds hold no NUL.
fn bound(id: &str, kind: &str, epoch: i64) -> Vec<u8> {
    format!("wasend/wrap/v1\0{id}\0{kind}\0{epoch}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<T: ?Sized>(key: &T) -> NamedKey<'_, T> {
        NamedKey { id: "account/1", kind: "account", epoch: 1, key }
    }

    #[test]
    fn a_wrapping_opens_only_under_its_own_name_kind_and_epoch() {
        let wrapper = KeyWrapper::new(&RootKey::from_bytes([1; 32]));
        let text = wrapper.wrap(&named(&RootKey::from_bytes([2; 32]))).unwrap();
        let right = named(text.as_str());
        assert_eq!(wrapper.unwrap(&right).unwrap().bytes(), &[2; 32]);
        assert!(wrapper.unwrap(&NamedKey { id: "account/2", ..right }).is_none());
        assert!(wrapper.unwrap(&NamedKey { kind: "index", ..right }).is_none());
        assert!(wrapper.unwrap(&NamedKey { epoch: 2, ..right }).is_none());
        assert!(KeyWrapper::new(&RootKey::from_bytes([3; 32])).unwrap(&right).is_none());
    }

    #[test]
    fn what_is_no_wrapping_opens_to_nothing() {
        let wrapper = KeyWrapper::new(&RootKey::from_bytes([1; 32]));
        for text in ["", "A", "AAAA", "%%%%", &"0".repeat(80)] {
            assert!(wrapper.unwrap(&named(text)).is_none(), "{text}");
        }
    }
}
