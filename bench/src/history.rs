//! A history like that of a busy server: contacts become known, and their messages are accepted, attempted, submitted,
//! sent, priced, counted, delivered and read. Every event goes through an aggregate's decision and the log, and every
//! personal value through the vault.

use std::sync::Arc;

use anyhow::Context as _;
use wasend::bootstrap::OpenStores;
use wasend::config::{self, ConfigSources};
use wasend_domain::contact::{self, Contact, ContactOrigin};
use wasend_domain::message::Message;
use wasend_domain::{AccountId, Actor, NumberId, Position, SubjectId};
use wasend_eventlog::{Append, CommandContext, CommandId, ExecutableAggregate, LoadedAggregate, UnitOfWork};

use crate::life::Step;
use crate::lives;

/// Messages that are on their way at the same time, so that the events of one lie as far apart as at 1,000 messages a
/// second.
const WAVE: usize = 1_000;
/// How many messages a contact gets.
const MESSAGES_A_CONTACT: usize = 10;

pub struct History {
    pub stores: OpenStores,
    pub account: AccountId,
    number: NumberId,
    pub contacts: Vec<SubjectId>,
}

/// The stores that a server keeps in this directory, or in the database.
pub async fn stores(data_dir: &std::path::Path, database_url: Option<&str>) -> anyhow::Result<OpenStores> {
    let mut environment = vec![("WASEND_DATA_DIR".into(), data_dir.into())];
    environment.extend(database_url.map(|url| ("WASEND_DATABASE_URL".into(), url.into())));
    let config = config::load(ConfigSources { environment, ..ConfigSources::default() })?;
    let stores = OpenStores::open(&config.storage).await?;
    // Nothing was erased in it.
    stores.vault.resume().await?;
    Ok(stores)
}

impl History {
    /// Of an account and a number that exist, or of ones that nothing else is known of.
    pub async fn of(stores: OpenStores, account: AccountId, number: NumberId) -> anyhow::Result<Self> {
        stores.vault.create_account(account).await?;
        Ok(Self { stores, account, number, contacts: Vec::new() })
    }

    /// Goes on until the log holds so many events; its head.
    pub async fn grow_to(&mut self, events: u64) -> anyhow::Result<Position> {
        loop {
            let head = self.stores.log.head().await?;
            let missing = usize::try_from(events.saturating_sub(head))?;
            if missing == 0 {
                return Ok(head);
            }
            // A message has nine events, and a tenth of a contact's one.
            self.wave((missing / 9).clamp(1, WAVE)).await?;
        }
    }

    async fn wave(&mut self, messages: usize) -> anyhow::Result<()> {
        let (vault, now) = (&self.stores.vault, self.stores.clock.now());
        let new =
            lives::people(vault, self.account, self.contacts.len(), messages.div_ceil(MESSAGES_A_CONTACT)).await?;
        let create = contact::Command::Create { source: ContactOrigin::Message, attributes: None };
        let mut known: Vec<_> =
            new.iter().map(|contact| (contact.uuid(), LoadedAggregate::<Contact>::default())).collect();
        self.append(known.iter_mut().map(|(id, contact)| (*id, contact, create.clone()))).await?;
        self.contacts.extend(&new);
        let recipients: Vec<_> = new.into_iter().cycle().take(messages).collect();
        let lives = lives::begin(vault, self.account, &recipients, now.day()).await?;
        let id = || wasend_domain::MessageId::fresh(now).uuid();
        let mut states: Vec<_> = lives.iter().map(|_| (id(), LoadedAggregate::<Message>::default())).collect();
        for step in Step::ALL {
            let at = self.stores.clock.now();
            let commands = lives.iter().map(|life| life.command(step, self.number, at));
            self.append(states.iter_mut().zip(commands).map(|((id, state), command)| (*id, state, command))).await?;
        }
        Ok(())
    }

    /// Lets each aggregate decide, and appends all that follows in one transaction.
    async fn append<'a, A: ExecutableAggregate>(
        &self,
        commands: impl Iterator<Item = (uuid::Uuid, &'a mut LoadedAggregate<A>, A::Command)>,
    ) -> anyhow::Result<()> {
        let mut batch: Vec<Append> = Vec::new();
        for (id, state, command) in commands {
            let context = CommandContext {
                account_id: self.account,
                actor: Actor::Operator,
                command: CommandId::Fresh(uuid::Uuid::new_v4().to_string()),
            };
            let mut plan = UnitOfWork::new(context, self.stores.clock.now());
            plan.decide(id, state, command).map_err(|failure| anyhow::anyhow!("{failure}"))?;
            batch.push(plan.into_append());
        }
        for answer in Arc::clone(&self.stores.log).append(batch).await? {
            answer.context("nobody else writes to these streams")?;
        }
        Ok(())
    }
}
