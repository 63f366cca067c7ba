//! `wasend serve`: starts everything, listens, and shuts down in order.

use std::{io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use wasend_domain::NumberId;
use wasend_processors::{
    DispatchOptions, ErasureOptions, ImportLimits, ImportOptions, ProcessorContext, ProcessorOptions, RetentionOptions,
    RetryWaits, RotationOptions, RunningProcessors, TimerOptions,
};

use super::CliFailure;
use crate::{
    auth::KeyAuthenticator,
    bootstrap::{
        ApiKeyStore, App, AppReadiness, FirstRun, KeyHandover, first_number, later_steps, next_steps, welcome,
    },
    config::{self, Config, ListenAddress},
    graphql::{
        GraphqlState, build_schema,
        transport::{GraphqlEngine, SchemaEngine},
    },
    http::{self, AccountQuotas, HttpState, Readiness, ServerLifecycle, fd_limit, server},
    routes::{self, AppState},
    telemetry,
};

/// What a server consists of, running.
struct ServerParts {
    engine: Arc<dyn GraphqlEngine>,
    authenticator: Arc<dyn KeyAuthenticator>,
    readiness: Arc<dyn Readiness>,
    quotas: Arc<AccountQuotas>,
    processors: RunningProcessors,
    app: App,
}

/// A server that listens.
pub struct RunningServer {
    /// Root of the server, as seen from this machine.
    pub url: Url,
    pub simulator: Option<Url>,
    /// What a first start opened.
    pub welcome: Option<FirstRun>,
    /// A number with which a later start shows its examples.
    pub known_number: Option<NumberId>,
    pub life: ServerLifecycle,
    /// Why nothing but `/healthz` and `/readyz` is served, if that is so.
    pub held: Option<String>,
    /// Serves until the word to stop, then closes the stores.
    pub doors: BoxFuture<'static, ()>,
}

/// How often the metrics' histograms are condensed.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until SIGINT or SIGTERM; a second one ends the process at once.
pub async fn run(config: Config) -> Result<(), CliFailure> {
    telemetry::log(&config.log).map_err(|error| CliFailure::because("logging cannot start", &error))?;
    let public = config.http.public_url.clone().map(directory);
    let (directory_of_key, printed) = (config.storage.data_dir.clone(), config.print_first_key);
    let RunningServer { url, simulator, welcome, known_number, life, held, doors } = start(config).await?;
    // A script that starts it reads these lines; the last one says that it is ready.
    if let Some(simulator) = &simulator {
        println!("Simulator of Meta on {simulator}");
    }
    if let Some(welcome) = &welcome {
        // What a service prints is kept by journals and shown to their readers.
        let handover = if printed || std::io::stdout().is_terminal() {
            KeyHandover::Printed
        } else {
            KeyHandover::file(&directory_of_key, welcome).map_err(|error| unwritten(&error))?
        };
        print!("{}", next_steps(welcome, public.as_ref().unwrap_or(&url), simulator.as_ref(), &handover));
    }
    if let Some(number) = known_number {
        print!("{}", later_steps(number, public.as_ref().unwrap_or(&url), simulator.as_ref()));
    }
    match held {
        Some(why) => {
            tracing::error!(%why, "nothing is served, and /readyz says why");
            println!("Not serving; {url}readyz says why");
        }
        None => println!("Listening on {url}"),
    }
    tokio::select! {
        () = doors => Ok(()),
        result = second_signal(&life) => result,
    }
}

fn unwritten(error: &std::io::Error) -> CliFailure {
    let what = "the first API key cannot be written to the data directory (make another: wasend account create)";
    CliFailure::because(what, error)
}

/// Opens the stores and starts everything. It listens from the beginning: `/healthz` answers, and `/readyz` says
/// that nothing else does yet, or why nothing will.
pub async fn start(config: Config) -> Result<RunningServer, CliFailure> {
    let metrics = telemetry::metrics().map_err(|error| CliFailure::because("metrics cannot start", &error))?;
    let life = ServerLifecycle::default();
    // Listen first: a port that is taken is told before a store is opened.
    let listener = bind(config.http.listen).await?;
    let metrics_listener = match config.http.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let url = root(&listener)?;
    let limits = Arc::new(config::HttpConfig {
        max_connections: fd_limit::connections(config.http.max_connections),
        ..config.http.clone()
    });
    let (router, current) = watch::channel(http::opening::router("the stores are being opened"));
    let router_now = move || current.borrow().clone();
    let address = listener.local_addr().ok();
    let serving = server::serve(listener, router_now, limits.clone(), life.clone());
    let main = MainListener { router, serving: AbortOnDropHandle::new(tokio::spawn(serving)), address };
    let mut app = match App::open(&config).await {
        Err(CliFailure::Damaged(why)) => return Ok(serve_failure(url, life, main, why)),
        opened => opened?,
    };
    app.wait_until_ready(&config).await?;
    let welcome = welcome(&app).await?;
    let known_number = if welcome.is_none() { first_number(&app).await? } else { None };
    let simulator = app.simulator.as_ref().map(|simulator| simulator.control_url(".."));
    if let Some(running) = &app.simulator {
        let hook =
            url.join("webhooks/whatsapp").map_err(|error| CliFailure::because("the webhook has no URL", &error))?;
        running.simulator().set_webhook_url(Some(hook));
    }
    let rooms = rooms(&config, app);
    let doors = run_server(&config, rooms, metrics, life.clone(), main, (metrics_listener, limits)).boxed();
    Ok(RunningServer { url, simulator, welcome, known_number, life, held: None, doors })
}

/// What listens at `listen`, and what it answers with.
struct MainListener {
    router: watch::Sender<Router>,
    serving: AbortOnDropHandle<()>,
    address: Option<SocketAddr>,
}

/// A server that says why it does not serve: to end would make an orchestrator start it again and again.
fn serve_failure(url: Url, life: ServerLifecycle, main: MainListener, why: String) -> RunningServer {
    drop(main.router.send_replace(http::opening::router(&why)));
    let doors = async move {
        drop(main.serving.await);
    };
    RunningServer {
        url,
        simulator: None,
        welcome: None,
        known_number: None,
        life,
        held: Some(why),
        doors: doors.boxed(),
    }
}

/// Starts the processors and builds the schema.
fn rooms(config: &Config, app: App) -> ServerParts {
    let reads = app.commands.reads.clone();
    let authenticator = Arc::new(ApiKeyStore::new(reads, app.stores.vault.clone()));
    let readiness = Arc::new(AppReadiness {
        log: app.stores.log.clone(),
        vault: app.stores.vault.clone(),
        projector: app.projector.clone(),
    });
    let state = GraphqlState::new(app.commands.clone(), app.projector.clone(), app.stores.own_writes.clone());
    let engine = Arc::new(SchemaEngine::new(build_schema(state, &config.graphql)));
    let quotas = AccountQuotas::new(&config.limits);
    let context = ProcessorContext {
        commands: app.commands.clone(),
        projector: app.projector.clone(),
        leases: app.leases.clone(),
        gateway: app.gateway.clone(),
    };
    let processors = RunningProcessors::start(&context, processing(config));
    ServerParts { engine, authenticator, readiness, quotas, processors, app }
}

fn processing(config: &Config) -> ProcessorOptions {
    ProcessorOptions {
        dispatch: dispatching(config),
        timers: running(config),
        // Later than the dispatcher itself gives a call up for lost.
        erasure: ErasureOptions { settled_after: config.meta.timeout * 8, ..ErasureOptions::default() },
        rotation: RotationOptions { after: config.vault.rotate_after, ..RotationOptions::default() },
        retention: RetentionOptions { unknown_webhooks: config.webhooks.unknown_ttl, ..RetentionOptions::default() },
        imports: importing(config),
    }
}

fn importing(config: &Config) -> ImportOptions {
    let (settings, options) = (&config.imports, ImportOptions::default());
    ImportOptions {
        limits: ImportLimits { rows: settings.max_rows, ..options.limits },
        unused: settings.upload_ttl,
        reports: settings.report_ttl,
        sweep: options.sweep.min(settings.upload_ttl).min(settings.report_ttl),
        ..options
    }
}

fn dispatching(config: &Config) -> DispatchOptions {
    let settings = &config.dispatch;
    let options = DispatchOptions::default();
    DispatchOptions {
        calls: settings.concurrency,
        // The gateway gives up first, and knows why.
        call_timeout: config.meta.timeout * 2,
        orphan_after: config.meta.timeout * 6,
        max_attempts: settings.max_attempts,
        waits: RetryWaits { first: settings.backoff_base, longest: settings.backoff_max, ..options.waits },
        ..options
    }
}

fn running(config: &Config) -> TimerOptions {
    let reconcile_after = config.dispatch.reconcile_window;
    let options = TimerOptions::default();
    TimerOptions {
        tick: options.tick.min(reconcile_after / 2),
        reconcile_after,
        message_ttl: config.dispatch.message_ttl,
        ..options
    }
}

/// With a slash at the end, so that paths can be appended.
fn directory(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

/// The server's root as this machine reaches it.
fn root(listener: &TcpListener) -> Result<Url, CliFailure> {
    let address = listener.local_addr().map_err(|error| CliFailure::because("the listener has no address", &error))?;
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Url::parse(&format!("http://{host}:{}/", address.port()))
        .map_err(|error| CliFailure::because("the listener has no URL", &error))
}

async fn bind(address: ListenAddress) -> Result<TcpListener, CliFailure> {
    let listener = TcpListener::bind(address.0).await;
    listener.map_err(|error| CliFailure::because(&format!("cannot listen on {}", address.0), &error))
}

/// Puts the routes behind the listener. The future serves until the word to stop, then waits for what still runs, and
/// closes the stores.
fn run_server(
    config: &Config,
    rooms: ServerParts,
    metrics: PrometheusHandle,
    life: ServerLifecycle,
    main: MainListener,
    (metrics_listener, limits): (Option<TcpListener>, Arc<config::HttpConfig>),
) -> impl Future<Output = ()> + Send + use<> {
    let shell = HttpState {
        engine: rooms.engine,
        authenticator: rooms.authenticator,
        readiness: rooms.readiness,
        metrics: metrics.clone(),
        http: limits.clone(),
        graphql: Arc::new(config.graphql.clone()),
        life: life.clone(),
        quotas: rooms.quotas,
        documents: Arc::default(),
        persisted: Arc::default(),
        own_writes: rooms.app.stores.own_writes.clone(),
    };
    let state = AppState { shell: shell.clone(), commands: rooms.app.commands.clone() };
    drop(main.router.send_replace(routes::router(state)));
    tracing::info!(address = ?main.address, "listening");
    let shutdown_grace = config.http.shutdown_grace;
    async move {
        let side = async {
            if let Some(listener) = metrics_listener {
                let router = http::metrics_router(shell);
                server::serve(listener, move || router.clone(), limits, life.clone()).await;
            }
        };
        let upkeep = async {
            let mut tick = tokio::time::interval(METRICS_UPKEEP_INTERVAL);
            loop {
                tick.tick().await;
                metrics.run_upkeep();
            }
        };
        tokio::select! {
            _ = async { tokio::join!(main.serving, side) } => {}
            () = upkeep => {}
        }
        if !life.drained(shutdown_grace).await {
            tracing::warn!("connections were still open when the time to stop was over");
        }
        rooms.processors.shutdown(shutdown_grace).await;
        rooms.app.close().await;
        tracing::info!("stopped");
    }
}

/// The first signal stops the server; comes back with the second.
async fn second_signal(life: &ServerLifecycle) -> Result<(), CliFailure> {
    let cannot = |error| CliFailure::because("signals cannot be received", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut either = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    either().await;
    tracing::info!("stopping");
    life.stop();
    either().await;
    Err(CliFailure::Failed("stopped before everything was finished".to_owned()))
}
