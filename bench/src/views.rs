//! The peer's replay, after lives of messages that went through its own framework.

use std::sync::Arc;
use std::time::Duration;

use wasend_domain::AccountId;
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::stock::Stock;
use crate::{history, lives};

/// How long the peer takes to replay about so many events, of which a life has nine.
pub async fn replay(bench: &Bench, engine: Engine, events: u64) -> anyhow::Result<Duration> {
    let store = bench.store(engine).await?;
    let directory = tempfile::tempdir_in(bench.directory.path())?;
    let stores = Arc::new(history::stores(directory.path(), None).await?);
    let account = AccountId::random();
    stores.vault.create_account(account).await?;
    let many = usize::try_from(events / 9)?.max(1);
    let contacts = lives::people(&stores.vault, account, 0, many).await?.into();
    let stock = Stock::open(&store, 10, Some(lives::giver(stores.clone(), account, contacts))).await?;
    let taken = stock.replay(many).await?;
    drop(stock);
    stores.close().await;
    store.remove().await?;
    Ok(taken)
}
