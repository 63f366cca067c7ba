//! What leaves the house, and what happens because time passes. Each processor is a to-do list, a worker that leases
//! what is on it, does it, and records the outcome with a command that may be repeated.
//!
//! | file | holds |
//! |---|---|
//! | [`dispatcher`] | the front: which numbers this node sends for |
//! | `scout` | which numbers have something to do |
//! | `number`, `answer` | one number's loop; what it does when a call ends |
//! | `queue` | one number's part of the to-do list |
//! | `prepare` | from messages that are due to calls that may be made |
//! | `call` | one call to Meta |
//! | `verdict`, `pace`, `backoff` | what an answer means; how fast a number may send; how long to wait |
//! | `conclude`, `learn` | recording outcomes; what Meta tells about recipients |
//! | [`importer`] | imports of contacts |
//! | [`runners`] | what stays unknown is shown to people, what is not delivered in time expires |
//! | [`erasure`] | people are erased, step by step |
//! | [`anchor`] | the vault's store is told how far its log has come |
//! | [`retention`] | what is kept for a time is destroyed when that is over |
//! | [`rotation`] | the epochs end in which destroyed keys were wrapped |
//! | [`options`] | how all this runs |

pub mod anchor;
mod answer;
mod backoff;
mod call;
mod conclude;
pub mod dispatcher;
pub mod erasure;
pub mod importer;
mod learn;
mod number;
pub mod options;
mod pace;
mod prepare;
mod queue;
pub mod retention;
pub mod rotation;
pub mod runners;
mod scout;
mod shared;
mod verdict;

pub use anchor::Anchoring;
pub use dispatcher::Dispatcher;
pub use erasure::{ErasureOptions, Erasures};
pub use importer::Importer;
pub use importer::options::{ImportLimits, ImportOptions};
pub use options::{DispatchOptions, RunnerOptions, Waits};
pub use retention::{Retention, RetentionOptions};
pub use rotation::{RotationOptions, Rotations};
pub use runners::Runners;
