//! Programs that are no part of the workspace, built when they are needed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The peer's, with the profile of this program. Built once; Cargo knows whether there is anything to do.
pub async fn stock() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAM.get_or_try_init(build).await.map(PathBuf::as_path)
}

/// What Cargo tells the program that it runs about its package. Build scripts look at some of it, and would build anew.
const OF_THIS_PACKAGE: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

async fn build() -> anyhow::Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("stock");
    let (profile, directory) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let mut cargo = Command::new("cargo");
    for name in of_this_package() {
        cargo.env_remove(name);
    }
    let built = cargo
        .args(["build", "--quiet", "--locked", "--profile", profile, "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(package.join("target"))
        .status()
        .await?;
    ensure!(built.success(), "bench/stock, the program of the peer, could not be built");
    Ok(package.join("target").join(directory).join("stock-peer"))
}

fn of_this_package() -> impl Iterator<Item = OsString> {
    let is_one = |name: &OsString| OF_THIS_PACKAGE.iter().any(|begin| name.to_string_lossy().starts_with(begin));
    std::env::vars_os().map(|(name, _)| name).filter(move |name| is_one(name))
}
