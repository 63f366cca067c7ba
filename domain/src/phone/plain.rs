//! What people write around a number, and how it is taken away.

use std::borrow::Cow;

use super::InvalidPhone;

/// Longest text that is looked at, in characters: E.164 has 15 digits, the rest is punctuation.
const TEXT_CHARS_MAX: usize = 96;
/// Digits that a first number has at least where a cell holds several: what is shorter is an area code.
const WHOLE_NUMBER_DIGITS: usize = 7;
/// Words before an extension.
const EXTENSION: [&str; 27] = [
    "x",
    "ext",
    "extn",
    "extension",
    "extensión",
    "int",
    "interno",
    "anexo",
    "durchwahl",
    "dw",
    "nst",
    "nebenstelle",
    "app",
    "poste",
    "ramal",
    "toestel",
    "wew",
    "dahili",
    "доб",
    "вн",
    "تحويلة",
    "ตอ",
    "内線",
    "分机",
    "分機",
    "내선",
    "#",
];
/// The zeros of the scripts whose digits stand in order (Unicode 16, category Nd, without the mathematical ones).
const ZEROS: [char; 39] = [
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{ff10}',
    '\u{104a0}',
    '\u{11066}',
    '\u{1e950}',
];

/// The text without what no reader sees, with ASCII digits and plain blanks, and without what surrounds the number: a
/// scheme, a link, the domain of a chat, the decimals of a table program. Refused if it holds several numbers.
pub(super) fn plain_number(text: &str) -> Result<String, InvalidPhone> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(InvalidPhone::TooLong);
    }
    let seen: String = text.chars().filter(|c| !is_invisible_mark(*c)).map(plain_char).collect();
    let number = without_address(seen.trim());
    let number = number.as_ref();
    if has_extension(number) {
        return Err(InvalidPhone::Extension);
    }
    if number.contains(['/', ';', ',', '\n', '\r', '|']) || number.contains(":::") {
        return single(number);
    }
    without_decimals(number).map(str::to_owned)
}

/// Whether words for an extension stand between digits.
pub(super) fn has_extension(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some((number, rest)) = lower.split_once(|c: char| c.is_alphabetic() || c == '#' || c == ';') else {
        return false;
    };
    let words: String = lower[number.len()..].chars().filter(|c| c.is_alphabetic() || *c == '#').collect();
    let is_word = EXTENSION.contains(&words.as_str());
    number.chars().filter(char::is_ascii_digit).count() >= WHOLE_NUMBER_DIGITS
        && is_word
        && rest.chars().any(|c| c.is_ascii_digit())
}

/// Marks that set the direction or the breaking of text, and soft hyphens: no reader sees them.
pub const fn is_invisible_mark(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

fn plain_char(c: char) -> char {
    if c.is_whitespace() && !matches!(c, '\n' | '\r') {
        return ' ';
    }
    let zero = ZEROS.iter().find(|zero| (0..10).contains(&(c as u32).wrapping_sub(**zero as u32)));
    let digit = zero.and_then(|zero| char::from_digit((c as u32) - (*zero as u32), 10));
    digit.unwrap_or(c)
}

/// The number inside a scheme, a link to a chat or the id of one. In those of WhatsApp it has its country code, with `+` or
/// without ("How to use click to chat", WhatsApp Help Center).
fn without_address(text: &str) -> Cow<'_, str> {
    const BEFORE: [&str; 6] = [
        "whatsapp://send?phone=",
        "whatsapp:",
        "wa.me/",
        "api.whatsapp.com/send?phone=",
        "api.whatsapp.com/send/?phone=",
        "web.whatsapp.com/send?phone=",
    ];
    const AFTER: [&str; 2] = ["@s.whatsapp.net", "@c.us"];
    let bare = ["https://", "http://"].iter().find_map(|scheme| without_prefix(text, scheme)).unwrap_or(text);
    let linked = BEFORE.iter().find_map(|before| without_prefix(bare, before));
    let inner = linked.map(|linked| linked.split(['?', '&']).next().unwrap_or_default());
    let inner = inner.or_else(|| AFTER.iter().find_map(|after| text.strip_suffix(after)));
    let Some(number) = inner.map(|inner| inner.trim().trim_end_matches('/')) else {
        return Cow::Borrowed(without_prefix(text, "tel:").unwrap_or(text).trim());
    };
    let number = number.strip_prefix("%2B").unwrap_or(number);
    let is_bare = number.starts_with(|c: char| c.is_ascii_digit()) && !number.starts_with('0');
    if is_bare { Cow::Owned(format!("+{number}")) } else { Cow::Borrowed(number) }
}

fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix)).map(|head| &text[head.len()..])
}

/// The one number of a text with a sign that parts numbers; a short first part is an area code (`0664/1234567`).
fn single(text: &str) -> Result<String, InvalidPhone> {
    let digits = |part: &str| part.chars().filter(char::is_ascii_digit).count();
    let mut parts = text.split(['/', ';', ',', '\n', '\r', '|']).flat_map(|part| part.split(":::"));
    let first = parts.next().unwrap_or_default();
    let others: Vec<&str> = parts.filter(|part| digits(part) > 0).collect();
    match others.as_slice() {
        [] => without_decimals(first.trim()).map(str::to_owned),
        // The decimals of a table program with a comma.
        [decimals] if text.matches(',').count() == 1 && decimals.bytes().all(|b| b == b'0') => {
            Ok(first.trim().to_owned())
        }
        [rest] if text.contains('/') && digits(first) < WHOLE_NUMBER_DIGITS => Ok(format!("{first} {rest}")),
        _ => Err(InvalidPhone::Several),
    }
}

/// The text without the zeros behind a single decimal point; other decimals are no part of a number.
fn without_decimals(text: &str) -> Result<&str, InvalidPhone> {
    let Some((whole, part)) = text.split_once('.') else { return Ok(text) };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let whole_digits = whole.strip_prefix('+').unwrap_or(whole);
    if !is_number(whole_digits) || whole_digits.len() < WHOLE_NUMBER_DIGITS || !is_number(part) {
        return Ok(text);
    }
    if part.bytes().all(|b| b == b'0') { Ok(whole) } else { Err(InvalidPhone::Unreadable) }
}
