//! What a person says about being written to, and what still holds of what they said before they were erased. A word
//! counts by the moment at which it was said, not by that of its arrival.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use wasend_domain::account::{self, Account, AccountKeywords};
use wasend_domain::contact::{Command, ConsentChannel, ConsentChoice, ConsentScope, Contact, ContactOrigin, Error};
use wasend_domain::content;
use wasend_domain::inbox::{self, Inbox};
use wasend_domain::{AccountId, SubjectId, Time};
use wasend_eventlog::{CommandFailure, StreamLookup, execute, execute_new, load};
use wasend_vault::PersonIdentity;
use wasend_whatsapp::InboundMessage;

use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Words with which people opt out and in; each is the whole message. Case, accents and the punctuation and emoji
/// around it do not matter.
#[derive(Debug, Clone, Default)]
pub struct ConsentKeywords {
    stop: Vec<String>,
    start: Vec<String>,
}

impl ConsentKeywords {
    /// The words, folded once; empty ones are left out.
    pub fn new(stop: &[String], start: &[String]) -> Self {
        let all = |words: &[String]| words.iter().map(|word| folded(word)).filter(|word| !word.is_empty()).collect();
        Self { stop: all(stop), start: all(start) }
    }

    /// These words with the account's own in the place of those that it has.
    fn with(&self, own: &AccountKeywords) -> Self {
        let list = |words: &Option<Vec<String>>, server: &Vec<String>| match words {
            Some(words) => words.iter().map(|word| folded(word)).collect(),
            None => server.clone(),
        };
        Self { stop: list(&own.stop, &self.stop), start: list(&own.start, &self.start) }
    }

    /// The words that opt out, folded.
    pub fn stop(&self) -> &[String] {
        &self.stop
    }

    /// The words that opt in, folded.
    pub fn start(&self) -> &[String] {
        &self.start
    }

    pub(crate) fn is_stop(&self, text: Option<&str>) -> bool {
        Self::has(&self.stop, text)
    }

    pub(crate) fn is_start(&self, text: Option<&str>) -> bool {
        Self::has(&self.start, text)
    }

    fn has(words: &[String], text: Option<&str>) -> bool {
        text.is_some_and(|text| text.len() <= KEYWORD_BYTES_MAX && words.contains(&folded(text)))
    }
}

fn check_words(field: &str, words: &[String]) -> Result<(), CommandError> {
    if words.len() > KEYWORDS_MAX {
        let message = format_args!("at most {KEYWORDS_MAX} words");
        return Err(Refusal::new(field, RefusalCode::TooMany, message).into());
    }
    for (index, word) in words.iter().enumerate() {
        let field = format!("{field}.{index}");
        content::text(word, KEYWORD_CHARS_MAX).map_err(|error| Refusal::content(&field, &error))?;
        if folded(word).is_empty() {
            return Err(Refusal::new(&field, RefusalCode::Invalid, "a word needs a letter or a digit").into());
        }
    }
    Ok(())
}

/// Most words in a list of an account.
pub const KEYWORDS_MAX: usize = 200;
/// Longest word of an account, in characters: so that each fits into what is compared.
pub const KEYWORD_CHARS_MAX: usize = 40;
/// Longest message that is compared with the words, in bytes.
const KEYWORD_BYTES_MAX: usize = 200;

/// Meta's quick reply with which a person stops marketing messages, "Stop promotions", and translations of it; folded.
/// Such a tap is about marketing alone.
const MARKETING_BUTTONS: [&str; 7] = [
    "stop promotions",
    "werbung stoppen",
    "marketing abbestellen",
    "detener promociones",
    "parar promocoes",
    "arreter les promotions",
    "interrompi promozioni",
];

fn is_marketing_button(text: &str) -> bool {
    text.len() <= KEYWORD_BYTES_MAX && MARKETING_BUTTONS.contains(&folded(text).as_str())
}

/// One spelling of a word: without case, accents, and the punctuation and emoji around it.
fn folded(text: &str) -> String {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let word = plain.trim_matches(|c: char| !c.is_alphanumeric());
    word.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word on consent as a webhook brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportedConsent {
    word: ConsentChoice,
    at: Time,
    /// Meta's own moment where it lies in the future: a repetition of the webhook is then known by it, because the
    /// moment that counts is that of the receipt.
    future: Option<i64>,
}

impl ReportedConsent {
    /// The word with Meta's moment. Without a moment an opt-out counts from its receipt, and an opt-in, which may be
    /// older than any opt-out, does not count.
    pub fn of(
        opted_out: bool,
        scope: ConsentScope,
        via: ConsentChannel,
        timestamp: Option<i64>,
        receipt: Time,
    ) -> Option<Self> {
        let at = match timestamp {
            Some(seconds) => ConsentChoice::not_after(Time::from_seconds(seconds), receipt),
            None if opted_out => receipt,
            None => return None,
        };
        let future = timestamp.filter(|seconds| Time::from_seconds(*seconds) > receipt);
        Some(Self { word: ConsentChoice { opted_out, scope, via, at: Some(at) }, at, future })
    }

    /// The command that records the word for a contact.
    pub const fn command(self) -> Command {
        let (via, scope, at) = (self.word.via, self.word.scope, self.at);
        if self.word.opted_out { Command::OptOut { via, scope, at } } else { Command::OptIn { via, scope, at } }
    }

    /// What the word is about.
    pub const fn scope(self) -> ConsentScope {
        self.word.scope
    }

    /// Where it stands among other words.
    pub fn order(self) -> Time {
        self.word.order().unwrap_or(self.at)
    }
}

impl Commands {
    /// When one of the identities was put on the list of opt-outs of people unknown to the account.
    pub(crate) async fn suppressed_at(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
        scope: ConsentScope,
    ) -> Result<Option<Time>, CommandError> {
        Ok(self.vault.suppressed(account, identities, scope).await?.into_iter().flatten().max())
    }

    /// The opt-outs that a contact has from the lists when it is made known.
    pub(crate) async fn suppression_commands(
        &self,
        account: AccountId,
        identities: &[PersonIdentity],
    ) -> Result<Vec<Command>, CommandError> {
        let mut commands = Vec::new();
        for scope in [ConsentScope::All, ConsentScope::Marketing] {
            let at = self.suppressed_at(account, identities, scope).await?;
            commands.extend(at.map(|at| Command::OptOut { via: ConsentChannel::Suppression, scope, at }));
        }
        Ok(commands)
    }

    /// The word on consent that an inbound message consists of: a keyword that a person typed, or that is the text of a
    /// template's quick reply; or Meta's button against marketing, which goes before the keywords.
    pub(crate) async fn keyword(
        &self,
        caller: Caller,
        message: &InboundMessage,
    ) -> Result<Option<ReportedConsent>, CommandError> {
        // A tap on another button, a row of a list, a caption or a form is an answer to the business's question.
        let is_button = message.kind == "button";
        let said = message.text.as_deref().filter(|_| is_button || message.kind == "text");
        let said = said.filter(|text| text.len() <= KEYWORD_BYTES_MAX);
        if said.is_none() {
            return Ok(None);
        }
        let own = self.account_keywords(caller.account_id).await?;
        let keywords = self.keywords.with(&own);
        let (opted_out, scope) = if is_button && said.is_some_and(is_marketing_button) {
            (true, ConsentScope::Marketing)
        } else if keywords.is_stop(said) {
            (true, ConsentScope::All)
        } else if keywords.is_start(said) {
            (false, ConsentScope::All)
        } else {
            return Ok(None);
        };
        let via = ConsentChannel::Keyword;
        Ok(ReportedConsent::of(opted_out, scope, via, message.timestamp, self.clock.now()))
    }

    /// The account's own words, read from its history: what is set counts for the next message.
    async fn account_keywords(&self, account: AccountId) -> Result<AccountKeywords, CommandError> {
        let mut found = load::<Account>(&*self.log, account, &[account.uuid()]).await?;
        let known = found.remove(&account.uuid()).and_then(StreamLookup::present);
        Ok(known.map(|known| known.state.keywords).unwrap_or_default())
    }

    /// Gives the account words of its own with which people opt out and in; a list that is absent is the server's again.
    /// At most 200 words each, of 1 to 40 characters; none in both lists.
    pub async fn set_keywords(
        &self,
        caller: Caller,
        keywords: AccountKeywords,
    ) -> Result<CommandEffect<AccountId>, CommandError> {
        for (field, words) in [("stop", &keywords.stop), ("start", &keywords.start)] {
            check_words(field, words.as_deref().unwrap_or_default())?;
        }
        let stop: Vec<_> = keywords.stop.iter().flatten().map(|word| folded(word)).collect();
        for (index, word) in keywords.start.iter().flatten().enumerate() {
            if stop.contains(&folded(word)) {
                let field = format!("start.{index}");
                return Err(Refusal::new(&field, RefusalCode::Duplicate, "the word is in both lists").into());
            }
        }
        let position = self.account(caller, "stop", account::Command::SetKeywords(keywords)).await?;
        Ok(CommandEffect { value: caller.account_id, position })
    }

    /// What an inbound message means for the contact: it is known from now on, and opts out or in with a keyword.
    pub(crate) async fn consents(
        &self,
        caller: Caller,
        contact: &Contact,
        identities: &[PersonIdentity],
        keyword: Option<ReportedConsent>,
    ) -> Result<Vec<Command>, CommandError> {
        let mut commands = vec![];
        if !contact.created {
            commands.push(Command::Create { source: ContactOrigin::Inbound, attributes: None });
            commands.extend(self.suppression_commands(caller.account_id, identities).await?);
        }
        commands.extend(keyword.map(ReportedConsent::command));
        Ok(commands)
    }

    /// Meta refused a message to the contact because its person does not want marketing (error 131050).
    pub async fn refused_by_person(
        &self,
        caller: Caller,
        contact: SubjectId,
        identities: &[PersonIdentity],
        at: Time,
    ) -> Result<(), CommandError> {
        let heard = ReportedConsent {
            word: ConsentChoice {
                opted_out: true,
                scope: ConsentScope::Marketing,
                via: ConsentChannel::Meta,
                at: Some(at),
            },
            at,
            future: None,
        };
        if self.record_consent(caller, contact, heard).await? {
            return Ok(());
        }
        self.record_reported_consent(caller, identities, heard).await
    }

    /// Records a choice for the contact that one of the identities leads to. Of a person unknown to the account,
    /// or does not know any more, an opt-out is kept on the list, by keyed hashes.
    pub(crate) async fn record_reported_consent(
        &self,
        caller: Caller,
        identities: &[PersonIdentity],
        heard: ReportedConsent,
    ) -> Result<(), CommandError> {
        if identities.is_empty() || self.tell_bearer(caller, identities, heard).await? {
            return Ok(());
        }
        if !heard.word.opted_out {
            let (account, scope) = (caller.account_id, heard.scope());
            self.vault.unsuppress_identities(account, identities, scope, heard.order()).await?;
            return Ok(());
        }
        let listing = self.vault.suppress(caller.account_id, identities, heard.scope(), heard.order()).await?;
        if let Some(listing) = listing {
            let (context, command) = (Self::once(caller), inbox::Command::ListOptOut { at: self.clock.now() });
            execute_new::<Inbox>(&*self.log, &*self.clock, context, listing.uuid(), command)
                .await
                .map_err(|failure| CommandError::of(failure, "contact", |_| RefusalCode::Invalid))?;
        }
        // A contact that was made known meanwhile may have looked at the list before.
        self.tell_bearer(caller, identities, heard).await?;
        Ok(())
    }

    /// Puts a person unknown to the account on the list of opt-outs of the scope.
    pub async fn opt_out_unknown(
        &self,
        caller: Caller,
        identities: &[PersonIdentity],
        scope: ConsentScope,
        at: Time,
    ) -> Result<(), CommandError> {
        let word = ConsentChoice { opted_out: true, scope, via: ConsentChannel::Api, at: Some(at) };
        self.record_reported_consent(caller, identities, ReportedConsent { word, at, future: None }).await
    }

    async fn tell_bearer(
        &self,
        caller: Caller,
        identities: &[PersonIdentity],
        heard: ReportedConsent,
    ) -> Result<bool, CommandError> {
        match self.person_of(caller, identities, Some(heard.at)).await? {
            Some(contact) => self.record_consent(caller, contact, heard).await,
            None => Ok(false),
        }
    }

    /// False if there is no such contact, or it is erased. Of one that was merged, the contact that goes on hears it.
    pub(crate) async fn record_consent(
        &self,
        caller: Caller,
        contact: SubjectId,
        heard: ReportedConsent,
    ) -> Result<bool, CommandError> {
        let context = match heard.future {
            Some(seconds) => {
                let ConsentChoice { opted_out, scope, via, .. } = heard.word;
                let scope = if scope.is_all() { "" } else { scope.name() };
                let key = format!("{contact}\n{opted_out}\n{}\n{seconds}{scope}", via.name());
                self.repeatable(caller, "consent", &key).await?
            }
            None => Self::once(caller),
        };
        let command = heard.command();
        let done = execute::<Contact>(&*self.log, &*self.clock, context, contact.uuid(), command).await;
        match done {
            Ok(done) if !heard.word.opted_out && !done.repeated => {
                // After it is recorded: while it is not, a message is refused, which is the safe side.
                self.vault.unsuppress(caller.account_id, contact, heard.scope(), heard.order()).await?;
                Ok(true)
            }
            Ok(_) => Ok(true),
            Err(CommandFailure::Refused(Error::Merged(into))) => {
                Box::pin(self.record_consent(caller, into, heard)).await
            }
            Err(CommandFailure::Refused(Error::Erased | Error::NotFound) | CommandFailure::NotFound) => Ok(false),
            Err(failure) => Err(CommandError::of(failure, "contact", crate::contact::code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_the_whole_message() {
        let words = ConsentKeywords::new(&["STOP".into(), "Aufhören".into()], &["START".into()]);
        for text in ["stop", " Stop\n", "AUFHÖREN", "Aufhoren", "Stop.", "STOP!!", "stop 🛑", "«Stop»", "ｓｔｏｐ"]
        {
            assert!(words.is_stop(Some(text)), "{text}");
        }
        for text in [Some("stop it"), Some("nonstop"), Some(""), None, Some("start")] {
            assert!(!words.is_stop(text), "{text:?}");
        }
        assert!(words.is_start(Some("Start")) && !ConsentKeywords::default().is_stop(Some("")));
    }

    #[test]
    fn the_button_against_marketing_is_known_in_translations() {
        for text in ["Stop promotions", "Werbung stoppen", "Parar promoções", "Arrêter les promotions"] {
            assert!(is_marketing_button(text), "{text}");
        }
        for text in ["Stop", "Promotions", "Please stop promotions", ""] {
            assert!(!is_marketing_button(text), "{text}");
        }
        assert!(MARKETING_BUTTONS.iter().all(|text| folded(text) == *text), "they are folded");
    }
}
