//! A server without sockets: real stores on SQLite, reached through the router and the commands.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use wasend::bootstrap::{ApiKeyStore, App, AppReadiness};
use wasend::config::{self, Config, ConfigSources};
use wasend::graphql::transport::SchemaEngine;
use wasend::graphql::{GraphqlState, build_schema};
use wasend::http::{AccountQuotas, HttpState, ServerLifecycle};
use wasend::routes::{AppState, router};
use wasend::telemetry;
use wasend_commands::number::ConnectNumber;
use wasend_commands::{Caller, CommandError};
use wasend_domain::{AccountId, Actor, Personal};

/// The number and the business account of Meta's own examples.
pub const PHONE_NUMBER_ID: &str = "106540352242922";
pub const WABA_ID: &str = "102290129340398";
pub const APP_SECRET: &str = "the-secret-of-an-app";
/// Answers are compared and searched whole.
const ANSWER_MAX: usize = 64 << 20;

pub struct Inside {
    pub runtime: Runtime,
    pub app: App,
    pub account: AccountId,
    /// An account that has nothing to do with the first.
    pub stranger: AccountId,
    secret: Personal<String>,
    router: Router,
    _directory: TempDir,
}

impl Inside {
    pub fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let directory = tempfile::tempdir().expect("a directory is made");
        let data_dir = directory.path().join("data").to_string_lossy().into_owned();
        // An address without a listener: nothing here is sent.
        let flags = vec![("data_dir", data_dir), ("meta.base_url", "http://127.0.0.1:9/".to_owned())];
        let config = config::load(ConfigSources { flags, ..ConfigSources::default() }).expect("the settings are right");
        let (app, account, stranger, secret, router) = runtime.block_on(async {
            let app = App::open(&config).await.expect("the house opens");
            let (account, stranger, secret) = people(&app).await.expect("two accounts are opened");
            let router = build_router(&app, config);
            (app, account, stranger, secret, router)
        });
        Self { runtime, app, account, stranger, secret, router, _directory: directory }
    }

    /// Posts a body as JSON with the account's key; the status and the answer.
    pub fn post(&self, path: &str, body: String) -> (StatusCode, Value) {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.secret.expose()))
            .body(Body::from(body))
            .expect("a request");
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("a router always answers");
            let status = response.status();
            let body = to_bytes(response.into_body(), ANSWER_MAX).await.expect("an answer of bounded size");
            (status, serde_json::from_slice(&body).expect("an answer is JSON"))
        })
    }

    pub fn close(self) {
        let Self { runtime, app, router, .. } = self;
        drop(router);
        runtime.block_on(app.close());
    }
}

/// Two accounts, the first with Meta's number of the examples.
async fn people(app: &App) -> Result<(AccountId, AccountId, Personal<String>), CommandError> {
    let ((account, key), _) = opened(app, "First").await?;
    let ((stranger, _), _) = opened(app, "Second").await?;
    let number = ConnectNumber {
        phone_number_id: PHONE_NUMBER_ID.to_owned(),
        waba_id: WABA_ID.to_owned(),
        display: "15550783881".to_owned(),
        access_token: Personal::new("token".to_owned()),
        app_secret: Personal::new(APP_SECRET.to_owned()),
        verify_token: Personal::new("verify".to_owned()),
        base_url: None,
        rate: None,
    };
    let caller = Caller { account_id: account, actor: Actor::Operator };
    let connected = app.commands.connect_number(caller, number).await?;
    app.projector.wait_for(connected.position, Duration::from_secs(30)).await.map_err(CommandError::unavailable)?;
    Ok((account, stranger, key))
}

async fn opened(
    app: &App,
    name: &str,
) -> Result<((AccountId, Personal<String>), wasend_domain::Position), CommandError> {
    let opened = app.commands.open_account(name).await?;
    Ok(((opened.value.0, opened.value.1.secret), opened.position))
}

fn build_router(app: &App, config: Config) -> Router {
    let (commands, projector) = (app.commands.clone(), app.projector.clone());
    let keys = Arc::new(ApiKeyStore::new(commands.reads.clone(), app.stores.vault.clone()));
    let (http, quotas) = (Arc::new(config.http), AccountQuotas::new(&config.limits));
    let state = GraphqlState::new(commands.clone(), projector.clone(), app.stores.own_writes.clone());
    let shell = HttpState {
        engine: Arc::new(SchemaEngine::new(build_schema(state, &config.graphql))),
        authenticator: keys,
        readiness: Arc::new(AppReadiness { log: app.stores.log.clone(), vault: app.stores.vault.clone(), projector }),
        metrics: telemetry::metrics().expect("metrics start once"),
        http,
        graphql: Arc::new(config.graphql),
        life: ServerLifecycle::default(),
        quotas,
        documents: Arc::default(),
        persisted: Arc::default(),
        own_writes: app.stores.own_writes.clone(),
    };
    router(AppState { shell, commands })
}
