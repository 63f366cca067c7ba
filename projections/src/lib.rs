//! Read models: pure folds of the log into tables, and the engine that runs them.
//!
//! | file | holds |
//! |---|---|
//! | [`engine`] | the daemon that follows the log, checkpoints, leases, rebuilds, and the queries' access to rows |
//! | [`messages`] [`usage`] [`audit`] [`contacts`] [`accounts`] [`numbers`] [`outbox`] [`imports`] [`privacy`] [`buckets`] | one read model each: tables and fold |
//! | [`uploads`] | files on their way in: working data, no read model |
//! | [`pagination`], [`feed`] | filters and keyset pages over any of them; append-only tables in order of position |

pub mod accounts;
pub mod audit;
pub mod buckets;
pub mod contacts;
pub mod engine;
pub mod feed;
pub mod imports;
pub mod messages;
pub mod numbers;
pub mod outbox;
pub mod pagination;
pub mod privacy;
pub mod uploads;
pub mod usage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use engine::batch_rows::{BatchKeys, BatchRows};
pub use engine::cell::{CellValue, ColumnKind};
pub use engine::checkpoints::BuildState;
pub use engine::compare::TableComparison;
pub use engine::context::ProjectorOptions;
pub use engine::lease::Leases;
pub use engine::projection::{FoldError, PoisonCause, Projection};
pub use engine::projector::{ProjectionStatus, ProjectionStatusError, Projector, WaitTimedOut, status};
pub use engine::reads::ReadModels;
pub use engine::rebuild::{RebuildError, RebuildOptions, RebuildReport, rebuild};
pub use engine::registration::StartError;
pub use engine::sql::StoreError;
pub use engine::table::{CellReader, Column, DamagedRow, Table, TableRecord};

/// Every read model of the product.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(accounts::AccountsProjection),
        Arc::new(numbers::NumbersProjection),
        Arc::new(contacts::ContactsProjection),
        Arc::new(messages::MessagesProjection),
        Arc::new(usage::UsageProjection),
        Arc::new(outbox::OutboxProjection),
        Arc::new(imports::ImportsProjection),
        Arc::new(audit::AuditProjection),
        Arc::new(privacy::PrivacyRequestsProjection),
    ]
}
