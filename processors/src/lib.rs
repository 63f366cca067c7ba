//! What leaves the house, and what happens because time passes. Each processor is a to-do list, a worker that leases
//! what is on it, does it, and records the outcome with a command that may be repeated.
//!
//! | file | holds |
//! |---|---|
//! | [`dispatcher`] | the front: which numbers this node sends for |
//! | `backlog` | which numbers have something to do |
//! | `worker`, `worker_answers` | one number's loop; what it does when a call ends |
//! | `queue` | one number's part of the to-do list |
//! | `prepare` | from messages that are due to calls that may be made |
//! | `call` | one call to Meta |
//! | `response_policy`, `rate_limit`, `backoff` | what an answer means; how fast a number may send; how long to wait |
//! | `outcome_writer`, `identity_updates` | recording outcomes; what Meta tells about recipients |
//! | [`importer`] | imports of contacts |
//! | [`timers`] | what stays unknown is shown to people, what is not delivered in time expires |
//! | [`erasure`] | people are erased, step by step |
//! | [`anchor`] | the vault's store is told how far its log has come |
//! | [`retention`] | what is kept for a time is destroyed when that is over |
//! | [`rotation`] | the epochs end in which destroyed keys were wrapped |
//! | [`options`] | how all this runs |

pub mod anchor;
mod backlog;
mod backoff;
mod call;
mod context;
pub mod dispatcher;
pub mod erasure;
mod identity_updates;
pub mod importer;
pub mod options;
mod outcome_writer;
mod prepare;
mod queue;
mod rate_limit;
mod response_policy;
pub mod retention;
pub mod rotation;
pub mod timers;
mod worker;
mod worker_answers;

pub use anchor::AnchorProcessor;
pub use dispatcher::Dispatcher;
pub use erasure::{ErasureOptions, ErasureProcessor};
pub use importer::Importer;
pub use importer::options::{ImportLimits, ImportOptions};
pub use options::{DispatchOptions, RetryWaits, TimerOptions};
pub use retention::{RetentionOptions, RetentionProcessor};
pub use rotation::{RotationOptions, RotationProcessor};
pub use timers::MessageTimers;
