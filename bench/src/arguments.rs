//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use wasend_tests::Engine;

use crate::row;

/// Measures WASend, beside its peers where there are any.
#[derive(Debug, Parser)]
#[command(name = "wasend-bench", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to measure; everything without one
    #[arg(value_name = "ROW", value_parser = PossibleValuesParser::new(row::ALL.iter().map(|row| row.name())))]
    pub rows: Vec<String>,
    /// Each row within a minute: shorter rounds, smaller logs
    #[arg(long)]
    pub quick: bool,
    /// One JSON object a line instead of tables
    #[arg(long)]
    pub json: bool,
    /// One engine instead of both
    #[arg(long, value_parser = engine, value_name = "sqlite|postgres")]
    pub engine: Option<Engine>,
    /// How many clients wait at the same time, for the rows that have clients
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub clients: Vec<usize>,
    /// How many events the log holds, for the rows that are about its size
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub size: Vec<u64>,
    /// How long one round takes, for the rows that have rounds
    #[arg(long, value_parser = seconds, value_name = "S")]
    pub seconds: Option<Duration>,
    /// A PostgreSQL server to measure on instead of a private one
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// UmaDB's server, to be one more peer of the appends; docs/performance.md says what it needs
    #[arg(long, value_name = "PROGRAM")]
    pub umadb: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p wasend-bench                        everything, about half an hour
  cargo run --release -p wasend-bench -- --quick             everything, each row within a minute
  cargo run --release -p wasend-bench -- appends commands    two rows
  cargo run --release -p wasend-bench -- appends --engine sqlite --clients 64 --seconds 5
  cargo run --release -p wasend-bench -- growth --size 10000,1000000 --json

PostgreSQL is started in a temporary directory and stopped at the end; its programs must be installed (as root on
Debian they are, if missing). docs/performance.md says what each row measures and how peers are treated.";

impl Arguments {
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }
}

fn engine(text: &str) -> Result<Engine, String> {
    match text {
        "sqlite" => Ok(Engine::Sqlite),
        "postgres" => Ok(Engine::Postgres),
        _ => Err("is sqlite or postgres".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "is a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "is a number of seconds, not negative".to_owned())
}
