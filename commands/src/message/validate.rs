//! Validation of the input, as far as it goes without any store.

use serde_json::json;
use wasend_domain::content::{self, OutboundContent, TemplateMessage, TemplateVariable};
use wasend_domain::phone::MessageRecipient;
use wasend_domain::{NumberId, SubjectId};

use super::{ContentDraft, IDEMPOTENCY_KEY_MAX, SendMessage, SendTarget, TemplateDraft};
use crate::{Refusal, RefusalCode};

/// A message of good form.
#[derive(Clone)]
pub(super) struct CheckedMessage {
    pub number: NumberId,
    pub to: MessageAddressee,
    pub content: OutboundContent,
    pub key: Option<IdempotencyKey>,
}

#[derive(Clone)]
pub(super) enum MessageAddressee {
    Recipient(MessageRecipient),
    Contact(SubjectId),
}

/// An idempotency key and the content that it stands for, in one spelling.
#[derive(Clone)]
pub(super) struct IdempotencyKey {
    pub key: String,
    pub content: String,
}

/// Everything that is wrong with a message, or the message checked.
pub(super) fn check(input: &SendMessage) -> Result<CheckedMessage, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut take = |refusal| refusals.push(refusal);
    let number = input.number_id.parse().map_err(|_| take(Refusal::not_found("numberId", "number"))).ok();
    let to = addressee(&input.to).map_err(&mut take).ok();
    let content = check_content(&input.content).map_err(&mut take).ok();
    let key = input.idempotency_key.as_deref().map(check_key).transpose().map_err(&mut take).ok();
    match (number, to, content, key) {
        (Some(number), Some(to), Some(content), Some(key)) => {
            let key = key.map(|key| IdempotencyKey { key, content: fingerprinted(number, &to, &content) });
            Ok(CheckedMessage { number, to, content, key })
        }
        _ => Err(refusals),
    }
}

fn addressee(to: &SendTarget) -> Result<MessageAddressee, Refusal> {
    match to {
        SendTarget::Address(text) if text.expose().trim().is_empty() => {
            Err(Refusal::new("to", RefusalCode::Required, "must not be empty"))
        }
        SendTarget::Address(text) => MessageRecipient::parse(text.expose())
            .map(MessageAddressee::Recipient)
            .map_err(|error| Refusal::new("to", RefusalCode::InvalidPhone, error)),
        SendTarget::Contact(id) => {
            id.parse().map(MessageAddressee::Contact).map_err(|_| Refusal::not_found("contactId", "contact"))
        }
    }
}

fn check_content(input: &ContentDraft) -> Result<OutboundContent, Refusal> {
    match (&input.text, &input.template) {
        (Some(text), None) => OutboundContent::text(text.body.expose(), text.preview_url)
            .map_err(|error| Refusal::content("text.body", &error)),
        (None, Some(template)) => check_template(template).map(OutboundContent::Template),
        (None, None) => Err(Refusal::new("text", RefusalCode::Required, "say what to send: text or template")),
        (Some(_), Some(_)) => {
            Err(Refusal::new("template", RefusalCode::Invalid, "text and template exclude each other"))
        }
    }
}

fn check_template(input: &TemplateDraft) -> Result<TemplateMessage, Refusal> {
    let parameter =
        |p: &super::ParameterDraft| TemplateVariable { name: p.name.clone(), text: p.text.expose().clone() };
    TemplateMessage::new(&input.name, &input.language, input.parameters.iter().map(parameter).collect()).map_err(
        |error| {
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
        },
    )
}

fn check_key(key: &str) -> Result<String, Refusal> {
    content::text(key, IDEMPOTENCY_KEY_MAX).map_err(|error| Refusal::content("idempotencyKey", &error))
}

/// The content that an idempotency key stands for. Two spellings of one number are one content.
fn fingerprinted(number: NumberId, to: &MessageAddressee, content: &OutboundContent) -> String {
    let to = match to {
        MessageAddressee::Recipient(MessageRecipient::Phone(phone)) => phone.as_str().to_owned(),
        MessageAddressee::Recipient(MessageRecipient::Bsuid(bsuid)) => bsuid.as_str().to_owned(),
        MessageAddressee::Contact(id) => id.to_string(),
    };
    json!([number, to, content]).to_string()
}

#[cfg(test)]
mod tests {
    use wasend_domain::Personal;

    use super::super::TextDraft;
    use super::*;

    fn content_of(number: NumberId, to: SendTarget, body: &str) -> String {
        let text = TextDraft { body: Personal::new(body.to_owned()), preview_url: false };
        let content = ContentDraft { text: Some(text), template: None };
        let idempotency_key = Some("key".to_owned());
        let message = SendMessage { number_id: number.to_string(), to, content, idempotency_key };
        check(&message).unwrap().key.unwrap().content
    }

    #[test]
    fn spellings_of_a_number_are_one_content_and_everything_else_is_another() {
        let (number, address) = (NumberId::random(), |to: &str| SendTarget::Address(Personal::new(to.to_owned())));
        let content = content_of(number, address("+16505554321"), "Hello");
        assert_eq!(content, content_of(number, address("+1 (650) 555-4321"), "Hello"));
        for other in [
            content_of(NumberId::random(), address("+16505554321"), "Hello"),
            content_of(number, address("+16505554322"), "Hello"),
            content_of(number, SendTarget::Contact(SubjectId::random().to_string()), "Hello"),
            content_of(number, address("+16505554321"), "Hello!"),
        ] {
            assert_ne!(content, other);
        }
    }
}
