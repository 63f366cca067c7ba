//! Documents that were parsed a moment ago. A client sends few, again and again, and says in variables what differs;
//! to parse one takes a twelfth of what a send costs.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use async_graphql::parser::types::ExecutableDocument;
use lru::LruCache;

use super::lexis::Look;

/// Documents that are kept, those that were used last, each of at most so many bytes and tokens: 10 MB at the worst.
const KEPT: NonZeroUsize = NonZeroUsize::new(128).unwrap();
const BYTES_MAX: usize = 4 << 10;
const TOKENS_MAX: usize = 256;

/// Keeps parsed documents by their text, for all callers. One that holds a value or an alias is never kept
/// ([`Look::is_plain`]), so that nothing about a person stays.
pub struct Documents(Mutex<LruCache<String, ExecutableDocument>>);

impl Default for Documents {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl Documents {
    pub fn get(&self, text: &str) -> Option<ExecutableDocument> {
        // Longer ones are never kept, and would be hashed in vain.
        if text.len() > BYTES_MAX {
            return None;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned()
    }

    /// Keeps a document that was found to be within all limits.
    pub fn keep(&self, text: &str, look: Look, document: &ExecutableDocument) {
        if look.is_plain && look.tokens <= TOKENS_MAX && text.len() <= BYTES_MAX {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).put(text.to_owned(), document.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::super::lexis::look;
    use super::*;

    #[test]
    fn only_small_documents_without_values_are_kept() {
        let documents = Documents::default();
        let wide = format!("{{ {} }}", "a ".repeat(TOKENS_MAX));
        let long = format!("{{ {}a }}", " ".repeat(BYTES_MAX));
        for (text, kept) in
            [("{ a }", true), ("{ a(x: \"Ada\") }", false), ("{ Ada: a }", false), (&wide, false), (&long, false)]
        {
            documents.keep(text, look(text, 10_000).unwrap(), &parse_query(text).unwrap());
            assert_eq!(documents.get(text).is_some(), kept, "{text}");
        }
        assert!(documents.get("{ b }").is_none());
    }

    #[test]
    fn the_least_used_makes_room() {
        let documents = Documents::default();
        let text = |number: usize| format!("{{ a{number} }}");
        for number in 0..=KEPT.get() {
            let text = text(number);
            documents.keep(&text, look(&text, 10).unwrap(), &parse_query(&text).unwrap());
            assert!(documents.get("{ a0 }").is_some());
        }
        assert!(documents.get(&text(1)).is_none() && documents.get(&text(2)).is_some());
    }
}
