//! How the rows of an import came out.

use async_graphql::SimpleObject;
use wasend_domain::import::RowCounters;

/// How many rows came out how. Each is one of created, updated, unchanged, duplicateInFile, duplicateExisting, invalid,
/// erased and unreadable.
#[derive(SimpleObject)]
pub struct ImportCounters {
    total: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    duplicate_in_file: u64,
    duplicate_existing: u64,
    /// Rows of people who have opted out: imported, and no message to them is accepted.
    suppressed: u64,
    invalid: u64,
    /// Rows that were imported although their number fits no numbering plan.
    warnings: u64,
    /// Rows of people who were erased after the file was received: they were skipped.
    erased: u64,
    /// Rows of contacts whose data in the vault cannot be read: they were skipped, but for an opt-out.
    unreadable: u64,
    /// Rows without content. They were passed over and are no part of the total.
    blank: u64,
}

impl From<RowCounters> for ImportCounters {
    fn from(counters: RowCounters) -> Self {
        let RowCounters {
            total,
            created,
            updated,
            unchanged,
            duplicate_in_file,
            duplicate_existing,
            suppressed,
            invalid,
            warnings,
            erased,
            unreadable,
            blank,
        } = counters;
        Self {
            total,
            created,
            updated,
            unchanged,
            duplicate_in_file,
            duplicate_existing,
            suppressed,
            invalid,
            warnings,
            erased,
            unreadable,
            blank,
        }
    }
}
