//! A PostgreSQL server of the test's own, to be killed, frozen and filled up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::process;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

/// Ends with the value.
pub struct Cluster {
    directory: TempDir,
    bin: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes a cluster in a separate directory, in `within` or where temporary files are, and starts it.
    pub fn start(within: Option<&Path>) -> Self {
        let mut builder = tempfile::Builder::new();
        builder.prefix("wasend-faults");
        let directory = match within {
            Some(within) => builder.tempdir_in(within),
            None => builder.tempdir(),
        };
        let cluster =
            Self { directory: directory.expect("a directory is made"), bin: programs(), port: process::free_port() };
        if process::is_root() {
            done(Command::new("chown").arg("postgres").arg(cluster.directory.path()));
        }
        // Small segments of the write-ahead log, so that a small disk can hold some.
        let initdb = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--wal-segsize=1", "--no-sync"];
        done(cluster.program("initdb").args(initdb).arg("-D").arg(cluster.data()));
        cluster.start_again();
        cluster
    }

    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        if process::is_root() {
            // PostgreSQL refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
            command
        } else {
            Command::new(program)
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts it after a kill; comes back when it answers.
    pub fn start_again(&self) {
        self.try_start().unwrap_or_else(|why| panic!("PostgreSQL does not start: {why}"));
    }

    pub fn try_start(&self) -> Result<(), String> {
        let socket = self.directory.path().display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={socket} -c max_connections=200 \
             -c max_wal_size=8MB -c min_wal_size=2MB",
            self.port
        );
        let log = self.directory.path().join("log");
        let output = self
            .program("pg_ctl")
            .args(["-w", "-s", "-t", "60", "-o", &options])
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(&log)
            .arg("start")
            // What is started keeps what it inherits: a pipe would never end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if output.expect("pg_ctl runs").success() {
            return Ok(());
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        Err(log.lines().rev().take(5).collect::<Vec<_>>().join(" | "))
    }

    /// The URL of a new, empty database.
    pub async fn fresh_database(&self, name: &str) -> String {
        let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}", self.port);
        let mut connection = PgConnection::connect(&url("postgres")).await.expect("the server answers");
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database is made");
        url(name)
    }

    /// The server and every process of it.
    pub fn processes(&self) -> Vec<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(server) = file.lines().next().and_then(|line| line.trim().parse().ok()) else { return Vec::new() };
        // After a kill the file is still there, and by now the number may be another process's.
        if !process::title(server).contains(&self.data().display().to_string()) {
            return Vec::new();
        }
        let children = process::children(server);
        std::iter::once(server).chain(children).collect()
    }

    /// One of the processes that serve connections to a database.
    pub fn backends(&self, database: &str) -> Vec<u32> {
        let title = format!("postgres: postgres {database} ");
        self.processes().into_iter().filter(|id| process::title(*id).starts_with(&title)).collect()
    }

    /// Ends everything as a power loss would.
    pub fn kill(&self) {
        let all = self.processes();
        process::signal("KILL", &all);
        process::until_gone(&all);
    }

    /// Stops the time for all of it.
    pub fn freeze(&self) {
        process::signal("STOP", &self.processes());
    }

    pub fn thaw(&self) {
        process::signal("CONT", &self.processes());
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.thaw();
        let mut stop = self.program("pg_ctl");
        stop.arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]);
        // One that was killed need not be stopped.
        drop(stop.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

/// Where PostgreSQL's programs are: on Debian they are not on the PATH.
#[expect(clippy::disallowed_methods, reason = "the same words as scripts/test")]
fn programs() -> PathBuf {
    let said = std::env::var("WASEND_POSTGRES_BIN").ok().map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<_> = debian.map(|version| version.path().join("bin")).collect();
    debian.sort();
    let mut places = said.into_iter().chain(std::env::split_paths(&path)).chain(debian.into_iter().rev());
    places.find(|place| place.join("initdb").exists()).expect("PostgreSQL's programs: set WASEND_POSTGRES_BIN")
}

fn done(command: &mut Command) {
    let Output { status, stderr, .. } = command.output().expect("the program runs");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
}
