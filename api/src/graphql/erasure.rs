//! What clients see in the place of personal data that was erased.

use async_graphql::SimpleObject;
use wasend_domain::{Erased, Opened};

use super::scalar::DateTime;

/// Personal data was erased: the fields that held it are null from now on.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct Erasure {
    pub since: DateTime,
    /// Which request, rule or closure erased it.
    pub why: String,
}

impl From<Erased> for Erasure {
    fn from(Erased { since, why }: Erased) -> Self {
        Self { since: DateTime(since), why }
    }
}

/// The value to show, or what became of it.
pub fn shown<T>(opened: Opened<T>) -> (Option<T>, Option<Erasure>) {
    match opened {
        Opened::Value(value) => (Some(value.into_exposed()), None),
        Opened::Erased(erased) => (None, Some(erased.into())),
    }
}
