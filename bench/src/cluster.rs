//! A private Postgres, started by the script that starts the tests' one.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// It lives as long as its standard input is open, so that it ends with this process however that ends.
pub struct Cluster {
    pub url: String,
    script: Child,
    lifeline: ChildStdin,
}

impl Cluster {
    pub async fn start() -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres");
        let mut script = Command::new(&script)
            .args(["sh", "-c", "echo \"$WASEND_TEST_POSTGRES\"; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A separate process group, so that Ctrl-C does not stop it before its clients.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be run", script.display()))?;
        let lifeline = script.stdin.take().context("its input is piped")?;
        let mut url = String::new();
        BufReader::new(script.stdout.take().context("its output is piped")?).read_line(&mut url).await?;
        ensure!(!url.is_empty(), "PostgreSQL did not start");
        Ok(Self { url: url.trim().to_owned(), script, lifeline })
    }

    pub async fn stop(mut self) {
        drop(self.lifeline);
        if let Err(error) = self.script.wait().await {
            eprintln!("PostgreSQL may still run: {error}");
        }
    }
}
