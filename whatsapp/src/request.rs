//! A message as `POST /{phone-number-id}/messages` wants it. Limits are Meta's and Meta checks them; what is built here
//! is only ever the right shape.

use std::fmt;

use serde_json::{Value, json};

use crate::{
    recipient::RequestRecipient,
    redacted::{PERSONAL, personal},
};

/// A message as `POST /{phone-number-id}/messages` takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct SendRequest {
    pub to: RequestRecipient,
    pub content: RequestContent,
    /// At most 512 characters; comes back on every status of this message. Our message id, so that a send whose
    /// outcome is unknown can be recognised by its statuses.
    pub biz_opaque_callback_data: Option<String>,
}

/// What the message says.
#[derive(Clone, PartialEq, Eq)]
pub enum RequestContent {
    /// Only inside the customer service window.
    Text {
        /// At most 4,096 characters.
        body: String,
        /// Whether the first link in the body is shown with a preview.
        preview_url: bool,
    },
    Template {
        name: String,
        /// Such as `en_US`.
        language: String,
        body: BodyParameters,
    },
}

/// The values of the variables in a template's body, in the form that the template was created with.
#[derive(Clone, PartialEq, Eq)]
pub enum BodyParameters {
    /// For `{{1}}`, `{{2}}`, in this order; empty for a template without variables.
    Positional(Vec<String>),
    Named(Vec<NamedParameter>),
}

/// The text of a named variable of a template.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedParameter {
    pub name: String,
    pub text: String,
}

impl SendRequest {
    /// The request's body.
    pub fn to_json(&self) -> Value {
        let mut envelope = json!({"messaging_product": "whatsapp", "recipient_type": "individual"});
        match &self.to {
            RequestRecipient::Phone(phone) => envelope["to"] = json!(phone),
            RequestRecipient::Bsuid(bsuid) => envelope["recipient"] = json!(bsuid),
        }
        let (kind, node) = self.content.to_json();
        envelope["type"] = json!(kind);
        envelope[kind] = node;
        if let Some(data) = &self.biz_opaque_callback_data {
            envelope["biz_opaque_callback_data"] = json!(data);
        }
        envelope
    }
}

impl RequestContent {
    fn to_json(&self) -> (&'static str, Value) {
        match self {
            Self::Text { body, preview_url } => ("text", json!({"body": body, "preview_url": preview_url})),
            Self::Template { name, language, body } => {
                let mut node = json!({"name": name, "language": {"code": language}});
                let parameters = body.to_json();
                if !parameters.is_empty() {
                    node["components"] = json!([{"type": "body", "parameters": parameters}]);
                }
                ("template", node)
            }
        }
    }
}

impl BodyParameters {
    fn to_json(&self) -> Vec<Value> {
        match self {
            Self::Positional(texts) => texts.iter().map(|text| json!({"type": "text", "text": text})).collect(),
            Self::Named(parameters) => parameters
                .iter()
                .map(|NamedParameter { name, text }| json!({"type": "text", "parameter_name": name, "text": text}))
                .collect(),
        }
    }

    /// How many variables have a text.
    pub fn len(&self) -> usize {
        match self {
            Self::Positional(texts) => texts.len(),
            Self::Named(parameters) => parameters.len(),
        }
    }

    /// Whether no variable has a text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRequest")
            .field("to", &self.to)
            .field("content", &self.content)
            .field("biz_opaque_callback_data", &personal(self.biz_opaque_callback_data.as_ref()))
            .finish()
    }
}

impl fmt::Debug for RequestContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { preview_url, .. } => {
                f.debug_struct("Text").field("body", &PERSONAL).field("preview_url", preview_url).finish()
            }
            Self::Template { name, language, body } => {
                f.debug_struct("Template").field("name", name).field("language", language).field("body", body).finish()
            }
        }
    }
}

impl fmt::Debug for BodyParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Positional(_) => "Positional",
            Self::Named(_) => "Named",
        };
        f.debug_tuple(name).field(&PERSONAL).finish()
    }
}

impl fmt::Debug for NamedParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedParameter").field("name", &self.name).field("text", &PERSONAL).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_to_a_phone() {
        let request = SendRequest {
            to: RequestRecipient::Phone("+16505551234".into()),
            content: RequestContent::Text { body: "hi".into(), preview_url: true },
            biz_opaque_callback_data: Some("m-1".into()),
        };
        let expected = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "+16505551234",
            "type": "text",
            "text": {"body": "hi", "preview_url": true},
            "biz_opaque_callback_data": "m-1",
        });
        assert_eq!(request.to_json(), expected);
        let shown = format!("{request:?}");
        assert!(!shown.contains("1650") && !shown.contains("\"hi\""), "{shown}");
    }

    #[test]
    fn templates_with_and_without_variables() {
        let template = |body| SendRequest {
            to: RequestRecipient::Bsuid("US.1349".into()),
            content: RequestContent::Template { name: "order_update".into(), language: "en_US".into(), body },
            biz_opaque_callback_data: None,
        };
        let bare = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "recipient": "US.1349",
            "type": "template",
            "template": {"name": "order_update", "language": {"code": "en_US"}},
        });
        assert_eq!(template(BodyParameters::Positional(vec![])).to_json(), bare);

        let positional = template(BodyParameters::Positional(vec!["A1".into(), "Tuesday".into()]));
        let expected = json!([{"type": "body", "parameters": [
            {"type": "text", "text": "A1"},
            {"type": "text", "text": "Tuesday"},
        ]}]);
        assert_eq!(positional.to_json()["template"]["components"], expected);

        let named =
            template(BodyParameters::Named(vec![NamedParameter { name: "first_name".into(), text: "Ana".into() }]));
        let expected = json!([{"type": "body", "parameters": [
            {"type": "text", "parameter_name": "first_name", "text": "Ana"},
        ]}]);
        assert_eq!(named.to_json()["template"]["components"], expected);
        assert!(!format!("{named:?}").contains("Ana"));
    }
}
