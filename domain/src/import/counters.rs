//! How the rows of an import came out.

use serde::{Deserialize, Serialize};

/// How many rows came out how. Each row is one of created, updated, unchanged, duplicate in the file, duplicate of an
/// existing contact, invalid, erased, and unreadable; suppressed, warnings and blank rows are counted besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounters {
    pub total: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub duplicate_in_file: u64,
    pub duplicate_existing: u64,
    /// Rows of people who have opted out.
    pub suppressed: u64,
    pub invalid: u64,
    /// Rows that were taken although their number fits no numbering plan.
    pub warnings: u64,
    /// Rows of people who were erased after the file was received. They were skipped.
    #[serde(default)]
    pub erased: u64,
    /// Rows of people whose data in the vault cannot be read. They were skipped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// Rows without content, which are no part of the total.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blank: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl RowCounters {
    /// The sums of both, counter by counter.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            created: self.created + other.created,
            updated: self.updated + other.updated,
            unchanged: self.unchanged + other.unchanged,
            duplicate_in_file: self.duplicate_in_file + other.duplicate_in_file,
            duplicate_existing: self.duplicate_existing + other.duplicate_existing,
            suppressed: self.suppressed + other.suppressed,
            invalid: self.invalid + other.invalid,
            warnings: self.warnings + other.warnings,
            erased: self.erased + other.erased,
            unreadable: self.unreadable + other.unreadable,
            blank: self.blank + other.blank,
        }
    }
}
