//! How the importer runs.

use std::time::Duration;

/// What a file may hold.
#[derive(Debug, Clone)]
pub struct ImportLimits {
    /// Most rows, the header not counted.
    pub rows: u64,
    /// Most bytes of one row, as UTF-8.
    pub row_bytes: u64,
    /// Rows that are applied in one transaction. Not to be changed while an import is under way.
    pub chunk: usize,
    /// Bytes of cells after which a chunk ends before it has so many rows. Not to be changed either.
    pub chunk_bytes: usize,
}

/// How imports run, and how long what they leave is kept.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    pub limits: ImportLimits,
    /// Most imports under way on this node.
    pub at_once: usize,
    /// How long a node that has died keeps the others from going on with its imports.
    pub lease: Duration,
    /// How often is looked for new imports that no event announces.
    pub tick: Duration,
    /// How often is looked for what may be deleted.
    pub sweep: Duration,
    /// An upload that no import takes is deleted after this.
    pub unused: Duration,
    /// Reports of rows are deleted after this.
    pub reports: Duration,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            limits: ImportLimits { rows: 1_000_000, row_bytes: 64 << 10, chunk: 1_000, chunk_bytes: 4 << 20 },
            at_once: 4,
            lease: Duration::from_secs(10),
            tick: Duration::from_secs(1),
            sweep: Duration::from_secs(60),
            unused: Duration::from_secs(24 * 3_600),
            reports: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

impl Default for ImportLimits {
    fn default() -> Self {
        ImportOptions::default().limits
    }
}
