//! Connected WhatsApp numbers.

use wasend_domain::number::{self, Command, DEFAULT_RATE, Error, MetaIds, Number, NumberCredentials};
use wasend_domain::{NumberId, Personal, Position};
use wasend_eventlog::{ExecutedCommand, execute, execute_new};
use wasend_projections::numbers::NumberRow;

use crate::account::label;
use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Longest access token, app secret or verify token, in characters.
const SECRET_MAX: usize = 2_000;

/// A number to connect, as the caller gave it.
#[derive(Debug, Clone)]
pub struct ConnectNumber {
    pub phone_number_id: String,
    pub waba_id: String,
    /// The number as people read it.
    pub display: String,
    pub access_token: Personal<String>,
    pub app_secret: Personal<String>,
    pub verify_token: Personal<String>,
    /// Root of the API, one of those that the server allows; its default when absent.
    pub base_url: Option<String>,
    /// Messages per second; Meta's default when absent.
    pub rate: Option<u32>,
}

impl Commands {
    /// Connects a WhatsApp number of the account with its credentials, which are sealed. Refused if a connected number
    /// of the account has the id already.
    pub async fn connect_number(
        &self,
        caller: Caller,
        input: ConnectNumber,
    ) -> Result<CommandEffect<NumberId>, CommandError> {
        let meta = MetaIds {
            phone_number_id: meta_id("phoneNumberId", &input.phone_number_id)?,
            waba_id: meta_id("wabaId", &input.waba_id)?,
        };
        let display = label("displayPhoneNumber", &input.display)?;
        let credentials = NumberCredentials {
            access_token: secret("accessToken", &input.access_token)?,
            app_secret: secret("appSecret", &input.app_secret)?,
            verify_token: secret("verifyToken", &input.verify_token)?,
        };
        let base_url = input.base_url.as_deref().map(|url| self.lines.allowed(url)).transpose()?;
        self.not_yet_connected(caller, &meta.phone_number_id).await?;
        let (account, day) = (caller.account_id, self.clock.now().day());
        let subject = self.account_subject(account).await?;
        let display = self.vault.seal(account, subject, &Personal::new(display), day).await?;
        let credentials = self.vault.seal(account, subject, &Personal::new(credentials), day).await?;
        let id = NumberId::fresh(self.clock.now());
        let rate = input.rate.unwrap_or(DEFAULT_RATE);
        let command = Command::Connect { meta, display, credentials, base_url, rate };
        let done = execute_new::<Number>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let done = done.map_err(|failure| CommandError::of(failure, "messagesPerSecond", code))?;
        Ok(CommandEffect { value: id, position: done.position })
    }

    /// New credentials; each that is absent stays as it is.
    pub async fn change_credentials(
        &self,
        caller: Caller,
        id: NumberId,
        access_token: Option<Personal<String>>,
        app_secret: Option<Personal<String>>,
        verify_token: Option<Personal<String>>,
    ) -> Result<CommandEffect<NumberId>, CommandError> {
        let row = self.number_row(caller, "id", id).await?;
        let known = match (&access_token, &app_secret, &verify_token) {
            // Nothing of the last ones stays: they need not be readable.
            (Some(access_token), Some(app_secret), Some(verify_token)) => {
                let [access_token, app_secret, verify_token] =
                    [access_token, app_secret, verify_token].map(|text| text.expose().clone());
                Personal::new(NumberCredentials { access_token, app_secret, verify_token })
            }
            _ => self.lines.credentials(&row).await?,
        };
        let kept = |field, new: Option<Personal<String>>, old: &String| match new {
            Some(new) => secret(field, &new),
            None => Ok(old.clone()),
        };
        let known = known.expose();
        let credentials = NumberCredentials {
            access_token: kept("accessToken", access_token, &known.access_token)?,
            app_secret: kept("appSecret", app_secret, &known.app_secret)?,
            verify_token: kept("verifyToken", verify_token, &known.verify_token)?,
        };
        let subject = self.account_subject(caller.account_id).await?;
        let day = self.clock.now().day();
        let credentials = self.vault.seal(caller.account_id, subject, &Personal::new(credentials), day).await?;
        self.number(caller, id, Command::ChangeCredentials { credentials }).await
    }

    /// Sets how many messages a second the number sends at most. Refused outside the allowed range.
    pub async fn change_rate(
        &self,
        caller: Caller,
        id: NumberId,
        rate: u32,
    ) -> Result<CommandEffect<NumberId>, CommandError> {
        self.number(caller, id, Command::ChangeRate { rate }).await
    }

    /// Nothing is sent from the number until it is resumed; what is accepted meanwhile waits.
    pub async fn stop_number(
        &self,
        caller: Caller,
        id: NumberId,
        code: Option<i64>,
    ) -> Result<CommandEffect<NumberId>, CommandError> {
        self.number(caller, id, Command::Stop { code, at: self.clock.now() }).await
    }

    /// Lets a stopped number send again. Repeating it changes nothing.
    pub async fn resume_number(&self, caller: Caller, id: NumberId) -> Result<CommandEffect<NumberId>, CommandError> {
        self.number(caller, id, Command::Resume { at: self.clock.now() }).await
    }

    /// Disconnects the number for good: what waits to be sent from it is cancelled.
    pub async fn disconnect_number(
        &self,
        caller: Caller,
        id: NumberId,
    ) -> Result<CommandEffect<NumberId>, CommandError> {
        self.number(caller, id, Command::Disconnect { at: self.clock.now() }).await
    }

    async fn number(
        &self,
        caller: Caller,
        id: NumberId,
        command: Command,
    ) -> Result<CommandEffect<NumberId>, CommandError> {
        let done = execute::<Number>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let ExecutedCommand { position, .. } = done.map_err(|failure| CommandError::of(failure, "id", code))?;
        Ok(CommandEffect { value: id, position: Position::max(position, 1) })
    }

    /// The account's number, as the read model has it.
    pub(crate) async fn number_row(
        &self,
        caller: Caller,
        field: &str,
        id: NumberId,
    ) -> Result<NumberRow, CommandError> {
        let row = self.reads.get::<NumberRow>(&id.to_string()).await?;
        row.filter(|row| row.account_id == caller.account_id.to_string())
            .ok_or_else(|| Refusal::not_found(field, "number").into())
    }

    async fn not_yet_connected(&self, caller: Caller, phone_number_id: &str) -> Result<(), CommandError> {
        if NumberRow::connected_as(&self.reads, caller.account_id, phone_number_id).await?.is_none() {
            return Ok(());
        }
        Err(Refusal::new("phoneNumberId", RefusalCode::Duplicate, "this number is connected already").into())
    }
}

fn meta_id(field: &str, text: &str) -> Result<String, CommandError> {
    number::meta_id(text).map_err(|error| Refusal::new(field, RefusalCode::Invalid, error).into())
}

fn secret(field: &str, text: &Personal<String>) -> Result<String, CommandError> {
    let text = text.expose();
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    match text.len() {
        0 => Err(Refusal::new(field, RefusalCode::Required, "must not be empty").into()),
        length if length > SECRET_MAX => Err(Refusal::new(field, RefusalCode::TooLong, "is too long").into()),
        _ if !visible => {
            Err(Refusal::new(field, RefusalCode::Invalid, "may hold visible ASCII characters only").into())
        }
        _ => Ok(text.clone()),
    }
}

const fn code(error: Error) -> RefusalCode {
    match error {
        Error::NotFound => RefusalCode::NotFound,
        Error::Disconnected => RefusalCode::NumberDisconnected,
        Error::Rate => RefusalCode::OutOfRange,
    }
}
