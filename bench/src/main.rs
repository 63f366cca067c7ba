//! `wasend-bench`: how fast WASend is, beside its peers, in one run.
//!
//! | file | holds |
//! |---|---|
//! | `arguments` | the command line |
//! | `bench` | what every row is given: the length of a round, the engines, a place for data, the report |
//! | `row` | what a row is, and the list of all |
//! | `load`, `rounds` | clients that wait for each answer; ours and the peer by turns |
//! | `report` | lines, as a table or as JSON |
//! | `environment` | the machine and the engines, as they say themselves |
//! | `cluster` | a private Postgres |
//! | `server`, `http`, `people` | a server in a separate process, its clients, and their recipients |
//! | `history`, `life`, `lives`, `aged` | a past like that of a busy server; what a message goes through; a server with a past |
//! | `accepted`, `event` | the event that is appended |
//! | `stock`, `views`, `program` | the peer: cqrs-es with sqlite-es or postgres-es, in `bench/stock`; its read model |
//! | `umadb` | another peer, where it is installed |
//! | `appends` … | one row each |

mod accepted;
mod aged;
mod appends;
mod arguments;
mod bench;
mod bulk;
mod cluster;
mod commands;
mod environment;
mod erase;
mod event;
mod growth;
mod history;
mod http;
mod import;
mod life;
mod lives;
mod load;
mod memory;
mod people;
mod program;
mod replay;
mod report;
mod rounds;
mod row;
mod scale;
mod send;
mod server;
mod statuses;
mod stock;
mod subscribe;
mod umadb;
mod views;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;
use crate::bench::Bench;

/// The commands of `wasend` that the rows need: this program is also the server that they measure.
const SERVER: [&str; 3] = ["serve", "account", "projections"];

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| SERVER.contains(&word.as_str())) {
        return wasend::cli::main();
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the rows until they are done or a signal comes; either way nothing that they started is left behind.
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let bench = Bench::start(arguments).await?;
    let done = tokio::select! {
        done = rows(&bench) => done,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    bench.stop().await;
    done
}

async fn rows(bench: &Bench) -> anyhow::Result<()> {
    environment::print(bench).await?;
    for row in row::ALL {
        if bench.arguments.wants(row.name()) {
            bench.report.heading(*row)?;
            row.run(bench).await.map_err(|error| error.context(row.name()))?;
        }
    }
    Ok(())
}
