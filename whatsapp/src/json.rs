//! Lenient reading of JSON that others wrote. Each level is opened only when it is asked for, and from its own bytes:
//! what is wrong in one place (an impossible number, a lone surrogate, a list where an object was) hides nothing of
//! its neighbours.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde_json::value::RawValue;

use crate::redacted::PERSONAL;

/// JSON kept as it came, byte for byte. It may hold personal data, hence never printed.
#[derive(Clone)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// The text as Meta wrote it.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl From<&RawValue> for RawJson {
    fn from(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PERSONAL.fmt(f)
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for RawJson {}

/// An object whose members are still unread. A member that is repeated counts once, the last time.
pub(crate) struct JsonObject<'a>(BTreeMap<LenientText<'a>, &'a RawValue>);

impl<'a> JsonObject<'a> {
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok().map(Self)
    }

    /// `None` also for JSON's `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (name.0.as_ref(), *raw))
    }

    /// A string, or a number in the digits that were written (Meta writes some ids as numbers).
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        text(self.get(name)?)
    }

    /// Like [`Self::text`]; an empty string counts as absent.
    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// An integer, or a string of one.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    pub(crate) fn object(&self, name: &str) -> Option<JsonObject<'a>> {
        Self::read(self.get(name)?)
    }

    /// `None` if absent or not a list.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        list(self.get(name)?)
    }

    /// The elements of a list that are objects.
    pub(crate) fn objects(&self, name: &str) -> Vec<JsonObject<'a>> {
        let elements = self.list(name).unwrap_or_default();
        elements.into_iter().filter_map(Self::read).collect()
    }
}

/// At most so many values are in a text, if it is JSON: one more than it has commas, colons and brackets that open, by
/// a look that takes no memory.
pub fn values(text: &[u8]) -> usize {
    let (mut values, mut quoted, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b':' | b'[' | b'{' if !quoted => values += 1,
            _ => {}
        }
    }
    values
}

pub(crate) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

fn text(raw: &RawValue) -> Option<String> {
    let written = raw.get();
    match written.as_bytes().first()? {
        b'"' => serde_json::from_str::<LenientText>(written).ok().map(|text| text.0.into_owned()),
        b'-' | b'0'..=b'9' => Some(written.to_owned()),
        _ => None,
    }
}

/// What a string in its quotes says; one whose escapes cannot be read, as it is written.
pub(crate) fn unquoted(quoted: &str) -> String {
    let text = serde_json::from_str::<LenientText>(quoted);
    text.map_or_else(|_| quoted.trim_matches('"').to_owned(), |text| text.0.into_owned())
}

/// Seconds since 1970 from seconds or, as some have seen, milliseconds; `None` for anything else.
pub(crate) fn unix_seconds(written: i64) -> Option<i64> {
    const FIRST_MILLISECONDS: i64 = 1_000_000_000_000;
    match written {
        1..FIRST_MILLISECONDS => Some(written),
        FIRST_MILLISECONDS..=9_999_999_999_999 => Some(written / 1_000),
        _ => None,
    }
}

/// A string in which escapes that are no Unicode (lone surrogates) are replaced instead of refused.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LenientText<'a>(Cow<'a, str>);

impl std::borrow::Borrow<str> for LenientText<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for LenientText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = LenientText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<LenientText<'de>, E> {
        Ok(LenientText(String::from_utf8_lossy(bytes)))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<LenientText<'de>, E> {
        Ok(LenientText(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<LenientText<'de>, A::Error> {
        Err(A::Error::custom("a list is no string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn reads_past_what_is_wrong() {
        let deep = "[".repeat(4_000) + &"]".repeat(4_000);
        let json = raw(&format!(
            r#"{{"id":"a","big":1e999,"lone":"x\ud800y","deep":{deep},"\udc00":1,"n":16505551234,"t":true,"no":null,"e":"","a":"1","a":"2"}}"#
        ));
        let object = JsonObject::read(&json).unwrap();
        assert_eq!(object.text("id").as_deref(), Some("a"));
        assert_eq!(object.text("lone").unwrap().trim_matches(['x', 'y']).trim_matches('\u{fffd}'), "");
        assert_eq!(object.text("n").as_deref(), Some("16505551234"));
        assert_eq!(object.integer("n"), Some(16_505_551_234));
        assert_eq!(object.integer("big"), None);
        assert_eq!(object.boolean("t"), Some(true));
        assert_eq!(object.text("t"), None);
        assert_eq!(object.text("deep"), None);
        assert!(object.get("no").is_none());
        assert_eq!(object.text("e").as_deref(), Some(""));
        assert_eq!(object.filled("e"), None);
        assert_eq!(object.text("a").as_deref(), Some("2"));
        assert!(object.list("id").is_none());
    }

    #[test]
    fn values_are_counted_without_those_in_texts() {
        for (text, count) in [("", 1), ("7", 1), ("[1,2]", 3), (r#"{"a,b":"[\",{"}"#, 3), (r#"{"a":[{},{}]}"#, 7)] {
            assert_eq!(values(text.as_bytes()), count, "{text}");
        }
    }

    #[test]
    fn moments_in_seconds_and_milliseconds() {
        assert_eq!(unix_seconds(1_750_091_045), Some(1_750_091_045));
        assert_eq!(unix_seconds(1_750_091_045_123), Some(1_750_091_045));
        for garbage in [0, -1, i64::MIN, i64::MAX, 10_000_000_000_000] {
            assert_eq!(unix_seconds(garbage), None);
        }
    }
}
