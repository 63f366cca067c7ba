//! Accounts and their API keys.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use wasend_domain::account::{Account, Command, Error, KeyScope, KeySecret};
use wasend_domain::content::{self, CustomerLabel};
use wasend_domain::{AccountId, Actor, KeyId, Personal, Sealed, SubjectId};
use wasend_eventlog::{StreamLookup, execute, execute_new, load};

use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Longest name or label, in characters.
pub const LABEL_MAX: usize = 200;
/// Every API key begins so, so that a leaked one is recognised.
pub const KEY_PREFIX: &str = "wsk_";
/// How many characters of a key are kept to tell keys apart.
const KEY_HINT_CHARS: usize = 8;

/// A key that was just made: the only moment at which its secret is known.
#[derive(Debug, Clone)]
pub struct IssuedKey {
    pub id: KeyId,
    pub secret: Personal<String>,
}

impl Commands {
    /// Opens an account with a first key of every scope.
    pub async fn open_account(&self, name: &str) -> Result<CommandEffect<(AccountId, IssuedKey)>, CommandError> {
        let name = label("name", name)?;
        let account_id = AccountId::fresh(self.clock.now());
        self.vault.create_account(account_id).await?;
        let subject = self.vault.create_subject(account_id).await?;
        let name = self.vault.seal(account_id, subject, &Personal::new(name), self.clock.now().day()).await?;
        let caller = Caller { account_id, actor: Actor::Operator };
        let context = Self::once(caller);
        execute_new::<Account>(&*self.log, &*self.clock, context, account_id.uuid(), Command::Open { name })
            .await
            .map_err(|failure| CommandError::of(failure, "name", code))?;
        let key = self.issue_key(caller, KeyScope::ALL.into(), None).await?;
        Ok(CommandEffect { value: (account_id, key.value), position: key.position })
    }

    /// Issues a key with the scopes and an optional label, of 200 characters at most. Refused without a scope; its
    /// secret is known in the answer alone.
    pub async fn issue_key(
        &self,
        caller: Caller,
        scopes: BTreeSet<KeyScope>,
        name: Option<&str>,
    ) -> Result<CommandEffect<IssuedKey>, CommandError> {
        let sealed = match name {
            Some(name) => Some(self.seal_label(caller.account_id, label("label", name)?).await?),
            None => None,
        };
        let (key, (issued, secret)) = (KeyId::fresh(self.clock.now()), self.secret()?);
        let position = self.account(caller, "scopes", Command::IssueKey { key, secret, scopes, label: sealed }).await?;
        Ok(CommandEffect { value: IssuedKey { id: key, secret: issued }, position })
    }

    /// A new secret for the key; the old one stops working.
    pub async fn rotate_key(&self, caller: Caller, key: KeyId) -> Result<CommandEffect<IssuedKey>, CommandError> {
        let (issued, secret) = self.secret()?;
        let position = self.account(caller, "id", Command::RotateKey { key, secret }).await?;
        Ok(CommandEffect { value: IssuedKey { id: key, secret: issued }, position })
    }

    /// Revokes the key: it works no more from the next request on. Refused for the last key that may administer the
    /// account.
    pub async fn revoke_key(&self, caller: Caller, key: KeyId) -> Result<CommandEffect<KeyId>, CommandError> {
        let position = self.account(caller, "id", Command::RevokeKey { key }).await?;
        Ok(CommandEffect { value: key, position })
    }

    pub(crate) async fn account(&self, caller: Caller, field: &str, command: Command) -> Result<u64, CommandError> {
        let (context, id) = (Self::once(caller), caller.account_id.uuid());
        let done = execute::<Account>(&*self.log, &*self.clock, context, id, command).await;
        done.map(|done| done.position).map_err(|failure| CommandError::of(failure, field, code))
    }

    /// Seals a label chosen by the account.
    pub(crate) async fn seal_label(
        &self,
        account: AccountId,
        label: CustomerLabel,
    ) -> Result<Sealed<CustomerLabel>, CommandError> {
        let subject = self.account_subject(account).await?;
        Ok(self.vault.seal(account, subject, &Personal::new(label), self.clock.now().day()).await?)
    }

    /// The subject under which the account's own things are sealed.
    pub(crate) async fn account_subject(&self, account: AccountId) -> Result<SubjectId, CommandError> {
        let mut found = load::<Account>(&*self.log, account, &[account.uuid()]).await?;
        let subject =
            found.remove(&account.uuid()).and_then(StreamLookup::present).and_then(|account| account.state.subject);
        subject.ok_or_else(|| Refusal::not_found("account", "account").into())
    }

    /// 256 random bits, and what is kept of them.
    fn secret(&self) -> Result<(Personal<String>, KeySecret), CommandError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(CommandError::unavailable)?;
        let secret = format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let kept =
            KeySecret { hash: self.vault.server_hash(&secret), hint: secret.chars().take(KEY_HINT_CHARS).collect() };
        Ok((Personal::new(secret), kept))
    }
}

/// A name or label as the account gave it.
pub(crate) fn label(field: &str, text: &str) -> Result<CustomerLabel, CommandError> {
    let label = content::text(text, LABEL_MAX).map_err(|error| Refusal::content(field, &error))?;
    Ok(CustomerLabel(label.trim().to_owned()))
}

pub(crate) const fn code(error: Error) -> RefusalCode {
    match error {
        Error::NotFound | Error::KeyNotFound => RefusalCode::NotFound,
        Error::NoScopes => RefusalCode::Required,
        Error::KeyRevoked => RefusalCode::Invalid,
        Error::LastAdminKey => RefusalCode::LastAdminKey,
    }
}
