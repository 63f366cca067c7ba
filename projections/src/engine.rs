//! The engine: one tail over the log, all folds, rows and checkpoints in one transaction.
//!
//! | file | holds |
//! |---|---|
//! | [`projection`], [`table`] | what a read model implements: a fold, and the tables it fills |
//! | [`working`] | the rows of a batch in memory |
//! | `batch`, `commit` | a batch named, loaded, folded; and written |
//! | `ahead` | batches read and folded while the one before is written |
//! | `tail`, `seat` | following the log, catching up, stopping at a poisoned event |
//! | [`rebuild`], [`compare`] | building tables anew beside those that serve |
//! | [`registry`], [`lease`] | checkpoints and states; who alone may do something |
//! | `rows`, `build`, `upkeep` | physical tables, those that a projection fills, and what Postgres needs to keep up with them |
//! | `loading`, `writing`, [`sql`] | how an engine loads and writes many rows; statements on either engine |
//! | [`reads`], `turns` | how queries get at rows, and how many of them an account runs at once |
//! | [`projector`], `follow` | the front: start, wait for a position, status, rebuild; hearing of other nodes |

mod ahead;
mod batch;
mod build;
mod commit;
pub mod compare;
mod follow;
pub mod lease;
mod loading;
pub mod projection;
pub mod projector;
pub mod reads;
pub mod rebuild;
pub mod registry;
mod rows;
mod seat;
pub mod sql;
pub mod table;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod turns;
mod upkeep;
pub mod working;
mod writing;
