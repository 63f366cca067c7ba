//! A first start: an account, a key, and with the simulator a connected number, so that a message can be sent at once.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;
use wasend_commands::number::ConnectNumber;
use wasend_commands::{Caller, CommandError};
use wasend_domain::{AccountId, Actor, NumberId, Personal};
use wasend_projections::numbers::NumberRow;

use super::App;
use crate::cli::CliFailure;

/// The name of the account that a first start opens.
const NAME: &str = "First account";
/// Where a first start writes its key, in the data directory, when no terminal shows it.
const KEY_FILE: &str = "first-api-key";
/// How long the read models may take to show what was opened.
const FIRST_RUN_TIMEOUT: Duration = Duration::from_secs(30);
/// Of several nodes that start at once on an empty store, one opens the account.
const FIRST_RUN_LEASE: &str = "welcome";

/// What a first start opened.
#[derive(Debug, Clone)]
pub struct FirstRun {
    pub account: AccountId,
    /// Handed over once.
    pub secret: Personal<String>,
    /// Connected to the simulator; none where a real Meta is configured, which needs its credentials.
    pub number: Option<NumberId>,
}

/// Opens the first account if the store is empty.
pub async fn welcome(app: &App) -> Result<Option<FirstRun>, CliFailure> {
    let owner = uuid::Uuid::new_v4().to_string();
    let lease = app.leases.acquire(&*app.stores.clock, FIRST_RUN_LEASE, &owner, FIRST_RUN_TIMEOUT).await;
    if lease.map_err(|error| CliFailure::because("the store cannot be asked", &error))?.is_none() {
        return Ok(None);
    }
    let welcome = match app.stores.log.head().await {
        Ok(0) => open_first_account(app).await.map(Some),
        Ok(_) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let released = app.leases.release(&[FIRST_RUN_LEASE.to_owned()], &owner).await;
    released.map_err(|error| CliFailure::because("the store cannot be asked", &error))?;
    welcome.map_err(|error| CliFailure::because("the first account cannot be opened", &error))
}

async fn open_first_account(app: &App) -> Result<FirstRun, CommandError> {
    let opened = app.commands.open_account(NAME).await?;
    let ((account, key), mut position) = (opened.value, opened.position);
    let mut number = None;
    if app.simulator.is_some() {
        let caller = Caller { account_id: account, actor: Actor::Operator };
        let done = app.commands.connect_number(caller, simulated_number()).await?;
        (number, position) = (Some(done.value), done.position);
    }
    let reached = app.projector.wait_for(position, FIRST_RUN_TIMEOUT).await;
    reached.map_err(CommandError::unavailable)?;
    Ok(FirstRun { account, secret: key.secret, number })
}

/// A number that only the simulator knows, with random credentials.
pub fn simulated_number() -> ConnectNumber {
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let digits = || (uuid::Uuid::new_v4().as_u128() % 900_000_000_000_000 + 100_000_000_000_000).to_string();
    // Meta's ids look so; nothing is derived from them.
    ConnectNumber {
        phone_number_id: digits(),
        waba_id: digits(),
        display: "Simulated number".to_owned(),
        access_token: Personal::new(random()),
        app_secret: Personal::new(random()),
        verify_token: Personal::new(random()),
        base_url: None,
        rate: None,
    }
}

/// How a first start hands over its key.
pub enum KeyHandover {
    /// On the terminal that shows it.
    Printed,
    /// In a file that the server's user alone can read.
    File(PathBuf),
}

impl KeyHandover {
    /// Writes the key to a file of the data directory, in the place of one from an earlier store.
    pub fn file(directory: &Path, welcome: &FirstRun) -> std::io::Result<Self> {
        let path = std::path::absolute(directory)?.join(KEY_FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{}", welcome.secret.expose())?;
        file.sync_all()?;
        Ok(Self::File(path))
    }

    /// The line that tells of the key, and how a shell gets it.
    fn told(&self, secret: &str) -> (String, String) {
        match self {
            Self::Printed => {
                let line = format!("API key  {secret}\n         (shown this once; keep it)\n");
                (line, secret.to_owned())
            }
            Self::File(path) => {
                let path = path.display().to_string();
                let line = format!("API key in {path}\n         (keep it elsewhere, then remove the file)\n");
                let quoted = path.replace('\'', "'\\''");
                (line, format!("'\"$(cat '{quoted}')\"'"))
            }
        }
    }
}

/// What to do next, ready to be pasted into a shell.
pub fn next_steps(welcome: &FirstRun, server: &Url, simulator: Option<&Url>, handover: &KeyHandover) -> String {
    let (line, secret) = handover.told(welcome.secret.expose());
    let account = welcome.account;
    let meta = simulator.map(|url| format!("Meta     {url}   (built-in simulator: nothing leaves this machine)\n"));
    let next = match welcome.number {
        Some(number) => format!("Number   {number}\n{}", sending(server, &secret, number)),
        None => "\nConnect a number with the mutation connectNumber, then send: see docs/clients.md\n".to_owned(),
    };
    format!(
        "\nA first account was opened.\n\n\
         Account  {account}\n\
         {line}\
         GraphQL  {server}graphql   (GraphiQL in a browser; paste the key into its headers)\n\
         {}{next}",
        meta.unwrap_or_default()
    )
}

/// What a later start says: a connected number and the examples later_steps, without a key. None where no number is connected,
/// or a real Meta is configured, so that nothing is sent by mistake.
pub async fn first_number(app: &App) -> Result<Option<NumberId>, CliFailure> {
    if app.simulator.is_none() {
        return Ok(None);
    }
    let first = "WHERE disconnected_at IS NULL ORDER BY connected_at, id LIMIT 1";
    let numbers = app.commands.reads.fetch::<NumberRow>(first, &[]).await;
    let numbers = numbers.map_err(|error| CliFailure::because("the read models cannot be asked", &error))?;
    Ok(numbers.first().and_then(|number| number.id.parse().ok()))
}

/// What a later start says: the number and the examples again, without a key.
pub fn later_steps(number: NumberId, server: &Url, simulator: Option<&Url>) -> String {
    let meta = simulator.map(|url| format!("Meta     {url}   (built-in simulator: nothing leaves this machine)\n"));
    format!(
        "\nGraphQL  {server}graphql   (GraphiQL in a browser; paste your key into its headers)\n\
         {}Number   {number}\n\
         \nThe examples take your API key from KEY (another one: wasend account create).\n{}",
        meta.unwrap_or_default(),
        sending(server, "'\"$KEY\"'", number)
    )
}

fn sending(server: &Url, secret: &str, number: NumberId) -> String {
    let watch = r#"{"query":"subscription { messageStatusChanged { position message { id status } } }"}"#;
    let send = format!(
        r#"{{"query":"mutation($input: SendMessageInput!) {{ sendMessage(input: $input) {{ message {{ id status }} position errors {{ code field message }} }} }}","variables":{{"input":{{"numberId":"{number}","to":"+16505551234","text":{{"body":"Hello from WASend"}}}}}}}}"#
    );
    format!(
        "\nWatch it travel (leave this running):\n\n\
         curl -sN {server}graphql/stream -H 'Authorization: Bearer {secret}' \\\n  \
         -H 'Content-Type: application/json' -H 'Accept: text/event-stream' \\\n  \
         -d '{watch}'\n\
         \nSend a message:\n\n\
         curl -s {server}graphql -H 'Authorization: Bearer {secret}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{send}'\n\n"
    )
}
