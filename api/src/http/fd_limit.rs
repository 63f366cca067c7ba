//! File descriptors: each connection takes one, and so do the stores.

use rlimit::{Resource, getrlimit, increase_nofile_limit};

/// For the stores, the calls to Meta and the log.
const RESERVED_DESCRIPTORS: usize = 256;

/// Raises the process's limit as far as it may, and says how many connections fit into it.
pub fn connections(wanted: usize) -> usize {
    let raised = increase_nofile_limit(u64::MAX).or_else(|_| getrlimit(Resource::NOFILE).map(|(soft, _)| soft));
    let open_files = raised.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let fit = open_files.saturating_sub(RESERVED_DESCRIPTORS).max(open_files / 2).max(1);
    if fit < wanted {
        tracing::warn!(open_files, connections = fit, "the limit of open files allows fewer connections than are set");
    }
    fit.min(wanted)
}
