//! The recipient of a message: a phone number, or Meta's business-scoped user id.

mod plain;

use std::{fmt, str::FromStr};

use rlibphonenumber::{PhoneNumberFormat, ValidationError};
use serde::{Deserialize, Serialize};

pub use plain::is_invisible_mark;
use plain::{has_extension, plain_number};

/// A possible phone number in E.164, such as `+16505551234`. Possible, not valid: real WhatsApp accounts in Brazil
/// and Mexico, and Meta's own test numbers, fail the stricter check.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

/// A country by its ISO 3166 code, as the numbering plans know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhoneRegion(rlibphonenumber::Region);

/// No numbering plan is known for the country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the two-letter code of a country, such as DE")]
pub struct InvalidRegion;

impl FromStr for PhoneRegion {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        let region = text.to_ascii_uppercase().parse().map_err(|_| InvalidRegion)?;
        let known = rlibphonenumber::PHONE_NUMBER_UTIL.get_country_code_for_region(region).is_some();
        known.then_some(Self(region)).ok_or(InvalidRegion)
    }
}

/// Why a text is no phone number to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPhone {
    #[error("is not a phone number; give it in international form, such as +16505551234")]
    Unreadable,
    #[error("needs its country code, with a leading +")]
    NoCountryCode,
    #[error("is too short for its country")]
    TooShort,
    #[error("is too long for its country")]
    TooLong,
    #[error("has an extension; WhatsApp reaches whole numbers only")]
    Extension,
    #[error("holds several numbers; give one")]
    Several,
    #[error("is another number with its country code than without; give it in international form, with a leading +")]
    Ambiguous,
}

impl PhoneNumber {
    /// Reads a number in international form; spaces, dots, dashes, brackets, `00` and full-width digits are understood.
    /// So are digits of every script, the ids of chats (`…@s.whatsapp.net`), links (`https://wa.me/…`) and the decimals that
    /// a table program appends (`.0`).
    pub fn parse(text: &str) -> Result<Self, InvalidPhone> {
        Self::parse_plain(&plain_number(text)?)
    }

    fn parse_plain(text: &str) -> Result<Self, InvalidPhone> {
        let international = match text.strip_prefix("00") {
            Some(rest) => format!("+{rest}"),
            None => text.to_owned(),
        };
        if has_extension(&international) {
            return Err(InvalidPhone::Extension);
        }
        if !international.starts_with(['+', '\u{ff0b}']) {
            let looks_like_a_number =
                text.chars().any(|c| c.is_ascii_digit()) && !text.chars().any(char::is_alphabetic);
            return Err(if looks_like_a_number { InvalidPhone::NoCountryCode } else { InvalidPhone::Unreadable });
        }
        // "1-800-FLOWERS" is a number to the parser; here a letter is a mistake worth naming.
        if international.chars().any(char::is_alphabetic) {
            return Err(InvalidPhone::Unreadable);
        }
        let number = rlibphonenumber::PhoneNumber::parse(&international, None).map_err(|_| InvalidPhone::Unreadable)?;
        if number.extension.as_deref().is_some_and(|extension| !extension.is_empty()) {
            return Err(InvalidPhone::Extension);
        }
        match number.is_possible_with_reason() {
            Ok(rlibphonenumber::NumberLengthType::IsPossible) => {}
            Ok(_) | Err(ValidationError::TooShort) => return Err(InvalidPhone::TooShort),
            Err(ValidationError::TooLong) if is_old_mexican_mobile(&number) => {}
            Err(ValidationError::TooLong) => return Err(InvalidPhone::TooLong),
            Err(_) => return Err(InvalidPhone::Unreadable),
        }
        Ok(Self(number.format_as(PhoneNumberFormat::E164).into_owned()))
    }

    /// Reads a number as it stands in a list: in international form, or in that of the region (an ISO 3166 code) with
    /// the country code or without. Refused where both readings fit the numbering plan.
    pub fn parse_in(text: &str, region: Option<PhoneRegion>) -> Result<Self, InvalidPhone> {
        let text = plain_number(text)?;
        match (Self::parse_plain(&text), region) {
            (Err(InvalidPhone::NoCountryCode), Some(region)) => Self::parse_national(&text, region),
            (parsed, _) => parsed,
        }
    }

    fn parse_national(text: &str, region: PhoneRegion) -> Result<Self, InvalidPhone> {
        let national = rlibphonenumber::PhoneNumber::parse(text, Some(region.0)).map_err(|_| InvalidPhone::Unreadable);
        let national = national.and_then(|number| Self::parse_plain(&number.format_as(PhoneNumberFormat::E164)));
        let code =
            rlibphonenumber::PHONE_NUMBER_UTIL.get_country_code_for_region(region.0).map(|code| code.to_string());
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let Some(code) = code.filter(|code| digits.starts_with(code.as_str())) else { return national };
        // As every id of WhatsApp and most exports have it: the country code and no plus sign.
        let international = Self::parse_plain(&format!("+{digits}")).ok().filter(Self::is_valid);
        match (international, national) {
            (Some(international), Ok(national)) if international == national => Ok(national),
            // A number of the country that begins with its code is written with its trunk prefix.
            (Some(international), Ok(national)) if national.0[1..].starts_with(&code.repeat(2)) => Ok(international),
            (None, Ok(national)) if national.0[1..].starts_with(&code.repeat(2)) => Err(InvalidPhone::Ambiguous),
            (Some(_), Ok(national)) if national.is_valid() => Err(InvalidPhone::Ambiguous),
            (Some(international), _) => Ok(international),
            (None, national) => national,
        }
    }

    /// Reads an id of WhatsApp as people copy it: digits with the country code, with `+` or without, and punctuation.
    pub fn parse_wa_id(text: &str) -> Result<Self, InvalidPhone> {
        let text = plain_number(text)?;
        match Self::parse_plain(&text) {
            Err(InvalidPhone::NoCountryCode) => Self::parse_plain(&format!("+{text}")),
            parsed => parsed,
        }
    }

    /// Whether it fits its country's numbering plan. Real WhatsApp accounts may not.
    pub fn is_valid(&self) -> bool {
        rlibphonenumber::PhoneNumber::parse(&self.0, None).is_ok_and(|number| number.is_valid())
    }

    /// The numbers that may be the same person's, itself first: Brazilian mobiles with and without their ninth digit,
    /// Argentinian ones with and without their 9, Mexican ones with and without their old 1. A Brazilian landline has
    /// one spelling.
    pub fn candidates(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        all.extend(self.other_spelling().map(Self));
        all
    }

    /// One for all candidates: the spelling in use today.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let modern = |text: &str| match text.get(1..3) {
            Some("52") => text.len() == 13,
            _ => text.len() == 14,
        };
        Self(self.other_spelling().filter(|other| modern(other)).unwrap_or_else(|| self.0.clone()))
    }

    fn other_spelling(&self) -> Option<String> {
        let (country, rest) = self.0.strip_prefix('+')?.split_at_checked(2)?;
        match (country, rest.len()) {
            // Area code of two digits; mobiles began with 6 to 9 before the ninth digit came (Anatel, 2012 to 2016).
            ("55", 10) if matches!(rest.as_bytes()[2], b'6'..=b'9') => {
                Some(format!("+55{}9{}", &rest[..2], &rest[2..]))
            }
            ("55", 11) if rest.as_bytes()[2] == b'9' && matches!(rest.as_bytes()[3], b'6'..=b'9') => {
                Some(format!("+55{}{}", &rest[..2], &rest[3..]))
            }
            ("54", 10) => Some(format!("+549{rest}")),
            ("54", 11) if rest.starts_with('9') => Some(format!("+54{}", &rest[1..])),
            ("52", 10) => Some(format!("+521{rest}")),
            ("52", 11) if rest.starts_with('1') => Some(format!("+52{}", &rest[1..])),
            _ => None,
        }
    }

    /// Reads a `wa_id` of Meta's: digits without `+`, believed even where no numbering plan knows them.
    pub fn from_wa_id(wa_id: &str) -> Result<Self, InvalidPhone> {
        let digits = wa_id.strip_prefix('+').unwrap_or(wa_id);
        if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.starts_with('0') {
            return Err(InvalidPhone::Unreadable);
        }
        match digits.len() {
            0..=4 => Err(InvalidPhone::TooShort),
            5..=15 => Ok(Self(format!("+{digits}"))),
            _ => Err(InvalidPhone::TooLong),
        }
    }

    /// E.164 with its leading `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Mexican mobiles carried a 1 after the country code until 2019; accounts made then still have it in their WhatsApp id.
fn is_old_mexican_mobile(number: &rlibphonenumber::PhoneNumber) -> bool {
    let national = number.get_national_significant_number();
    number.country_code == 52 && national.len() == 11 && national.starts_with('1')
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}
impl TryFrom<String> for PhoneNumber {
    type Error = InvalidPhone;

    fn try_from(text: String) -> Result<Self, InvalidPhone> {
        Self::from_wa_id(&text)
    }
}
impl From<PhoneNumber> for String {
    fn from(phone: PhoneNumber) -> Self {
        phone.0
    }
}

/// A business-scoped user id: two letters of a country, a dot, and up to 128 letters and digits, with `ENT.` between
/// for a parent id (Meta, "Business-scoped user IDs", May 2026).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bsuid(String);

impl Bsuid {
    /// The id as Meta gives it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bsuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// The text is no business-scoped user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a business-scoped user id")]
pub struct InvalidBsuid;

impl FromStr for Bsuid {
    type Err = InvalidBsuid;

    fn from_str(text: &str) -> Result<Self, InvalidBsuid> {
        let (country, rest) = text.split_once('.').ok_or(InvalidBsuid)?;
        let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
        let well_formed = country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && (1..=128).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_alphanumeric());
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidBsuid) }
    }
}

/// The recipient of a message, as the caller named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MessageRecipient {
    Phone(PhoneNumber),
    Bsuid(Bsuid),
}

impl MessageRecipient {
    /// A BSUID if it looks like one, else a phone number.
    pub fn parse(text: &str) -> Result<Self, InvalidPhone> {
        let shown: String = text.chars().filter(|c| !is_invisible_mark(*c)).collect();
        match shown.trim().parse() {
            Ok(bsuid) => Ok(Self::Bsuid(bsuid)),
            Err(InvalidBsuid) => PhoneNumber::parse(text).map(Self::Phone),
        }
    }
}

#[cfg(test)]
mod tests;
