//! What a message says.

use async_graphql::{Context, Result, SimpleObject};
use wasend_domain::account::Scope;
use wasend_domain::content::{Content, InboundContent, Parameter, Template};
use wasend_domain::message::Direction;
use wasend_projections::messages::MessageRow;

use crate::auth::{ContextExt, require};
use crate::graphql::erasure::{Erasure, Shown, Unavailability, shown};
use crate::graphql::state::State;

/// What a message says: a text, a template with its variables, or what came in. All null once it is erased, and
/// while it cannot be read.
#[derive(Default, SimpleObject)]
pub struct MessageContent {
    /// The body of a text message, or the text of an inbound one that has any. Needs the scope READ.
    #[graphql(guard = "require(Scope::Read)")]
    text: Option<String>,
    /// Whether WhatsApp shows a preview of the first link.
    preview_url: Option<bool>,
    /// Needs the scope READ.
    #[graphql(guard = "require(Scope::Read)")]
    template: Option<TemplateContent>,
    /// An inbound message as Meta sent it: JSON. Needs the scope READ.
    #[graphql(guard = "require(Scope::Read)")]
    raw: Option<String>,
    /// Set once the content is erased.
    erased: Option<Erasure>,
    /// Set while the content cannot be read although it was not erased.
    unavailable: Option<Unavailability>,
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
pub async fn open(ctx: &Context<'_>, row: &MessageRow) -> Result<MessageContent> {
    let (loaders, account) = (&State::of(ctx).loaders, ctx.actor()?.account_id);
    let inbound = row.origin().is_some_and(|origin| origin.direction == Direction::Inbound);
    let Shown { value, erased, unavailable } = if inbound {
        shown(loaders.open::<InboundContent>(account, &row.content).await?).map(received)
    } else {
        shown(loaders.open::<Content>(account, &row.content).await?).map(sent)
    };
    Ok(MessageContent { erased, unavailable, ..value.unwrap_or_default() })
}

fn received(InboundContent { text, raw }: InboundContent) -> MessageContent {
    MessageContent { text, raw: Some(raw), ..MessageContent::default() }
}

fn sent(content: Content) -> MessageContent {
    match content {
        Content::Text { body, preview_url } => {
            MessageContent { text: Some(body), preview_url: Some(preview_url), ..MessageContent::default() }
        }
        Content::Template(Template { name, language, parameters }) => {
            let parameter = |Parameter { name, text }| TemplateParameter { name, text };
            let parameters = parameters.into_iter().map(parameter).collect();
            let template = TemplateContent { name, language, parameters };
            MessageContent { template: Some(template), ..MessageContent::default() }
        }
    }
}
