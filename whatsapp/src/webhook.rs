//! A webhook's body. Reading never fails for JSON, whatever its shape: what is not understood is kept as
//! [`WebhookUpdate::Unknown`], and one odd element never costs its neighbours. Meta may put 1,000 updates into one body.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    identity_change::IdentityChange,
    inbound::InboundMessage,
    json::{self, JsonObject, RawJson, list},
    preferences::MarketingPreference,
    sender_profiles::SenderProfiles,
    statuses::StatusUpdate,
};

/// Members of a `value` that are read here, or only describe their neighbours.
const DESCRIBED: [&str; 3] = ["messaging_product", "metadata", "contacts"];

/// Most values of a body that is taken apart: several times what 1,000 updates have. A body is read before it is
/// believed, so what is beyond is kept in one piece.
const VALUES_MAX: usize = 250_000;

/// The body is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the webhook's body is not JSON")]
pub struct MalformedWebhook;

/// A whole body; entries, changes and the elements of a list keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookPayload {
    pub changes: Vec<WebhookChange>,
    /// Bytes after the JSON, ignored; white space is not counted.
    pub trailing_bytes: usize,
}

/// One change of one object, with the updates it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookChange {
    /// The WhatsApp Business Account (`entry.id`).
    pub waba_id: Option<String>,
    /// `metadata.phone_number_id`: the number of ours that is concerned.
    pub phone_number_id: Option<String>,
    /// Meta's name of what changed, such as `messages`.
    pub field: Option<String>,
    /// `value.contacts`: the people of the updates, where these do not say it themselves.
    pub contacts: Option<RawJson>,
    /// Never empty.
    pub updates: Vec<WebhookUpdate>,
}

/// One thing that a webhook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookUpdate {
    Status(Box<StatusUpdate>),
    Message(Box<InboundMessage>),
    Preference(Box<MarketingPreference>),
    /// A user has another BSUID.
    Identity(Box<IdentityChange>),
    /// JSON that is not understood: an element of a list, a member of a value, a change, an entry, or the whole body.
    Unknown(RawJson),
}

/// Who a payload speaks about: whose app secret may verify it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedLines {
    pub phone_number_ids: BTreeSet<String>,
    pub waba_ids: BTreeSet<String>,
}

impl WebhookPayload {
    /// Reads a body; only one that is not JSON fails.
    pub fn parse(raw: &[u8]) -> Result<Self, MalformedWebhook> {
        let mut values = serde_json::Deserializer::from_slice(raw).into_iter::<&RawValue>();
        let first = values.next().ok_or(MalformedWebhook)?.map_err(|_| MalformedWebhook)?;
        let trailing = raw[values.byte_offset()..].trim_ascii();
        let body = Some(first).filter(|body| json::values(body.get().as_bytes()) <= VALUES_MAX).and_then(read_body);
        Ok(Self {
            changes: body.unwrap_or_else(|| vec![WebhookChange::unknown(None, first)]),
            trailing_bytes: trailing.len(),
        })
    }

    /// Every number and business account that is named.
    pub fn lines(&self) -> NamedLines {
        let ids = |id: fn(&WebhookChange) -> Option<&String>| self.changes.iter().filter_map(id).cloned().collect();
        NamedLines {
            phone_number_ids: ids(|change| change.phone_number_id.as_ref()),
            waba_ids: ids(|change| change.waba_id.as_ref()),
        }
    }

    /// All updates, each with the change that brought it.
    pub fn updates(&self) -> impl Iterator<Item = (&WebhookChange, &WebhookUpdate)> {
        self.changes.iter().flat_map(|change| change.updates.iter().map(move |update| (change, update)))
    }
}

impl WebhookChange {
    fn unknown(waba_id: Option<String>, raw: &RawValue) -> Self {
        Self {
            waba_id,
            phone_number_id: None,
            field: None,
            contacts: None,
            updates: vec![WebhookUpdate::Unknown(raw.into())],
        }
    }

    fn read(waba_id: Option<String>, raw: &RawValue) -> Self {
        let Some(change) = JsonObject::read(raw) else {
            return Self::unknown(waba_id, raw);
        };
        let field = change.filled("field");
        let value = change.object("value");
        let phone_number_id = value
            .as_ref()
            .and_then(|value| value.object("metadata"))
            .and_then(|metadata| metadata.filled("phone_number_id"));
        let contacts = value.as_ref().and_then(|value| value.get("contacts")).map(RawJson::from);
        let understood = matches!(field.as_deref(), None | Some("messages" | "user_preferences" | "user_id_update"));
        let mut updates = value.filter(|_| understood).map(|value| read_value(&value)).unwrap_or_default();
        if updates.is_empty() {
            updates.push(WebhookUpdate::Unknown(raw.into()));
        }
        Self { waba_id, phone_number_id, field, contacts, updates }
    }
}

/// `None` if this is no body of Meta's at all.
fn read_body(raw: &RawValue) -> Option<Vec<WebhookChange>> {
    let entries = JsonObject::read(raw)?.list("entry")?;
    let changes: Vec<WebhookChange> = entries.into_iter().flat_map(read_entry).collect();
    Some(changes).filter(|changes| !changes.is_empty())
}

fn read_entry(raw: &RawValue) -> Vec<WebhookChange> {
    let entry = JsonObject::read(raw);
    let waba_id = entry.as_ref().and_then(|entry| entry.filled("id"));
    let changes = entry.and_then(|entry| entry.list("changes")).unwrap_or_default();
    if changes.is_empty() {
        return vec![WebhookChange::unknown(waba_id, raw)];
    }
    changes.into_iter().map(|change| WebhookChange::read(waba_id.clone(), change)).collect()
}

fn read_value(value: &JsonObject<'_>) -> Vec<WebhookUpdate> {
    let contacts = SenderProfiles::read(value);
    let mut updates = Vec::new();
    for (name, raw) in value.members() {
        if DESCRIBED.contains(&name) {
            continue;
        }
        match list(raw).filter(|_| matches!(name, "statuses" | "messages" | "user_preferences" | "user_id_update")) {
            Some(elements) => updates.extend(elements.into_iter().map(|element| {
                read_element(name, element, &contacts).unwrap_or_else(|| WebhookUpdate::Unknown(element.into()))
            })),
            None => updates.push(WebhookUpdate::Unknown(raw.into())),
        }
    }
    updates
}

fn read_element(list: &str, raw: &RawValue, contacts: &SenderProfiles) -> Option<WebhookUpdate> {
    match list {
        "statuses" => StatusUpdate::read(raw, contacts).map(|status| WebhookUpdate::Status(Box::new(status))),
        "messages" => InboundMessage::read(raw, contacts).map(|message| WebhookUpdate::Message(Box::new(message))),
        "user_id_update" => IdentityChange::of_update(raw).map(|change| WebhookUpdate::Identity(Box::new(change))),
        _ => MarketingPreference::read(raw).map(|preference| WebhookUpdate::Preference(Box::new(preference))),
    }
}

#[cfg(test)]
mod tests;
