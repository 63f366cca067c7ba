//! A server whose log already holds a long history.

use anyhow::Context;
use serde_json::json;
use wasend_domain::SubjectId;
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::history::{self, History};
use crate::send::RATE;
use crate::server::Server;

/// It is stopped while its history grows: what is measured afterwards is the server's own work.
pub struct Aged {
    pub server: Server,
    /// The people in the history.
    pub contacts: Vec<SubjectId>,
}

impl Aged {
    pub async fn start(bench: &Bench, engine: Engine) -> anyhow::Result<Self> {
        Ok(Self { server: Server::start(bench, engine, RATE).await?, contacts: Vec::new() })
    }

    /// With so many events in its log, all of which its read models show; and how many there are.
    pub async fn grown(self, events: u64) -> anyhow::Result<(Self, u64)> {
        let Self { mut server, contacts } = self;
        let account = server.client().data("{ account { id } }", json!({})).await["account"]["id"].take();
        let account = account.as_str().context("an account has an id")?.parse()?;
        let number = server.number.parse()?;
        server.world.stop().await;
        let stores = history::stores(server.world.data.path(), server.world.database.as_deref()).await?;
        let mut history = History::of(stores, account, number).await?;
        history.contacts = contacts;
        let head = history.grow_to(events).await?;
        history.stores.close().await;
        let server = server.restart().await;
        server.caught_up(head).await;
        Ok((Self { server, contacts: history.contacts }, head))
    }
}
