//! Validation of the input, as far as it goes without any store.

use serde_json::json;
use wasend_domain::content::{self, Content, Parameter, Template};
use wasend_domain::phone::Recipient;
use wasend_domain::{NumberId, SubjectId};

use super::{ContentInput, IDEMPOTENCY_KEY_MAX, SendMessage, TemplateInput, To};
use crate::{Code, Refusal};

/// A message of good form.
#[derive(Clone)]
pub(super) struct Checked {
    pub number: NumberId,
    pub to: Addressee,
    pub content: Content,
    pub key: Option<Key>,
}

#[derive(Clone)]
pub(super) enum Addressee {
    Recipient(Recipient),
    Contact(SubjectId),
}

/// An idempotency key and the content that it stands for, in one spelling.
#[derive(Clone)]
pub(super) struct Key {
    pub key: String,
    pub content: String,
}

/// Everything that is wrong with a message, or the message checked.
pub(super) fn check(input: &SendMessage) -> Result<Checked, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut take = |refusal| refusals.push(refusal);
    let number = input.number_id.parse().map_err(|_| take(Refusal::not_found("numberId", "number"))).ok();
    let to = addressee(&input.to).map_err(&mut take).ok();
    let content = check_content(&input.content).map_err(&mut take).ok();
    let key = input.idempotency_key.as_deref().map(check_key).transpose().map_err(&mut take).ok();
    match (number, to, content, key) {
        (Some(number), Some(to), Some(content), Some(key)) => {
            let key = key.map(|key| Key { key, content: fingerprinted(number, &to, &content) });
            Ok(Checked { number, to, content, key })
        }
        _ => Err(refusals),
    }
}

fn addressee(to: &To) -> Result<Addressee, Refusal> {
    match to {
        To::Address(text) if text.expose().trim().is_empty() => {
            Err(Refusal::new("to", Code::Required, "must not be empty"))
        }
        To::Address(text) => Recipient::parse(text.expose())
            .map(Addressee::Recipient)
            .map_err(|error| Refusal::new("to", Code::InvalidPhone, error)),
        To::Contact(id) => id.parse().map(Addressee::Contact).map_err(|_| Refusal::not_found("contactId", "contact")),
    }
}

fn check_content(input: &ContentInput) -> Result<Content, Refusal> {
    match (&input.text, &input.template) {
        (Some(text), None) => {
            Content::text(text.body.expose(), text.preview_url).map_err(|error| Refusal::content("text.body", &error))
        }
        (None, Some(template)) => check_template(template).map(Content::Template),
        (None, None) => Err(Refusal::new("text", Code::Required, "say what to send: text or template")),
        (Some(_), Some(_)) => Err(Refusal::new("template", Code::Invalid, "text and template exclude each other")),
    }
}

fn check_template(input: &TemplateInput) -> Result<Template, Refusal> {
    let parameter = |p: &super::ParameterInput| Parameter { name: p.name.clone(), text: p.text.expose().clone() };
    Template::new(&input.name, &input.language, input.parameters.iter().map(parameter).collect()).map_err(|error| {
        let field = match error {
            content::InvalidContent::MissingParameter(_) | content::InvalidContent::ParameterCount { .. } => {
                "template.parameters"
            }
            content::InvalidContent::Language => "template.language",
            content::InvalidContent::TooLong { max: content::PARAMETER_MAX, .. } | content::InvalidContent::Nul => {
                "template.parameters"
            }
            _ => "template.name",
        };
        Refusal::content(field, &error)
    })
}

fn check_key(key: &str) -> Result<String, Refusal> {
    content::text(key, IDEMPOTENCY_KEY_MAX).map_err(|error| Refusal::content("idempotencyKey", &error))
}

/// The content that an idempotency key stands for. Two spellings of one number are one content.
fn fingerprinted(number: NumberId, to: &Addressee, content: &Content) -> String {
    let to = match to {
        Addressee::Recipient(Recipient::Phone(phone)) => phone.as_str().to_owned(),
        Addressee::Recipient(Recipient::Bsuid(bsuid)) => bsuid.as_str().to_owned(),
        Addressee::Contact(id) => id.to_string(),
    };
    json!([number, to, content]).to_string()
}

#[cfg(test)]
mod tests {
    use wasend_domain::Personal;

    use super::super::TextInput;
    use super::*;

    fn content_of(number: NumberId, to: To, body: &str) -> String {
        let text = TextInput { body: Personal::new(body.to_owned()), preview_url: false };
        let content = ContentInput { text: Some(text), template: None };
        let idempotency_key = Some("key".to_owned());
        let message = SendMessage { number_id: number.to_string(), to, content, idempotency_key };
        check(&message).unwrap().key.unwrap().content
    }

    #[test]
    fn spellings_of_a_number_are_one_content_and_everything_else_is_another() {
        let (number, address) = (NumberId::random(), |to: &str| To::Address(Personal::new(to.to_owned())));
        let content = content_of(number, address("+16505554321"), "Hello");
        assert_eq!(content, content_of(number, address("+1 (650) 555-4321"), "Hello"));
        for other in [
            content_of(NumberId::random(), address("+16505554321"), "Hello"),
            content_of(number, address("+16505554322"), "Hello"),
            content_of(number, To::Contact(SubjectId::random().to_string()), "Hello"),
            content_of(number, address("+16505554321"), "Hello!"),
        ] {
            assert_ne!(content, other);
        }
    }
}
