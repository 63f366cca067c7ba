//! A number's way to Meta: where its API is, and with which credentials.

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;
use wasend_domain::number::NumberCredentials;
use wasend_domain::{AccountId, Opened, Personal, Sealed};
use wasend_projections::engine::reads::ReadModels;
use wasend_projections::numbers::NumberRow;
use wasend_vault::Vault;
use wasend_whatsapp::SenderLine;

use crate::{CommandError, Refusal, RefusalCode};

/// Finds lines by the numbers' read model and opens their credentials.
pub struct SenderCredentials {
    reads: ReadModels,
    vault: Arc<Vault>,
    /// Root of the API for numbers that name none.
    base_url: Url,
    /// Which other roots a number may name: the server's operator decides where it connects to.
    allowed: Vec<Url>,
}

impl SenderCredentials {
    /// `allowed` are the roots that a number may name besides `base_url`.
    pub const fn new(reads: ReadModels, vault: Arc<Vault>, base_url: Url, allowed: Vec<Url>) -> Self {
        Self { reads, vault, base_url, allowed }
    }

    /// The root of the API for numbers that name none.
    pub const fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// A root that a number may name, in its one spelling.
    pub(crate) fn allowed(&self, text: &str) -> Result<String, CommandError> {
        let url = Url::parse(text).map_err(|_| Refusal::new("baseUrl", RefusalCode::Invalid, "is not a URL"))?;
        if url == self.base_url || self.allowed.contains(&url) {
            return Ok(url.to_string());
        }
        Err(Refusal::new("baseUrl", RefusalCode::Invalid, "is not among the roots that this server allows").into())
    }

    /// The number's credentials, opened. Refused if they are erased or cannot be read.
    pub async fn credentials(&self, row: &NumberRow) -> Result<Personal<NumberCredentials>, CommandError> {
        let damaged = || wasend_eventlog::LogError::Damaged("a number's row".to_owned());
        let account: AccountId = row.account_id.parse().map_err(|_| damaged())?;
        let sealed = Sealed::<NumberCredentials>::parse(&row.credentials).map_err(|_| damaged())?;
        match self.vault.open(account, &sealed).await? {
            Opened::Value(credentials) => Ok(credentials),
            Opened::Erased(_) => {
                Err(Refusal::new("numberId", RefusalCode::Erased, "the number's credentials were erased").into())
            }
            Opened::Unavailable(unavailable) => Err(Refusal::unreadable("numberId", unavailable).into()),
        }
    }

    /// The same; none where they are erased or cannot be read, which ends nothing but the use of this number.
    pub async fn credentials_if_readable(
        &self,
        row: &NumberRow,
    ) -> Result<Option<Personal<NumberCredentials>>, CommandError> {
        match self.credentials(row).await {
            Ok(credentials) => Ok(Some(credentials)),
            Err(CommandError::Refused(refusals)) => {
                let why = refusals.first().map(|refusal| refusal.message.as_str()).unwrap_or_default();
                tracing::error!(number.id = %row.id, why, "a number's credentials cannot be read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What it takes to send from the number.
    pub async fn line(&self, row: &NumberRow) -> Result<SenderLine, CommandError> {
        let credentials = self.credentials(row).await?.into_exposed();
        let base_url = row.base_url.as_deref().and_then(|url| Url::parse(url).ok());
        Ok(SenderLine {
            base_url: base_url.unwrap_or_else(|| self.base_url.clone()),
            phone_number_id: row.phone_number_id.clone(),
            waba_id: row.waba_id.clone(),
            access_token: credentials.access_token,
        })
    }

    /// The connected numbers of every account that have any of these ids of Meta's, their own or those of their
    /// business accounts.
    pub async fn connected(
        &self,
        numbers: &BTreeSet<String>,
        wabas: &BTreeSet<String>,
    ) -> Result<Vec<NumberRow>, CommandError> {
        Ok(NumberRow::connected_to(&self.reads, numbers, wabas).await?)
    }

    /// Every connected number, of every account.
    pub async fn all(&self) -> Result<Vec<NumberRow>, CommandError> {
        Ok(NumberRow::connected(&self.reads).await?)
    }
}
