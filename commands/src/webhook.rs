//! What Meta reports: statuses of messages, inbound messages, preferences, and what is not understood. Everything is
//! durable before Meta is answered, and everything may come again.

mod inbound;
mod learning;
mod statuses;
mod unrecognised;

use std::collections::{HashMap, HashSet};

use wasend_domain::inbox::KeepReason;
use wasend_domain::{AccountId, Actor, Time};
use wasend_projections::numbers::NumberRow;
use wasend_whatsapp::{WebhookChange, WebhookPayload, WebhookUpdate, signature};

use crate::{Caller, CommandError, Commands};
pub(crate) use inbound::identities_of;

use inbound::InboundOutcome;
use unrecognised::{KeptPieces, UnknownPiece};

/// Most numbers and business accounts that one body may speak of: Meta puts up to 1,000 updates into one.
const NAMED_MAX: usize = 1_000;
/// Most bytes that are hashed to find out who signed a body: sixteen times the largest.
const HASHED_MAX: usize = 64 << 20;

/// Why a webhook was turned away. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Not JSON.
    #[error("the body is not JSON")]
    Malformed,
    /// No signature, a malformed one, or one of none of the numbers that the body speaks of.
    #[error("the signature is missing or wrong")]
    Signature,
    #[error(transparent)]
    Failed(#[from] CommandError),
}

/// What became of a webhook's updates, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpdateCounts {
    pub statuses: usize,
    pub inbound: usize,
    pub preferences: usize,
    /// Users who have another BSUID.
    pub identities: usize,
    /// Statuses of messages to people who are erased, messages that they wrote before, and what is not understood and
    /// names them: counted here and kept nowhere.
    pub erased: usize,
    /// Kept, sealed, for a short time, because they were not understood, concern no message of ours, or were written by a
    /// person under whose keys nothing can be sealed.
    pub kept: usize,
}

/// One update, for one number that it concerns.
struct NumberUpdate<'a> {
    number: &'a NumberRow,
    change: &'a WebhookChange,
    update: &'a WebhookUpdate,
}

impl Commands {
    /// Takes in a webhook's raw body with its `X-Hub-Signature-256`.
    pub async fn take_webhook(&self, raw: &[u8], signature: Option<&str>) -> Result<UpdateCounts, WebhookError> {
        let signature = signature.ok_or(WebhookError::Signature)?;
        // Parsed before it is believed, to learn whose secret must have signed it; bounded by the body's size.
        let payload = WebhookPayload::parse(raw);
        let numbers = self.authenticated_numbers(payload.as_ref().ok(), raw, signature).await?;
        let payload = payload.map_err(|_| WebhookError::Malformed)?;
        let mut concerns = Vec::new();
        let mut strange = Vec::new();
        for change in &payload.changes {
            let concerned: Vec<_> = numbers.iter().filter(|number| concerns_number(change, number)).collect();
            if concerned.is_empty() {
                // Signed for one number, but speaking of another: a sibling that is not connected here, or one that is
                // and whose secret did not sign. Kept as the signer's in both cases, so that the answer tells none.
                strange.extend(once_an_account(numbers.iter().collect()).into_iter().map(|number| (number, change)));
            }
            for number in scope(change, concerned) {
                concerns.extend(change.updates.iter().map(|update| NumberUpdate { number, change, update }));
            }
        }
        Ok(self.apply_updates(&concerns, &strange).await?)
    }

    /// The challenge to answer Meta's subscription handshake with, if some number has this verify token.
    pub async fn subscription_challenge(&self, query: &str) -> Result<Option<String>, CommandError> {
        for number in self.lines.all().await? {
            let Some(credentials) = self.lines.credentials_if_readable(&number).await? else { continue };
            if let Some(challenge) = signature::verify_subscription(query, &credentials.expose().verify_token) {
                return Ok(Some(challenge));
            }
        }
        Ok(None)
    }

    /// The numbers that the body may speak of and whose app secret signed it. A body that names no number and no
    /// business account is believed if any number's secret signed it.
    async fn authenticated_numbers(
        &self,
        payload: Option<&WebhookPayload>,
        raw: &[u8],
        signature: &str,
    ) -> Result<Vec<NumberRow>, WebhookError> {
        let named = payload.map(WebhookPayload::lines).unwrap_or_default();
        if named.phone_number_ids.len() + named.waba_ids.len() > NAMED_MAX {
            return Err(WebhookError::Signature);
        }
        let candidates = if named.phone_number_ids.is_empty() && named.waba_ids.is_empty() {
            self.lines.all().await?
        } else {
            self.lines.connected(&named.phone_number_ids, &named.waba_ids).await?
        };
        let mut signers = Vec::new();
        let mut verdicts: HashMap<String, bool> = HashMap::new();
        for number in candidates {
            let Some(credentials) = self.lines.credentials_if_readable(&number).await? else { continue };
            let secret = &credentials.expose().app_secret;
            let verdict = match verdicts.get(secret) {
                Some(verdict) => *verdict,
                // No body is worth more work than that before its signature is verified.
                None if verdicts.len().saturating_mul(raw.len()) > HASHED_MAX => break,
                None => signature::verify(secret, raw, signature).is_ok(),
            };
            verdicts.insert(secret.clone(), verdict);
            if verdict {
                signers.push(number);
            }
        }
        if signers.is_empty() { Err(WebhookError::Signature) } else { Ok(signers) }
    }

    async fn apply_updates(
        &self,
        concerns: &[NumberUpdate<'_>],
        strange: &[(&NumberRow, &WebhookChange)],
    ) -> Result<UpdateCounts, CommandError> {
        let mut taken = UpdateCounts::default();
        let (mut statuses, mut messages, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (number, change) in strange {
            let pieces = change.updates.iter().map(raw);
            unknown.extend(pieces.map(|raw| UnknownPiece::new(number, Some(change), KeepReason::UnknownMessage, raw)));
        }
        // Which change brought a message or status, by its wamid.
        let mut changes: HashMap<&str, &WebhookChange> = HashMap::new();
        for concern in concerns {
            let (number, change) = (concern.number, concern.change);
            match concern.update {
                WebhookUpdate::Status(update) => {
                    changes.insert(&update.wamid, change);
                    statuses.push((number, &**update));
                }
                WebhookUpdate::Message(message) => {
                    changes.insert(&message.wamid, change);
                    messages.push((number, &**message));
                }
                WebhookUpdate::Preference(preference) if self.prefer(number, preference).await? => {
                    taken.preferences += 1;
                }
                WebhookUpdate::Identity(identity) => {
                    match self.change_identity(caller(number)?, identity).await? {
                        Some(_) => taken.identities += 1,
                        // Nothing is kept of a person who is unknown.
                        None => taken.erased += 1,
                    }
                }
                WebhookUpdate::Preference(_) | WebhookUpdate::Unknown(_) => {
                    unknown.push(UnknownPiece::new(
                        number,
                        Some(change),
                        KeepReason::UnknownShape,
                        raw(concern.update),
                    ));
                }
            }
        }
        let left = self.receive_all(&messages).await?;
        taken.inbound = messages.len() - left.len();
        for (receipt, (number, message)) in left {
            let reason = match receipt {
                InboundOutcome::Erased => {
                    taken.erased += 1;
                    continue;
                }
                InboundOutcome::Unreadable => KeepReason::UnreadablePerson,
                _ => KeepReason::UnknownShape,
            };
            let change = changes.get(message.wamid.as_str()).copied();
            unknown.push(UnknownPiece::new(number, change, reason, message.raw.get()));
        }
        let (strangers, erased) = self.report(&statuses).await?;
        taken.statuses = statuses.len() - strangers.len() - erased;
        taken.erased += erased;
        unknown.extend(strangers.into_iter().map(|stranger| {
            let (number, reason, update) = (stranger.number, stranger.reason, stranger.update);
            let change = changes.get(update.wamid.as_str()).copied();
            UnknownPiece { contact: stranger.contact, ..UnknownPiece::new(number, change, reason, update.raw.get()) }
        }));
        let KeptPieces { kept, erased } = self.keep_unrecognised(unknown).await?;
        taken.kept = kept;
        taken.erased += erased;
        Ok(taken)
    }
}

fn concerns_number(change: &WebhookChange, number: &NumberRow) -> bool {
    match (&change.phone_number_id, &change.waba_id) {
        (Some(id), _) => *id == number.phone_number_id,
        (None, Some(waba)) => *waba == number.waba_id,
        (None, None) => true,
    }
}

/// A change that names no number is taken in once an account, not once a number.
fn scope<'a>(change: &WebhookChange, concerned: Vec<&'a NumberRow>) -> Vec<&'a NumberRow> {
    if change.phone_number_id.is_some() { concerned } else { once_an_account(concerned) }
}

/// An update as Meta wrote it.
fn raw(update: &WebhookUpdate) -> &str {
    match update {
        WebhookUpdate::Status(status) => status.raw.get(),
        WebhookUpdate::Message(message) => message.raw.get(),
        WebhookUpdate::Preference(preference) => preference.raw.get(),
        WebhookUpdate::Identity(identity) => identity.raw.get(),
        WebhookUpdate::Unknown(raw) => raw.get(),
    }
}

fn once_an_account(numbers: Vec<&NumberRow>) -> Vec<&NumberRow> {
    let mut accounts = HashSet::new();
    numbers.into_iter().filter(|number| accounts.insert(number.account_id.clone())).collect()
}

/// What Meta does, it does in the name of the account whose number it is.
fn caller(number: &NumberRow) -> Result<Caller, CommandError> {
    let account_id: AccountId =
        number.account_id.parse().map_err(|_| wasend_eventlog::LogError::Damaged("a number's row".to_owned()))?;
    Ok(Caller { account_id, actor: Actor::Meta })
}

/// Meta's moment, or ours where it gave none that can be read.
fn moment(timestamp: Option<i64>, now: Time) -> Time {
    timestamp.map_or(now, Time::from_seconds)
}
