//! Stories through the public endpoints: the real binary, real HTTP and WebSocket, on both engines.

/// Each story runs on SQLite and on Postgres.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(wasend_tests::Engine::Sqlite).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(wasend_tests::Engine::Postgres).await })*
        }
    };
}

/// Stories of several nodes, which share a Postgres.
macro_rules! stories_of_nodes {
    ($($story:ident),* $(,)?) => {
        mod nodes {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(wasend_tests::Engine::Postgres).await })*
        }
    };
}

mod account;
mod consent;
mod contact;
mod crowd;
mod damage;
mod erasure;
mod faults;
mod flood;
mod graphql;
mod history;
mod hostile;
mod idempotency;
mod identity;
mod import;
mod message;
mod meta;
mod polling;
mod privacy;
mod projection;
mod refusal;
mod restore;
mod rollback;
mod rotation;
mod scope;
mod server;
mod traces;
mod unknown;
mod unreadable;
mod webhook;
