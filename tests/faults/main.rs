//! What WASend promises, held against faults: `scripts/faults --help`, and docs/faults.md.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use wasend_tests::Engine;

use crate::disk::Means;
use crate::verdict::Verdict;

mod check;
mod cluster;
mod crash;
mod disk;
mod ledger;
mod load;
mod meta;
mod nodes;
mod order;
mod process;
mod settle;
mod soak;
mod stage;
mod storage;
mod subscriber;
mod verdict;

/// Holds the server against faults, and tells for each promise whether it held. Needs the server built beside it;
/// scripts/faults builds both.
#[derive(Parser)]
#[command(name = "wasend-faults", after_help = "Exit status: 0 every promise held, 1 one was broken, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    test: Test,
    /// Which store
    #[arg(long, global = true, value_enum, default_value_t = Which::Both)]
    engine: Which,
    /// Where chance begins, to repeat a run; the order of what the machine does remains its own
    #[arg(long, global = true)]
    seed: Option<u64>,
}

#[derive(Subcommand)]
enum Test {
    /// Kill the server, and PostgreSQL, at random moments under a mixed load
    Crash {
        /// Kills of the server on each engine
        #[arg(long, default_value_t = 20)]
        kills: u32,
    },
    /// Append and read from many processes while others hold, cut off and kill
    Order {
        /// Commands on each engine
        #[arg(long, default_value_t = 4_000)]
        commands: u64,
    },
    /// Kill one of two servers on one PostgreSQL, in turn
    Nodes {
        #[arg(long, default_value_t = 6)]
        kills: u32,
    },
    /// Fill the disk, take PostgreSQL away, damage the file of the embedded log
    Storage {
        /// How the disk is made small; without it the better way that this user has
        #[arg(long, value_enum)]
        disk: Option<Means>,
        /// Files damaged in each way
        #[arg(long, default_value_t = 40)]
        rounds: u32,
    },
    /// Run the mixed load for long, and look for what grows
    Soak {
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
    },
    /// A process of `order`
    #[command(hide = true)]
    Appender { url: String, name: String, from: u64, to: u64 },
    /// A process of `order`
    #[command(hide = true)]
    Reader { url: String, way: String },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Sqlite,
    Postgres,
    Both,
}

impl Which {
    fn engines(self) -> Vec<Engine> {
        match self {
            Self::Sqlite => vec![Engine::Sqlite],
            Self::Postgres => vec![Engine::Postgres],
            Self::Both => vec![Engine::Sqlite, Engine::Postgres],
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.test {
        Test::Appender { url, name, from, to } => {
            order::appender::run(url, name, *from, *to).await;
            return ExitCode::SUCCESS;
        }
        Test::Reader { url, way } => {
            let read = order::reader::run(url, way == "follow").await;
            return read.map_or_else(
                |why| {
                    println!("{why}");
                    ExitCode::FAILURE
                },
                |()| ExitCode::SUCCESS,
            );
        }
        _ => {}
    }
    let mut verdict = Verdict::default();
    tokio::select! {
        // What was started ends with the values that hold it.
        () = run(&cli, &mut verdict) => {}
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    }
    match verdict.broken() {
        0 => {
            println!("Every promise held.");
            ExitCode::SUCCESS
        }
        broken => {
            println!("{broken} promises were broken.");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli, verdict: &mut Verdict) {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    // Only PostgreSQL has several nodes.
    let only = matches!(cli.test, Test::Nodes { .. });
    for engine in cli.engine.engines().into_iter().filter(|engine| !only || *engine == Engine::Postgres) {
        println!("{engine:?}, seed {seed}");
        match cli.test {
            Test::Crash { kills } => Box::pin(crash::run(verdict, engine, kills, seed)).await,
            Test::Order { commands } => Box::pin(order::run(verdict, engine, commands, seed)).await,
            Test::Nodes { kills } => Box::pin(nodes::run(verdict, kills, seed)).await,
            Test::Storage { disk, rounds } => Box::pin(storage::run(verdict, engine, seed, disk, rounds)).await,
            Test::Soak { minutes } => Box::pin(soak::run(verdict, engine, minutes, seed)).await,
            Test::Appender { .. } | Test::Reader { .. } => {}
        }
    }
}
