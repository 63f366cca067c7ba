//! Documents that were parsed a moment ago. A client sends few, again and again, and says in variables what differs;
//! to parse one takes a twelfth of what a send costs.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use async_graphql::parser::types::ExecutableDocument;
use lru::LruCache;

use super::document_scan::DocumentScan;

/// Documents that are kept, those that were used last, each of at most so many bytes and tokens: 10 MB at the worst.
const CACHED_DOCUMENTS_MAX: NonZeroUsize = NonZeroUsize::new(128).unwrap();
const CACHED_DOCUMENT_BYTES_MAX: usize = 4 << 10;
const CACHED_DOCUMENT_TOKENS_MAX: usize = 256;

/// Keeps parsed documents by their text, for all callers. One that holds a value or an alias is never kept
/// ([`DocumentScan::is_plain`]), so that nothing about a person stays.
pub struct DocumentCache(Mutex<LruCache<String, ExecutableDocument>>);

impl Default for DocumentCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CACHED_DOCUMENTS_MAX)))
    }
}

impl DocumentCache {
    /// The parsed document of this text, where it is kept; it then counts as used just now.
    pub fn get(&self, text: &str) -> Option<ExecutableDocument> {
        // Longer ones are never kept, and would be hashed in vain.
        if text.len() > CACHED_DOCUMENT_BYTES_MAX {
            return None;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned()
    }

    /// Keeps a document that was found to be within all limits.
    pub fn insert(&self, text: &str, look: DocumentScan, document: &ExecutableDocument) {
        if look.is_plain && look.tokens <= CACHED_DOCUMENT_TOKENS_MAX && text.len() <= CACHED_DOCUMENT_BYTES_MAX {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).put(text.to_owned(), document.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::super::document_scan::scan_document;
    use super::*;

    #[test]
    fn only_small_documents_without_values_are_kept() {
        let documents = DocumentCache::default();
        let wide = format!("{{ {} }}", "a ".repeat(CACHED_DOCUMENT_TOKENS_MAX));
        let long = format!("{{ {}a }}", " ".repeat(CACHED_DOCUMENT_BYTES_MAX));
        for (text, kept) in
            [("{ a }", true), ("{ a(x: \"Ada\") }", false), ("{ Ada: a }", false), (&wide, false), (&long, false)]
        {
            documents.insert(text, scan_document(text, 10_000).unwrap(), &parse_query(text).unwrap());
            assert_eq!(documents.get(text).is_some(), kept, "{text}");
        }
        assert!(documents.get("{ b }").is_none());
    }

    #[test]
    fn the_least_used_makes_room() {
        let documents = DocumentCache::default();
        let text = |number: usize| format!("{{ a{number} }}");
        for number in 0..=CACHED_DOCUMENTS_MAX.get() {
            let text = text(number);
            documents.insert(&text, scan_document(&text, 10).unwrap(), &parse_query(&text).unwrap());
            assert!(documents.get("{ a0 }").is_some());
        }
        assert!(documents.get(&text(1)).is_none() && documents.get(&text(2)).is_some());
    }
}
