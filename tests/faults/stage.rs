//! One server between its clients and Meta, on a separate store.

use std::sync::Arc;

use wasend_tests::{Client, Engine, Start, World};

use crate::cluster::Cluster;
use crate::meta::Meta;
use crate::process::free_port;

/// Fields end in this order: the server before what it stands on.
pub struct Stage {
    pub world: World,
    pub cluster: Option<Cluster>,
    pub meta: Arc<Meta>,
    pub client: Client,
    pub number: String,
}

/// What is told of a server to every test: waits that fit a test, and a port that stays the same.
pub fn server(meta: &Meta) -> Start {
    Start::default()
        .with("WASEND_LISTEN", &format!("127.0.0.1:{}", free_port()))
        .with("WASEND_META_BASE_URL", &meta.base_url())
        .with("WASEND_META_TIMEOUT", "2s")
        .with("WASEND_DISPATCH_RECONCILE_WINDOW", "10s")
        .with("WASEND_LOG", "warn")
}

impl Stage {
    pub async fn set(engine: Engine) -> Self {
        let cluster = (engine == Engine::Postgres).then(|| Cluster::start(None));
        let database = match &cluster {
            Some(cluster) => Some(cluster.fresh_database("faults").await),
            None => None,
        };
        Self::on(engine, cluster, database.as_deref(), |start| start).await
    }

    /// On a database that is there, with a server that is started otherwise than usual.
    pub async fn on(
        engine: Engine,
        cluster: Option<Cluster>,
        database: Option<&str>,
        otherwise: impl FnOnce(Start) -> Start,
    ) -> Self {
        let meta = Meta::start().await;
        let mut start = server(&meta);
        if let Some(database) = database {
            start = start.with_database(database);
        }
        let world = otherwise(start).on(engine).await;
        meta.report_to(&world.url);
        let client = world.client();
        let number = meta.connect(&client).await;
        Self { world, cluster, meta: Arc::new(meta), client, number }
    }
}
