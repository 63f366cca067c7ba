//! Who receives a message. Since April 2026 a phone number is no longer the only identity: a business-scoped user id
//! (BSUID) names a user to one business portfolio, and users with a username may be known by nothing else.

use std::fmt;

use crate::redacted::PERSONAL;

/// Longest identifier part of a BSUID, by Meta's definition.
const BSUID_CHARS_MAX: usize = 128;

/// To which user a request goes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum RequestRecipient {
    /// Digits with or without a leading `+`. Without it Meta may prepend the business's own country code.
    Phone(String),
    /// See [`is_bsuid`].
    Bsuid(String),
}

impl RequestRecipient {
    /// The value as it stands in the request.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(text) | Self::Bsuid(text) => text,
        }
    }
}

impl fmt::Debug for RequestRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Phone(_) => "Phone",
            Self::Bsuid(_) => "Bsuid",
        };
        f.debug_tuple(name).field(&PERSONAL).finish()
    }
}

/// `^[A-Z]{2}\.(ENT\.)?[0-9A-Za-z]{1,128}$`: a country, `ENT` for a parent id, and an opaque part.
pub fn is_bsuid(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else {
        return false;
    };
    let opaque = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=BSUID_CHARS_MAX).contains(&opaque.len())
        && opaque.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bsuids_are_told_from_phone_numbers() {
        let longest = format!("US.{}", "a".repeat(128));
        for good in ["US.13491208655302741918", "BR.ENT.abc9", "DE.ENT", longest.as_str()] {
            assert!(is_bsuid(good), "{good}");
        }
        let too_long = format!("{longest}a");
        for bad in ["", "+16505551234", "us.1", "USA.1", "US.", "US.ENT.", "US.1 2", "US.é", "US", too_long.as_str()] {
            assert!(!is_bsuid(bad), "{bad}");
        }
    }

    #[test]
    fn debug_hides_the_person() {
        let shown = format!("{:?}", RequestRecipient::Phone("+16505551234".into()));
        assert_eq!(shown, "Phone([personal])");
    }
}
