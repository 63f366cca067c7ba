//! The engine: one daemon that follows the log, all folds, rows and checkpoints in one transaction.
//!
//! | file | holds |
//! |---|---|
//! | [`projection`], [`table`], [`cell`] | what a read model implements: a fold, the tables it fills, what a column can hold |
//! | [`record`] | one list of columns per record: table, cells and reader |
//! | [`batch_rows`] | the rows of a batch in memory |
//! | `batch`, `commit` | a batch named, loaded, folded; and written |
//! | `prefetch` | batches read and folded while the one before is written |
//! | `daemon`, `shard` | following the log, catching up, stopping at a poisoned event |
//! | [`rebuild`], [`compare`] | building tables anew beside those that serve |
//! | [`checkpoints`], [`lease`] | checkpoints and states; who alone may do something |
//! | `rows`, `build`, [`registration`], `table_maintenance` | physical tables, those that a projection fills, their registry, and what Postgres needs to keep up with them |
//! | `loading`, `writing`, [`sql`] | how an engine loads and writes many rows; statements on either engine |
//! | [`reads`], `account_limiter` | how queries get at rows, and how many of them an account runs at once |
//! | [`projector`], `notifications` | the front: start, wait for a position, status, rebuild; hearing of other nodes |
//! | `testing` | tests: both engines, and projections that misbehave |

mod account_limiter;
mod batch;
pub mod batch_rows;
mod build;
pub mod cell;
pub mod checkpoints;
mod commit;
pub mod compare;
pub mod context;
mod daemon;
pub mod lease;
mod loading;
mod notifications;
mod prefetch;
pub mod projection;
pub mod projector;
pub mod reads;
pub mod rebuild;
pub mod record;
pub mod registration;
mod rows;
mod shard;
pub mod sql;
pub mod table;
mod table_maintenance;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writing;
