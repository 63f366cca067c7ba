//! `value.messages[]`: what a user wrote to the business.

use std::fmt;

use serde_json::value::RawValue;

use crate::{
    identity_change::IdentityChange,
    json::{JsonObject, RawJson, unix_seconds},
    redacted::{PERSONAL, personal},
    sender_profiles::SenderProfiles,
    statuses::StatusError,
};

/// A message that a user wrote to a number, as `value.messages[]` brings it.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// Never empty.
    pub wamid: String,
    /// Usually a phone number; absent for users who are known only by their BSUID, and not always a number.
    pub from: Option<String>,
    /// The sender's BSUID.
    pub from_user_id: Option<String>,
    /// The sender's BSUID in the parent portfolio.
    pub from_parent_user_id: Option<String>,
    /// What a system message says of the sender's identities.
    pub identity_change: Option<IdentityChange>,
    pub profile_name: Option<String>,
    pub username: Option<String>,
    /// Unix seconds; `None` if Meta's value is no moment.
    pub timestamp: Option<i64>,
    /// Meta's word: `text`, `image`, `button`, `interactive`, `system`, `unsupported` and others.
    pub kind: String,
    /// What the user wrote or tapped: a text, a caption, a button's label or a chosen row's title.
    pub text: Option<String>,
    /// What we attached to the button or row that was tapped.
    pub payload: Option<String>,
    /// The message that this one answers.
    pub context_wamid: Option<String>,
    /// Set for a message in a group.
    pub group_id: Option<String>,
    /// Why a message of kind `unsupported` could not be shown.
    pub errors: Vec<StatusError>,
    /// The whole message, with what is not named here.
    pub raw: RawJson,
}

impl InboundMessage {
    /// `None` for a message that has no id: it could not be told from its own repetition.
    pub(crate) fn read(raw: &RawValue, contacts: &SenderProfiles) -> Option<Self> {
        let message = JsonObject::read(raw)?;
        let wamid = message.filled("id")?;
        let from = message.filled("from");
        let from_user_id = message.filled("from_user_id");
        let contact = contacts.find(from.as_deref(), from_user_id.as_deref());
        let kind = message.filled("type").unwrap_or_else(|| "unknown".to_owned());
        let (text, payload) = message.object(&kind).map(|node| written(&kind, &node)).unwrap_or_default();
        Some(Self {
            wamid,
            profile_name: contact.and_then(|contact| contact.name.clone()),
            username: contact.and_then(|contact| contact.username.clone()),
            from_user_id: from_user_id.or_else(|| contact.and_then(|contact| contact.user_id.clone())),
            from_parent_user_id: message
                .filled("from_parent_user_id")
                .or_else(|| contact.and_then(|contact| contact.parent_user_id.clone())),
            identity_change: (kind == "system").then(|| IdentityChange::of_system(&message, raw)).flatten(),
            from: from.or_else(|| contact.and_then(|contact| contact.wa_id.clone())),
            timestamp: message.integer("timestamp").and_then(unix_seconds),
            text,
            payload,
            kind,
            context_wamid: message.object("context").and_then(|context| context.filled("id")),
            group_id: message.filled("group_id"),
            errors: StatusError::read_all(&message),
            raw: raw.into(),
        })
    }
}

/// The text and the payload in a message's node.
fn written(kind: &str, node: &JsonObject<'_>) -> (Option<String>, Option<String>) {
    match kind {
        "text" => (node.text("body"), None),
        "button" => (node.filled("text"), node.filled("payload")),
        "interactive" => node
            .filled("type")
            .and_then(|reply| node.object(&reply))
            .map(|reply| {
                let text = reply.filled("title").or_else(|| reply.filled("body"));
                (text, reply.filled("id"))
            })
            .unwrap_or_default(),
        _ => (node.filled("caption"), None),
    }
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("wamid", &PERSONAL)
            .field("from", &personal(self.from.as_ref()))
            .field("from_user_id", &personal(self.from_user_id.as_ref()))
            .field("timestamp", &self.timestamp)
            .field("kind", &self.kind)
            .field("text", &personal(self.text.as_ref()))
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    fn read(json: &str) -> InboundMessage {
        InboundMessage::read(&raw(json), &SenderProfiles::default()).unwrap()
    }

    #[test]
    fn text_and_payload_of_every_kind_that_has_one() {
        let cases = [
            (r#""type":"text","text":{"body":"STOP"}"#, Some("STOP"), None),
            (r#""type":"button","button":{"text":"Yes","payload":"y-1"}"#, Some("Yes"), Some("y-1")),
            (
                r#""type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"b","title":"Cancel"}}"#,
                Some("Cancel"),
                Some("b"),
            ),
            (
                r#""type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"r","title":"Express","description":"d"}}"#,
                Some("Express"),
                Some("r"),
            ),
            (
                r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent","response_json":"{}"}}"#,
                Some("Sent"),
                None,
            ),
            (r#""type":"image","image":{"id":"1","caption":"look"}"#, Some("look"), None),
            (r#""type":"audio","audio":{"id":"1","voice":true}"#, None, None),
            (r#""type":"reaction","reaction":{"message_id":"wamid.B","emoji":""}"#, None, None),
            (r#""type":"system","system":{"type":"user_changed_number","wa_id":"1"}"#, None, None),
            (r#""type":"contacts","contacts":[{"name":{}}]"#, None, None),
            (r#""type":"text","text":[1]"#, None, None),
            (r#""text":{"body":"kind is missing"}"#, None, None),
            (r#""type":"never_seen","never_seen":7"#, None, None),
        ];
        for (node, text, payload) in cases {
            let message = read(&format!(r#"{{"id":"wamid.A","from":"1650",{node}}}"#));
            assert_eq!(message.text.as_deref(), text, "{node}");
            assert_eq!(message.payload.as_deref(), payload, "{node}");
            assert!(message.raw.get().contains(node));
        }
    }

    #[test]
    fn odd_senders_and_moments() {
        let nameless = read(r#"{"id":"w","timestamp":"soon","group_id":"g","context":{"id":"wamid.B"}}"#);
        assert_eq!((nameless.from, nameless.timestamp), (None, None));
        assert_eq!(nameless.kind, "unknown");
        assert_eq!(nameless.group_id.as_deref(), Some("g"));
        assert_eq!(nameless.context_wamid.as_deref(), Some("wamid.B"));
        let bsuid = read(r#"{"id":"w","from":"US.1349","timestamp":1750091045123}"#);
        assert_eq!(bsuid.from.as_deref(), Some("US.1349"));
        assert_eq!(bsuid.timestamp, Some(1_750_091_045));
        let empty = read(r#"{"id":"w","from":"","from_user_id":"US.1"}"#);
        assert_eq!((empty.from.as_deref(), empty.from_user_id.as_deref()), (None, Some("US.1")));
        let unsupported = read(r#"{"id":"w","type":"unsupported","errors":[{"code":131051,"title":"t"}]}"#);
        assert_eq!(unsupported.errors[0].code, 131_051);
        assert!(InboundMessage::read(&raw(r#"{"from":"1"}"#), &SenderProfiles::default()).is_none());
    }

    #[test]
    fn a_sender_gets_only_their_own_profile() {
        let value = raw(r#"{"contacts":[{"profile":{"name":"Ana","username":"@ana"},"wa_id":"1","user_id":"US.1"},
                            {"profile":{"name":"Bo"},"user_id":"US.2"},{"profile":3}]}"#);
        let contacts = SenderProfiles::read(&JsonObject::read(&value).unwrap());
        let read = |json| InboundMessage::read(&raw(json), &contacts).unwrap();
        let ana = read(r#"{"id":"w","from":"1"}"#);
        assert_eq!(ana.profile_name.as_deref(), Some("Ana"));
        assert_eq!(ana.username.as_deref(), Some("@ana"));
        assert_eq!(ana.from_user_id.as_deref(), Some("US.1"));
        assert!(!format!("{ana:?}").contains("Ana"));
        let bo = read(r#"{"id":"w","from_user_id":"US.2"}"#);
        assert_eq!(bo.profile_name.as_deref(), Some("Bo"));
        assert_eq!(read(r#"{"id":"w"}"#).profile_name, None);
        assert_eq!(read(r#"{"id":"w","from":"3"}"#).profile_name, None);
    }
}
