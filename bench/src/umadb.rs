//! A peer that is measured where it is installed: UmaDB's server, and the client of `bench/umadb` in front of it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use wasend::bootstrap::SystemClock;
use wasend_domain::Clock;

use crate::accepted::accepted;
use crate::bench::Bench;
use crate::load::Measured;
use crate::rounds::{Answer, Side};

/// `umadb` from PyPI and the client's answers.
pub struct UmaDb {
    pub name: String,
    client: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    /// They end with this.
    _processes: [Child; 2],
    _data: TempDir,
}

fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("umadb/target/release/umadb-appender")
}

impl UmaDb {
    /// The server at that path, with a new database, its own defaults and a free port.
    pub async fn start(bench: &Bench, server: &Path) -> anyhow::Result<Self> {
        let client = client();
        ensure!(client.exists(), "build its client first: docs/performance.md says how");
        let data = tempfile::tempdir_in(bench.directory.path())?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let version = Command::new(server).arg("--version").output().await.context("umadb cannot be run")?;
        let name = String::from_utf8_lossy(&version.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        let running = Command::new(server)
            .args(["--listen", &address, "--db-path"])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let bytes = serde_json::to_string(&accepted(SystemClock.now()))?.len();
        let mut appending = Command::new(client)
            .args([format!("http://{address}"), bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = appending.stdin.take().context("its input is piped")?;
        let output = BufReader::new(appending.stdout.take().context("its output is piped")?).lines();
        Ok(Self { name, client: Mutex::new((input, output)), _processes: [running, appending], _data: data })
    }
}

#[async_trait]
impl Side for UmaDb {
    async fn round(&self, clients: usize, duration: Duration) -> anyhow::Result<Measured> {
        let mut client = self.client.lock().await;
        client.0.write_all(format!("{clients} {}\n", duration.as_secs_f64()).as_bytes()).await?;
        let answer = client.1.next_line().await?.context("the client of UmaDB ended")?;
        let answer: Answer = serde_json::from_str(&answer)?;
        Ok(answer.into())
    }
}
