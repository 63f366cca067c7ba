//! The append-only log of events, and how a command becomes events in it.
//!
//! | file | holds |
//! |---|---|
//! | `contract` | what a log promises, the same for every engine |
//! | `execute`, `load`, `plan` | load, decide, append, answer |
//! | `log` | the log on SQLite or Postgres |
//! | `writer`, `judge`, `assume` | group commit; which appends of a batch are accepted |
//! | `sqlite`, `postgres` | how each engine commits a batch |
//! | `read`, `rows`, `upcast` | reading |
//! | `gather` | what is asked for at the same time, done together |
//! | `follow` | hearing of other nodes' commits |
//! | `stock` | the same log through cqrs-es's own framework |
//! | `db`, `private` | the database under all this; its files, for their owner alone |

mod assume;
mod contract;
pub mod db;
mod execute;
mod follow;
mod gather;
mod judge;
mod load;
mod log;
mod plan;
mod postgres;
mod private;
mod read;
mod rows;
mod sqlite;
mod stock;
mod turns;
mod upcast;
mod writer;

pub use contract::{Append, Appended, CommandId, EventLog, Filter, LogError, NewEvent, Rejected, StreamAppend};
pub use db::{Db, DbOptions, OpenError, SqliteDb};
pub use execute::{Executed, execute, execute_all, execute_new, execute_new_all};
pub use gather::{Gather, Together};
pub use load::{Executable, Loaded, Stream, load};
pub use log::SqlLog;
pub use plan::{Context, Failure, Plan};
pub use stock::{Stock, replay};
pub use upcast::Upcasters;
