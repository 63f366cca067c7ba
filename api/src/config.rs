//! Settings: one table of them ([`table`]), read from a file, the environment and flags ([`mod@load`]), and printed as a
//! reference ([`mod@reference`]). The rest of the program sees typed values only.

mod load;
mod parse;
mod reference;
mod table;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::HeaderValue;
use url::Url;

pub use load::{ConfigError, ConfigErrors, ConfigSources, load};
pub use reference::reference;
pub use table::{SETTINGS, Setting};

/// Everything that can be set.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub http: HttpConfig,
    /// Prints the key of a first start also where no terminal shows it.
    pub print_first_key: bool,
    pub storage: StorageConfig,
    pub meta: MetaConfig,
    pub simulator: SimulatorConfig,
    pub dispatch: DispatchConfig,
    pub contacts: ContactsConfig,
    pub imports: ImportsConfig,
    pub webhooks: WebhooksConfig,
    pub vault: VaultConfig,
    pub graphql: GraphqlConfig,
    pub limits: LimitsConfig,
    pub log: LogConfig,
}

/// The server's listener and its limits.
#[derive(Debug, Clone, Default)]
pub struct HttpConfig {
    pub listen: ListenAddress,
    /// The address under which clients and Meta reach this server.
    pub public_url: Option<Url>,
    /// A separate address for `/metrics`.
    pub metrics_listen: Option<ListenAddress>,
    /// Origins of pages that may call the server from a browser; none unless they are named.
    pub cors_origins: CorsOrigins,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    /// Bytes.
    pub webhook_body_limit: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub shutdown_grace: Duration,
}

/// Whose pages may call the server from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    #[default]
    None,
    Any,
    Listed(Vec<HeaderValue>),
}

/// Where log, read models, vault and epoch keys are stored.
#[derive(Debug, Clone, Default)]
pub struct StorageConfig {
    pub data_dir: PathBuf,
    /// SQLite in `data_dir` when absent.
    pub database_url: Option<DatabaseUrl>,
    /// The schema `vault` of the same database (or a second SQLite file) when absent.
    pub vault_database_url: Option<DatabaseUrl>,
    /// `data_dir` when absent.
    pub epoch_key_dir: Option<PathBuf>,
}

/// How Meta's Cloud API is reached.
#[derive(Debug, Clone, Default)]
pub struct MetaConfig {
    /// The built-in simulator when absent.
    pub base_url: Option<Url>,
    /// Further roots that a number may name as its own.
    pub allowed_base_urls: Vec<Url>,
    pub timeout: Duration,
}

/// The built-in stand-in for the Cloud API.
#[derive(Debug, Clone, Default)]
pub struct SimulatorConfig {
    pub enabled: bool,
    pub listen: ListenAddress,
    /// Between the statuses it reports.
    pub delay: Duration,
}

/// How messages are handed to Meta, and when they are given up.
#[derive(Debug, Clone, Default)]
pub struct DispatchConfig {
    pub concurrency: usize,
    pub max_attempts: u32,
    pub backoff_base: Duration,
    pub backoff_max: Duration,
    /// After this long without word from Meta an unknown outcome is surfaced.
    pub reconcile_window: Duration,
    pub message_ttl: Duration,
}

/// What inbound messages mean for contacts.
#[derive(Debug, Clone, Default)]
pub struct ContactsConfig {
    /// Messages that opt their sender out.
    pub stop_words: Vec<String>,
    /// Messages that opt their sender in again.
    pub start_words: Vec<String>,
}

/// Limits of uploaded files, and how long they and their reports are kept.
#[derive(Debug, Clone, Default)]
pub struct ImportsConfig {
    /// Bytes.
    pub max_file: usize,
    pub max_rows: u64,
    pub report_ttl: Duration,
    pub upload_ttl: Duration,
}

/// What Meta reports.
#[derive(Debug, Clone, Default)]
pub struct WebhooksConfig {
    /// How long after the end of its day what is not understood is kept.
    pub unknown_ttl: Duration,
}

/// When the vault's key-encryption key is replaced.
#[derive(Debug, Clone, Default)]
pub struct VaultConfig {
    /// How long after something was destroyed its epoch ends; only by hand when absent.
    pub rotate_after: Option<Duration>,
}

/// Limits of one GraphQL request and of one WebSocket.
#[derive(Debug, Clone, Default)]
pub struct GraphqlConfig {
    pub max_depth: usize,
    pub max_complexity: usize,
    /// Operations in one HTTP request; 1 turns batches off.
    pub max_batch: usize,
    pub max_tokens: usize,
    pub body_limit: usize,
    /// Bytes of one WebSocket message.
    pub message_limit: usize,
    /// Running at once on one WebSocket.
    pub max_subscriptions: usize,
    pub init_timeout: Duration,
    pub keep_alive: Duration,
}

/// What one account may use at once, and all together.
#[derive(Debug, Clone, Default)]
pub struct LimitsConfig {
    pub max_operations: usize,
    pub max_streams: usize,
    /// Bytes.
    pub body_memory: usize,
}

/// What is logged, and in which form.
#[derive(Debug, Clone, Default)]
pub struct LogConfig {
    /// A level, or directives of tracing-subscriber's `EnvFilter`.
    pub filter: String,
    pub format: LogFormat,
}

/// The form of log lines on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Pretty,
    Json,
}

/// An address to listen on; port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl Default for ListenAddress {
    fn default() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

/// The URL of a database. It may hold a password, so it never prints more than its scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Looks at the URL, password and all.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it names a PostgreSQL server; else it names a SQLite file.
    pub fn is_postgres(&self) -> bool {
        self.0.starts_with("postgres")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[secret]", self.0.split(':').next().unwrap_or_default())
    }
}

impl Config {
    /// What no single setting can tell: whether they fit together.
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.meta.base_url.is_none() && !self.simulator.enabled {
            found.push(("meta.base_url", "is needed when simulator.enabled is false".to_owned()));
        }
        if self.dispatch.backoff_base > self.dispatch.backoff_max {
            found.push(("dispatch.backoff_base", "must not be longer than dispatch.backoff_max".to_owned()));
        }
        let (log, vault) = (&self.storage.database_url, &self.storage.vault_database_url);
        if let (Some(vault), log) = (vault, log)
            && vault.is_postgres() != log.as_ref().is_some_and(DatabaseUrl::is_postgres)
        {
            found.push(("vault_database_url", "must name the same kind of database as database_url".to_owned()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_keeps_its_password_to_itself() {
        let url = DatabaseUrl("postgres://wasend:hunter2@db/wasend".to_owned());
        assert_eq!(format!("{url:?}"), "postgres:[secret]");
    }
}
