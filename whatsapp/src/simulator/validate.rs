//! What Meta checks of a message before it accepts it.

use serde_json::Value;

use super::{refusal::GraphRefusal, templates::StoredTemplate};
use crate::recipient::{RequestRecipient, is_bsuid};

const TEXT_CHARS_MAX: usize = 4_096;
const CALLBACK_DATA_CHARS_MAX: usize = 512;
/// E.164 allows 15 digits; no country's numbers with its code are shorter than 7.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Types whose node is only checked for being there.
const OTHER_TYPES: [&str; 9] =
    ["image", "document", "video", "audio", "sticker", "location", "contacts", "reaction", "interactive"];

/// A message that is fit to be accepted.
pub(super) struct ValidMessage {
    /// A phone in digits.
    pub(super) to: RequestRecipient,
    /// As the request spelled the recipient.
    pub(super) input: String,
    pub(super) kind: String,
    pub(super) text: Option<String>,
    pub(super) template: Option<String>,
    /// Of pricing: the template's, or `service`.
    pub(super) category: String,
    pub(super) biz_opaque_callback_data: Option<String>,
}

/// `find` looks a template up by name and language.
pub(super) fn validate(
    body: &Value,
    find: impl FnOnce(&str, &str) -> Option<StoredTemplate>,
) -> Result<ValidMessage, GraphRefusal> {
    if body["messaging_product"] != "whatsapp" {
        return Err(GraphRefusal::invalid("Param messaging_product must be one of {WHATSAPP}"));
    }
    let (to, input) = recipient(body)?;
    let biz_opaque_callback_data = callback_data(&body["biz_opaque_callback_data"])?;
    // Meta takes a message without a type for a text.
    let kind = body["type"].as_str().unwrap_or("text");
    let node = &body[kind];
    if node.is_null() {
        return Err(GraphRefusal::invalid(format!("Parameter '{kind}' is mandatory for type '{kind}'")));
    }
    let mut message = ValidMessage {
        to,
        input,
        kind: kind.to_owned(),
        text: None,
        template: None,
        category: "service".to_owned(),
        biz_opaque_callback_data,
    };
    match kind {
        "text" => message.text = Some(text(node)?),
        "template" => {
            let template = template(node, find)?;
            message.category = template.category.to_lowercase();
            message.template = Some(template.name);
        }
        other if OTHER_TYPES.contains(&other) => {}
        _ => return Err(GraphRefusal::invalid("Param type must be one of Meta's message types")),
    }
    Ok(message)
}

fn recipient(body: &Value) -> Result<(RequestRecipient, String), GraphRefusal> {
    let spelled = |name: &str| match &body[name] {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    // If both are given, `to` wins.
    if let Some(input) = spelled("to") {
        let digits: String = input.chars().filter(char::is_ascii_digit).collect();
        let spelling = input.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c));
        if !spelling || !PHONE_DIGITS.contains(&digits.len()) {
            return Err(GraphRefusal::invalid("Param to is not a valid phone number"));
        }
        return Ok((RequestRecipient::Phone(digits), input));
    }
    match spelled("recipient") {
        Some(input) if is_bsuid(&input) => Ok((RequestRecipient::Bsuid(input.clone()), input)),
        Some(_) => Err(GraphRefusal::invalid("Param recipient is not a valid user id")),
        None => Err(GraphRefusal::invalid("The parameter to is required")),
    }
}

fn callback_data(given: &Value) -> Result<Option<String>, GraphRefusal> {
    match given {
        Value::Null => Ok(None),
        Value::String(data) if data.chars().count() <= CALLBACK_DATA_CHARS_MAX => Ok(Some(data.clone())),
        _ => Err(GraphRefusal::invalid("Param biz_opaque_callback_data must be at most 512 characters")),
    }
}

fn text(node: &Value) -> Result<String, GraphRefusal> {
    let body = node["body"].as_str().unwrap_or_default();
    match body.chars().count() {
        0 => Err(GraphRefusal::invalid("The parameter text['body'] is required")),
        1..=TEXT_CHARS_MAX => Ok(body.to_owned()),
        _ => Err(GraphRefusal::invalid("Param text['body'] must be at most 4096 characters long")),
    }
}

fn template(
    node: &Value,
    find: impl FnOnce(&str, &str) -> Option<StoredTemplate>,
) -> Result<StoredTemplate, GraphRefusal> {
    let name = node["name"].as_str().unwrap_or_default();
    let language = node["language"]["code"].as_str().unwrap_or_default();
    if name.is_empty() || language.is_empty() {
        return Err(GraphRefusal::invalid("The parameters template['name'] and language['code'] are required"));
    }
    let missing =
        || GraphRefusal::new(404, 132_001).details(format!("template name ({name}) does not exist in {language}"));
    let template = find(name, language).ok_or_else(missing)?;
    match template.status.as_str() {
        "APPROVED" => {}
        "PAUSED" => return Err(GraphRefusal::new(400, 132_015)),
        "DISABLED" => return Err(GraphRefusal::new(400, 132_016)),
        _ => return Err(missing()),
    }
    for component in ["header", "body"] {
        parameters(node, &template, component)?;
    }
    Ok(template)
}

/// Compares the values given for a component with the variables that its text has.
fn parameters(node: &Value, template: &StoredTemplate, component: &str) -> Result<(), GraphRefusal> {
    let expected = template.variables(component);
    let given = node["components"].as_array().into_iter().flatten();
    let given: Vec<&Value> = given
        .filter(|given| given["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(component)))
        .flat_map(|given| given["parameters"].as_array().into_iter().flatten())
        .collect();
    // A header of media takes a parameter without having a text.
    if expected.is_empty() && component == "header" {
        return Ok(());
    }
    if given.len() != expected.len() {
        return Err(GraphRefusal::new(400, 132_000).details(format!(
            "{component}: number of localizable_params ({}) does not match the expected number of params ({})",
            given.len(),
            expected.len()
        )));
    }
    let positional = expected.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    for parameter in given {
        let fits = match parameter["parameter_name"].as_str() {
            Some(name) => expected.iter().any(|expected| expected == name),
            None => positional,
        };
        if !fits {
            let details = format!("{component}: Parameter name is missing or empty, or not the template's");
            return Err(GraphRefusal::new(400, 132_012).details(details));
        }
        if parameter["type"] == "text" && parameter["text"].as_str().is_none_or(str::is_empty) {
            return Err(GraphRefusal::new(400, 131_008).details(format!("{component}: text is required")));
        }
    }
    Ok(())
}
