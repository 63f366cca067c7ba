//! Sending and cancelling.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use wasend_commands::message::{self as commands, AcceptedSend, ContentDraft, SendMessage, SendTarget};
use wasend_commands::{CommandError, Refusal, RefusalCode};
use wasend_domain::account::KeyScope;
use wasend_domain::message::CancelReason;
use wasend_domain::{Personal, message};
use wasend_projections::messages::MessageRow;

use super::MessageObject;
use crate::auth::require;
use crate::graphql::error::{self, UserError, outcome};
use crate::graphql::page::times;
use crate::graphql::scalar::PositionScalar;
use crate::graphql::state::GraphqlState;

/// A text message.
#[derive(InputObject)]
struct TextInput {
    /// From 1 to 4,096 characters.
    body: String,
    /// Whether WhatsApp shows a preview of the first link.
    preview_url: Option<bool>,
}

/// A message by one of Meta's approved templates.
#[derive(InputObject)]
struct TemplateInput {
    name: String,
    /// Such as `en` or `en_US`.
    language: String,
    /// The variables of its body.
    parameters: Option<Vec<TemplateParameterInput>>,
}

#[derive(InputObject)]
struct TemplateParameterInput {
    /// For templates whose variables have names; the others go by their place.
    name: Option<String>,
    /// From 1 to 1,024 characters.
    text: String,
}

/// A message to send: either `to` or `contactId`, and either `text` or `template`.
#[derive(InputObject)]
struct SendMessageInput {
    /// The number to send from.
    number_id: ID,
    /// A phone number in international form, or a BSUID.
    to: Option<String>,
    contact_id: Option<ID>,
    text: Option<TextInput>,
    template: Option<TemplateInput>,
    /// Repeating a request with the same key and the same content is answered with the first message, and nothing is
    /// sent again. At most 200 characters.
    idempotency_key: Option<String>,
}

#[derive(InputObject)]
struct SendMessagesInput {
    /// At most 1,000.
    messages: Vec<SendMessageInput>,
}

#[derive(InputObject)]
struct CancelMessageInput {
    id: ID,
}

#[derive(Default, SimpleObject)]
struct SendMessagePayload {
    message: Option<MessageObject>,
    position: Option<PositionScalar>,
    /// The idempotency key had been used before: this is the message of then.
    repeated: bool,
    errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct SendMessagesPayload {
    /// One for each message, in their order; each stands and falls on its own.
    results: Vec<SendMessagePayload>,
    /// The last of the results' positions.
    position: Option<PositionScalar>,
    /// What is wrong with the request as a whole: nothing was accepted.
    errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct CancelMessagePayload {
    message: Option<MessageObject>,
    position: Option<PositionScalar>,
    errors: Vec<UserError>,
}

/// Mutations that send and cancel messages.
#[derive(Default)]
pub struct MessageMutation;

#[Object]
impl MessageMutation {
    /// Accepts a message: it is durable when this answers, and is sent from then on.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn send_message(&self, ctx: &Context<'_>, input: SendMessageInput) -> Result<SendMessagePayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let accepted = match SendMessage::try_from(input) {
            Ok(message) => state.intake.send_message(caller, message).await,
            Err(refusal) => Err(refusal.into()),
        };
        SendMessagePayload::of(accepted)
    }

    /// Accepts up to 1,000 messages, each on its own merits.
    #[graphql(guard = "require(KeyScope::Send)", complexity = "batch(input.messages.len(), child_complexity)")]
    async fn send_messages(&self, ctx: &Context<'_>, input: SendMessagesInput) -> Result<SendMessagesPayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let given: Vec<_> = input.messages.into_iter().map(SendMessage::try_from).collect();
        let well_formed: Vec<_> = given.iter().flatten().cloned().collect();
        let too_many = given.len() > commands::MESSAGES_MAX && well_formed.len() <= commands::MESSAGES_MAX;
        let answers =
            if too_many { Err(too_many_messages()) } else { state.commands.send_messages(caller, well_formed).await };
        match outcome(answers)? {
            Ok(answers) => SendMessagesPayload::of(given, answers),
            Err(errors) => Ok(SendMessagesPayload { results: vec![], position: None, errors }),
        }
    }

    /// Withdraws a message that was not tried yet.
    #[graphql(guard = "require(KeyScope::Send)")]
    async fn cancel_message(&self, ctx: &Context<'_>, input: CancelMessageInput) -> Result<CancelMessagePayload> {
        let (state, caller) = GraphqlState::begin_mutation(ctx)?;
        let done = match error::id("id", "message", &input.id) {
            Ok(id) => state.commands.cancel_message(caller, id, CancelReason::Requested).await,
            Err(error) => Err(error),
        };
        let done = match outcome(done)? {
            Ok(done) => done,
            Err(errors) => return Ok(CancelMessagePayload { message: None, position: None, errors }),
        };
        state.wait_for_effect(done.position).await;
        let row = state.loaders.row::<MessageRow>(caller.account_id, &input.id).await?;
        let message = row.map(|row| MessageObject::fresh(decided(row, done.value), done.position));
        Ok(CancelMessagePayload { message, position: Some(PositionScalar(done.position)), errors: vec![] })
    }
}

/// The complexity of a batch. Its messages are answered without a query each, unless more is asked about them.
fn batch(messages: usize, child: usize) -> usize {
    times(messages.min(commands::MESSAGES_MAX), child) / 10 + child + 1
}

/// The row as the command left the message, even if the read models have not caught up.
fn decided(row: MessageRow, state: message::Message) -> MessageRow {
    MessageRow { state: message::Message { counted: None, ..state }, ..row }
}

fn too_many_messages() -> CommandError {
    let text = format!("at most {} messages at once", commands::MESSAGES_MAX);
    Refusal::new("messages", RefusalCode::TooMany, text).into()
}

impl SendMessagePayload {
    fn of(accepted: Result<AcceptedSend, CommandError>) -> Result<Self> {
        Ok(match outcome(accepted)? {
            Ok(AcceptedSend { row, position, repeated }) => {
                let message = Some(MessageObject::fresh(row, position));
                Self { message, position: Some(PositionScalar(position)), repeated, errors: vec![] }
            }
            Err(errors) => Self { errors, ..Self::default() },
        })
    }
}

impl SendMessagesPayload {
    /// `answers` are those to the messages that were given in good form, in their order.
    fn of(given: Vec<Result<SendMessage, Refusal>>, answers: Vec<Result<AcceptedSend, CommandError>>) -> Result<Self> {
        let (mut results, mut answers) = (Vec::with_capacity(given.len()), answers.into_iter());
        for (index, message) in given.into_iter().enumerate() {
            let answer = match message {
                Ok(_) => answers.next().unwrap_or_else(|| Err(CommandError::Refused(vec![]))),
                Err(refusal) => Err(refusal.into()),
            };
            let mut result = SendMessagePayload::of(answer)?;
            let below = |error: UserError| error.below(&format!("messages.{index}"));
            result.errors = result.errors.into_iter().map(below).collect();
            results.push(result);
        }
        let position = results.iter().filter_map(|result| result.position).max();
        Ok(Self { results, position, errors: vec![] })
    }
}

impl TryFrom<SendMessageInput> for SendMessage {
    type Error = Refusal;

    fn try_from(input: SendMessageInput) -> Result<Self, Refusal> {
        let to = match (input.to, input.contact_id) {
            (Some(to), None) => SendTarget::Address(Personal::new(to)),
            (None, Some(ID(id))) => SendTarget::Contact(id),
            (None, None) => {
                return Err(Refusal::new("to", RefusalCode::Required, "say whom it is for: to or contactId"));
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::new("to", RefusalCode::Invalid, "to and contactId exclude each other"));
            }
        };
        let content = ContentDraft { text: input.text.map(Into::into), template: input.template.map(Into::into) };
        Ok(Self { number_id: input.number_id.0, to, content, idempotency_key: input.idempotency_key })
    }
}

impl From<TextInput> for commands::TextDraft {
    fn from(TextInput { body, preview_url }: TextInput) -> Self {
        Self { body: Personal::new(body), preview_url: preview_url.unwrap_or(false) }
    }
}

impl From<TemplateInput> for commands::TemplateDraft {
    fn from(TemplateInput { name, language, parameters }: TemplateInput) -> Self {
        let parameter =
            |TemplateParameterInput { name, text }| commands::ParameterDraft { name, text: Personal::new(text) };
        Self { name, language, parameters: parameters.unwrap_or_default().into_iter().map(parameter).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(to: Option<&str>, contact: Option<&str>) -> SendMessageInput {
        SendMessageInput {
            number_id: "n".into(),
            to: to.map(str::to_owned),
            contact_id: contact.map(ID::from),
            text: None,
            template: None,
            idempotency_key: None,
        }
    }

    #[test]
    fn a_message_is_for_one() {
        assert!(SendMessage::try_from(input(Some("+16505551234"), None)).is_ok());
        assert!(SendMessage::try_from(input(None, Some("x"))).is_ok());
        let refused = |to, contact| SendMessage::try_from(input(to, contact)).unwrap_err();
        assert_eq!(refused(None, None).code, RefusalCode::Required);
        let both = refused(Some("+16505551234"), Some("x"));
        assert_eq!((both.code, both.field.as_deref()), (RefusalCode::Invalid, Some("to")));
    }

    #[test]
    fn a_batch_answers_in_its_order_and_says_which_message_it_means() {
        let given = vec![
            SendMessage::try_from(input(Some("a"), None)),
            SendMessage::try_from(input(None, None)),
            SendMessage::try_from(input(Some("b"), None)),
        ];
        let refused = |field: &str| Err(Refusal::new(field, RefusalCode::Required, "is missing").into());
        let payload = SendMessagesPayload::of(given, vec![refused("to"), refused("text.body")]).unwrap();
        let fields: Vec<_> = payload.results.iter().map(|result| result.errors[0].field.clone().unwrap()).collect();
        assert_eq!(fields, ["messages.0.to", "messages.1.to", "messages.2.text.body"]);
        assert_eq!(payload.position, None);
    }
}
