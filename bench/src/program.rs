//! Programs that are no part of the workspace, built when they are needed.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The peer's, with the profile of this program. Built once; Cargo knows whether there is anything to do.
pub async fn stock() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAM.get_or_try_init(build).await.map(PathBuf::as_path)
}

async fn build() -> anyhow::Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("stock");
    let (profile, directory) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--profile", profile, "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(package.join("target"))
        .status()
        .await?;
    ensure!(built.success(), "bench/stock, the program of the peer, could not be built");
    Ok(package.join("target").join(directory).join("stock-peer"))
}
