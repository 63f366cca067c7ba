//! The rooms put together: stores, read models, the way to Meta, commands. What `serve`, `demo` and the tools of the
//! command line stand on.

mod clock;
mod files;
mod keys;
mod ready;
mod simulated;
mod stores;
mod webhook;
mod welcome;

use std::sync::Arc;

use tokio::net::TcpListener;
use url::Url;
use wasend_commands::{Commands, Keywords, Lines, Templates};
use wasend_projections::uploads::Uploads;
use wasend_projections::{Leases, Options, Projector};
use wasend_whatsapp::simulator::{Delays, RunningSimulator, Simulator, SimulatorOptions};
use wasend_whatsapp::{CloudApi, CloudApiOptions, Gateway};

pub use clock::SystemClock;
pub use files::files;
pub use keys::Keys;
pub use ready::Ready;
pub use stores::Stores;
pub use webhook::routes;
pub use welcome::{Welcome, next_steps, simulated_number, welcome};

use crate::cli::Failure;
use crate::config::Config;

/// Everything but the doors.
pub struct House {
    pub stores: Stores,
    pub projector: Arc<Projector>,
    pub commands: Arc<Commands>,
    pub gateway: Arc<dyn Gateway>,
    pub leases: Leases,
    /// Stands in for Meta, unless a real one is configured.
    pub simulator: Option<RunningSimulator>,
}

impl House {
    /// Opens the stores, starts the read models and, where no real Meta is configured, the simulator.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let stores = Stores::open(&config.storage).await?;
        let projector = Projector::start(
            stores.db.clone(),
            stores.log.clone(),
            wasend_projections::all(),
            stores.clock.clone(),
            Options::default(),
        )
        .await
        .map_err(|error| Failure::because("the read models cannot start", &error))?;
        let reads = projector.reads().clone();
        let (base_url, listener) = meta(config).await?;
        let allowed = config.meta.allowed_base_urls.clone();
        let lines = Arc::new(Lines::new(reads.clone(), stores.vault.clone(), base_url, allowed));
        let simulator = match listener {
            Some(listener) => Some(simulate(config, listener, &stores, &lines)?),
            None => None,
        };
        let options = CloudApiOptions { total_timeout: config.meta.timeout, ..CloudApiOptions::default() };
        let gateway = CloudApi::new(&options);
        let gateway: Arc<dyn Gateway> =
            Arc::new(gateway.map_err(|error| Failure::because("the HTTP client cannot start", &error))?);
        let commands = Arc::new(Commands {
            log: stores.log.clone(),
            vault: stores.vault.clone(),
            reads,
            templates: Templates::new(gateway.clone(), lines.clone(), stores.clock.clone()),
            lines,
            keywords: Keywords::new(&config.contacts.stop_words, &config.contacts.start_words),
            uploads: Uploads::new(stores.db.clone()),
            upload_limit: config.imports.max_file as u64,
            clock: stores.clock.clone(),
        });
        // Before anybody can ask for anything.
        wasend_processors::erasure::repeat(&commands, &projector)
            .await
            .map_err(|error| Failure::because("what was erased cannot be compared with the vault", &error))?;
        let leases = Leases::new(stores.db.clone());
        Ok(Self { stores, projector, commands, gateway, leases, simulator })
    }

    /// Stops the read models and the simulator, then closes the stores.
    pub async fn close(self) {
        if let Some(simulator) = self.simulator
            && let Err(error) = simulator.shutdown().await
        {
            tracing::warn!(%error, "the simulator did not stop cleanly");
        }
        self.projector.shutdown().await;
        self.stores.close().await;
    }
}

/// Where Meta is: the configured root, or a simulator about to listen.
async fn meta(config: &Config) -> Result<(Url, Option<TcpListener>), Failure> {
    if let Some(url) = &config.meta.base_url {
        return Ok((url.clone(), None));
    }
    let cannot = |error: &dyn std::error::Error| Failure::because("the simulator cannot listen", error);
    let listener = TcpListener::bind(config.simulator.listen.0).await.map_err(|error| cannot(&error))?;
    let address = listener.local_addr().map_err(|error| cannot(&error))?;
    let url = Url::parse(&format!("http://{address}/")).map_err(|error| cannot(&error))?;
    Ok((url, Some(listener)))
}

fn simulate(
    config: &Config,
    listener: TcpListener,
    stores: &Stores,
    lines: &Arc<Lines>,
) -> Result<RunningSimulator, Failure> {
    let clock = stores.clock.clone();
    let seconds = Arc::new(move || clock.now().micros() / 1_000_000);
    let mut options = SimulatorOptions::new(Arc::new(simulated::Connected(lines.clone())), seconds);
    let delay = config.simulator.delay;
    options.delays = Delays { sent: delay, delivered: delay, read: delay, held: delay };
    Simulator::start(listener, options).map_err(|error| Failure::because("the simulator cannot start", &error))
}
