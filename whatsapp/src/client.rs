//! The gateway over HTTPS. It never follows a redirect, uses no proxy from the environment, and repeats nothing.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, RequestBuilder, redirect, retry};
use thiserror::Error;
use url::Url;

use crate::{
    answer::HttpAnswer,
    gateway::{MetaGateway, NotSent, SendFailure, SendReceipt, SenderLine, UnknownOutcome},
    request::SendRequest,
    template::TemplateDefinition,
};

/// Most templates in a page, and most pages read for one name.
const TEMPLATE_PAGE: &str = "100";
const TEMPLATE_PAGES_MAX: usize = 20;

/// Shorter than servers and balancers keep an idle connection: a request written into one that is just being closed
/// would have an unknown outcome.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long calls to the Cloud API may take.
#[derive(Debug, Clone)]
pub struct CloudApiOptions {
    pub connect_timeout: Duration,
    /// From the first byte sent to the last byte read, connecting included. Longer than `connect_timeout`, or a slow
    /// connection is taken for a lost answer.
    pub total_timeout: Duration,
    /// Most bytes read of an answer.
    pub max_answer_bytes: usize,
    /// Idle connections kept for each host.
    pub idle_connections: usize,
    pub user_agent: String,
}

impl Default for CloudApiOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            max_answer_bytes: 1 << 20,
            idle_connections: 256,
            user_agent: concat!("WASend/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The options make no HTTP client, for example because the user agent has a line break.
#[derive(Debug, Error)]
#[error("no HTTP client for Meta could be made")]
pub struct ClientError(#[source] pub(crate) reqwest::Error);

/// Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct CloudApi {
    http: Client,
    max_answer_bytes: usize,
}

impl CloudApi {
    /// A client with one pool of connections. Fails if TLS cannot be set up.
    pub fn new(options: &CloudApiOptions) -> Result<Self, ClientError> {
        let http = Client::builder()
            .connect_timeout(options.connect_timeout)
            .timeout(options.total_timeout)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(options.idle_connections)
            .tcp_nodelay(true)
            .user_agent(&options.user_agent)
            .build()
            .map_err(ClientError)?;
        Ok(Self { http, max_answer_bytes: options.max_answer_bytes })
    }

    async fn exchange(&self, line: &SenderLine, request: RequestBuilder) -> Result<HttpAnswer, SendFailure> {
        let request = request.bearer_auth(&line.access_token);
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        // An answer has begun, so whatever breaks from here on leaves the outcome unknown.
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(SendFailure::Unknown(UnknownOutcome::Unreadable { http_status: status }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, headers, body })
    }
}

#[async_trait]
impl MetaGateway for CloudApi {
    async fn send(&self, line: &SenderLine, request: &SendRequest) -> Result<SendReceipt, SendFailure> {
        let url = address(line, &line.phone_number_id, "messages")?;
        let request = self.http.post(url).json(&request.to_json());
        self.exchange(line, request).await?.submission()
    }

    async fn templates(&self, line: &SenderLine, name: &str) -> Result<Vec<TemplateDefinition>, SendFailure> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..TEMPLATE_PAGES_MAX {
            let mut url = address(line, &line.waba_id, "message_templates")?;
            url.query_pairs_mut()
                .append_pair("name", name)
                .append_pair("limit", TEMPLATE_PAGE)
                .extend_pairs(cursor.iter().map(|after| ("after", after)));
            let page = self.exchange(line, self.http.get(url)).await?.templates()?;
            found.extend(page.templates);
            cursor = page.after;
            if cursor.is_none() {
                break;
            }
        }
        // Meta's filter also finds names that only contain the one asked for.
        found.retain(|template| template.name == name);
        Ok(found)
    }
}

fn address(line: &SenderLine, node: &str, edge: &str) -> Result<Url, SendFailure> {
    let mut url = line.base_url.clone();
    url.path_segments_mut().map_err(|()| SendFailure::NotSent(NotSent::Request))?.pop_if_empty().extend([node, edge]);
    Ok(url)
}

fn failure(error: &reqwest::Error) -> SendFailure {
    if error.is_builder() {
        SendFailure::NotSent(NotSent::Request)
    } else if error.is_connect() {
        SendFailure::NotSent(NotSent::Connect)
    } else {
        lost(error)
    }
}

fn lost(error: &reqwest::Error) -> SendFailure {
    SendFailure::Unknown(if error.is_timeout() { UnknownOutcome::Timeout } else { UnknownOutcome::ConnectionLost })
}
