//! The identities of people in a piece of JSON of unknown form, in whatever field: one that Meta invents tomorrow is read
//! like one of today.
//!
//! The text is looked through once from end to end, and no tree of it is built, so that nothing is too deep, too large or
//! too odd: members that are repeated, numbers that no type holds and broken escapes are read like all others.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::json::{unix_seconds, unquoted};
use crate::recipient::is_bsuid;
use crate::redacted::PERSONAL;

/// The digits of a number in E.164; within a longer text only what is not shorter than numbers are.
const SHORTEST: usize = 5;
const SHORTEST_IN_TEXT: usize = 7;
const LONGEST: usize = 15;
/// Longest text that is read as one number with its punctuation.
const PUNCTUATED_MAX: usize = 64;
/// Most letters of a wamid that are decoded: several times what Meta's have.
const WAMID_MAX: usize = 512;
/// How every wamid of Meta's begins after its prefix: the framing before the user's number.
const FRAMING: &str = "HBg";
/// No moment is later: unix seconds of ten digits.
const LATEST: i64 = 10_000_000_000;
/// Members that name the business's own number.
const OWN: [&str; 2] = ["display_phone_number", "phone_number_id"];

/// Wamids come with padding and without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What may be identities of people, and when it was said.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MentionedIdentities {
    /// Digits, as many as a phone number has, without `+`. Many are no person's number.
    pub numbers: BTreeSet<String>,
    pub bsuids: BTreeSet<String>,
    /// The earliest `timestamp`, in unix seconds.
    pub earliest: Option<i64>,
}

impl std::fmt::Debug for MentionedIdentities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        PERSONAL.fmt(f)
    }
}

impl MentionedIdentities {
    /// Reads every member's name and every value of the JSON; other text gives what it happens to hold.
    ///
    /// Found are whole numbers in any punctuation, as texts or as JSON numbers; runs of digits in longer texts; BSUIDs; and
    /// both in wamids, which hold the number in base64. Not found are numbers without their country code, and those that
    /// are spelled in words or broken up within a longer text.
    pub fn read(json: &str) -> Self {
        let mut found = Self::default();
        let mut member: Option<String> = None;
        let mut rest = json;
        while let Some(first) = rest.bytes().next() {
            let length = match first {
                b'"' => quoted(rest),
                b'-' | b'0'..=b'9' => rest.bytes().take_while(|byte| is_of_number(*byte)).count(),
                _ => 0,
            };
            let (token, after) = rest.split_at(length);
            match first {
                b'"' => {
                    let text = unquoted(token);
                    if let Some(value) = after.trim_start().strip_prefix(':') {
                        found.text(&text);
                        member = Some(text);
                        rest = value;
                        continue;
                    }
                    found.value(member.take().as_deref(), &text);
                }
                b'-' | b'0'..=b'9' => found.value(member.take().as_deref(), &written_out(token)),
                b'{' | b'}' | b'[' | b']' | b',' => member = None,
                _ => {}
            }
            rest = if length > 0 { after } else { &after[next(after)..] };
        }
        found
    }

    /// Takes in those of another piece.
    pub fn extend(&mut self, other: Self) {
        self.numbers.extend(other.numbers);
        self.bsuids.extend(other.bsuids);
        self.earliest = self.earliest.into_iter().chain(other.earliest).min();
    }

    /// Whether no identity was found.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.bsuids.is_empty()
    }

    fn value(&mut self, member: Option<&str>, text: &str) {
        match member {
            Some(own) if OWN.contains(&own) => {}
            Some("timestamp") if self.moment(text) => {}
            _ => self.text(text),
        }
    }

    /// Whether it is one.
    fn moment(&mut self, text: &str) -> bool {
        // A number has more digits.
        let moment = text.trim().parse().ok().and_then(unix_seconds).filter(|moment| *moment < LATEST);
        self.earliest = self.earliest.into_iter().chain(moment).min();
        moment.is_some()
    }

    fn text(&mut self, text: &str) {
        self.whole(text);
        self.pieces(text, SHORTEST_IN_TEXT);
        for wamid in wamids(text) {
            self.pieces(&decoded(wamid), SHORTEST);
        }
    }

    /// A text that is one number, in whatever punctuation.
    fn whole(&mut self, text: &str) {
        if text.len() <= PUNCTUATED_MAX && !text.trim_start_matches("tel:").chars().any(char::is_alphabetic) {
            let digits: String = text.chars().filter_map(digit).collect();
            self.number(&digits, SHORTEST);
        }
    }

    /// Runs of digits, and words that are BSUIDs.
    fn pieces(&mut self, text: &str, shortest: usize) {
        for run in text.split(|letter: char| !letter.is_ascii_digit()) {
            self.number(run, shortest);
        }
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.') {
            let word = word.trim_matches('.');
            if is_bsuid(word) {
                self.bsuids.insert(word.to_owned());
            }
        }
    }

    fn number(&mut self, digits: &str, shortest: usize) {
        // As they are dialled from abroad.
        let digits = digits.trim_start_matches('0');
        if (shortest..=LONGEST).contains(&digits.len()) {
            self.numbers.insert(digits.to_owned());
        }
    }
}

/// How many bytes the next letter has.
fn next(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

/// The length of the string at the beginning of the text, with its quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

const fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// A JSON number without its exponent, if it is a whole one that a phone number could be.
fn written_out(number: &str) -> String {
    let has_exponent = number.contains(['.', 'e', 'E']);
    match number.parse::<f64>() {
        Ok(value) if has_exponent && value.fract() == 0.0 && (0.0..1e15).contains(&value) => format!("{value:.0}"),
        _ => number.to_owned(),
    }
}

/// ASCII's and full-width ones.
fn digit(letter: char) -> Option<char> {
    let value = match letter {
        '0'..='9' => return Some(letter),
        '\u{ff10}'..='\u{ff19}' => u32::from(letter) - 0xff10,
        _ => return None,
    };
    char::from_digit(value, 10)
}

/// The base64 of each wamid in the text.
fn wamids(text: &str) -> impl Iterator<Item = &str> {
    let is_of_base64 = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '-' | '_');
    let mut prefixed = false;
    text.split_inclusive(move |letter| !is_of_base64(letter)).filter_map(move |piece| {
        let word = piece.trim_end_matches(|letter| !is_of_base64(letter));
        let is_wamid = std::mem::replace(&mut prefixed, piece.ends_with("wamid.")) || word.starts_with(FRAMING);
        (is_wamid && !word.is_empty()).then_some(word)
    })
}

/// What the base64 says, where it is text.
fn decoded(base64: &str) -> String {
    let letters = base64.bytes().take(WAMID_MAX).map(|letter| match letter {
        b'-' => b'+',
        b'_' => b'/',
        letter => letter,
    });
    let mut letters: Vec<u8> = letters.collect();
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    String::from_utf8_lossy(&LENIENT.decode(letters).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
