//! The JSON of webhooks, in the shape of 2026: every user has a BSUID, no `conversation`, and a failure has no contacts.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    lifecycle::{SimulatedStatus, StatusStep},
    lines::SimulatedLine,
    refusal::title,
};
use crate::recipient::RequestRecipient;

/// An accepted message, as its statuses speak about it.
pub(super) struct MessageJourney {
    pub(super) line: SimulatedLine,
    pub(super) wamid: String,
    /// As addressed; a phone in digits.
    pub(super) to: RequestRecipient,
    /// The recipient's WhatsApp number; `None` for a recipient that was addressed by BSUID.
    pub(super) wa_id: Option<String>,
    pub(super) user_id: String,
    pub(super) biz_opaque_callback_data: Option<String>,
    pub(super) category: String,
    pub(super) pricing_type: String,
    pub(super) unknown_fields: bool,
    /// Unix seconds.
    pub(super) accepted_at: i64,
}

impl MessageJourney {
    /// A change with one status. `now` in unix seconds.
    pub(super) fn change(&self, step: &StatusStep, now: i64) -> Value {
        let timestamp = step.dated.map_or(now, |seconds| self.accepted_at + seconds);
        let mut value = value_of(&self.line);
        value["statuses"] = json!([self.status(step, timestamp)]);
        if !matches!(step.word, SimulatedStatus::Failed { .. }) {
            let mut contact = json!({"profile": {"name": "Simulated User"}, "user_id": self.user_id});
            put(&mut contact, "wa_id", self.wa_id.as_ref());
            value["contacts"] = json!([contact]);
        }
        let mut change = json!({"field": "messages", "value": value});
        if self.unknown_fields {
            add_unknown_fields(&mut change);
        }
        change
    }

    fn status(&self, step: &StatusStep, timestamp: i64) -> Value {
        let word = match step.word {
            SimulatedStatus::Sent => "sent",
            SimulatedStatus::Delivered => "delivered",
            SimulatedStatus::Read => "read",
            SimulatedStatus::Failed { .. } => "failed",
        };
        let mut status = json!({"id": self.wamid, "status": word, "timestamp": timestamp.to_string()});
        put(&mut status, "recipient_id", self.wa_id.as_ref());
        put(&mut status, "biz_opaque_callback_data", self.biz_opaque_callback_data.as_ref());
        let to_phone = matches!(self.to, RequestRecipient::Phone(_));
        if let SimulatedStatus::Failed { code } = step.word {
            status["errors"] = json!([error(code)]);
            if to_phone {
                return status;
            }
        }
        status["recipient_user_id"] = json!(self.user_id);
        if step.priced {
            status["pricing"] = json!({
                "billable": self.pricing_type == "regular",
                "pricing_model": "PMP",
                "type": self.pricing_type,
                "category": self.category,
            });
        }
        status
    }
}

/// The body that carries changes of one business account.
pub(super) fn envelope(waba_id: &str, changes: &[Value]) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": waba_id, "changes": changes}]})
}

/// A `value` that names the number, to be filled.
pub(super) fn value_of(line: &SimulatedLine) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": line.display_phone_number,
            "phone_number_id": line.phone_number_id,
        },
    })
}

/// The BSUID of the person with this number: always the same within one business account, another in the next.
pub(super) fn user_id(line: &SimulatedLine, number: &str) -> String {
    let digest = Sha256::digest(format!("{} {number}", line.waba_id));
    let digits: String = digest.iter().take(20).map(|byte| char::from(b'0' + byte % 10)).collect();
    format!("US.{digits}")
}

/// Sets a member that may be absent.
pub(super) fn put(object: &mut Value, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        object[name] = json!(value);
    }
}

/// As Meta signs it: every character beyond ASCII, and `/`, as an escape.
pub(super) fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 4);
    for c in json.chars() {
        match c {
            '/' => escaped.push_str("\\/"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped.push_str("\\u");
                    let digits = [12, 8, 4, 0].map(|shift| u32::from(*unit >> shift) & 0x0f);
                    escaped.extend(digits.into_iter().filter_map(|digit| char::from_digit(digit, 16)));
                }
            }
        }
    }
    escaped
}

fn error(code: i64) -> Value {
    let title = title(code);
    json!({
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": format!("{title} (simulated)")},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    })
}

fn add_unknown_fields(change: &mut Value) {
    change["never_seen"] = json!({"nested": [1, null, "é"]});
    change["value"]["never_seen"] = json!([{"a": 1}]);
    change["value"]["statuses"][0]["never_seen"] = json!(true);
    change["value"]["metadata"]["never_seen"] = json!(1.5);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_changes_the_bytes_and_not_the_meaning() {
        let json = json!({"name": "Lucía 😀", "url": "https://a/b", "quoted": "\"\\é"});
        let escaped = escape(&json.to_string());
        assert!(escaped.is_ascii() && escaped.contains("\\ud83d\\ude00") && escaped.contains("\\/"));
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), json);
    }
}
