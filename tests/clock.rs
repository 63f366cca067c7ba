//! A wall clock of a server's own, which a story moves while it runs. The library that does it is made with the C compiler
//! that building the server needs as well.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::process::Command;

use crate::Start;

const SOURCE: &str = include_str!("clock.c");
const DAY: u64 = 86_400;

pub struct ServerClock {
    directory: TempDir,
}

impl ServerClock {
    pub async fn new() -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a directory is made") };
        let source = clock.file("clock.c");
        std::fs::write(&source, SOURCE).expect("a file is written");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.file("clock.so")).arg(source);
        let output = compiler.output().await.expect("a C compiler runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clock.set(0);
        clock
    }

    /// A start of a server, and of its commands, by this clock.
    #[must_use]
    pub fn of(&self, start: Start) -> Start {
        let text = |name| self.file(name).display().to_string();
        start.with("LD_PRELOAD", &text("clock.so")).with("CLOCK_OFFSET_FILE", &text("offset"))
    }

    /// It is so many days later than the machine's from now on.
    pub fn set(&self, days: u64) {
        let (next, file) = (self.file("next"), self.file("offset"));
        std::fs::write(&next, (days * DAY).to_string()).expect("a file is written");
        // At once: it is read all the time.
        std::fs::rename(next, file).expect("it is renamed");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
