//! The binary `wasend`: what the outside world talks to.
//!
//! | file | holds |
//! |---|---|
//! | [`config`] | every setting, its sources and its reference |
//! | [`cli`] | commands of the terminal; `serve` runs the server |
//! | [`telemetry`] | logs and metrics |
//! | [`auth`] | who is asking |
//! | [`problem`] | every error a caller can see |
//! | [`graphql`] | GraphQL: the schema, and its transports over HTTP, WebSocket and SSE |
//! | [`bootstrap`] | opens the stores and starts what runs |
//! | [`routes`] | the paths beside GraphQL: webhook, files |
//! | [`own_writes`] | reading one's own writes |
//! | [`http`] | the server, its limits, health and metrics; what surrounds every route |

pub mod auth;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod graphql;
pub mod http;
pub mod own_writes;
pub mod problem;
pub mod routes;
pub mod telemetry;

/// For everything in the process, the C of SQLite included. What Rust code frees is cleared first; SQLite is given only
/// what is sealed.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> = zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);
