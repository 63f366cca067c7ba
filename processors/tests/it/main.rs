//! A node in one process, with Meta's stand-in over real HTTP. Postgres is found by `WASEND_TEST_POSTGRES`, the URL of
//! a database whose user may create databases; without it these tests fail.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

/// Every story is told on both engines.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $story() {
                let world = crate::world::World::sqlite().await;
                Box::pin(super::$story(&world)).await;
                world.close().await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $story() {
                let world = crate::world::World::postgres().await;
                Box::pin(super::$story(&world)).await;
                world.close().await;
            })*
        }
    };
}

mod dispatch;
mod erasure;
mod import;
mod log;
mod people;
mod reconcile;
mod retention;
mod returning;
mod world;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// So many cases of a strategy, the same ones on every run.
fn cases<S: Strategy>(count: usize, strategy: &S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
