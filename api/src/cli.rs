//! The command line. `serve` is what `wasend` does without a command.

pub mod account;
pub mod demo;
pub mod events;
pub mod projections;
pub mod reference;
pub mod schema;
pub mod serve;
pub mod vault;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, ConfigErrors, ConfigSources};

/// Sends WhatsApp messages through Meta's Cloud API, and can prove what became of each.
#[derive(Debug, Parser)]
#[command(name = "wasend", version, about, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub settings: CliSettings,
    #[command(subcommand)]
    pub command: Option<CliCommand>,
}

const EXAMPLES: &str = "\
Examples:
  wasend                                     serve on 127.0.0.1:8080 with the embedded store in ./data
  wasend demo                                watch a message, an import and an erasure, in a temporary store
  wasend serve --listen 0.0.0.0:8080 --database-url postgres://wasend@db/wasend
  wasend account create --name 'Example Ltd'
  wasend events --account 0199c1d2-… --from 1 > history.ndjson

Every setting can be given in a file or in the environment; see docs/reference/config.md.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration.";

/// The settings that have a flag.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct CliSettings {
    /// TOML file with settings [environment: WASEND_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the embedded store [environment: WASEND_DATA_DIR] [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// PostgreSQL instead of the embedded store; prefer WASEND_DATABASE_URL for one with a password, which other users
    /// of the machine could read here
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Where to listen [environment: WASEND_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// What the program is asked to do
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the server (the default)
    Serve,
    /// Play a message, an import and an erasure against a temporary store, and tell them
    Demo,
    /// Accounts of businesses
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Export or replay the event history as NDJSON
    Events(events::EventsArguments),
    /// Read models
    #[command(subcommand)]
    Projections(projections::ProjectionsCommand),
    /// Epochs of the keys that seal personal data
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    /// Print the GraphQL schema
    Schema,
    /// Write or check the generated references
    #[command(hide = true)]
    Reference(reference::ReferenceArguments),
}

/// Why a command ends without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum CliFailure {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    /// What is stored is not what was written, and is not served.
    #[error("{0}")]
    Damaged(String),
}

impl CliFailure {
    /// With its causes, for a person at a terminal.
    pub fn because(what: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::Failed(text)
    }

    fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Failed(_) | Self::Damaged(_) => 1,
        }
    }
}

impl CliSettings {
    /// Reads everything that can be set.
    pub fn load(self) -> Result<Config, ConfigErrors> {
        let flags = [("data_dir", self.data_dir), ("database_url", self.database_url), ("listen", self.listen)];
        config::load(ConfigSources {
            file: self.config,
            environment: std::env::vars_os().collect(),
            flags: flags.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        })
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliFailure> {
    // These two say the same whatever is set.
    match &cli.command {
        Some(CliCommand::Schema) => {
            schema::print();
            return Ok(());
        }
        Some(CliCommand::Reference(arguments)) => return reference::run(arguments),
        _ => {}
    }
    let config = cli.settings.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliFailure::because("the runtime cannot start", &error))?;
    runtime.block_on(async {
        match cli.command.unwrap_or(CliCommand::Serve) {
            CliCommand::Serve => serve::run(config).await,
            CliCommand::Demo => demo::run(config).await,
            CliCommand::Account(command) => account::run(config, command).await,
            CliCommand::Events(arguments) => events::run(config, arguments).await,
            CliCommand::Projections(command) => projections::run(config, command).await,
            CliCommand::Vault(command) => vault::run(config, command).await,
            CliCommand::Schema | CliCommand::Reference(_) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests;
