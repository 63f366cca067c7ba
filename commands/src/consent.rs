//! What a person says about being written to, and what still holds of what they said before they were erased.

use wasend_domain::AccountId;
use wasend_domain::contact::{Command, Contact, Source, Via};
use wasend_vault::Identity;

use crate::{Caller, CommandError, Commands};

/// Words with which people opt out and in; each is the whole message, in capitals or not.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    stop: Vec<String>,
    start: Vec<String>,
}

impl Keywords {
    pub fn new(stop: &[String], start: &[String]) -> Self {
        let folded = |words: &[String]| words.iter().map(|word| word.trim().to_lowercase()).collect();
        Self { stop: folded(stop), start: folded(start) }
    }

    pub(crate) fn is_stop(&self, text: Option<&str>) -> bool {
        Self::has(&self.stop, text)
    }

    pub(crate) fn is_start(&self, text: Option<&str>) -> bool {
        Self::has(&self.start, text)
    }

    fn has(words: &[String], text: Option<&str>) -> bool {
        text.is_some_and(|text| words.contains(&text.trim().to_lowercase()))
    }
}

impl Commands {
    /// Whether one of the identities is on the list of those that had opted out before they were erased.
    pub(crate) async fn is_suppressed(
        &self,
        account: AccountId,
        identities: &[Identity],
    ) -> Result<bool, CommandError> {
        Ok(self.vault.suppressed(account, identities).await?.contains(&true))
    }

    /// What an inbound message means for the contact: it is known from now on, and opts out or in with a keyword.
    pub(crate) async fn consents(
        &self,
        caller: Caller,
        contact: &Contact,
        identities: &[Identity],
        text: Option<&str>,
    ) -> Result<Vec<Command>, CommandError> {
        let mut commands = vec![];
        if !contact.created {
            commands.push(Command::Create { source: Source::Inbound, attributes: None });
            if self.is_suppressed(caller.account_id, identities).await? {
                commands.push(Command::OptOut { via: Via::Suppression });
            }
        }
        if self.keywords.is_stop(text) {
            commands.push(Command::OptOut { via: Via::Keyword });
        } else if self.keywords.is_start(text) {
            commands.push(Command::OptIn { via: Via::Keyword });
        }
        Ok(commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_the_whole_message() {
        let words = Keywords::new(&["STOP".into(), "Aufhören".into()], &["START".into()]);
        for text in ["stop", " Stop\n", "AUFHÖREN"] {
            assert!(words.is_stop(Some(text)), "{text}");
        }
        for text in [Some("stop it"), Some("nonstop"), Some(""), None, Some("start")] {
            assert!(!words.is_stop(text), "{text:?}");
        }
        assert!(words.is_start(Some("Start")) && !Keywords::default().is_stop(Some("")));
    }
}
