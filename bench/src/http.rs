//! A connection that costs as little as it can: the clients share the machine with the server that they measure.

use std::pin::Pin;

use anyhow::{Context, ensure};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// One HTTP/1.1 connection that is kept open.
pub struct Connection {
    requests: SendRequest<String>,
    host: String,
}

impl Connection {
    pub async fn open(server: &Url) -> anyhow::Result<Self> {
        let host = format!("{}:{}", server.host_str().context("a host")?, server.port().context("a port")?);
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped; the next caller gets its failure.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { requests, host })
    }

    /// The body of an answer with status 200.
    pub async fn post(&mut self, path: &str, header: (&str, &str), body: String) -> anyhow::Result<String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header(header.0, header.1)
            .body(body)?;
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        let status = answer.status();
        let text = text(answer.into_body()).await?;
        ensure!(status == 200, "{path}: {status} {text}");
        Ok(text)
    }
}

async fn text(mut body: Incoming) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(String::from_utf8(bytes)?)
}
