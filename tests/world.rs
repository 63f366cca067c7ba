//! Starting, stopping and killing the server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::{Client, Engine, Simulator, until};

/// A running server and its store.
pub struct World {
    pub engine: Engine,
    pub data: TempDir,
    pub database: Option<String>,
    /// What it printed on standard output, and since the first start on standard error.
    pub printed: Arc<Mutex<String>>,
    pub logged: Arc<Mutex<String>>,
    /// Root of the server, with a slash at the end.
    pub url: String,
    pub simulator: Simulator,
    start: Start,
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
#[derive(Clone, Default)]
pub struct Start {
    settings: Vec<(&'static str, String)>,
    database: Option<String>,
    server: Option<String>,
    within: Option<PathBuf>,
    under: Vec<&'static str>,
    program: Option<PathBuf>,
}

impl Start {
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// On this Postgres database instead of a new one.
    #[must_use]
    pub fn with_database(mut self, url: &str) -> Self {
        self.database = Some(url.to_owned());
        self
    }

    /// On a new database of this Postgres instead of that of `scripts/test`.
    #[must_use]
    pub fn with_server(mut self, url: Option<&str>) -> Self {
        self.server = url.map(str::to_owned);
        self
    }

    /// Another program than [`binary`] that takes the same commands.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// With the data directory in this one.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        self.within = Some(directory.to_owned());
        self
    }

    /// By another program, which gets the server's command line after its own and becomes it.
    #[must_use]
    pub fn under(mut self, program: &[&'static str]) -> Self {
        self.under = program.to_vec();
        self
    }

    pub async fn on(self, engine: Engine) -> World {
        let mut builder = tempfile::Builder::new();
        builder.prefix("wasend");
        let data = match &self.within {
            Some(directory) => builder.tempdir_in(directory),
            None => builder.tempdir(),
        };
        let data = data.expect("a directory is made");
        let database = match &self.database {
            Some(url) => Some(url.clone()),
            None => engine.fresh_database(data.path(), self.server.as_deref()).await,
        };
        let logged = Arc::default();
        let running = launch(&data, database.as_deref(), &self, &logged, LISTENING).await;
        let Running { child, printed, url } = running.unwrap_or_else(|why| panic!("{why}"));
        let first = First::told(&printed);
        let simulator = Simulator::at(&word_after(&text(&printed), META).unwrap_or_default());
        World { engine, data, database, printed, logged, url, simulator, start: self, child, first }
    }
}

impl First {
    fn told(printed: &Mutex<String>) -> Option<Self> {
        let printed = text(printed);
        let key = match word_after(&printed, "API key in ") {
            Some(path) => std::fs::read_to_string(path).expect("the file of the key").trim().to_owned(),
            None => word_after(&printed, "API key  ")?,
        };
        Some(Self { key, number: word_after(&printed, "Number   ").unwrap_or_default() })
    }
}

const META: &str = "Simulator of Meta on ";
const LISTENING: &str = "Listening on ";
const HELD: &str = "Not serving; ";

/// The binary that was built beside the program that runs.
pub fn binary() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    // Tests lie one directory deeper: target/debug/deps.
    let beside = program.ancestors().skip(1).take(2).map(|directory| directory.join("wasend"));
    let found = beside.into_iter().find(|binary| binary.exists());
    found.expect("build the server first: scripts/test does")
}

/// A server that listens.
struct Running {
    child: Child,
    printed: Arc<Mutex<String>>,
    url: String,
}

/// Starts it; tells what it said if it ended instead.
async fn launch(
    data: &TempDir,
    database: Option<&str>,
    start: &Start,
    logged: &Arc<Mutex<String>>,
    label: &str,
) -> Result<Running, String> {
    let mut command = command(data, database, start);
    let mut child =
        command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
    let printed = Arc::default();
    let telling = collect(child.stdout.take().expect("piped"), &printed);
    let logging = collect(child.stderr.take().expect("piped"), logged);
    loop {
        if let Some(url) = word_after(&text(&printed), label) {
            return Ok(Running { child, printed, url });
        }
        if label != HELD && word_after(&text(&printed), HELD).is_some() {
            // Killed with its handle.
            return Err(format!("the server serves nothing: {}{}", text(&printed), text(logged)));
        }
        if child.try_wait().expect("a child").is_some() {
            telling.await.and(logging.await).expect("both are read to their ends");
            return Err(format!("the server ended: {}{}", text(&printed), text(logged)));
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn command(data: &TempDir, database: Option<&str>, start: &Start) -> Command {
    let server = start.program.clone().unwrap_or_else(binary);
    let mut program = start.under.iter().map(PathBuf::from).chain([server]);
    let mut command = Command::new(program.next().expect("at least the server"));
    command
        .args(program)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("WASEND_LISTEN", "127.0.0.1:0")
        .env("WASEND_DATA_DIR", data.path())
        .env("WASEND_SIMULATOR_DELAY", "20ms")
        .kill_on_drop(true);
    if let Some(url) = database {
        command.env("WASEND_DATABASE_URL", url);
    }
    command.envs(start.settings.iter().map(|(name, value)| (name, value)));
    command
}

impl World {
    pub async fn start(engine: Engine) -> Self {
        Start::default().on(engine).await
    }

    /// Another node on the same database, which finds the epoch keys in that directory. Postgres only.
    pub async fn another_node(&self, keys: &Path) -> Self {
        let database = self.database.as_deref().expect("nodes share a Postgres");
        let start =
            self.start.clone().with_database(database).with("WASEND_EPOCH_KEY_DIR", &keys.display().to_string());
        Self { first: self.first.clone(), ..start.on(self.engine).await }
    }

    /// Tries to start the stopped server; what it complains about.
    pub async fn refusal(&self) -> String {
        let (ok, _, complaint) = self.try_run(&["serve"]).await;
        assert!(!ok, "it started");
        complaint
    }

    /// A command of the terminal on the same store; its standard output. Fails the story if the command fails.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let (ok, printed, complained) = self.try_run(arguments).await;
        assert!(ok, "wasend {arguments:?}: {complained}");
        printed
    }

    /// The same, with whether it succeeded and what it complained about.
    pub async fn try_run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = command(&self.data, self.database.as_deref(), &self.start);
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

    /// Asks it to stop, and waits until it has.
    pub async fn stop(&mut self) {
        let killed = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().await.expect("kill runs");
        assert!(killed.success());
        let status = self.child.wait().await.expect("a child");
        assert!(status.success(), "{}", text(&self.logged));
    }

    /// Ends it as a power loss would, without a word.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child");
    }

    /// Starts it again on the same store.
    pub async fn restart(mut self) -> Self {
        self.start_again().await.unwrap_or_else(|why| panic!("{why}"));
        self
    }

    /// The same; tells what it said if it does not start.
    pub async fn start_again(&mut self) -> Result<(), String> {
        self.start_until(LISTENING).await
    }

    /// The same, for a server that comes up and says that it does not serve.
    pub async fn start_held(&mut self) -> Result<(), String> {
        self.start_until(HELD).await?;
        self.url.truncate(self.url.trim_end_matches("readyz").len());
        Ok(())
    }

    async fn start_until(&mut self, label: &str) -> Result<(), String> {
        let running = launch(&self.data, self.database.as_deref(), &self.start, &self.logged, label).await?;
        let Running { child, printed, url } = running;
        self.simulator = Simulator::at(&word_after(&text(&printed), META).unwrap_or_default());
        (self.child, self.printed, self.url) = (child, printed, url);
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Everything it wrote to its terminal.
    pub fn output(&self) -> String {
        format!("{}{}", text(&self.printed), text(&self.logged))
    }
}

fn collect(pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut into = into.lock().expect("not poisoned");
            into.push_str(&line);
            into.push('\n');
        }
    })
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
