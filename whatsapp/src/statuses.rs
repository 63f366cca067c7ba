//! `value.statuses[]`: what became of a message that was sent. Statuses come late, twice, out of order and with gaps;
//! this module reads one, the message's aggregate makes sense of them.

use std::fmt;

use serde_json::value::RawValue;

use crate::{
    errors::{ErrorClass, classify},
    json::{JsonObject, RawJson, unix_seconds},
    redacted::{PERSONAL, personal},
    sender_profiles::{SenderProfile, SenderProfiles},
};

/// What Meta reports of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReportedStatus {
    Sent,
    Delivered,
    Read,
    /// A voice message was listened to.
    Played,
    Failed,
    /// A word that is not understood; it must not change a message.
    Other(String),
}

/// A status as `value.statuses[]` brings it.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// Never empty.
    pub wamid: String,
    pub status: ReportedStatus,
    /// Unix seconds; `None` if Meta's value is no moment.
    pub timestamp: Option<i64>,
    /// The recipient's number; absent for users who are known only by their BSUID.
    pub recipient_id: Option<String>,
    /// The recipient's BSUID; absent on failures of messages to a phone.
    pub recipient_user_id: Option<String>,
    /// The recipient's BSUID in the parent portfolio.
    pub recipient_parent_user_id: Option<String>,
    pub biz_opaque_callback_data: Option<String>,
    pub pricing: Option<ReportedPricing>,
    /// Why a `failed` status failed.
    pub errors: Vec<StatusError>,
    /// The whole status, with what is not named here.
    pub raw: RawJson,
}

/// What Meta charges for; on `sent` and on one of `delivered` and `read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedPricing {
    pub billable: Option<bool>,
    /// `marketing`, `utility`, `authentication`, `service` and others.
    pub category: Option<String>,
    /// `regular`, `free_customer_service`, `free_entry_point` and others.
    pub pricing_type: Option<String>,
    /// `PMP`: each delivered message is priced.
    pub model: Option<String>,
}

/// An error inside a webhook. Its texts may name the recipient, hence personal.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusError {
    pub code: i64,
    pub class: ErrorClass,
    pub title: Option<String>,
    pub message: Option<String>,
    pub details: Option<String>,
}

impl StatusUpdate {
    /// `None` for a status that names no message or has no word.
    pub(crate) fn read(raw: &RawValue, contacts: &SenderProfiles) -> Option<Self> {
        let status = JsonObject::read(raw)?;
        let (recipient_id, recipient_user_id) = (status.filled("recipient_id"), status.filled("recipient_user_id"));
        let contact = contacts.find(recipient_id.as_deref(), recipient_user_id.as_deref());
        let of_contact =
            |part: fn(&SenderProfile) -> &Option<String>| contact.and_then(|contact| part(contact).clone());
        Some(Self {
            wamid: status.filled("id")?,
            status: ReportedStatus::from_word(status.filled("status")?),
            timestamp: status.integer("timestamp").and_then(unix_seconds),
            recipient_id: recipient_id.or_else(|| of_contact(|contact| &contact.wa_id)),
            recipient_user_id: recipient_user_id.or_else(|| of_contact(|contact| &contact.user_id)),
            recipient_parent_user_id: status
                .filled("recipient_parent_user_id")
                .or_else(|| of_contact(|contact| &contact.parent_user_id)),
            biz_opaque_callback_data: status.filled("biz_opaque_callback_data"),
            pricing: status.object("pricing").map(|pricing| ReportedPricing::read(&pricing)),
            errors: StatusError::read_all(&status),
            raw: raw.into(),
        })
    }
}

impl ReportedStatus {
    fn from_word(word: String) -> Self {
        match word.as_str() {
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "played" => Self::Played,
            "failed" => Self::Failed,
            _ => Self::Other(word),
        }
    }
}

impl ReportedPricing {
    fn read(pricing: &JsonObject<'_>) -> Self {
        Self {
            billable: pricing.boolean("billable"),
            category: pricing.filled("category"),
            pricing_type: pricing.filled("type"),
            model: pricing.filled("pricing_model"),
        }
    }
}

impl StatusError {
    /// The errors of a status or message that have a code.
    pub(crate) fn read_all(holder: &JsonObject<'_>) -> Vec<Self> {
        let errors = holder.objects("errors");
        errors.iter().filter_map(Self::read).collect()
    }

    fn read(error: &JsonObject<'_>) -> Option<Self> {
        let code = error.integer("code")?;
        Some(Self {
            code,
            class: classify(code, 0),
            title: error.filled("title"),
            message: error.filled("message"),
            details: error.object("error_data").and_then(|data| data.filled("details")),
        })
    }
}

impl fmt::Debug for StatusUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusUpdate")
            .field("wamid", &PERSONAL)
            .field("status", &self.status)
            .field("timestamp", &self.timestamp)
            .field("recipient_id", &personal(self.recipient_id.as_ref()))
            .field("recipient_user_id", &personal(self.recipient_user_id.as_ref()))
            .field("recipient_parent_user_id", &personal(self.recipient_parent_user_id.as_ref()))
            .field("biz_opaque_callback_data", &personal(self.biz_opaque_callback_data.as_ref()))
            .field("pricing", &self.pricing)
            .field("errors", &self.errors)
            .field("raw", &self.raw)
            .finish()
    }
}

impl fmt::Debug for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusError")
            .field("code", &self.code)
            .field("class", &self.class)
            .field("title", &personal(self.title.as_ref()))
            .field("message", &personal(self.message.as_ref()))
            .field("details", &personal(self.details.as_ref()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<StatusUpdate> {
        StatusUpdate::read(&serde_json::from_str::<Box<RawValue>>(json).unwrap(), &SenderProfiles::default())
    }

    #[test]
    fn a_status_with_everything() {
        let status = read(
            r#"{"id":"wamid.A","status":"delivered","timestamp":"1750091045","recipient_id":"16505551234",
                "recipient_user_id":"US.1","biz_opaque_callback_data":"m-1","new_thing":{"a":1},
                "pricing":{"billable":true,"pricing_model":"PMP","type":"free_customer_service","category":"utility"}}"#,
        )
        .unwrap();
        assert_eq!(status.status, ReportedStatus::Delivered);
        assert_eq!(status.timestamp, Some(1_750_091_045));
        assert_eq!(status.biz_opaque_callback_data.as_deref(), Some("m-1"));
        let pricing = status.pricing.clone().unwrap();
        assert_eq!(pricing.category.as_deref(), Some("utility"));
        assert_eq!(pricing.pricing_type.as_deref(), Some("free_customer_service"));
        assert_eq!((pricing.billable, pricing.model.as_deref()), (Some(true), Some("PMP")));
        assert!(status.raw.get().contains("new_thing"));
        let shown = format!("{status:?}");
        for hidden in ["wamid.A", "16505551234", "US.1"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }

    #[test]
    fn failures_carry_their_code_and_class() {
        for (code, class) in [
            (131_026, ErrorClass::Permanent),
            (131_050, ErrorClass::Suppress),
            (132_015, ErrorClass::StopTemplate),
            (137_000, ErrorClass::Permanent),
        ] {
            let status = read(&format!(
                r#"{{"id":"w","status":"failed","timestamp":"x","errors":[7,{{"title":"no code"}},
                    {{"code":{code},"title":"t","message":"m","error_data":{{"details":"to 1650"}}}}]}}"#
            ))
            .unwrap();
            assert_eq!(status.status, ReportedStatus::Failed);
            assert_eq!((status.timestamp, status.recipient_id), (None, None));
            let [error] = status.errors.as_slice() else {
                panic!("one error has a code");
            };
            assert_eq!((error.code, error.class), (code, class));
            assert_eq!(error.details.as_deref(), Some("to 1650"));
            assert!(!format!("{error:?}").contains("1650"));
        }
    }

    #[test]
    fn odd_statuses() {
        let strange = read(r#"{"id":7,"status":"pondered","timestamp":1750091045123}"#).unwrap();
        assert_eq!(strange.wamid, "7");
        assert_eq!(strange.status, ReportedStatus::Other("pondered".into()));
        assert_eq!(strange.timestamp, Some(1_750_091_045));
        let entry_point =
            read(r#"{"id":"w","status":"sent","recipient_id":"","pricing":{"type":"free_entry_point"}}"#).unwrap();
        assert_eq!(entry_point.recipient_id, None);
        assert_eq!(entry_point.pricing.unwrap().billable, None);
        for nothing in [r#"{"status":"sent"}"#, r#"{"id":"","status":"sent"}"#, r#"{"id":"w"}"#, "[]", "null"] {
            assert!(read(nothing).is_none(), "{nothing}");
        }
    }
}
