//! What a log promises, held against every engine. Postgres is found by `WASEND_TEST_POSTGRES`, the URL of a database
//! whose user may create databases; without it these tests fail.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod account;
mod append;
mod command_handler;
mod commands;
mod cqrs_es_adapter;
mod harness;
mod nodes;
mod read;
mod released;

/// Makes a test for each engine of every story.
#[macro_export]
macro_rules! on_every_engine {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $story() {
                super::$story($crate::harness::Home::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $story() {
                let home = $crate::harness::Home::postgres().await;
                super::$story(home.clone()).await;
                home.drop_database().await;
            })+
        }
    };
}
