//! Side effects, and what happens because time passes. Each processor is a to-do list, a worker that leases
//! what is on it, does it, and records the outcome with a command that may be repeated.
//!
//! | file | holds |
//! |---|---|
//! | [`dispatcher`] | sends what waits to be sent |
//! | [`processor`], [`running`] | what a processor is; the list of all |
//! | `context` | the progress of the read models, contexts of commands, time |
//! | [`importer`] | imports of contacts |
//! | [`timers`] | what stays unknown is shown to people, what is not delivered in time expires |
//! | [`erasure`] | people are erased, step by step |
//! | [`anchor`] | the vault's store is told how far its log has come |
//! | [`retention`] | what is kept for a time is destroyed when that is over |
//! | [`rotation`] | the epochs end in which destroyed keys were wrapped |
//! | [`options`] | how all this runs |

pub mod anchor;
mod context;
pub mod dispatcher;
pub mod erasure;
pub mod importer;
pub mod options;
pub mod processor;
pub mod retention;
pub mod rotation;
pub mod running;
pub mod timers;

pub use anchor::AnchorProcessor;
pub use dispatcher::Dispatcher;
pub use erasure::{ErasureOptions, ErasureProcessor};
pub use importer::Importer;
pub use importer::options::{ImportLimits, ImportOptions};
pub use options::{DispatchOptions, RetryWaits, TimerOptions};
pub use processor::{Processor, ProcessorContext};
pub use retention::{RetentionOptions, RetentionProcessor};
pub use rotation::{RotationOptions, RotationProcessor};
pub use running::{ProcessorOptions, RunningProcessors};
pub use timers::MessageTimers;
