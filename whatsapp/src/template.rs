//! Template definitions, as `GET /{waba}/message_templates` lists them.

use serde_json::value::RawValue;

use crate::json::{JsonObject, RawJson};

/// One template in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateDefinition {
    pub id: Option<String>,
    pub name: String,
    /// Such as `en_US`.
    pub language: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`; Meta may change it on its own.
    pub category: Option<String>,
    /// `APPROVED`, `PAUSED`, `REJECTED` and others; only an approved template can be sent.
    pub status: Option<String>,
    /// The body with its variables as `{{1}}` or `{{first_name}}`.
    pub body: Option<String>,
    /// Variables of the body in order of first appearance, each once: `1`, `2` or `first_name`.
    pub body_parameters: Vec<String>,
    /// Header, body, footer and buttons as Meta wrote them.
    pub components: Option<RawJson>,
}

impl TemplateDefinition {
    /// Whether Meta lets the template be sent.
    pub fn is_approved(&self) -> bool {
        self.status.as_deref() == Some("APPROVED")
    }

    /// Whether the variables have names instead of positions.
    pub fn has_named_parameters(&self) -> bool {
        self.body_parameters.iter().any(|name| !name.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// `None` for an element that has no name or language.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        let object = JsonObject::read(raw)?;
        let body = object
            .objects("components")
            .iter()
            .find(|component| component.text("type").is_some_and(|kind| kind.eq_ignore_ascii_case("body")))
            .and_then(|component| component.text("text"));
        Some(Self {
            id: object.filled("id"),
            name: object.filled("name")?,
            language: object.filled("language")?,
            category: object.filled("category"),
            status: object.filled("status"),
            body_parameters: body.as_deref().map(variables).unwrap_or_default(),
            body,
            components: object.get("components").map(RawJson::from),
        })
    }
}

/// The names between `{{` and `}}`, in order of first appearance, each once.
pub fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        let name = name.trim();
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !name.is_empty() && word && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_variable_once() {
        assert_eq!(variables("Order {{1}} of {{ 2 }}, yes {{1}}!"), ["1", "2"]);
        assert_eq!(variables("Hi {{first_name}}"), ["first_name"]);
        assert!(variables("no {{}} {{a b}} {{open").is_empty());
    }

    #[test]
    fn reads_a_definition_with_a_numeric_id() {
        let raw: Box<RawValue> = serde_json::from_str(
            r#"{"id":1192339204654487,"name":"order_update","language":"en_US","status":"APPROVED","category":"UTILITY",
                "components":[{"type":"FOOTER","text":"f"},{"type":"BODY","text":"Hi {{who}}"}]}"#,
        )
        .unwrap();
        let definition = TemplateDefinition::read(&raw).unwrap();
        assert_eq!(definition.id.as_deref(), Some("1192339204654487"));
        assert_eq!(definition.body_parameters, ["who"]);
        assert!(definition.is_approved() && definition.has_named_parameters());
    }
}
