//! Documents that a client asks for by their hash after it has sent them once (automatic persisted queries):
//! <https://github.com/apollographql/apollo-link-persisted-queries#protocol>
//!
//! They are kept in memory alone, for each account apart, and a client whose document is no longer kept sends it again.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use serde_json::Value;
use sha2::{Digest, Sha256};
use wasend_domain::AccountId;

use super::{RequestRefusal, document_scan::DocumentScan};
use crate::auth::RequestCaller;
use crate::problem::ProblemCode;

/// Documents that are kept for an account, those that were used last.
const ACCOUNT_DOCUMENTS_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Accounts for which documents are kept: 64 MiB together at the worst.
const ACCOUNTS_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Longest document that is kept.
const PERSISTED_DOCUMENT_BYTES_MAX: usize = 16 << 10;

/// The SHA-256 of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    fn of(document: &str) -> Self {
        Self(Sha256::digest(document).into())
    }

    /// Reads the extension `persistedQuery`. Errors: BAD_REQUEST.
    pub(super) fn of_extension(extension: &Value) -> Result<Self, RequestRefusal> {
        let hash = extension.get("sha256Hash").and_then(Value::as_str).and_then(Self::of_hex);
        hash.filter(|_| extension.get("version").and_then(Value::as_u64) == Some(1)).ok_or_else(|| {
            let message = "\"persistedQuery\" must have version 1 and a sha256Hash of 64 hexadecimal digits";
            RequestRefusal::new(ProblemCode::BadRequest, message)
        })
    }

    fn of_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// The documents of all accounts.
pub struct PersistedDocuments(Mutex<LruCache<AccountId, LruCache<DocumentHash, Arc<str>>>>);

impl Default for PersistedDocuments {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(ACCOUNTS_MAX)))
    }
}

impl PersistedDocuments {
    /// The document of a hash that the caller's account has sent before. Errors: PERSISTED_QUERY_NOT_FOUND.
    pub(super) fn find(&self, caller: &RequestCaller, hash: DocumentHash) -> Result<Arc<str>, RequestRefusal> {
        let account = account(caller);
        let found = account.and_then(|account| {
            let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.get_mut(&account)?.get(&hash).cloned()
        });
        // The words that clients look for.
        found.ok_or_else(|| RequestRefusal::new(ProblemCode::PersistedQueryNotFound, "PersistedQueryNotFound"))
    }

    /// Errors: BAD_REQUEST for a hash that is another document's.
    pub(super) fn check(hash: DocumentHash, document: &str) -> Result<(), RequestRefusal> {
        if DocumentHash::of(document) == hash {
            return Ok(());
        }
        Err(RequestRefusal::new(ProblemCode::BadRequest, "the sha256Hash is not that of the query"))
    }

    /// Keeps a document under its checked hash, unless it is long, or holds texts, comments or long numbers: these may be
    /// data about a person, which variables are for.
    pub fn keep(&self, caller: &RequestCaller, hash: DocumentHash, look: DocumentScan, document: &str) {
        let Some(account) = account(caller) else { return };
        if !look.is_without_texts || document.len() > PERSISTED_DOCUMENT_BYTES_MAX {
            return;
        }
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = accounts.get_or_insert_mut(account, || LruCache::new(ACCOUNT_DOCUMENTS_MAX));
        documents.put(hash, document.into());
    }
}

/// Nothing is kept for callers without a key.
fn account(caller: &RequestCaller) -> Option<AccountId> {
    match caller {
        RequestCaller::Holder(holder) => Some(holder.account_id),
        RequestCaller::Anonymous => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasend_domain::KeyId;

    use super::super::document_scan::scan_document;
    use super::*;
    use crate::auth::KeyHolder;

    fn caller() -> RequestCaller {
        let holder = KeyHolder { account_id: AccountId::random(), key_id: KeyId::random(), scopes: [].into() };
        RequestCaller::Holder(Arc::new(holder))
    }

    fn keep(documents: &PersistedDocuments, caller: &RequestCaller, text: &str) -> DocumentHash {
        let hash = DocumentHash::of(text);
        documents.keep(caller, hash, scan_document(text, 10_000).unwrap(), text);
        hash
    }

    #[test]
    fn a_document_is_its_accounts_alone() {
        let (documents, one, other) = (PersistedDocuments::default(), caller(), caller());
        let hash = keep(&documents, &one, "{ a(first: 50) }");
        assert_eq!(documents.find(&one, hash).as_deref(), Ok("{ a(first: 50) }"));
        for caller in [other, RequestCaller::Anonymous] {
            assert_eq!(documents.find(&caller, hash).unwrap_err().code, ProblemCode::PersistedQueryNotFound);
        }
        let hash = keep(&documents, &RequestCaller::Anonymous, "{ b }");
        assert!(documents.find(&RequestCaller::Anonymous, hash).is_err());
    }

    #[test]
    fn what_may_be_about_a_person_is_not_kept() {
        let (documents, one) = (PersistedDocuments::default(), caller());
        let long = format!("{{ {} }}", "a ".repeat(PERSISTED_DOCUMENT_BYTES_MAX / 2));
        for text in ["{ a(x: \"Ada\") }", "{ a(x: 16505551234) }", "# Ada\n{ a }", "{ a16505551234: a }", &long] {
            let hash = keep(&documents, &one, text);
            assert!(documents.find(&one, hash).is_err(), "{}", &text[..12]);
        }
    }

    #[test]
    fn the_least_used_makes_room() {
        let (documents, one) = (PersistedDocuments::default(), caller());
        let text = |number: usize| format!("{{ a(x: {number}) }}");
        let first = keep(&documents, &one, &text(0));
        for number in 1..=ACCOUNT_DOCUMENTS_MAX.get() {
            documents.find(&one, first).unwrap();
            keep(&documents, &one, &text(number));
        }
        assert!(documents.find(&one, DocumentHash::of(&text(1))).is_err());
    }

    #[test]
    fn a_hash_is_of_64_hexadecimal_digits_in_version_1() {
        let hash = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
        for text in [hash.to_owned(), hash.to_uppercase()] {
            let read = DocumentHash::of_extension(&json!({"version": 1, "sha256Hash": text}));
            assert_eq!(read, Ok(DocumentHash::of("{__typename}")));
        }
        for wrong in [
            json!(null),
            json!({"sha256Hash": hash}),
            json!({"version": 2, "sha256Hash": hash}),
            json!({"version": 1, "sha256Hash": hash[1..]}),
            json!({"version": 1, "sha256Hash": format!("+{}", &hash[1..])}),
        ] {
            assert!(DocumentHash::of_extension(&wrong).is_err(), "{wrong}");
        }
        assert!(PersistedDocuments::check(DocumentHash::of("{ a }"), "{ b }").is_err());
    }
}
