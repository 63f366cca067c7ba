//! What a message says.

use async_graphql::{Context, Result, SimpleObject};
use wasend_domain::account::KeyScope;
use wasend_domain::content::{InboundContent, OutboundContent, TemplateMessage, TemplateVariable};
use wasend_domain::message::MessageDirection;
use wasend_projections::messages::MessageRow;

use crate::auth::{ContextExt, require};
use crate::graphql::erasure::{ErasureObject, ShownValue, UnavailabilityObject, shown};
use crate::graphql::scalar::JsonScalar;
use crate::graphql::state::GraphqlState;

/// What a message says: a text, a template with its variables, or what came in. All null once it is erased, and
/// while it cannot be read.
#[derive(Default, SimpleObject)]
pub struct MessageContent {
    /// The body of a text message, or the text of an inbound one that has any. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    text: Option<String>,
    /// Whether WhatsApp shows a preview of the first link.
    preview_url: Option<bool>,
    /// Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    template: Option<TemplateContent>,
    /// An inbound message as Meta sent it. Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    raw: Option<JsonScalar>,
    /// Set once the content is erased.
    erased: Option<ErasureObject>,
    /// Set while the content cannot be read although it was not erased.
    unavailable: Option<UnavailabilityObject>,
}

/// A template message.
#[derive(SimpleObject)]
struct TemplateContent {
    name: String,
    language: String,
    /// The variables of its body.
    parameters: Vec<TemplateParameter>,
}

#[derive(SimpleObject)]
struct TemplateParameter {
    /// Null for one that goes by its place.
    name: Option<String>,
    text: String,
}

/// Opens what a message says.
pub async fn open_content(ctx: &Context<'_>, row: &MessageRow) -> Result<MessageContent> {
    let (loaders, account) = (&GraphqlState::of(ctx).loaders, ctx.actor()?.account_id);
    let inbound = row.origin().is_some_and(|origin| origin.direction == MessageDirection::Inbound);
    let ShownValue { value, erased, unavailable } = if inbound {
        shown(loaders.open::<InboundContent>(account, &row.content).await?).map(received)
    } else {
        shown(loaders.open::<OutboundContent>(account, &row.content).await?).map(sent)
    };
    Ok(MessageContent { erased, unavailable, ..value.unwrap_or_default() })
}

fn received(InboundContent { text, raw }: InboundContent) -> MessageContent {
    MessageContent { text, raw: Some(JsonScalar::of_text(raw)), ..MessageContent::default() }
}

fn sent(content: OutboundContent) -> MessageContent {
    match content {
        OutboundContent::Text { body, preview_url } => {
            MessageContent { text: Some(body), preview_url: Some(preview_url), ..MessageContent::default() }
        }
        OutboundContent::Template(TemplateMessage { name, language, parameters }) => {
            let parameter = |TemplateVariable { name, text }| TemplateParameter { name, text };
            let parameters = parameters.into_iter().map(parameter).collect();
            let template = TemplateContent { name, language, parameters };
            MessageContent { template: Some(template), ..MessageContent::default() }
        }
    }
}
