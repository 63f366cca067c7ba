//! GraphQL: one file a noun, with its types, queries and mutations.
//!
//! | file | holds |
//! |---|---|
//! | [`schema`] | everything put together; the SDL |
//! | [`state`] | what resolvers work with; waiting for positions |
//! | [`transport`] | how operations travel, whatever the schema |
//! | `account`, `key`, `number`, `contact`, `group`, `import`, `message`, `usage`, `audit`, `privacy` | one noun each |
//! | `subscription`, [`feed`] | what happens, as it happens, and where that comes from |
//! | `page`, `filter` | connections, cursors; arguments that filter |
//! | `loaders` | data loaders |
//! | `error`, `erasure`, `scalar` | refusals and failures; erased values; scalars |

mod account;
mod audit;
mod contact;
mod erasure;
mod error;
pub mod feed;
mod filter;
mod group;
mod import;
mod key;
mod loaders;
mod message;
mod number;
mod page;
mod privacy;
mod scalar;
pub mod schema;
pub mod state;
mod subscription;
pub mod transport;
mod usage;

#[cfg(test)]
mod tests;

pub use schema::{Schema, build_schema, schema_sdl};
pub use state::GraphqlState;
