//! The append-only log of events, and how a command becomes events in it.
//!
//! | file | holds |
//! |---|---|
//! | `contract` | what a log promises, the same for every engine |
//! | `command_handler`, `repository`, `unit_of_work` | load, decide, append, answer |
//! | `log` | the log on SQLite or Postgres |
//! | `writer`, `append_conditions`, `optimistic_append` | group commit; which appends of a batch are accepted |
//! | `sqlite`, `postgres` | how each engine commits a batch |
//! | `read`, `rows`, `upcast` | reading |
//! | `conflict_lock` | keeps commands on one stream from conflicting for ever |
//! | `batcher` | what is asked for at the same time, done together |
//! | `notifications` | hearing of other nodes' commits |
//! | `cqrs_es_adapter` | the same log through cqrs-es's own framework |
//! | `db`, `private` | the database under all this; its files, for their owner alone |

mod append_conditions;
mod batcher;
mod command_handler;
mod conflict_lock;
mod contract;
mod cqrs_es_adapter;
pub mod db;
mod log;
mod notifications;
mod optimistic_append;
mod postgres;
mod private;
mod read;
mod repository;
mod rows;
mod sqlite;
mod unit_of_work;
mod upcast;
mod writer;

pub use batcher::{BatchLimits, Batcher};
pub use command_handler::{ExecutedCommand, execute, execute_all, execute_new, execute_new_all};
pub use contract::{
    Append, AppendRejection, AppendedRange, CommandId, EventFilter, EventLog, LogError, NewEvent, StreamAppend,
};
pub use cqrs_es_adapter::{CqrsEsAdapter, replay};
pub use db::{DatabaseOpenError, Db, DbOptions, SqliteDb};
pub use log::SqlLog;
pub use repository::{ExecutableAggregate, LoadedAggregate, StreamLookup, load};
pub use unit_of_work::{CommandContext, CommandFailure, UnitOfWork};
pub use upcast::UpcasterChain;
