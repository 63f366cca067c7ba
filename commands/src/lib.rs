//! What may be asked of WASend: one file a noun. Each command is validated, what is personal in it is sealed, the
//! aggregates that it concerns are loaded as a set, they decide, and what follows is appended as one.
//!
//! | file | holds |
//! |---|---|
//! | [`account`] | opening an account; issuing, rotating and revoking its API keys |
//! | [`number`] | connecting WhatsApp numbers, their credentials and pace |
//! | [`contact`], `consent`, [`group`] | contacts, opt-out and opt-in, groups and their members |
//! | [`import`] | taking in files, beginning and cancelling imports |
//! | [`message`] | accepting messages, cancelling them |
//! | [`privacy`], `reapply` | requests for erasure; applying one again |
//! | [`webhook`] | what Meta reports |
//! | [`holds`] | accounts for which nothing is sent until the operator has decided |
//! | [`sender_credentials`] | a number's way to Meta: address and credentials |
//! | [`templates`] | which variables an approved template takes |
//! | [`refusal`] | why a command was not carried out |

use std::sync::Arc;

use wasend_domain::{AccountId, Actor, Clock, Personal, Position};
use wasend_eventlog::{CommandContext, CommandId, EventLog};
use wasend_projections::engine::reads::ReadModels;
use wasend_projections::uploads::UploadStore;
use wasend_vault::Vault;

pub mod account;
mod consent;
pub mod contact;
pub mod group;
pub mod holds;
mod identity;
pub mod import;
pub mod message;
pub mod number;
pub mod privacy;
mod reapply;
pub mod refusal;
pub mod sender_credentials;
pub mod templates;
pub mod webhook;

pub use consent::ConsentKeywords;
pub use holds::SendingHolds;
pub use reapply::erasure_reason;
pub use refusal::{CommandError, Refusal, RefusalCode};
pub use sender_credentials::SenderCredentials;
pub use templates::TemplateCatalog;

/// The fingerprint of commands that have no content beside their key.
const NO_CONTENT: &str = "-";

/// The account that a command is for, and the actor that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    pub account_id: AccountId,
    pub actor: Actor,
}

/// A command's effect: what there is now, and up to where one must have read to see it.
#[derive(Debug, Clone)]
pub struct CommandEffect<T> {
    pub value: T,
    pub position: Position,
}

/// The one way in: everything that changes anything goes through here.
pub struct Commands {
    pub log: Arc<dyn EventLog>,
    pub vault: Arc<Vault>,
    pub reads: ReadModels,
    pub lines: Arc<SenderCredentials>,
    pub templates: TemplateCatalog,
    pub keywords: ConsentKeywords,
    pub holds: SendingHolds,
    pub uploads: UploadStore,
    /// Bytes of the largest file that may be uploaded.
    pub upload_limit: u64,
    pub clock: Arc<dyn Clock>,
}

impl Commands {
    /// The context of a command that is given once and never repeated.
    pub(crate) fn once(caller: Caller) -> CommandContext {
        let command = CommandId::Fresh(uuid::Uuid::new_v4().to_string());
        CommandContext { account_id: caller.account_id, actor: caller.actor, command }
    }

    /// The context of a command that its sender may repeat and that its key says all about, such as the id that Meta
    /// gave it. The same key is the same command, so that nothing else is hashed. Earlier versions recorded a hash as
    /// its fingerprint: such a repetition is answered with [`wasend_eventlog::AppendRejection::CommandReused`].
    pub(crate) async fn repeatable(
        &self,
        caller: Caller,
        name: &str,
        key: &str,
    ) -> Result<CommandContext, CommandError> {
        let ids = self.command_ids(caller, name, [key]).await?;
        let id = ids.into_iter().next().unwrap_or_default();
        let command = CommandId::Repeatable { id, fingerprint: NO_CONTENT.to_owned() };
        Ok(CommandContext { account_id: caller.account_id, actor: caller.actor, command })
    }

    /// The ids of commands that their sender may repeat under the keys, hashed under a key of the account: clients put
    /// order numbers and worse into them.
    pub(crate) async fn command_ids<'a>(
        &self,
        caller: Caller,
        name: &str,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, CommandError> {
        let keys: Vec<_> = keys.into_iter().map(|key| Personal::new(format!("{name}\n{key}"))).collect();
        let ids = self.vault.index_many(caller.account_id, "command", &keys).await?;
        Ok(ids.iter().map(|id| id.as_str().to_owned()).collect())
    }
}
