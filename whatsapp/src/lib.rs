//! Meta's WhatsApp Cloud API, spoken in Meta's own terms: plain strings in, typed values out, nothing of ours inside.
//! Everything that names a person or opens a door prints as `[personal]` or `[secret]`.
//!
//! | file | holds |
//! |---|---|
//! | [`gateway`] | the port through which messages leave, and what can become of one |
//! | [`recipient`] | a phone number or a business-scoped user id |
//! | [`request`] | a message as Meta wants to be asked for it |
//! | [`client`] | the gateway over HTTPS |
//! | `answer` | what an HTTP answer of Meta proves: accepted, refused, or nothing |
//! | [`template`] | template definitions |
//! | [`errors`] | Meta's error codes, and what each asks us to do |
//! | [`signature`] | webhook signatures and the subscription handshake |
//! | [`webhook`] | a webhook's body, read without ever losing a part of it |
//! | [`statuses`], [`inbound`], [`preferences`] | the three kinds of update that are understood |
//! | [`identity_change`] | a user's new number or BSUID |
//! | [`mentions`] | the identities of people in JSON of unknown form |
//! | [`json`] | lenient reading of JSON that others wrote |
//! | [`simulator`] | a stand-in for Meta over real HTTP, scripted to misbehave as Meta does |
//! | `sender_profiles` | the people that a change names beside its updates |
//! | `redacted` | what replaces a hidden value in `Debug` |

pub mod client;
pub mod errors;
pub mod gateway;
pub mod identity_change;
pub mod inbound;
pub mod json;
pub mod mentions;
pub mod preferences;
pub mod recipient;
pub mod request;
pub mod signature;
pub mod simulator;
pub mod statuses;
pub mod template;
pub mod webhook;

mod answer;
mod redacted;
mod sender_profiles;

pub use client::{CloudApi, CloudApiOptions};
pub use errors::{ErrorClass, classify};
pub use gateway::{
    GraphError, MetaGateway, NotSent, SendFailure, SendReceipt, SenderLine, SubmissionStatus, UnknownOutcome,
};
pub use identity_change::IdentityChange;
pub use inbound::InboundMessage;
pub use json::RawJson;
pub use mentions::MentionedIdentities;
pub use preferences::{MarketingPreference, PreferenceValue};
pub use recipient::{RequestRecipient, is_bsuid};
pub use request::{BodyParameters, NamedParameter, RequestContent, SendRequest};
pub use statuses::{ReportedPricing, ReportedStatus, StatusError, StatusUpdate};
pub use template::TemplateDefinition;
pub use webhook::{MalformedWebhook, WebhookChange, WebhookPayload, WebhookUpdate};
