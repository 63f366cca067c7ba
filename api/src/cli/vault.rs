//! `wasend vault`.

use std::time::Duration;

use clap::Subcommand;
use tokio::time::Instant;
use wasend_domain::AccountId;
use wasend_processors::anchor;
use wasend_processors::erasure::losses;
use wasend_vault::{EpochPhase, KeyRotation, LaggingNode, RotationStep, Vault};

use super::CliFailure;
use super::account::command_failure;
use crate::bootstrap::{App, OpenStores};
use crate::config::Config;

/// Keys, beside a running server or without one
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// End the epoch: wrap every living key by a new epoch key and destroy the last one, so that no older copy of the
    /// vault can be opened any more. Servers may run meanwhile
    #[command(after_help = ROTATE)]
    Rotate {
        /// How many seconds to wait for nodes that do not have the new key yet
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
        /// Destroy keys whose wrapping is damaged, with everything that they seal, instead of refusing to go on
        #[arg(long)]
        give_up_damaged: bool,
    },
    /// Epochs, and the nodes that use the vault
    Status,
    /// People that the log speaks of and the vault knows nothing of, since it was restored from an earlier copy
    #[command(after_help = LOST)]
    Lost {
        /// Show one account alone
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
    },
    /// Let an account send again that is held since the vault was restored. Servers may run meanwhile
    #[command(after_help = RESUME)]
    ResumeSending {
        /// The account, as `wasend vault lost` names it
        account: AccountId,
    },
    /// Take a log that is older than the vault for the vault's own, after it was restored from an earlier copy
    #[command(after_help = ACCEPT)]
    AcceptLog,
}

const LOST: &str = "\
Lists each person by the random id of the contact, with what the log says about its opt-out; the number is lost.

Example:
  wasend vault lost";

const RESUME: &str = "\
Record the opt-outs of the time since the copy was made before that (`createContact` and `optOut`, or an import): the
vault may not know them.

Example:
  wasend vault resume-sending 019a0000-0000-7000-8000-000000000001";

const ACCEPT: &str = "\
Requests and consents that were recorded after the copy of the log was made are gone. Stop the servers before.

Example:
  wasend vault accept-log";

const ROTATE: &str = "\
Back up the vault and the new epoch key right afterwards: older backups of the vault are worthless from then on.

Nodes that keep epoch keys in a directory of their own need the new file there; the command names them. If it gives up
waiting, nothing is lost: the servers go on as soon as the key is there.

Example:
  wasend vault rotate";

/// Between two looks at those that are waited for.
const ROTATION_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Runs the command. Errors: a vault that does not belong to the history, a damaged key, nodes that did not follow in
/// time; nothing is destroyed then.
pub async fn run(config: Config, command: VaultCommand) -> Result<(), CliFailure> {
    let stores = OpenStores::open(&config.storage).await?;
    let done = match command {
        VaultCommand::Rotate { wait, give_up_damaged } => {
            let rotation = KeyRotation::of(stores.vault.clone());
            let rotation = if give_up_damaged { rotation.giving_up_damaged() } else { rotation };
            match stores.open_vault().await {
                Ok(()) => rotate(rotation, &stores.vault, Duration::from_secs(wait)).await,
                refused => refused,
            }
        }
        VaultCommand::Status => status(&stores.vault).await,
        VaultCommand::Lost { account } => lost(&stores, account).await,
        VaultCommand::AcceptLog => accept_log(&stores).await,
        VaultCommand::ResumeSending { account } => {
            stores.close().await;
            return resume_sending(&config, account).await;
        }
    };
    stores.close().await;
    done
}

async fn rotate(mut rotation: KeyRotation, vault: &Vault, patience: Duration) -> Result<(), CliFailure> {
    let failed = |error| CliFailure::because("the epoch did not end", &error);
    let before = current(vault).await?;
    rotation.begin().await.map_err(failed)?;
    let mut keys = 0;
    let mut waiting = Instant::now();
    loop {
        match rotation.step().await.map_err(failed)? {
            RotationStep::Idle => break,
            RotationStep::Waiting(nodes) if waiting.elapsed() >= patience => {
                return Err(CliFailure::Failed(waited(&nodes)));
            }
            RotationStep::Waiting(_) => tokio::time::sleep(ROTATION_POLL_INTERVAL).await,
            step => {
                if let RotationStep::Rewrapped(count) = step {
                    keys += count;
                }
                waiting = Instant::now();
            }
        }
    }
    let after = current(vault).await?;
    println!("{keys} keys are wrapped by the key of epoch {after}.");
    println!("The key of epoch {before} is destroyed: no older copy of the vault can be opened any more.");
    println!("Back up the vault and the key of epoch {after} now.");
    Ok(())
}

async fn current(vault: &Vault) -> Result<i64, CliFailure> {
    let epochs = vault.epochs().await.map_err(|error| CliFailure::because("the epochs cannot be read", &error))?;
    Ok(epochs.iter().rfind(|row| row.phase == EpochPhase::Current).map_or(0, |row| row.epoch))
}

fn waited(nodes: &[LaggingNode]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("\n  {node}")).collect();
    format!("the end of the epoch waits for:{}", nodes.concat())
}

async fn lost(stores: &OpenStores, account: Option<AccountId>) -> Result<(), CliFailure> {
    let losses = losses::find_all(&*stores.log, &stores.vault).await;
    let mut losses =
        losses.map_err(|error| CliFailure::because("the vault cannot be compared with the log", &error))?;
    losses.retain(|id, _| account.is_none_or(|account| account == *id));
    if losses.is_empty() {
        println!("The vault knows everybody of whom the log speaks.");
        return Ok(());
    }
    for (account, loss) in &losses {
        let opted_out = loss.people.values().filter(|is_out| **is_out).count();
        println!("Account {account}");
        println!("  {} people are unknown to the vault, {opted_out} of them opted out", loss.people.len());
        if loss.opt_outs > 0 {
            println!("  {} opt-outs of people who were no contacts are lost", loss.opt_outs);
        }
        for (contact, is_out) in &loss.people {
            println!("  {contact}{}", if *is_out { "  opted out" } else { "" });
        }
    }
    Ok(())
}

async fn accept_log(stores: &OpenStores) -> Result<(), CliFailure> {
    let accepted = anchor::accept_log(&*stores.log, &stores.vault).await;
    match accepted.map_err(|error| CliFailure::because("the log could not be accepted", &error))? {
        Some(anchor) => {
            println!("The vault goes on with this log, whose last event is at position {}.", anchor.position);
        }
        None => println!("The vault goes on with this log, which is empty."),
    }
    Ok(())
}

async fn resume_sending(config: &Config, account: AccountId) -> Result<(), CliFailure> {
    let app = App::open_beside(config).await?;
    let resumed = app.commands.resume_sending(account).await;
    app.close().await;
    resumed.map_err(|error| command_failure(&error))?;
    println!("Sending goes on for the account {account}.");
    Ok(())
}

async fn status(vault: &Vault) -> Result<(), CliFailure> {
    let failed = |error| CliFailure::because("the vault cannot be read", &error);
    println!("{:>6}  {:<10} {:<28} DESTROYED", "EPOCH", "PHASE", "CREATED");
    for row in vault.epochs().await.map_err(failed)? {
        let phase = match row.phase {
            EpochPhase::Coming => "coming",
            EpochPhase::Current => "current",
            EpochPhase::Ending => "ending",
            EpochPhase::Ended => "ended",
            EpochPhase::Destroyed => "destroyed",
        };
        let destroyed = row.destroyed_at.map(|at| at.to_string()).unwrap_or_default();
        println!("{:>6}  {phase:<10} {:<28} {destroyed}", row.epoch, row.created_at.to_string());
    }
    if let Some(since) = vault.waiting_since().await.map_err(failed)? {
        println!("\nSomething destroyed waits for the end of the current epoch since {since}.");
    }
    for node in vault.nodes().await.map_err(failed)? {
        let complaint = node.complaint.map(|complaint| format!(": {complaint}")).unwrap_or_default();
        println!("\nNode {}{complaint}", node.node);
    }
    Ok(())
}
