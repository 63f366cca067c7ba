//! `value.user_preferences[]`: a user stopped or resumed marketing messages inside WhatsApp.

use std::fmt;

use serde_json::value::RawValue;

use crate::{
    json::{JsonObject, RawJson, unix_seconds},
    redacted::personal,
};

/// What a user decided about marketing messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PreferenceValue {
    Stop,
    Resume,
    /// A word that is not understood.
    Other(String),
}

/// Names the user by number, BSUID, or both.
#[derive(Clone, PartialEq, Eq)]
pub struct MarketingPreference {
    pub wa_id: Option<String>,
    pub user_id: Option<String>,
    pub parent_user_id: Option<String>,
    /// `marketing_messages`.
    pub category: String,
    pub value: PreferenceValue,
    /// Unix seconds; `None` if Meta's value is no moment.
    pub timestamp: Option<i64>,
    /// The whole preference, with what is not named here.
    pub raw: RawJson,
}

impl MarketingPreference {
    /// `None` for a preference without a person or a value.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        let preference = JsonObject::read(raw)?;
        let wa_id = preference.filled("wa_id");
        let user_id = preference.filled("user_id");
        if wa_id.is_none() && user_id.is_none() {
            return None;
        }
        let word = preference.filled("value")?;
        Some(Self {
            wa_id,
            user_id,
            parent_user_id: preference.filled("parent_user_id"),
            category: preference.filled("category")?,
            value: match word.as_str() {
                "stop" => PreferenceValue::Stop,
                "resume" => PreferenceValue::Resume,
                _ => PreferenceValue::Other(word),
            },
            timestamp: preference.integer("timestamp").and_then(unix_seconds),
            raw: raw.into(),
        })
    }
}

impl fmt::Debug for MarketingPreference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preference")
            .field("wa_id", &personal(self.wa_id.as_ref()))
            .field("user_id", &personal(self.user_id.as_ref()))
            .field("parent_user_id", &personal(self.parent_user_id.as_ref()))
            .field("category", &self.category)
            .field("value", &self.value)
            .field("timestamp", &self.timestamp)
            .field("raw", &self.raw)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<MarketingPreference> {
        MarketingPreference::read(&serde_json::from_str::<Box<RawValue>>(json).unwrap())
    }

    #[test]
    fn stop_resume_and_words_to_come() {
        let stop = read(
            r#"{"wa_id":"16505551234","detail":"User requested to stop","category":"marketing_messages","value":"stop","timestamp":1750091045}"#,
        )
        .unwrap();
        assert_eq!(stop.value, PreferenceValue::Stop);
        assert_eq!(stop.timestamp, Some(1_750_091_045));
        assert!(!format!("{stop:?}").contains("1650"));
        let value = |word: &str| {
            let json = format!(r#"{{"user_id":"US.1","category":"marketing_messages","value":"{word}"}}"#);
            read(&json).unwrap().value
        };
        assert_eq!(value("resume"), PreferenceValue::Resume);
        assert_eq!(value("signup"), PreferenceValue::Other("signup".into()));
        assert!(read(r#"{"category":"marketing_messages","value":"stop"}"#).is_none());
        assert!(read(r#"{"wa_id":"1","category":"marketing_messages"}"#).is_none());
    }
}
