//! Bootstrap: opens the stores, starts the read models, the gateway to Meta and the commands, for `serve`, `demo` and
//! the other subcommands.

mod api_key_store;
mod clock;
mod connected_numbers;
mod first_run;
mod instance_lock;
mod readiness;
mod simulator_port;
mod stores;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;
use wasend_commands::{Commands, ConsentKeywords, SenderCredentials, SendingHolds, TemplateCatalog};
use wasend_eventlog::Db;
use wasend_processors::erasure::ComparisonRefused;
use wasend_projections::uploads::UploadStore;
use wasend_projections::{Leases, Projector, ProjectorOptions};
use wasend_whatsapp::simulator::{RunningSimulator, Simulator, SimulatorOptions, StatusDelays};
use wasend_whatsapp::{CloudApi, CloudApiOptions, MetaGateway};

pub use api_key_store::ApiKeyStore;
pub use clock::SystemClock;
pub use first_run::{FirstRun, KeyHandover, first_number, later_steps, next_steps, simulated_number, welcome};
use instance_lock::InstanceLock;
pub use readiness::AppReadiness;
use readiness::refuse_damaged_log;
pub use stores::OpenStores;

use crate::cli::CliFailure;
use crate::config::Config;

/// Everything but the listeners.
pub struct App {
    pub stores: OpenStores,
    pub projector: Arc<Projector>,
    pub commands: Arc<Commands>,
    pub gateway: Arc<dyn MetaGateway>,
    pub leases: Leases,
    /// Stands in for Meta, unless a real one is configured.
    pub simulator: Option<RunningSimulator>,
    /// On the embedded store, once it [serves](App::wait_until_ready).
    alone: Option<InstanceLock>,
}

/// How long a start waits for the read models: longer than a node that has died keeps another from folding.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(15);

impl App {
    /// Opens the stores, starts the read models and, where no real Meta is configured, the simulator.
    pub async fn open(config: &Config) -> Result<Self, CliFailure> {
        let (base_url, listener) = meta(config).await?;
        Self::build(config, base_url, listener).await
    }

    /// The same for a command of the terminal, which may run beside a server: it calls no Meta and binds no address.
    pub async fn open_beside(config: &Config) -> Result<Self, CliFailure> {
        let base_url = match &config.meta.base_url {
            Some(url) => url.clone(),
            None => simulator_url(config.simulator.listen.0)?,
        };
        Self::build(config, base_url, None).await
    }

    async fn build(config: &Config, base_url: Url, listener: Option<TcpListener>) -> Result<Self, CliFailure> {
        let stores = OpenStores::open(&config.storage).await?;
        let projector = Projector::start(
            stores.models.clone(),
            stores.log.clone(),
            wasend_projections::all(),
            stores.clock.clone(),
            ProjectorOptions::default(),
        )
        .await
        .map_err(|error| CliFailure::because("the read models cannot start", &error))?;
        let reads = projector.reads().clone();
        let allowed = config.meta.allowed_base_urls.clone();
        let lines = Arc::new(SenderCredentials::new(reads.clone(), stores.vault.clone(), base_url, allowed));
        let simulator = match listener {
            Some(listener) => {
                simulator_port::keep(&config.storage.data_dir, &listener);
                Some(simulate(config, listener, &stores, &lines)?)
            }
            None => None,
        };
        let options = CloudApiOptions { total_timeout: config.meta.timeout, ..CloudApiOptions::default() };
        let gateway = CloudApi::new(&options);
        let gateway: Arc<dyn MetaGateway> =
            Arc::new(gateway.map_err(|error| CliFailure::because("the HTTP client cannot start", &error))?);
        let commands = Arc::new(Commands {
            log: stores.log.clone(),
            vault: stores.vault.clone(),
            holds: SendingHolds::new(reads.clone()),
            reads,
            templates: TemplateCatalog::new(gateway.clone(), lines.clone(), stores.clock.clone()),
            lines,
            keywords: ConsentKeywords::new(&config.contacts.stop_words, &config.contacts.start_words),
            uploads: UploadStore::new(stores.db.clone()),
            upload_limit: config.imports.max_file as u64,
            clock: stores.clock.clone(),
        });
        // Before the first request is served.
        if let Err(failure) = compare(&commands, &projector).await {
            close(simulator, &projector, &stores).await;
            return Err(failure);
        }
        let leases = Leases::new(stores.models.clone());
        Ok(Self { stores, projector, commands, gateway, leases, simulator, alone: None })
    }

    /// Makes ready to serve: comes back when the read models show everything that was acknowledged before, or when
    /// that takes long, as with a projection that is new.
    pub async fn wait_until_ready(&mut self, config: &Config) -> Result<(), CliFailure> {
        let cannot = |error: &dyn std::error::Error| CliFailure::because("the store cannot be asked", error);
        if let Db::Sqlite(_) = &self.stores.db {
            self.alone = Some(InstanceLock::in_directory(&config.storage.data_dir)?);
            self.leases.end_all().await.map_err(|error| cannot(&error))?;
        }
        let head = self.stores.log.head().await.map_err(|error| cannot(&error))?;
        if self.projector.wait_for(head, CATCH_UP_TIMEOUT).await.is_err() {
            tracing::warn!("the read models have not caught up yet; what they show is old");
        }
        Ok(())
    }

    /// Stops the read models and the simulator, then closes the stores.
    pub async fn close(self) {
        close(self.simulator, &self.projector, &self.stores).await;
    }
}

async fn close(simulator: Option<RunningSimulator>, projector: &Projector, stores: &OpenStores) {
    if let Some(simulator) = simulator
        && let Err(error) = simulator.shutdown().await
    {
        tracing::warn!(%error, "the simulator did not stop cleanly");
    }
    projector.shutdown().await;
    stores.close().await;
}

/// Compares the vault with the log. Refuses what only the operator can mend; where the comparison cannot be made yet, the
/// vault stays suspended.
async fn compare(commands: &Commands, projector: &Projector) -> Result<(), CliFailure> {
    let compared = wasend_processors::erasure::reconcile(commands, projector).await;
    refuse_damaged_log(projector).await?;
    let Err(error) = compared else { return Ok(()) };
    if let Some(refused) = ComparisonRefused::behind(&error).filter(|refused| refused.is_final()) {
        return Err(CliFailure::Damaged(refused.to_string()));
    }
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, cause, "the vault stays suspended: what was erased cannot be compared with its store yet");
    Ok(())
}

/// Where Meta is: the configured root, or a simulator about to listen.
async fn meta(config: &Config) -> Result<(Url, Option<TcpListener>), CliFailure> {
    if let Some(url) = &config.meta.base_url {
        return Ok((url.clone(), None));
    }
    let cannot = |error: &dyn std::error::Error| CliFailure::because("the simulator cannot listen", error);
    let listener = simulator_port::bind(&config.storage.data_dir, config.simulator.listen.0).await;
    let listener = listener.map_err(|error| cannot(&error))?;
    let address = listener.local_addr().map_err(|error| cannot(&error))?;
    Ok((simulator_url(address)?, Some(listener)))
}

fn simulator_url(address: SocketAddr) -> Result<Url, CliFailure> {
    Url::parse(&format!("http://{address}/")).map_err(|error| CliFailure::because("the simulator has no URL", &error))
}

fn simulate(
    config: &Config,
    listener: TcpListener,
    stores: &OpenStores,
    lines: &Arc<SenderCredentials>,
) -> Result<RunningSimulator, CliFailure> {
    let clock = stores.clock.clone();
    let seconds = Arc::new(move || clock.now().micros() / 1_000_000);
    let mut options = SimulatorOptions::new(Arc::new(connected_numbers::ConnectedNumbers(lines.clone())), seconds);
    let delay = config.simulator.delay;
    options.delays = StatusDelays { sent: delay, delivered: delay, read: delay, held: delay };
    Simulator::start(listener, options).map_err(|error| CliFailure::because("the simulator cannot start", &error))
}
