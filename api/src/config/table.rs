//! The one table of settings.

use std::time::Duration;

use super::{
    Config,
    parse::{self, ParseResult},
};

/// One setting: a row of the table, of the reference and of `wasend.toml`.
pub struct Setting {
    /// Its name in the file; a dot stands for a section.
    pub name: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// The default, in the form in which it is written in a file or in the environment.
    pub default: Option<&'static str>,
    pub doc: &'static str,
    /// Whether its value may hold a password, and so never appears in an error.
    pub secret: bool,
    pub(super) set: fn(&mut Config, &str) -> ParseResult<()>,
}

type SettingSetter = fn(&mut Config, &str) -> ParseResult<()>;

const fn row(
    name: &'static str,
    env: &'static str,
    default: &'static str,
    doc: &'static str,
    set: SettingSetter,
) -> Setting {
    Setting { name, env, default: Some(default), doc, secret: false, set }
}

/// A setting whose absence has a meaning, which `doc` tells.
const fn optional(name: &'static str, env: &'static str, doc: &'static str, set: SettingSetter) -> Setting {
    Setting { name, env, default: None, doc, secret: false, set }
}

/// An optional setting that may hold a password.
const fn secret(name: &'static str, env: &'static str, doc: &'static str, set: SettingSetter) -> Setting {
    Setting { name, env, default: None, doc, secret: true, set }
}

fn put<T>(slot: &mut T, value: ParseResult<T>) -> ParseResult<()> {
    *slot = value?;
    Ok(())
}

fn put_some<T>(slot: &mut Option<T>, value: ParseResult<T>) -> ParseResult<()> {
    *slot = Some(value?);
    Ok(())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = secs(1);
const HOUR: Duration = secs(3_600);
const DAY: Duration = secs(86_400);
const MIB: usize = 1 << 20;

/// Every setting, in the order of the reference.
pub const SETTINGS: &[Setting] = &[
    row("listen", "WASEND_LISTEN", "127.0.0.1:8080", "Where the server listens. Port 0 takes a free port.", |c, v| {
        put(&mut c.http.listen, parse::listen(v))
    }),
    row(
        "data_dir",
        "WASEND_DATA_DIR",
        "./data",
        "Directory of the embedded store and of the vault's key file; made if it is missing.",
        |c, v| put(&mut c.storage.data_dir, parse::path(v)),
    ),
    secret(
        "database_url",
        "WASEND_DATABASE_URL",
        "PostgreSQL for the log and the read models, such as `postgres://user:password@host/wasend`. Without it: SQLite in `data_dir`.",
        |c, v| put_some(&mut c.storage.database_url, parse::database_url(v)),
    ),
    secret(
        "vault_database_url",
        "WASEND_VAULT_DATABASE_URL",
        "Database of the vault, so that its backups can follow rules of their own. Without it: the schema `vault` of `database_url`, or a second SQLite file in `data_dir`.",
        |c, v| put_some(&mut c.storage.vault_database_url, parse::database_url(v)),
    ),
    optional(
        "epoch_key_dir",
        "WASEND_EPOCH_KEY_DIR",
        "Directory of the key file that wraps every other key. Keep it on another disk than the database. Without it: `data_dir`.",
        |c, v| put_some(&mut c.storage.epoch_key_dir, parse::path(v)),
    ),
    optional(
        "public_url",
        "WASEND_PUBLIC_URL",
        "Address under which clients reach the server, such as `https://wasend.example.com/`; a first start prints its examples with it. Without it: the address it listens on.",
        |c, v| put_some(&mut c.http.public_url, parse::base_url(v)),
    ),
    row(
        "print_first_key",
        "WASEND_PRINT_FIRST_KEY",
        "false",
        "A first start whose standard output is no terminal (a service, a container) writes the API key to the file `first-api-key` in `data_dir`, mode 0600, and prints where. `true`: it prints the key itself, as on a terminal.",
        |c, v| put(&mut c.print_first_key, parse::flag(v)),
    ),
    optional(
        "metrics_listen",
        "WASEND_METRICS_LISTEN",
        "Serves `/metrics` at a separate address, to all who reach it. Without it: at `listen`, to programs of the same machine alone; a proxy there must not pass the path on.",
        |c, v| put_some(&mut c.http.metrics_listen, parse::listen(v)),
    ),
    row(
        "cors_origins",
        "WASEND_CORS_ORIGINS",
        "",
        "Origins, separated by commas, whose pages may call the server from a browser, such as `https://app.example.com`; `*` for all. An API key in a page is known to its readers.",
        |c, v| put(&mut c.http.cors_origins, parse::cors_origins(v)),
    ),
    row(
        "max_connections",
        "WASEND_MAX_CONNECTIONS",
        "10000",
        "Connections open at once; further ones wait in the kernel's queue. The limit of open files is raised as far as the system lets it be, and fewer connections are taken where it is too low for so many.",
        |c, v| put(&mut c.http.max_connections, parse::number(v, 1, 1_000_000)),
    ),
    row(
        "max_connections_per_address",
        "WASEND_MAX_CONNECTIONS_PER_ADDRESS",
        "5000",
        "Connections that one address may have open; an IPv6 network of 64 bits counts as one. Behind a proxy, which is one address for all clients, set it as high as `max_connections`.",
        |c, v| put(&mut c.http.max_connections_per_address, parse::number(v, 1, 1_000_000)),
    ),
    row(
        "body_memory",
        "WASEND_BODY_MEMORY",
        "256MiB",
        "Memory for the bodies of all requests at once; one account, and all webhooks together, get a quarter of it. The first 16 KiB of each body are free.",
        |c, v| put(&mut c.limits.body_memory, parse::bytes(v, MIB, 1 << 40)),
    ),
    row(
        "header_timeout",
        "WASEND_HEADER_TIMEOUT",
        "15s",
        "How long a client may take to send a request's headers, and how long a connection may idle between requests.",
        |c, v| put(&mut c.http.header_timeout, parse::duration(v, SECOND, HOUR)),
    ),
    row(
        "body_timeout",
        "WASEND_BODY_TIMEOUT",
        "30s",
        "How long a client may take to send a request's body.",
        |c, v| put(&mut c.http.body_timeout, parse::duration(v, SECOND, HOUR)),
    ),
    row(
        "write_timeout",
        "WASEND_WRITE_TIMEOUT",
        "30s",
        "A client that takes in nothing for this long is cut off, also in the middle of a subscription.",
        |c, v| put(&mut c.http.write_timeout, parse::duration(v, SECOND, HOUR)),
    ),
    row(
        "webhook_body_limit",
        "WASEND_WEBHOOK_BODY_LIMIT",
        "4MiB",
        "Largest webhook body. Meta sends up to 3 MB.",
        |c, v| put(&mut c.http.webhook_body_limit, parse::bytes(v, 3 * MIB, 64 * MIB)),
    ),
    row(
        "shutdown_grace",
        "WASEND_SHUTDOWN_GRACE",
        "30s",
        "How long running requests and leased work may take to finish when the server is told to stop.",
        |c, v| put(&mut c.http.shutdown_grace, parse::duration(v, Duration::ZERO, HOUR)),
    ),
    optional(
        "meta.base_url",
        "WASEND_META_BASE_URL",
        "Root of Meta's Cloud API with its version, such as `https://graph.facebook.com/v25.0`. Without it: the built-in simulator.",
        |c, v| put_some(&mut c.meta.base_url, parse::base_url(v)),
    ),
    row(
        "meta.allowed_base_urls",
        "WASEND_META_ALLOWED_BASE_URLS",
        "",
        "Further roots, separated by commas, that a number may name as its own; no other address is ever called with an access token.",
        |c, v| put(&mut c.meta.allowed_base_urls, parse::base_urls(v)),
    ),
    row("meta.timeout", "WASEND_META_TIMEOUT", "30s", "How long one call to Meta may take.", |c, v| {
        put(&mut c.meta.timeout, parse::duration(v, SECOND, secs(600)))
    }),
    row(
        "simulator.enabled",
        "WASEND_SIMULATOR_ENABLED",
        "true",
        "Runs the built-in simulator of the Cloud API when `meta.base_url` is not set.",
        |c, v| put(&mut c.simulator.enabled, parse::flag(v)),
    ),
    row("simulator.listen", "WASEND_SIMULATOR_LISTEN", "127.0.0.1:0", "Where the simulator listens.", |c, v| {
        put(&mut c.simulator.listen, parse::listen(v))
    }),
    row(
        "simulator.delay",
        "WASEND_SIMULATOR_DELAY",
        "200ms",
        "How long the simulator waits before each status that it reports.",
        |c, v| put(&mut c.simulator.delay, parse::duration(v, Duration::ZERO, HOUR)),
    ),
    row("dispatch.concurrency", "WASEND_DISPATCH_CONCURRENCY", "64", "Calls to Meta under way at once.", |c, v| {
        put(&mut c.dispatch.concurrency, parse::number(v, 1, 10_000))
    }),
    row(
        "dispatch.max_attempts",
        "WASEND_DISPATCH_MAX_ATTEMPTS",
        "8",
        "Attempts to hand a message to Meta before it fails; only errors that may pass are tried again.",
        |c, v| put(&mut c.dispatch.max_attempts, parse::number(v, 1, 100)),
    ),
    row(
        "dispatch.backoff_base",
        "WASEND_DISPATCH_BACKOFF_BASE",
        "2s",
        "Wait before the second attempt; it doubles with every further one, with jitter.",
        |c, v| put(&mut c.dispatch.backoff_base, parse::duration(v, MILLISECOND, HOUR)),
    ),
    row("dispatch.backoff_max", "WASEND_DISPATCH_BACKOFF_MAX", "15m", "Longest wait between two attempts.", |c, v| {
        put(&mut c.dispatch.backoff_max, parse::duration(v, MILLISECOND, DAY))
    }),
    row(
        "dispatch.reconcile_window",
        "WASEND_DISPATCH_RECONCILE_WINDOW",
        "15m",
        "A send whose outcome is unknown is surfaced when Meta has not reported on it after this long.",
        |c, v| put(&mut c.dispatch.reconcile_window, parse::duration(v, SECOND, secs(7 * 86_400))),
    ),
    row(
        "dispatch.message_ttl",
        "WASEND_DISPATCH_MESSAGE_TTL",
        "30d",
        "A message that Meta took and has not delivered after this long expires.",
        |c, v| put(&mut c.dispatch.message_ttl, parse::duration(v, SECOND, secs(90 * 86_400))),
    ),
    row(
        "contacts.stop_words",
        "WASEND_CONTACTS_STOP_WORDS",
        "STOP,STOPALL,STOP ALL,UNSUBSCRIBE,OPT OUT,OPTOUT,STOP PROMOTIONS,STOPP,ABMELDEN,ABBESTELLEN,ARRET,ARRETER,DESABONNER,SE DESABONNER,BAJA,PARAR,DARSE DE BAJA,SAIR,CANCELAR INSCRICAO,ANNULLA ISCRIZIONE,DISISCRIVI,AFMELDEN,AFMELD,STOPPA,AVREGISTRERA,WYPISZ,STOPPI,СТОП,ОТПИСАТЬСЯ,DURDUR,ΔΙΑΚΟΠΗ,إيقاف,توقف,הסר,BERHENTI,HENTIKAN,退订,退訂,停止,配信停止,수신거부",
        "Words, separated by commas, with which people opt out. One must be the whole message that a person types, or a template's quick reply; case, accents and the punctuation around it do not matter.",
        |c, v| put(&mut c.contacts.stop_words, parse::words(v)),
    ),
    row(
        "contacts.start_words",
        "WASEND_CONTACTS_START_WORDS",
        "START,UNSTOP",
        "Words, separated by commas, with which people opt in again.",
        |c, v| put(&mut c.contacts.start_words, parse::words(v)),
    ),
    row(
        "imports.max_file",
        "WASEND_IMPORTS_MAX_FILE",
        "256MiB",
        "Largest file that may be uploaded for an import.",
        |c, v| put(&mut c.imports.max_file, parse::bytes(v, 1 << 10, 4_096 * MIB)),
    ),
    row(
        "imports.max_rows",
        "WASEND_IMPORTS_MAX_ROWS",
        "1000000",
        "Most rows of one import. Each takes about 50 bytes of memory while the import runs.",
        |c, v| put(&mut c.imports.max_rows, parse::number(v, 1, 100_000_000)),
    ),
    row(
        "imports.report_ttl",
        "WASEND_IMPORTS_REPORT_TTL",
        "7d",
        "How long the report of an import's rows can be downloaded; then its key is destroyed.",
        |c, v| put(&mut c.imports.report_ttl, parse::duration(v, SECOND, secs(90 * 86_400))),
    ),
    row(
        "imports.upload_ttl",
        "WASEND_IMPORTS_UPLOAD_TTL",
        "24h",
        "How long an upload is kept that no import takes.",
        |c, v| put(&mut c.imports.upload_ttl, parse::duration(v, SECOND, secs(30 * 86_400))),
    ),
    row(
        "webhooks.unknown_ttl",
        "WASEND_WEBHOOKS_UNKNOWN_TTL",
        "7d",
        "How long what Meta reports in a form that this version does not understand is kept, sealed, counted from the end of its day (UTC); then the day's key is destroyed, and the vault's epoch ends as after an erasure.",
        |c, v| put(&mut c.webhooks.unknown_ttl, parse::duration(v, SECOND, secs(90 * 86_400))),
    ),
    row(
        "vault.rotate_after",
        "WASEND_VAULT_ROTATE_AFTER",
        "1h",
        "How long after an erasure, or another destruction of a key, the vault's epoch ends: the living keys are wrapped by a new epoch key and the last one is destroyed, so that no older copy of the vault can be opened any more. `off`: only with `wasend vault rotate`. See docs/operations.md on what this means for backups.",
        |c, v| put(&mut c.vault.rotate_after, parse::duration_or_off(v, Duration::ZERO, secs(30 * 86_400))),
    ),
    row("graphql.max_depth", "WASEND_GRAPHQL_MAX_DEPTH", "20", "Deepest nesting of an operation's fields.", |c, v| {
        put(&mut c.graphql.max_depth, parse::number(v, 5, 1_000))
    }),
    row(
        "graphql.max_complexity",
        "WASEND_GRAPHQL_MAX_COMPLEXITY",
        "40000",
        "Highest complexity of an operation: the number of its fields, each multiplied by the page sizes around it.",
        |c, v| put(&mut c.graphql.max_complexity, parse::number(v, 100, 10_000_000)),
    ),
    row(
        "graphql.max_batch",
        "WASEND_GRAPHQL_MAX_BATCH",
        "10",
        "Operations in one HTTP request, sent as a JSON array. 1 turns batches off.",
        |c, v| put(&mut c.graphql.max_batch, parse::number(v, 1, 100)),
    ),
    row(
        "graphql.body_limit",
        "WASEND_GRAPHQL_BODY_LIMIT",
        "16MiB",
        "Largest GraphQL request over HTTP; 64 KiB without a key.",
        |c, v| put(&mut c.graphql.body_limit, parse::bytes(v, 16 << 10, 64 * MIB)),
    ),
    row(
        "graphql.message_limit",
        "WASEND_GRAPHQL_MESSAGE_LIMIT",
        "256KiB",
        "Largest message on a WebSocket; larger operations go over HTTP.",
        |c, v| put(&mut c.graphql.message_limit, parse::bytes(v, 16 << 10, 64 * MIB)),
    ),
    row(
        "graphql.max_tokens",
        "WASEND_GRAPHQL_MAX_TOKENS",
        "20000",
        "Tokens of a document: names, values and punctuation. Values belong into variables, which do not count.",
        |c, v| put(&mut c.graphql.max_tokens, parse::number(v, 100, 10_000_000)),
    ),
    row(
        "graphql.max_operations",
        "WASEND_GRAPHQL_MAX_OPERATIONS",
        "256",
        "Operations over HTTP that run at once for one account; further ones wait up to 10 seconds. 16 for all callers without a key together.",
        |c, v| put(&mut c.limits.max_operations, parse::number(v, 1, 1_000_000)),
    ),
    row(
        "graphql.max_streams",
        "WASEND_GRAPHQL_MAX_STREAMS",
        "10000",
        "What an account may have open at once: WebSockets, operations on them, event streams, uploads and exports. 64 for all callers without a key together.",
        |c, v| put(&mut c.limits.max_streams, parse::number(v, 1, 10_000_000)),
    ),
    row(
        "graphql.max_subscriptions",
        "WASEND_GRAPHQL_MAX_SUBSCRIPTIONS",
        "100",
        "Operations that run at once on one WebSocket.",
        |c, v| put(&mut c.graphql.max_subscriptions, parse::number(v, 1, 10_000)),
    ),
    row(
        "graphql.init_timeout",
        "WASEND_GRAPHQL_INIT_TIMEOUT",
        "10s",
        "How long a WebSocket may take to send `connection_init`.",
        |c, v| put(&mut c.graphql.init_timeout, parse::duration(v, MILLISECOND, HOUR)),
    ),
    row(
        "graphql.keep_alive",
        "WASEND_GRAPHQL_KEEP_ALIVE",
        "15s",
        "How often a subscription's connection gets a sign of life and its key is checked again; a WebSocket that is silent for twice as long is closed.",
        |c, v| put(&mut c.graphql.keep_alive, parse::duration(v, Duration::from_millis(50), HOUR)),
    ),
    row(
        "log.level",
        "WASEND_LOG",
        "info",
        "Level of the log (`error`, `warn`, `info`, `debug`, `trace`), or directives such as `info,wasend=debug`.",
        |c, v| put(&mut c.log.filter, parse::log_filter(v)),
    ),
    row(
        "log.format",
        "WASEND_LOG_FORMAT",
        "auto",
        "`pretty`, `json`, or `auto`: pretty on a terminal, JSON elsewhere.",
        |c, v| put(&mut c.log.format, parse::log_format(v)),
    ),
];
