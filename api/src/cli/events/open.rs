//! Personal values of exported events, opened for a key that may see them.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wasend_domain::account::KeyScope;
use wasend_domain::content::{
    ContactAttributes, CustomerLabel, ErrorText, InboundContent, OutboundContent, RawWebhook, UnknownWebhook, Wamid,
};
use wasend_domain::privacy::RequestReason;
use wasend_domain::{
    AccountId, Opened, PersonalValue, RecordedEvent, Sealed, SubjectId, UnavailableCause, UnavailableValue,
};
use wasend_projections::ReadModels;
use wasend_vault::Vault;

use super::{CliFailure, parsed};
use crate::auth::{ApiKey, KeyAuthenticator as _};
use crate::bootstrap::{ApiKeyStore, OpenStores};

/// Opens values of one account.
pub struct ValueOpener {
    pub account_id: AccountId,
    vault: Arc<Vault>,
}

impl ValueOpener {
    /// For the key in the file, or on standard input for `-`.
    pub async fn of(stores: &OpenStores, key_file: Option<&Path>) -> Result<Self, CliFailure> {
        let text = match key_file {
            Some(path) if path == Path::new("-") => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map(|_| text)
            }
            Some(path) => std::fs::read_to_string(path),
            None => return Err(CliFailure::Usage("--open needs --key-file".to_owned())),
        };
        let text = text.map_err(|error| CliFailure::because("the key cannot be read", &error))?;
        let key =
            ApiKey::parse(text.trim()).ok_or_else(|| CliFailure::Usage("the file holds no API key".to_owned()))?;
        let reads = ReadModels::new(stores.models.clone(), &wasend_projections::all());
        stores.open_vault().await?;
        let keys = ApiKeyStore::new(reads, stores.vault.clone());
        let actor = keys.authenticate(key.expose()).await;
        let actor = actor.map_err(|error| CliFailure::because("the key cannot be checked", &error))?;
        match actor {
            Some(actor) if actor.may(KeyScope::Privacy) => {
                Ok(Self { account_id: actor.account_id, vault: stores.vault.clone() })
            }
            Some(_) => Err(CliFailure::Failed("the key lacks the scope PRIVACY".to_owned())),
            None => Err(CliFailure::Failed("the key is unknown or revoked".to_owned())),
        }
    }

    /// The event's payload with each sealed value opened, or said to be erased, or said why it cannot be read. Credentials
    /// stay sealed: they are secrets of the account, not data of a person.
    pub async fn payload(&self, recorded: &RecordedEvent) -> Result<Value, CliFailure> {
        let mut payload = parsed(recorded)?;
        let Some(fields) = payload.as_object_mut().and_then(|event| event.values_mut().next()) else {
            return Ok(payload);
        };
        let Some(fields) = fields.as_object_mut() else { return Ok(payload) };
        // The subjects under which a value is sealed besides the one in it.
        let people = fields.get("people").cloned().unwrap_or_default();
        for (field, value) in fields.iter_mut() {
            let Some(sealed) = value.as_str() else { continue };
            let opened = match (recorded.event_type.as_str(), field.as_str()) {
                ("MessageAccepted", "content") => self.open::<OutboundContent>(sealed).await,
                ("MessageReceived", "content") => self.open::<InboundContent>(sealed).await,
                ("MessageSubmitted" | "MessageReceived", "wamid") => self.open::<Wamid>(sealed).await,
                ("MessageFailed", "detail") => self.open::<ErrorText>(sealed).await,
                ("ContactCreated" | "ContactUpdated", "attributes") => self.open::<ContactAttributes>(sealed).await,
                ("AccountOpened" | "GroupCreated" | "GroupRenamed", "name") => self.open::<CustomerLabel>(sealed).await,
                ("KeyIssued", "label") | ("NumberConnected", "display") => self.open::<CustomerLabel>(sealed).await,
                ("ErasureReceived", "reason") => self.open::<RequestReason>(sealed).await,
                ("WebhookKept", "raw") => self.open::<RawWebhook>(sealed).await,
                ("WebhookKept", "update") => self.open_jointly::<UnknownWebhook>(sealed, &people).await,
                _ => continue,
            };
            *value = opened.map_err(|error| {
                CliFailure::because(&format!("a value at position {} cannot be opened", recorded.position), &error)
            })?;
        }
        Ok(payload)
    }

    async fn open<T: PersonalValue + Send + Sync>(&self, sealed: &str) -> Result<Value, wasend_vault::VaultFailure> {
        let Ok(sealed) = Sealed::<T>::parse(sealed) else { return Ok(told(DAMAGED)) };
        Ok(shown(self.vault.open(self.account_id, &sealed).await?))
    }

    async fn open_jointly<T: PersonalValue + Send + Sync>(
        &self,
        sealed: &str,
        people: &Value,
    ) -> Result<Value, wasend_vault::VaultFailure> {
        let others: Result<Option<Vec<SubjectId>>, _> = serde_json::from_value(people.clone());
        let (Ok(sealed), Ok(others)) = (Sealed::<T>::parse(sealed), others) else { return Ok(told(DAMAGED)) };
        Ok(shown(self.vault.open_jointly(self.account_id, &sealed, &others.unwrap_or_default()).await?))
    }
}

/// What is said of a value that is not even of the sealed form.
const DAMAGED: UnavailableValue = UnavailableValue { why: UnavailableCause::ValueDamaged, subject: None };

fn shown<T: PersonalValue>(opened: Opened<T>) -> Value {
    match opened {
        Opened::Value(value) => serde_json::to_value(value.expose()).unwrap_or_else(|_| told(DAMAGED)),
        Opened::Erased(erased) => json!({"erased": {"since": erased.since.to_string(), "why": erased.why}}),
        Opened::Unavailable(unavailable) => told(unavailable),
    }
}

fn told(UnavailableValue { why, subject }: UnavailableValue) -> Value {
    let subject = subject.map(|subject| subject.to_string());
    json!({"unavailable": {"why": why.name(), "reason": why.to_string(), "subjectId": subject}})
}
