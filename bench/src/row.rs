//! What a row is, and the list of all.

use async_trait::async_trait;

use crate::appends::Appends;
use crate::bench::Bench;
use crate::bulk::Bulk;
use crate::commands::Commands;
use crate::erase::Erase;
use crate::growth::Growth;
use crate::import::Import;
use crate::memory::Memory;
use crate::replay::Replay;
use crate::send::Send;
use crate::statuses::Statuses;
use crate::subscribe::Subscribe;

/// One thing that is measured.
#[async_trait(?Send)]
pub trait Row: Sync {
    /// What it is called on the command line and in every line of its report.
    fn name(&self) -> &'static str;

    /// What it measures, in one sentence.
    fn about(&self) -> &'static str;

    async fn run(&self, bench: &Bench) -> anyhow::Result<()>;
}

/// In the order in which they run.
pub const ALL: &[&dyn Row] =
    &[&Appends, &Commands, &Replay, &Send, &Bulk, &Statuses, &Subscribe, &Import, &Erase, &Growth, &Memory];
