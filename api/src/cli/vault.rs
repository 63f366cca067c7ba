//! `wasend vault`.

use std::time::Duration;

use clap::Subcommand;
use tokio::time::Instant;
use wasend_vault::{Laggard, Phase, Rotation, Step, Vault};

use super::Failure;
use crate::config::Config;
use crate::house::Stores;

#[derive(Debug, Subcommand)]
pub enum Command {
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
}

const ROTATE: &str = "\
Back up the vault and the new epoch key right afterwards: older backups of the vault are worthless from then on.

Nodes that keep epoch keys in a directory of their own need the new file there; the command names them. If it gives up
waiting, nothing is lost: the servers go on as soon as the key is there.

Example:
  wasend vault rotate";

/// Between two looks at those that are waited for.
const PAUSE: Duration = Duration::from_millis(200);

pub async fn run(config: Config, command: Command) -> Result<(), Failure> {
    let stores = Stores::open(&config.storage).await?;
    let done = match command {
        Command::Rotate { wait, give_up_damaged } => {
            let rotation = Rotation::of(stores.vault.clone());
            let rotation = if give_up_damaged { rotation.giving_up_damaged() } else { rotation };
            match stores.open_vault().await {
                Ok(()) => rotate(rotation, &stores.vault, Duration::from_secs(wait)).await,
                refused => refused,
            }
        }
        Command::Status => status(&stores.vault).await,
    };
    stores.close().await;
    done
}

async fn rotate(mut rotation: Rotation, vault: &Vault, patience: Duration) -> Result<(), Failure> {
    let failed = |error| Failure::because("the epoch did not end", &error);
    let before = current(vault).await?;
    rotation.begin().await.map_err(failed)?;
    let mut keys = 0;
    let mut waiting = Instant::now();
    loop {
        match rotation.step().await.map_err(failed)? {
            Step::Idle => break,
            Step::Waiting(nodes) if waiting.elapsed() >= patience => return Err(Failure::Failed(waited(&nodes))),
            Step::Waiting(_) => tokio::time::sleep(PAUSE).await,
            step => {
                if let Step::Rewrapped(count) = step {
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

async fn current(vault: &Vault) -> Result<i64, Failure> {
    let epochs = vault.epochs().await.map_err(|error| Failure::because("the epochs cannot be read", &error))?;
    Ok(epochs.iter().rfind(|row| row.phase == Phase::Current).map_or(0, |row| row.epoch))
}

fn waited(nodes: &[Laggard]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("\n  {node}")).collect();
    format!("the end of the epoch waits for:{}", nodes.concat())
}

async fn status(vault: &Vault) -> Result<(), Failure> {
    let failed = |error| Failure::because("the vault cannot be read", &error);
    println!("{:>6}  {:<10} {:<28} DESTROYED", "EPOCH", "PHASE", "CREATED");
    for row in vault.epochs().await.map_err(failed)? {
        let phase = match row.phase {
            Phase::Coming => "coming",
            Phase::Current => "current",
            Phase::Ending => "ending",
            Phase::Ended => "ended",
            Phase::Destroyed => "destroyed",
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
