//! Who is asking. A key is presented once, checked through a port, and becomes a value that functions ask for.

mod context;
mod key;
mod scope;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use wasend_domain::{AccountId, KeyId, account::KeyScope};

use crate::problem::{Problem, ProblemCode};

pub use context::{ContextExt, ScopeGuard, require};
pub use key::ApiKey;
pub use scope::{ReadScope, RequiredScope, ScopedKey, SendScope};

/// The holder of a living key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub scopes: BTreeSet<KeyScope>,
}

impl KeyHolder {
    /// Whether the key has the scope.
    pub fn may(&self, scope: KeyScope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Checks keys.
#[async_trait]
pub trait KeyAuthenticator: Send + Sync {
    /// Who holds the key; none when it is unknown, rotated away or revoked. `secret` has the form of a key.
    async fn authenticate(&self, secret: &str) -> Result<Option<KeyHolder>, KeysUnavailable>;
}

/// Keys cannot be checked for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keys cannot be checked for now")]
pub struct KeysUnavailable;

/// On whose behalf a request runs.
#[derive(Debug, Clone, Default)]
pub enum RequestCaller {
    /// No key was presented: introspection works, every field that needs a key answers UNAUTHENTICATED.
    #[default]
    Anonymous,
    Holder(Arc<KeyHolder>),
}

/// A caller with the key that was presented, for connections that outlive one check.
#[derive(Debug, Clone, Default)]
pub struct CallerIdentity {
    pub caller: RequestCaller,
    key: Option<ApiKey>,
}

/// How long a store may take to say whose key it is.
const KEY_LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a presented key gives no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyDenied {
    #[error("the API key is unknown or revoked")]
    Invalid,
    #[error(transparent)]
    Unavailable(#[from] KeysUnavailable),
}

impl KeyDenied {
    /// The code of the answer: UNAUTHENTICATED for a wrong key, UNAVAILABLE when it could not be checked.
    pub const fn code(self) -> ProblemCode {
        match self {
            Self::Invalid => ProblemCode::Unauthenticated,
            Self::Unavailable(_) => ProblemCode::Unavailable,
        }
    }
}

impl CallerIdentity {
    /// From the headers of a request. A key that is presented and wrong is refused, never taken for none.
    pub async fn of_headers(authenticator: &dyn KeyAuthenticator, headers: &HeaderMap) -> Result<Self, KeyDenied> {
        let mut presented = headers.get_all(AUTHORIZATION).iter();
        match (presented.next(), presented.next()) {
            (None, _) => Ok(Self::default()),
            (Some(value), None) => {
                let value = value.to_str().map_err(|_| KeyDenied::Invalid)?;
                Self::of_credentials(authenticator, value).await
            }
            _ => Err(KeyDenied::Invalid),
        }
    }

    /// From `Bearer wsk_…`, the scheme in any case (RFC 9110, 11.1).
    pub async fn of_credentials(authenticator: &dyn KeyAuthenticator, credentials: &str) -> Result<Self, KeyDenied> {
        let (scheme, secret) = credentials.trim().split_once(' ').ok_or(KeyDenied::Invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(KeyDenied::Invalid);
        }
        Self::of_secret(authenticator, secret.trim()).await
    }

    /// From a bare `wsk_…`.
    pub async fn of_secret(authenticator: &dyn KeyAuthenticator, secret: &str) -> Result<Self, KeyDenied> {
        let key = ApiKey::parse(secret).ok_or(KeyDenied::Invalid)?;
        let found = tokio::time::timeout(KEY_LOOKUP_TIMEOUT, authenticator.authenticate(key.expose())).await;
        let actor = found.unwrap_or(Err(KeysUnavailable))?.ok_or(KeyDenied::Invalid)?;
        Ok(Self { caller: RequestCaller::Holder(Arc::new(actor)), key: Some(key) })
    }

    /// Comes back once the key no longer works, which is looked up `every` so often; never for an anonymous caller,
    /// and not because keys cannot be checked for a while.
    pub async fn until_revoked(&self, authenticator: &dyn KeyAuthenticator, every: Duration) {
        let Some(key) = &self.key else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            if authenticator.authenticate(key.expose()).await == Ok(None) {
                return;
            }
        }
    }
}

/// For plain HTTP handlers: the holder of the key, or a 401 problem.
impl<S> FromRequestParts<S> for KeyHolder
where
    S: Send + Sync,
    Arc<dyn KeyAuthenticator>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let authenticator = <Arc<dyn KeyAuthenticator>>::from_ref(state);
        let identity = CallerIdentity::of_headers(&*authenticator, &parts.headers)
            .await
            .map_err(|denied| Problem::new(denied.code(), denied.to_string()))?;
        match identity.caller {
            RequestCaller::Holder(actor) => Ok(Arc::unwrap_or_clone(actor)),
            RequestCaller::Anonymous => Err(Problem::new(ProblemCode::Unauthenticated, "an API key is needed")),
        }
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! An authenticator for tests: it knows one key with some scopes, until that is revoked.

    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Authenticator of tests: knows one key, which can be revoked, and can itself be down.
    pub struct OneKey {
        pub actor: KeyHolder,
        pub revoked: AtomicBool,
        pub down: AtomicBool,
    }

    impl OneKey {
        /// One key with these scopes, valid and reachable.
        pub fn new(scopes: impl IntoIterator<Item = KeyScope>) -> Arc<Self> {
            let actor = KeyHolder {
                account_id: AccountId::random(),
                key_id: KeyId::random(),
                scopes: scopes.into_iter().collect(),
            };
            Arc::new(Self { actor, revoked: AtomicBool::new(false), down: AtomicBool::new(false) })
        }

        /// The secret of the key that it knows.
        pub fn key() -> String {
            ApiKey::from_bytes(&[7; 32]).expose().to_owned()
        }
    }

    #[async_trait]
    impl KeyAuthenticator for OneKey {
        async fn authenticate(&self, secret: &str) -> Result<Option<KeyHolder>, KeysUnavailable> {
            if self.down.load(Ordering::SeqCst) {
                return Err(KeysUnavailable);
            }
            let known = secret == Self::key() && !self.revoked.load(Ordering::SeqCst);
            Ok(known.then(|| self.actor.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use axum::http::HeaderValue;

    use super::{fake::OneKey, *};

    async fn identify(values: &[&str]) -> Result<CallerIdentity, KeyDenied> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        CallerIdentity::of_headers(&*OneKey::new([KeyScope::Read]), &headers).await
    }

    #[tokio::test]
    async fn no_key_is_anonymous_and_a_wrong_one_is_refused() {
        assert!(matches!(identify(&[]).await.unwrap().caller, RequestCaller::Anonymous));
        let other = ApiKey::from_bytes(&[8; 32]);
        for wrong in ["", "Bearer", "Bearer ", "Bearer wsk_x", "Basic dTpw", &format!("Bearer {}", other.expose())] {
            assert_eq!(identify(&[wrong]).await.unwrap_err(), KeyDenied::Invalid, "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_scheme_is_read_in_any_case_and_given_once() {
        let credentials = format!("bEaReR {}", OneKey::key());
        assert!(matches!(identify(&[&credentials]).await.unwrap().caller, RequestCaller::Holder(_)));
        assert_eq!(identify(&[&credentials, &credentials]).await.unwrap_err(), KeyDenied::Invalid);
    }

    #[tokio::test]
    async fn an_unreachable_store_is_not_a_wrong_key() {
        let authenticator = OneKey::new([]);
        authenticator.down.store(true, Ordering::SeqCst);
        let denied = CallerIdentity::of_secret(&*authenticator, &OneKey::key()).await.unwrap_err();
        assert_eq!(denied.code(), ProblemCode::Unavailable);
    }

    #[tokio::test]
    async fn a_revocation_is_noticed() {
        let authenticator = OneKey::new([]);
        let identity = CallerIdentity::of_secret(&*authenticator, &OneKey::key()).await.unwrap();
        authenticator.revoked.store(true, Ordering::SeqCst);
        identity.until_revoked(&*authenticator, Duration::from_millis(1)).await;
    }
}
