//! Read models: pure folds of the log into tables, and the engine that runs them.
//!
//! | file | holds |
//! |---|---|
//! | [`engine`] | the one tail over the log, checkpoints, leases, rebuilds, and the queries' access to rows |
//! | [`messages`] [`usage`] [`audit`] [`contacts`] [`accounts`] [`numbers`] [`outbox`] [`imports`] [`privacy`] [`buckets`] | one read model each: tables and fold |
//! | [`uploads`] | files on their way in: working data, no read model |
//! | [`list`] | filters and keyset pages over any of them |

pub mod accounts;
pub mod audit;
pub mod buckets;
pub mod contacts;
pub mod engine;
pub mod imports;
pub mod list;
pub mod messages;
pub mod numbers;
pub mod outbox;
pub mod privacy;
pub mod uploads;
pub mod usage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use engine::compare::Comparison;
pub use engine::lease::Leases;
pub use engine::projection::{FoldError, Poison, Projection};
pub use engine::projector::{Options, ProjectionStatus, Projector, StartError, StatusError, TimedOut, status};
pub use engine::reads::Reads;
pub use engine::rebuild::{RebuildError, RebuildOptions, Report, rebuild};
pub use engine::registry::State;
pub use engine::sql::StoreError;
pub use engine::table::{Cell, Column, Damaged, Kind, Reader, Record, Table};
pub use engine::working::{Keys, Rows};

/// Every read model of the product.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(accounts::Accounts),
        Arc::new(numbers::Numbers),
        Arc::new(contacts::Contacts),
        Arc::new(messages::Messages),
        Arc::new(usage::Usage),
        Arc::new(outbox::Outbox),
        Arc::new(imports::Imports),
        Arc::new(audit::Audit),
        Arc::new(privacy::PrivacyRequests),
    ]
}
