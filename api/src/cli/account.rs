//! `wasend account`.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use wasend_commands::account::IssuedKey;
use wasend_commands::{Caller, CommandError, Refusal};
use wasend_domain::account::KeyScope;
use wasend_domain::{AccountId, Actor};

use super::CliFailure;
use crate::bootstrap::App;
use crate::config::Config;

/// Accounts of businesses
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Open an account and issue its first API key, which is shown once
    #[command(after_help = EXAMPLES)]
    Create(CreateAccount),
}

const EXAMPLES: &str = "\
Examples:
  wasend account create --name 'Example Ltd'
  wasend account create --name 'Example Ltd' --scope admin --scope audit --label 'first key'";

/// Open an account and issue its first API key, which is shown once
#[derive(Debug, Args)]
pub struct CreateAccount {
    /// Name of the business; kept sealed
    #[arg(long)]
    pub name: String,
    /// What the first key may do: send, read, billing, audit, privacy, admin; repeat it for several [default: all]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    pub scopes: Vec<KeyScope>,
    /// By which people recognise the key
    #[arg(long)]
    pub label: Option<String>,
}

fn scope(text: &str) -> Result<KeyScope, String> {
    KeyScope::named(text).ok_or_else(|| "must be send, read, billing, audit, privacy or admin".to_owned())
}

/// Runs the command beside a server or without one. Errors: stores that cannot be opened; a name or label is refused.
pub async fn run(config: Config, command: AccountCommand) -> Result<(), CliFailure> {
    let AccountCommand::Create(CreateAccount { name, scopes, label }) = command;
    let app = App::open_beside(&config).await?;
    let created = create(&app, &name, scopes.into_iter().collect(), label.as_deref()).await;
    app.close().await;
    let (account, key) = created.map_err(|error| command_failure(&error))?;
    println!("Account  {account}");
    println!("API key  {}", key.secret.expose());
    println!();
    println!("The key is shown this once.");
    Ok(())
}

/// A key of fewer scopes takes the place of the first one, which has all.
async fn create(
    app: &App,
    name: &str,
    scopes: BTreeSet<KeyScope>,
    label: Option<&str>,
) -> Result<(AccountId, IssuedKey), CommandError> {
    let (account, first) = app.commands.open_account(name).await?.value;
    if scopes.is_empty() && label.is_none() {
        return Ok((account, first));
    }
    let caller = Caller { account_id: account, actor: Actor::Operator };
    let scopes = if scopes.is_empty() { KeyScope::ALL.into() } else { scopes };
    let key = app.commands.issue_key(caller, scopes, label).await?.value;
    if let Err(CommandError::Unavailable(error)) = app.commands.revoke_key(caller, first.id).await {
        return Err(CommandError::Unavailable(error));
    }
    Ok((account, key))
}

/// What is wrong with a command, for a person at a terminal.
pub fn command_failure(error: &CommandError) -> CliFailure {
    match error {
        CommandError::Refused(refusals) => {
            let line = |r: &Refusal| format!("{}: {}", r.field.as_deref().unwrap_or("input"), r.message);
            CliFailure::Failed(refusals.iter().map(line).collect::<Vec<_>>().join("; "))
        }
        CommandError::Unavailable(_) => CliFailure::because("it could not be stored", error),
    }
}
