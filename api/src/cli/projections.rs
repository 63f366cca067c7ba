//! `wasend projections`.

use clap::Subcommand;
use wasend_projections::{ProjectorOptions, RebuildOptions, rebuild, status};

use super::CliFailure;
use crate::bootstrap::OpenStores;
use crate::config::Config;

/// Read models, beside a running server or without one
#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Names, versions, positions and states
    List,
    /// Build a read model anew beside the old one, compare, and switch
    #[command(after_help = "Example:\n  wasend projections rebuild messages")]
    Rebuild {
        /// Its name, as `wasend projections list` prints it
        name: String,
        /// Switch even where the new one differs from the old
        #[arg(long)]
        force: bool,
    },
}

/// Lists or rebuilds read models. Errors: an unknown name; a rebuild that differs from what serves, unless forced.
pub async fn run(config: Config, command: ProjectionsCommand) -> Result<(), CliFailure> {
    let stores = OpenStores::open(&config.storage).await?;
    let done = match command {
        ProjectionsCommand::List => list(&stores).await,
        ProjectionsCommand::Rebuild { name, force } => rebuild_one(&stores, &name, force).await,
    };
    stores.close().await;
    done
}

async fn list(stores: &OpenStores) -> Result<(), CliFailure> {
    let all = status(&stores.models, &*stores.log, &wasend_projections::all()).await;
    let all = all.map_err(|error| CliFailure::because("the read models cannot be listed", &error))?;
    println!("{:<12} {:>7} {:<12} {:>12} {:>10}  NOTE", "NAME", "VERSION", "STATE", "POSITION", "LAG");
    for p in all {
        let error = p.error.map(|error| format!("{error} (event {})", p.error_position.unwrap_or_default()));
        let old = (!p.current).then(|| "of another version of the program".to_owned());
        let note = error.or(old).unwrap_or_default();
        let state = p.state.to_string();
        println!("{:<12} {:>7} {state:<12} {:>12} {:>10}  {note}", p.name, p.version, p.position, p.lag);
    }
    Ok(())
}

async fn rebuild_one(stores: &OpenStores, name: &str, force: bool) -> Result<(), CliFailure> {
    let all = wasend_projections::all();
    let Some(projection) = all.iter().find(|projection| projection.name() == name) else {
        let names: Vec<_> = all.iter().map(|projection| projection.name()).collect();
        return Err(CliFailure::Failed(format!("no read model is called {name}; there are {}", names.join(", "))));
    };
    let options = (ProjectorOptions::default(), &RebuildOptions { force });
    let report = rebuild(stores.models.clone(), stores.log.clone(), projection, stores.clock.clone(), options).await;
    let report = report.map_err(|error| CliFailure::because("the read model was not rebuilt", &error))?;
    println!("{} version {}, compared at position {}", report.projection, report.version, report.compared_at);
    for t in &report.tables {
        let (equal, different, missing, added) = (t.equal, t.different, t.missing, t.added);
        println!("  {:<18} {equal} equal, {different} different, {missing} missing, {added} added", t.table);
        if !t.first.is_empty() {
            println!("  {:<18} first: {}", "", t.first.join(", "));
        }
    }
    if !report.switched {
        return Err(CliFailure::Failed("the new tables differ, so the old ones go on serving; see --force".to_owned()));
    }
    println!("The new tables serve.");
    Ok(())
}
