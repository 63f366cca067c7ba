//! Whole commands: load the aggregate's history, decide, seal what is personal, append, answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use uuid::Uuid;
use wasend::bootstrap::{OpenStores, SystemClock};
use wasend_domain::message::{Command, Message};
use wasend_domain::{AccountId, Actor, Clock, MessageId, NumberId, SubjectId};
use wasend_eventlog::{CommandContext, CommandId, execute, execute_new};

use crate::bench::{Bench, Store};
use crate::history;
use crate::life::{Life, Step};
use crate::lives;
use crate::load::{Client, Measured, drive};
use crate::report::{Line, quantile};
use crate::rounds::{Side, alternate};
use crate::row::Row;
use crate::stock::{self, Player, Stock};

const CLIENTS: [usize; 2] = [1, 64];
const CONTACTS: usize = 1_000;

pub struct Commands;

#[async_trait(?Send)]
impl Row for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn about(&self) -> &'static str {
        "messages taken through their lives, each command loading, deciding, sealing and appending"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        for engine in bench.engines() {
            let (data, peer_store) = (bench.store(engine).await?, bench.store(engine).await?);
            let directory = tempfile::tempdir_in(bench.directory.path())?;
            let stores = history::stores(directory.path(), data.postgres()).await?;
            let account = AccountId::random();
            stores.vault.create_account(account).await?;
            let contacts = lives::people(&stores.vault, account, 0, CONTACTS).await?.into();
            let world = World { stores: Arc::new(stores), account, contacts };
            for clients in bench.clients(&CLIENTS) {
                compare(bench, &world, &peer_store, clients).await?;
            }
            world.stores.close().await;
            data.remove().await?;
            peer_store.remove().await?;
        }
        Ok(())
    }
}

async fn compare(bench: &Bench, world: &World, peer_store: &Store, clients: usize) -> anyhow::Result<()> {
    let round = bench.round(Duration::from_secs(3), Duration::from_secs(1));
    let ours = Ours(world.clone());
    let peer = |connections| async move {
        let lives = lives::giver(world.stores.clone(), world.account, world.contacts.clone());
        anyhow::Ok(Player { stock: Stock::open(peer_store, connections, Some(lives)).await?, order: "execute" })
    };
    let (peer, connections) = stock::best(peer_store.engine, clients, round / 3, peer).await?;
    let played = alternate(&[&ours, &peer], clients, round).await?;
    let [ours, peer] = played.as_slice() else { anyhow::bail!("two sides have two summaries") };
    let line = Line::new("commands", peer_store.engine, "commands/s", ours.per_second)
        .clients(clients)
        .peer(stock::name(peer_store.engine), peer.per_second)
        .with_latency(&ours.latency)
        .with_number("peer_p99_ms", quantile(&peer.latency, 0.99))
        .with("peer_connections", connections);
    bench.report.line(&line)
}

/// What both sides have: the vault that seals, and the people in it.
#[derive(Clone)]
struct World {
    stores: Arc<OpenStores>,
    account: AccountId,
    contacts: Arc<[SubjectId]>,
}

/// A message on its way.
struct Journey {
    id: Uuid,
    life: Option<Life>,
    /// Those of [`Step::ALL`] that are done.
    done: usize,
    contact: usize,
}

impl Journey {
    /// The clients begin with contacts of their own.
    fn new(client: usize) -> Self {
        Self { id: Uuid::nil(), life: None, done: Step::ALL.len(), contact: client * 7 }
    }

    /// The message's next command, or the first of another message.
    async fn next(&mut self, world: &World) -> anyhow::Result<(Step, Command)> {
        let now = SystemClock.now();
        if self.done == Step::ALL.len() {
            self.contact += 1;
            let contact = world.contacts[self.contact % world.contacts.len()];
            self.life = lives::begin(&world.stores.vault, world.account, &[contact], now.day()).await?.pop();
            self.id = MessageId::fresh(now).uuid();
            self.done = 0;
        }
        let step = Step::ALL[self.done];
        self.done += 1;
        let life = self.life.as_ref().context("a journey has a life")?;
        Ok((step, life.command(step, NumberId::from_uuid(Uuid::nil()), now)))
    }
}

struct Ours(World);

#[async_trait]
impl Side for Ours {
    async fn round(&self, clients: usize, duration: Duration) -> anyhow::Result<Measured> {
        let client = |index| OurClient { world: self.0.clone(), journey: Journey::new(index) };
        drive((0..clients).map(client).collect(), duration).await
    }
}

struct OurClient {
    world: World,
    journey: Journey,
}

impl Client for OurClient {
    async fn ask(&mut self) -> anyhow::Result<u64> {
        let (step, command) = self.journey.next(&self.world).await?;
        let context = CommandContext {
            account_id: self.world.account,
            actor: Actor::Operator,
            command: CommandId::Fresh(Uuid::new_v4().to_string()),
        };
        let (log, id) = (&*self.world.stores.log, self.journey.id);
        let done = match step {
            Step::Accept => execute_new::<Message>(log, &SystemClock, context, id, command).await,
            _ => execute::<Message>(log, &SystemClock, context, id, command).await,
        };
        done.map(|_| 1).map_err(|failure| anyhow::anyhow!("{failure}"))
    }
}
