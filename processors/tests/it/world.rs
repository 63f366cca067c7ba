//! A node with an account and a number, and Meta's stand-in over real HTTP.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;
use wasend_commands::contact::ContactInput;
use wasend_commands::message::{ContentDraft, SendMessage, SendTarget, TextDraft};
use wasend_commands::number::ConnectNumber;
use wasend_commands::webhook::UpdateCounts;
use wasend_commands::{Caller, Commands, ConsentKeywords, SenderCredentials, SendingHolds, TemplateCatalog};
use wasend_domain::message::{DeliveryStatus, Message};
use wasend_domain::{Actor, Clock, MessageId, NumberId, Personal, SubjectId, Time};
use wasend_eventlog::{Db, DbOptions, EventLog, SqlLog, StreamLookup, UpcasterChain, load};
use wasend_processors::{
    DispatchOptions, Dispatcher, ErasureOptions, ErasureProcessor, ImportOptions, Importer, MessageTimers, Processor,
    ProcessorContext, RetentionOptions, RetentionProcessor, RetryWaits, TimerOptions,
};
use wasend_projections::{Leases, Projector, ProjectorOptions};
use wasend_vault::{FileEpoch, StoreOptions, Vault, VaultOptions};
use wasend_whatsapp::signature::sign;
use wasend_whatsapp::simulator::{
    MemoryLines, RecipientScript, RunningSimulator, SimulatedBehaviour, SimulatedLine, Simulator, SimulatorOptions,
};
use wasend_whatsapp::{CloudApi, CloudApiOptions, MetaGateway};

const TOKEN: &str = "EAAJB-simulated";
const SECRET: &str = "app-secret";
const WORLD_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs as time does, and can be moved forward.
pub struct TestClock {
    start: Instant,
    offset: AtomicI64,
}

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.offset.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        let moved = Time::from_micros(1_800_000_000_000_000 + self.offset.load(Ordering::SeqCst));
        moved.plus(self.start.elapsed())
    }
}

pub struct World {
    pub clock: Arc<TestClock>,
    pub meta: RunningSimulator,
    pub commands: Arc<Commands>,
    pub projector: Arc<Projector>,
    pub caller: Caller,
    pub number: NumberId,
    gateway: Arc<dyn MetaGateway>,
    lines: Arc<MemoryLines>,
    leases: Leases,
    db: Db,
    models: Db,
    server: Option<Server>,
    directory: TempDir,
}

/// A Postgres server with a database for this test alone.
struct Server {
    url: Url,
    database: String,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "where the test server is, is said by the environment")]
    async fn with_database() -> Self {
        let url = std::env::var("WASEND_TEST_POSTGRES").expect("WASEND_TEST_POSTGRES is the URL of a test server");
        let database = format!("wasend_dispatch_{}", NumberId::random().uuid().simple());
        let server = Self { url: url.parse().unwrap(), database };
        server.execute(&format!("CREATE DATABASE {}", server.database)).await;
        server
    }

    fn database_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_path(&self.database);
        url.to_string()
    }

    async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(self.url.as_str()).await.unwrap();
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
        connection.close().await.unwrap();
    }
}

fn line(phone_number_id: &str, access_token: &str) -> SimulatedLine {
    SimulatedLine {
        phone_number_id: phone_number_id.into(),
        waba_id: "419561257915477".into(),
        display_phone_number: "15550783881".into(),
        access_token: access_token.into(),
        app_secret: SECRET.into(),
    }
}

pub fn options() -> DispatchOptions {
    let short = Duration::from_millis(50);
    DispatchOptions {
        lease: Duration::from_millis(900),
        waits: RetryWaits { first: short, ..RetryWaits::default() },
        tick: short,
        store_pause: short,
        seed: Some(1),
        ..DispatchOptions::default()
    }
}

impl World {
    pub async fn sqlite() -> Self {
        Self::new(None).await
    }

    pub async fn postgres() -> Self {
        Self::new(Some(Server::with_database().await)).await
    }

    /// Ends everything in order, and takes the database away.
    pub async fn close(self) {
        self.projector.shutdown().await;
        self.commands.log.close().await;
        self.commands.vault.close().await;
        self.models.close().await;
        self.db.close().await;
        if let Some(server) = self.server {
            server.execute(&format!("DROP DATABASE {} WITH (FORCE)", server.database)).await;
        }
        self.directory.close().unwrap();
    }

    async fn new(server: Option<Server>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock { start: Instant::now(), offset: AtomicI64::new(0) });
        let lines = Arc::new(MemoryLines::default());
        let seconds = Arc::clone(&clock);
        let unix = Arc::new(move || seconds.now().micros() / 1_000_000);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let meta = Simulator::start(listener, SimulatorOptions::new(lines.clone(), unix)).unwrap();

        let file = directory.path().join("wasend.db").to_str().unwrap().to_owned();
        let url = server.as_ref().map_or(file, Server::database_url);
        let db = Db::open(&url, &DbOptions::default()).await.unwrap();
        let models = db.models(&DbOptions::default()).await.unwrap();
        let log: Arc<dyn EventLog> =
            Arc::new(SqlLog::open(db.clone(), clock.clone(), UpcasterChain::released()).await.unwrap());
        let projections = wasend_projections::all();
        let projector =
            Projector::start(models.clone(), log.clone(), projections, clock.clone(), ProjectorOptions::default())
                .await
                .unwrap();
        let epoch = Arc::new(FileEpoch::in_directory(&directory.path().join("keys")));
        let store = match &server {
            Some(server) => StoreOptions::Postgres(server.database_url()),
            None => StoreOptions::Sqlite(directory.path().join("vault.db")),
        };
        let vault = VaultOptions { store, epoch, clock: clock.clone(), cached_keys: 10_000 };
        let vault = Vault::start(vault).await.unwrap();
        let reads = projector.reads().clone();
        let gateway: Arc<dyn MetaGateway> = Arc::new(CloudApi::new(&CloudApiOptions::default()).unwrap());
        let ways = Arc::new(SenderCredentials::new(reads.clone(), vault.clone(), meta.base_url.clone(), vec![]));
        let templates = TemplateCatalog::new(gateway.clone(), ways.clone(), clock.clone());
        let (uploads, clock_of) = (wasend_projections::uploads::UploadStore::new(db.clone()), clock.clone());
        let commands = Arc::new(Commands {
            log,
            vault,
            holds: SendingHolds::new(reads.clone()),
            reads,
            lines: ways,
            templates,
            keywords: ConsentKeywords::new(&["STOP".into()], &["START".into()]),
            uploads,
            upload_limit: 1 << 20,
            clock: clock_of,
        });
        let opened = commands.open_account("Acme").await.unwrap();
        let caller = Caller { account_id: opened.value.0, actor: Actor::Operator };
        let mut world = Self {
            number: NumberId::random(),
            leases: Leases::new(models.clone()),
            db,
            models,
            server,
            clock,
            meta,
            commands,
            projector,
            caller,
            gateway,
            lines,
            directory,
        };
        world.number = world.connect("106540352242922").await;
        world
    }

    pub async fn connect(&self, phone_number_id: &str) -> NumberId {
        self.lines.put(line(phone_number_id, TOKEN));
        let number = ConnectNumber {
            phone_number_id: phone_number_id.into(),
            waba_id: "419561257915477".into(),
            display: "+1 555 078 3881".into(),
            access_token: Personal::new(TOKEN.into()),
            app_secret: Personal::new(SECRET.into()),
            verify_token: Personal::new("verify".into()),
            base_url: None,
            rate: None,
        };
        let done = self.commands.connect_number(self.caller, number).await.unwrap();
        self.projector.wait_for(done.position, WORLD_TIMEOUT).await.unwrap();
        done.value
    }

    /// Meta accepts another token than the one that we know, or ours again.
    pub fn revoke_token(&self, revoked: bool) {
        self.lines.put(line("106540352242922", if revoked { "another" } else { TOKEN }));
    }

    fn context(&self, commands: &Arc<Commands>) -> ProcessorContext {
        let (commands, gateway) = (commands.clone(), self.gateway.clone());
        ProcessorContext { commands, gateway, projector: self.projector.clone(), leases: self.leases.clone() }
    }

    pub fn dispatcher(&self, options: DispatchOptions) -> Dispatcher {
        Dispatcher::start(&self.context(&self.commands), options)
    }

    pub fn runners(&self) -> MessageTimers {
        let options = TimerOptions { tick: Duration::from_millis(50), ..TimerOptions::default() };
        MessageTimers::start(&self.context(&self.commands), options)
    }

    /// The same commands on another way to the log.
    pub fn over(&self, log: Arc<dyn EventLog>) -> Arc<Commands> {
        let Commands { vault, reads, lines, keywords, uploads, upload_limit, clock, .. } = &*self.commands;
        Arc::new(Commands {
            log,
            vault: vault.clone(),
            reads: reads.clone(),
            holds: SendingHolds::new(reads.clone()),
            lines: lines.clone(),
            templates: TemplateCatalog::new(self.gateway.clone(), lines.clone(), clock.clone()),
            keywords: keywords.clone(),
            uploads: uploads.clone(),
            upload_limit: *upload_limit,
            clock: clock.clone(),
        })
    }

    pub fn importer(&self, commands: &Arc<Commands>, options: &ImportOptions) -> Importer {
        Importer::start(&self.context(commands), options.clone())
    }

    pub fn erasures(&self, commands: &Arc<Commands>) -> ErasureProcessor {
        let options = ErasureOptions { tick: Duration::from_millis(50), ..ErasureOptions::default() };
        ErasureProcessor::start(&self.context(commands), options)
    }

    pub fn retention(&self) -> RetentionProcessor {
        let options = RetentionOptions { tick: Duration::from_millis(20), ..RetentionOptions::default() };
        RetentionProcessor::start(&self.context(&self.commands), options)
    }

    /// So many cases, and a third of them on Postgres, where each takes longer.
    pub const fn share(&self, cases: usize) -> usize {
        if self.server.is_some() { cases.div_ceil(3) } else { cases }
    }

    /// Another account on the same server.
    pub async fn account(&self) -> Caller {
        let opened = self.commands.open_account("Another").await.unwrap();
        self.projector.wait_for(opened.position, WORLD_TIMEOUT).await.unwrap();
        Caller { account_id: opened.value.0, actor: Actor::Operator }
    }

    /// A person writes to the number.
    pub async fn inbound(&self, wa_id: &str, texts: &[String]) {
        let message = |text: &String| {
            let id = format!("wamid.{}", MessageId::random());
            json!({"from": wa_id, "id": id, "timestamp": "1800000000", "type": "text", "text": {"body": text}})
        };
        let messages: Vec<_> = texts.iter().map(message).collect();
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Somebody"}, "wa_id": wa_id}],
            "messages": messages,
        });
        let changes = json!([{"field": "messages", "value": value}]);
        let body =
            json!({"object": "whatsapp_business_account", "entry": [{"id": "419561257915477", "changes": changes}]});
        self.webhook(&body.to_string()).await;
    }

    /// Meta reports, signed for the number.
    pub async fn webhook(&self, body: &str) -> UpdateCounts {
        let signature = sign(SECRET, body.as_bytes());
        self.commands.take_webhook(body.as_bytes(), Some(&signature)).await.unwrap()
    }

    pub fn script(&self, recipient: &str, behaviours: Vec<SimulatedBehaviour>) {
        let script = RecipientScript { recipient: recipient.into(), behaviours, times: None };
        self.meta.simulator().script(script).unwrap();
    }

    pub async fn send(&self, to: &str) -> MessageId {
        self.send_from(self.number, to).await
    }

    pub async fn send_from(&self, number: NumberId, to: &str) -> MessageId {
        let text = TextDraft { body: Personal::new("hello".into()), preview_url: false };
        let message = SendMessage {
            number_id: number.to_string(),
            to: SendTarget::Address(Personal::new(to.into())),
            content: ContentDraft { text: Some(text), template: None },
            idempotency_key: None,
        };
        let accepted = self.commands.send_messages(self.caller, vec![message]).await.unwrap().remove(0).unwrap();
        accepted.row.id.parse().unwrap()
    }

    pub async fn contact(&self, phone: &str) -> SubjectId {
        let input = ContactInput { phone: Some(Personal::new(phone.into())), ..ContactInput::default() };
        let done = self.commands.create_contact(self.caller, input).await.unwrap();
        done.value
    }

    pub async fn state(&self, message: MessageId) -> Message {
        let mut found = load(&*self.commands.log, self.caller.account_id, &[message.uuid()]).await.unwrap();
        found.remove(&message.uuid()).and_then(StreamLookup::present).unwrap().state
    }

    /// Waits until the message is as it should be.
    pub async fn until(&self, message: MessageId, holds: impl Fn(&Message) -> bool) -> Message {
        let wait = async {
            loop {
                let state = self.state(message).await;
                if holds(&state) {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let Ok(state) = tokio::time::timeout(WORLD_TIMEOUT, wait).await else {
            panic!("it did not come to pass: {:?}", self.state(message).await);
        };
        state
    }

    pub async fn until_status(&self, message: MessageId, status: DeliveryStatus) -> Message {
        self.until(message, |state| state.status() == status).await
    }

    /// How often Meta took each message.
    pub fn taken(&self, message: MessageId) -> u64 {
        self.meta.simulator().summary(0).counts.get(&message.to_string()).copied().unwrap_or(0)
    }

    /// Waits until something is so.
    pub async fn eventually<F: Future<Output = bool>>(&self, holds: impl Fn() -> F) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WORLD_TIMEOUT, wait).await.expect("it did not come to pass");
    }
}
