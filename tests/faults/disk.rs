//! A disk that is full, then has room again.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use tempfile::TempDir;

/// How a disk is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Means {
    /// A separate file system in memory, for root
    Tmpfs,
    /// A limit on the size of the processes' files, for any user: writing fails as on a broken disk
    Limit,
}

impl Means {
    /// The better one that this user has.
    pub fn best() -> Self {
        let here = tempfile::tempdir().expect("a directory is made");
        if mount(here.path()) {
            unmount(here.path());
            Self::Tmpfs
        } else {
            Self::Limit
        }
    }
}

pub enum Disk {
    Tmpfs(TempDir),
    Limit(TempDir),
}

const SIZE: &str = "size=96m";
/// What is left for the stores to run into.
const ROOM: u64 = 256 * 1024;

fn mount(at: &Path) -> bool {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output();
    mounted.is_ok_and(|output| output.status.success())
}

fn unmount(at: &Path) {
    // Busy files keep it until they are closed.
    drop(Command::new("umount").arg("-l").arg(at).output());
}

impl Disk {
    pub fn make(means: Means) -> Self {
        let directory = tempfile::Builder::new().prefix("wasend-disk").tempdir().expect("a directory is made");
        match means {
            Means::Tmpfs => {
                assert!(mount(directory.path()), "only root may mount");
                // For PostgreSQL, which is another user.
                drop(Command::new("chmod").arg("755").arg(directory.path()).status());
                Self::Tmpfs(directory)
            }
            Means::Limit => Self::Limit(directory),
        }
    }

    pub fn path(&self) -> &Path {
        let (Self::Tmpfs(directory) | Self::Limit(directory)) = self;
        directory.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Nothing more than a little can be written by these processes, of which `largest` is the file that grows.
    pub fn fill(&self, writers: &[u32], largest: u64) {
        match self {
            Self::Tmpfs(_) => {
                let mut filler = OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
                while filler.write_all(&[0; 8 * 1024]).is_ok() {}
                let written = filler.metadata().expect("a size").len();
                filler.set_len(written.saturating_sub(ROOM)).expect("it gets shorter");
            }
            Self::Limit(_) => limit(writers, &format!("{}:unlimited", largest + ROOM / 4)),
        }
    }

    /// There is room again.
    pub fn free(&self, writers: &[u32]) {
        match self {
            Self::Tmpfs(_) => fs::remove_file(self.filler()).expect("it was filled"),
            Self::Limit(_) => limit(writers, "unlimited:unlimited"),
        }
    }
}

fn limit(writers: &[u32], size: &str) {
    for id in writers {
        let process = ["--pid", &id.to_string()].map(str::to_owned);
        drop(Command::new("prlimit").args(process).arg(format!("--fsize={size}")).output());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Tmpfs(directory) = self {
            unmount(directory.path());
        }
    }
}

/// Starts a server whose writes fail at the limit instead of ending it.
pub const PATIENT: [&str; 3] = ["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

/// The largest file under a directory.
pub fn largest(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => largest(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or(0)
}
