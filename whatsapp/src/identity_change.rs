//! A user got another number or another BSUID. Meta tells it in a system message (`user_changed_number`,
//! `user_changed_user_id`; reference of the `system` message webhook, changed on 11 August 2026) and told it in the
//! field `user_id_update` before.

use std::fmt;

use serde_json::value::RawValue;

use crate::{
    json::{JsonObject, RawJson, unix_seconds},
    redacted::PERSONAL,
};

/// What a user was known by, and what they are known by now.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityChange {
    /// The old number, if the user has another one now.
    pub old_wa_id: Option<String>,
    /// Old BSUIDs, also a parent's.
    pub old_user_ids: Vec<String>,
    /// The number that the user has now.
    pub wa_id: Option<String>,
    /// The BSUIDs that the user has now, also a parent's.
    pub user_ids: Vec<String>,
    /// Unix seconds; `None` if Meta's value is no moment.
    pub timestamp: Option<i64>,
    /// The whole element.
    pub raw: RawJson,
}

impl IdentityChange {
    /// What a message of kind `system` says; `None` if it is about something else.
    pub(crate) fn of_system(message: &JsonObject<'_>, raw: &RawValue) -> Option<Self> {
        let system = message.object("system")?;
        if !matches!(system.filled("type")?.as_str(), "user_changed_number" | "user_changed_user_id") {
            return None;
        }
        let user_ids: Vec<_> = ["user_id", "parent_user_id"].iter().filter_map(|name| system.filled(name)).collect();
        let of_sender = ["from_user_id", "from_parent_user_id"].iter().filter_map(|name| message.filled(name));
        let previous = ["previous_user_id", "previous_parent_user_id"].iter().filter_map(|name| system.filled(name));
        let old = previous.chain(of_sender).filter(|id| !user_ids.contains(id)).collect();
        let wa_id = system.filled("new_wa_id").or_else(|| system.filled("wa_id"));
        Self {
            old_wa_id: message.filled("from"),
            old_user_ids: old,
            wa_id,
            user_ids,
            timestamp: message.integer("timestamp").and_then(unix_seconds),
            raw: raw.into(),
        }
        .checked()
    }

    /// An element of `value.user_id_update`: `user_id` and `parent_user_id` are objects with `previous` and `current`.
    pub(crate) fn of_update(raw: &RawValue) -> Option<Self> {
        let update = JsonObject::read(raw)?;
        let pairs = ["user_id", "parent_user_id"].map(|name| update.object(name));
        let all = |member: &str| pairs.iter().flatten().filter_map(|pair| pair.filled(member)).collect();
        Self {
            old_wa_id: None,
            old_user_ids: all("previous"),
            wa_id: update.filled("wa_id"),
            user_ids: all("current"),
            timestamp: update.integer("timestamp").and_then(unix_seconds),
            raw: raw.into(),
        }
        .checked()
    }

    /// `None` if it does not say who the user is now. A number that stayed is no old one.
    fn checked(mut self) -> Option<Self> {
        let digits = |id: &str| id.trim_start_matches('+').to_owned();
        let is_same = |old: &String| self.wa_id.as_deref().is_none_or(|new| digits(new) == digits(old));
        self.old_wa_id = self.old_wa_id.take().filter(|old| !is_same(old));
        (self.wa_id.is_some() || !self.user_ids.is_empty()).then_some(self)
    }
}

impl fmt::Debug for IdentityChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityChange")
            .field("of", &PERSONAL)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said<'a> = (Option<&'a str>, Vec<&'a str>, Option<&'a str>, Vec<&'a str>);

    fn said(change: &IdentityChange) -> Said<'_> {
        let old = change.old_user_ids.iter().map(String::as_str).collect();
        let new = change.user_ids.iter().map(String::as_str).collect();
        (change.old_wa_id.as_deref(), old, change.wa_id.as_deref(), new)
    }

    fn system(json: &str) -> Option<IdentityChange> {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        IdentityChange::of_system(&JsonObject::read(&raw).unwrap(), &raw)
    }

    #[test]
    fn a_changed_number_in_the_shapes_of_several_years() {
        for node in [r#""wa_id":"1212""#, r#""new_wa_id":"1212""#] {
            let json = format!(
                r#"{{"from":"1650","id":"w","timestamp":"7","type":"system","system":{{"type":"user_changed_number",{node}}}}}"#
            );
            let change = system(&json).unwrap();
            assert_eq!(said(&change), (Some("1650"), vec![], Some("1212"), vec![]));
            assert!(!format!("{change:?}").contains("1650"));
        }
        let change = system(
            r#"{"from":"1650","from_user_id":"US.2","id":"w","type":"system","system":{"type":"user_changed_number",
                "wa_id":"1212","user_id":"US.2","parent_user_id":"US.ENT.2","previous_user_id":"US.1"}}"#,
        )
        .unwrap();
        assert_eq!(said(&change), (Some("1650"), vec!["US.1"], Some("1212"), vec!["US.2", "US.ENT.2"]));
    }

    #[test]
    fn a_changed_bsuid_keeps_a_number_that_stayed() {
        let change = system(
            r#"{"from":"1650","id":"w","type":"system","system":{"type":"user_changed_user_id","wa_id":"1650",
                "previous_user_id":"US.1","user_id":"US.2"}}"#,
        )
        .unwrap();
        assert_eq!(said(&change), (None, vec!["US.1"], Some("1650"), vec!["US.2"]));
        let other = r#"{"from":"1","id":"w","type":"system","system":{"type":"customer_identity_changed"}}"#;
        assert!(system(other).is_none());
        let empty = r#"{"from":"1","id":"w","type":"system","system":{"type":"user_changed_number"}}"#;
        assert!(system(empty).is_none());
    }

    #[test]
    fn an_update_of_a_user_id() {
        let raw: Box<RawValue> = serde_json::from_str(
            r#"{"wa_id":"1650","detail":"d","user_id":{"previous":"US.1","current":"US.2"},"timestamp":"7"}"#,
        )
        .unwrap();
        let change = IdentityChange::of_update(&raw).unwrap();
        assert_eq!(said(&change), (None, vec!["US.1"], Some("1650"), vec!["US.2"]));
    }
}
