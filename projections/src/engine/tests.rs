//! The engine as its users see it, on both databases, with two small projections.

mod folding;
mod following;
mod leasing;
mod ledger;
mod rebuilding;
mod storing;

/// Makes each test one for SQLite and one for Postgres.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::engine::testing::TestEngine::Sqlite).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::engine::testing::TestEngine::Postgres).await;
            })+
        }
    };
}
use on_both;
