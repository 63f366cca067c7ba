//! The form of an API key.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use wasend_commands::account::KEY_PREFIX;

const RANDOM_BYTES: usize = 32;

/// `wsk_` and 43 characters of base64url: 256 random bits. It is found by a keyed hash, so comparing needs no constant
/// time. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key made of these random bytes; keys are issued by [`wasend_commands`].
    #[cfg(test)]
    pub fn from_bytes(bytes: &[u8; RANDOM_BYTES]) -> Self {
        Self(format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Accepts the one canonical spelling only.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(KEY_PREFIX)?).ok()?;
        (bytes.len() == RANDOM_BYTES).then(|| Self(text.to_owned()))
    }

    /// Looks at the secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wsk_[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_spelling() {
        let key = ApiKey::from_bytes(&[255; 32]);
        assert_eq!(key.expose().len(), 47);
        assert_eq!(ApiKey::parse(key.expose()), Some(key.clone()));
        let secret = &key.expose()[4..];
        // The last character carries four bits; another one with the same four is another spelling.
        let respelled = format!("wsk_{}9", &secret[..42]);
        for wrong in [secret, &format!("wsk_{secret}="), &format!("WSK_{secret}"), &respelled, "wsk_", "wsk_AAAA"] {
            assert_eq!(ApiKey::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "wsk_[secret]");
    }
}
