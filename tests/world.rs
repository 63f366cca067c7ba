//! Starting, stopping and killing the server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{Client, Engine, Simulator, until};

/// A running server and its store.
pub struct World {
    pub engine: Engine,
    pub data: TempDir,
    pub database: Option<String>,
    /// What it printed on standard output, and on standard error.
    pub printed: Arc<Mutex<String>>,
    pub logged: Arc<Mutex<String>>,
    /// Root of the server, with a slash at the end.
    pub url: String,
    pub simulator: Simulator,
    program: PathBuf,
    settings: Vec<(String, String)>,
    child: Child,
    first: Option<First>,
}

/// What a first start opened.
#[derive(Clone)]
struct First {
    key: String,
    number: String,
}

/// How a server is started.
#[derive(Default)]
pub struct Start {
    pub settings: Vec<(&'static str, String)>,
    /// Another than [`binary`] that takes the same commands.
    pub program: Option<PathBuf>,
    /// Another Postgres than that of `scripts/test`.
    pub postgres: Option<String>,
}

impl Start {
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    pub async fn on(self, engine: Engine) -> World {
        let data = tempfile::Builder::new().prefix("wasend").tempdir().expect("a directory is made");
        let database = engine.fresh_database(data.path(), self.postgres.as_deref()).await;
        let settings = self.settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let program = self.program.unwrap_or_else(binary);
        World::launch(engine, data, database, program, settings, None).await
    }
}

/// The binary that was built with the tests, beside them.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let directory = test.parent().and_then(Path::parent).expect("target/debug/deps");
    let binary = directory.join("wasend");
    assert!(binary.exists(), "build the server first: scripts/test does");
    binary
}

impl World {
    pub async fn start(engine: Engine) -> Self {
        Start::default().on(engine).await
    }

    async fn launch(
        engine: Engine,
        data: TempDir,
        database: Option<String>,
        program: PathBuf,
        settings: Vec<(String, String)>,
        first: Option<First>,
    ) -> Self {
        let mut command = Self::command(&program, &data, database.as_deref(), &settings);
        let mut child =
            command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let printed = collect(child.stdout.take().expect("piped"));
        let logged = collect(child.stderr.take().expect("piped"));
        let url = loop {
            if let Some(url) = word_after(&text(&printed), "Listening on ") {
                break url;
            }
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {}{}", text(&printed), text(&logged));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let meta = word_after(&text(&printed), "Simulator of Meta on ").unwrap_or_default();
        let key = word_after(&text(&printed), "API key  ");
        let number = word_after(&text(&printed), "Number   ").unwrap_or_default();
        let first = key.map(|key| First { key, number }).or(first);
        let simulator = Simulator::at(&meta);
        Self { engine, data, database, printed, logged, url, simulator, program, settings, child, first }
    }

    /// Another node on the same database, which finds the epoch keys in that directory. Postgres only.
    pub async fn another_node(&self, keys: &Path) -> Self {
        let data = tempfile::Builder::new().prefix("wasend").tempdir().expect("a directory is made");
        let mut settings = self.settings.clone();
        settings.push(("WASEND_EPOCH_KEY_DIR".to_owned(), keys.display().to_string()));
        Self::launch(self.engine, data, self.database.clone(), self.program.clone(), settings, self.first.clone()).await
    }

    /// Tries to start the stopped server; what it complains about.
    pub async fn refusal(&self) -> String {
        let (ok, _, complaint) = self.try_run(&["serve"]).await;
        assert!(!ok, "it started");
        complaint
    }

    fn command(program: &Path, data: &TempDir, database: Option<&str>, settings: &[(String, String)]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("WASEND_LISTEN", "127.0.0.1:0")
            .env("WASEND_DATA_DIR", data.path())
            .env("WASEND_SIMULATOR_DELAY", "20ms")
            .kill_on_drop(true);
        if let Some(url) = database {
            command.env("WASEND_DATABASE_URL", url);
        }
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A command of the terminal on the same store; its standard output. Fails the story if the command fails.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let (ok, printed, complained) = self.try_run(arguments).await;
        assert!(ok, "wasend {arguments:?}: {complained}");
        printed
    }

    /// The same, with whether it succeeded and what it complained about.
    pub async fn try_run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Self::command(&self.program, &self.data, self.database.as_deref(), &self.settings);
        let output = command.args(arguments).output().await.expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// A client with the first account's key.
    pub fn client(&self) -> Client {
        Client::new(&self.url, &self.first.as_ref().expect("a first start").key)
    }

    /// The first account's number.
    pub fn number(&self) -> String {
        self.first.as_ref().expect("a first start").number.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        address.parse().expect("an address")
    }

    /// Meta's id of the first account's number.
    pub async fn phone_number_id(&self) -> String {
        let query = "query($id: ID!) { number(id: $id) { phoneNumberId } }";
        let number = self.client().data(query, serde_json::json!({"id": self.number()})).await;
        number["number"]["phoneNumberId"].as_str().expect("digits").to_owned()
    }

    /// Most bytes that it has had in memory so far.
    pub fn peak_memory(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process has a status");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak.map_or(0, |kib: u64| kib * 1_024)
    }

    /// Opens another account, with its own number on the simulator.
    pub async fn another_account(&self) -> (Client, String) {
        let printed = self.run(&["account", "create", "--name", "Another"]).await;
        let key = word_after(&printed, "API key  ").expect("a key is printed");
        let client = Client::new(&self.url, &key);
        let number = until("the server knows the new key", || async { client.try_connect_number().await }).await;
        (client, number)
    }

    /// The process, as the operating system knows it.
    pub fn process(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&mut self) {
        let id = self.process().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
        assert!(killed.success());
        let status = self.child.wait().await.expect("a child");
        assert!(status.success(), "{}", text(&self.logged));
    }

    /// Ends it as a power loss would, without a word.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child");
    }

    /// Starts it again on the same store.
    pub async fn restart(self) -> Self {
        let Self { engine, data, database, program, settings, first, .. } = self;
        Self::launch(engine, data, database, program, settings, first).await
    }

    /// Everything it wrote to its terminal.
    pub fn output(&self) -> String {
        format!("{}{}", text(&self.printed), text(&self.logged))
    }
}

fn collect(pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let into = collected.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut into = into.lock().expect("not poisoned");
            into.push_str(&line);
            into.push('\n');
        }
    });
    collected
}

fn text(collected: &Mutex<String>) -> String {
    collected.lock().expect("not poisoned").clone()
}

/// The word that follows a label in a text.
fn word_after(text: &str, label: &str) -> Option<String> {
    let rest = &text[text.find(label)? + label.len()..];
    rest.split_inclusive(char::is_whitespace)
        .next()
        .filter(|word| word.ends_with(char::is_whitespace))
        .map(|word| word.trim().to_owned())
}
