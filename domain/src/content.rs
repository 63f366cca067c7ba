//! What a message says, and the other texts that arrive from outside, parsed into values that cannot be wrong.

use serde::{Deserialize, Serialize};

use crate::{DataCategory, PersonalValue};

/// Longest text body, in characters (Cloud API, text messages).
pub const BODY_MAX: usize = 4096;
/// Longest template name, in characters (Cloud API, templates).
pub const TEMPLATE_NAME_MAX: usize = 512;
/// Longest template body parameter, in characters: the hydrated body may not pass 1,024, and Meta refuses the rest.
pub const PARAMETER_MAX: usize = 1024;
/// Most parameters of a template body.
pub const PARAMETERS_MAX: usize = 100;

/// What is wrong with a message's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContent {
    #[error("must not be empty")]
    Empty,
    #[error("has {actual} characters; at most {max} are allowed")]
    TooLong { actual: usize, max: usize },
    #[error("may hold lower-case letters, digits and underscores only")]
    TemplateName,
    #[error("is not a language code such as en or en_US")]
    Language,
    #[error("parameter {0} is missing")]
    MissingParameter(String),
    #[error("the template takes {expected} parameters; {actual} were given")]
    ParameterCount { expected: usize, actual: usize },
    #[error("parameter {0} is not one of the template's")]
    UnknownParameter(String),
    #[error("must not contain a NUL character")]
    Nul,
}

/// A non-empty text without NUL of at most `max` characters.
pub fn text(value: &str, max: usize) -> Result<String, InvalidContent> {
    if value.trim().is_empty() {
        return Err(InvalidContent::Empty);
    }
    // Postgres cannot store it, and Meta cannot send it.
    if value.contains('\0') {
        return Err(InvalidContent::Nul);
    }
    match value.chars().count() {
        actual if actual > max => Err(InvalidContent::TooLong { actual, max }),
        _ => Ok(value.to_owned()),
    }
}

/// What kind of message it is; the log keeps it in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentKind {
    Text,
    Template,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contacts,
    Interactive,
    Button,
    Reaction,
    Order,
    System,
    /// A kind that Meta has added since.
    Other,
}

impl ContentKind {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 15] = [
        Self::Text,
        Self::Template,
        Self::Image,
        Self::Video,
        Self::Audio,
        Self::Document,
        Self::Sticker,
        Self::Location,
        Self::Contacts,
        Self::Interactive,
        Self::Button,
        Self::Reaction,
        Self::Order,
        Self::System,
        Self::Other,
    ];

    /// Meta's word for it, also ours in the read models.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Template => "template",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
            Self::Location => "location",
            Self::Contacts => "contacts",
            Self::Interactive => "interactive",
            Self::Button => "button",
            Self::Reaction => "reaction",
            Self::Order => "order",
            Self::System => "system",
            Self::Other => "other",
        }
    }

    /// The kind that Meta calls so; [`ContentKind::Other`] for a word not known yet.
    pub fn named(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == word).unwrap_or(Self::Other)
    }
}

/// What an outbound message says. Personal: it is sealed before it reaches the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OutboundContent {
    Text { body: String, preview_url: bool },
    Template(TemplateMessage),
}

/// A template message: an approved text of Meta's with the variables of its body filled in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateMessage {
    pub name: String,
    pub language: String,
    pub parameters: Vec<TemplateVariable>,
}

/// One variable of a template's body: by name, or by its place when the name is absent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateVariable {
    pub name: Option<String>,
    pub text: String,
}

impl OutboundContent {
    /// A message of text alone, its links previewed or not. Refused if it is empty or longer than 4,096 characters.
    pub fn text(body: &str, preview_url: bool) -> Result<Self, InvalidContent> {
        Ok(Self::Text { body: text(body, BODY_MAX)?, preview_url })
    }

    /// The kind of the message, as Meta names it.
    pub const fn kind(&self) -> ContentKind {
        match self {
            Self::Text { .. } => ContentKind::Text,
            Self::Template(_) => ContentKind::Template,
        }
    }
}

impl TemplateMessage {
    /// Checks the form; whether Meta has approved such a template is for [`Self::fits`].
    pub fn new(name: &str, language: &str, parameters: Vec<TemplateVariable>) -> Result<Self, InvalidContent> {
        let name = text(name, TEMPLATE_NAME_MAX)?;
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(InvalidContent::TemplateName);
        }
        if !is_language(language) {
            return Err(InvalidContent::Language);
        }
        if parameters.len() > PARAMETERS_MAX {
            return Err(InvalidContent::ParameterCount { expected: PARAMETERS_MAX, actual: parameters.len() });
        }
        for (place, parameter) in parameters.iter().enumerate() {
            let label = parameter.name.clone().unwrap_or_else(|| (place + 1).to_string());
            text(&parameter.text, PARAMETER_MAX).map_err(|error| match error {
                InvalidContent::Empty => InvalidContent::MissingParameter(label),
                other => other,
            })?;
        }
        Ok(Self { name, language: language.to_owned(), parameters })
    }

    /// Whether the parameters are those that the approved template's body takes.
    pub fn fits(&self, shape: &TemplateShape) -> Result<(), InvalidContent> {
        match shape {
            TemplateShape::Positional(expected) => {
                let actual = self.parameters.len();
                match actual.cmp(expected) {
                    std::cmp::Ordering::Less => Err(InvalidContent::MissingParameter((actual + 1).to_string())),
                    std::cmp::Ordering::Greater => Err(InvalidContent::ParameterCount { expected: *expected, actual }),
                    std::cmp::Ordering::Equal => Ok(()),
                }
            }
            TemplateShape::Named(names) => {
                let given = |name: &str| self.parameters.iter().any(|p| p.name.as_deref() == Some(name));
                if let Some(missing) = names.iter().find(|name| !given(name)) {
                    return Err(InvalidContent::MissingParameter(missing.clone()));
                }
                let unknown = |p: &&TemplateVariable| !p.name.as_ref().is_some_and(|name| names.contains(name));
                match self.parameters.iter().find(unknown) {
                    Some(p) => Err(InvalidContent::UnknownParameter(p.name.clone().unwrap_or_default())),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The variables that an approved template's body takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateShape {
    Positional(usize),
    Named(Vec<String>),
}

fn is_language(code: &str) -> bool {
    let (language, region) = match code.split_once('_') {
        Some((language, region)) => (language, Some(region)),
        None => (code, None),
    };
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && region.is_none_or(|r| (2..=4).contains(&r.len()) && r.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// What an inbound message says: its text where it has one, and Meta's JSON of it, whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundContent {
    pub text: Option<String>,
    pub raw: String,
}

/// A WhatsApp message id. It contains the recipient's number in clear digits, so it is personal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wamid(pub String);

/// What Meta said about an error; it may echo the number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorText(pub String);

/// Custom attributes of a contact, by name.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContactAttributes(pub std::collections::BTreeMap<String, String>);

/// A name or label chosen by the customer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerLabel(pub String);

/// A webhook's JSON, as versions before [`UnknownWebhook`] kept it: under the account's keys alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawWebhook(pub String);

/// A webhook's JSON, kept for a short time because it was not understood.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownWebhook(pub String);

impl PersonalValue for OutboundContent {
    const FIELD: &'static str = "message.content";
    const CATEGORY: DataCategory = DataCategory::Content;
}
impl PersonalValue for InboundContent {
    const FIELD: &'static str = "message.inbound";
    const CATEGORY: DataCategory = DataCategory::Content;
}
impl PersonalValue for Wamid {
    const FIELD: &'static str = "message.wamid";
    const CATEGORY: DataCategory = DataCategory::Identifier;
}
impl PersonalValue for ErrorText {
    const FIELD: &'static str = "message.error";
    const CATEGORY: DataCategory = DataCategory::Note;
}
impl PersonalValue for ContactAttributes {
    const FIELD: &'static str = "contact.attributes";
    const CATEGORY: DataCategory = DataCategory::Profile;
}
impl PersonalValue for CustomerLabel {
    const FIELD: &'static str = "account.label";
    const CATEGORY: DataCategory = DataCategory::Label;
}
impl PersonalValue for RawWebhook {
    const FIELD: &'static str = "inbox.raw";
    const CATEGORY: DataCategory = DataCategory::Raw;
}
impl PersonalValue for UnknownWebhook {
    const FIELD: &'static str = "inbox.update";
    const CATEGORY: DataCategory = DataCategory::UnknownWebhook;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: Option<&str>, text: &str) -> TemplateVariable {
        TemplateVariable { name: name.map(str::to_owned), text: text.to_owned() }
    }

    #[test]
    fn a_body_holds_from_1_to_4096_characters() {
        assert!(OutboundContent::text(&"é".repeat(BODY_MAX), false).is_ok());
        assert_eq!(
            OutboundContent::text(&"é".repeat(BODY_MAX + 1), false).err(),
            Some(InvalidContent::TooLong { actual: 4097, max: 4096 })
        );
        assert_eq!(OutboundContent::text(" \n", false).err(), Some(InvalidContent::Empty));
        assert_eq!(OutboundContent::text("a\0b", false).err(), Some(InvalidContent::Nul));
    }

    #[test]
    fn a_template_names_what_is_wrong() {
        assert_eq!(TemplateMessage::new("Hello!", "en", vec![]).err(), Some(InvalidContent::TemplateName));
        assert_eq!(TemplateMessage::new("hello", "english", vec![]).err(), Some(InvalidContent::Language));
        let blank = vec![parameter(None, "a"), parameter(None, " ")];
        assert_eq!(
            TemplateMessage::new("hello", "en_US", blank).err(),
            Some(InvalidContent::MissingParameter("2".into()))
        );
    }

    #[test]
    fn a_template_fits_the_approved_one() {
        let one = TemplateMessage::new("order", "en", vec![parameter(None, "a")]).unwrap();
        assert_eq!(one.fits(&TemplateShape::Positional(1)), Ok(()));
        assert_eq!(one.fits(&TemplateShape::Positional(2)), Err(InvalidContent::MissingParameter("2".into())));
        assert!(one.fits(&TemplateShape::Positional(0)).is_err());
        let named = TemplateShape::Named(vec!["first_name".into()]);
        assert_eq!(one.fits(&named), Err(InvalidContent::MissingParameter("first_name".into())));
        let right = TemplateMessage::new("order", "en", vec![parameter(Some("first_name"), "Ada")]).unwrap();
        assert_eq!(right.fits(&named), Ok(()));
    }
}
