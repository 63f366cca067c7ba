//! The simulator's port, kept from one start to the next where none is configured, so that what was written down of its
//! address stays right.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::net::TcpListener;

/// In the data directory.
const PORT_FILE: &str = "simulator-port";

/// Listens at the address; where that leaves the port open, at the port of the last start if it is free.
pub async fn bind(data_dir: &Path, address: SocketAddr) -> std::io::Result<TcpListener> {
    if address.port() == 0
        && let Some(port) = kept(data_dir)
        && let Ok(listener) = TcpListener::bind(SocketAddr::new(address.ip(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(address).await
}

fn kept(data_dir: &Path) -> Option<u16> {
    std::fs::read_to_string(data_dir.join(PORT_FILE)).ok()?.trim().parse().ok().filter(|port| *port > 0)
}

/// Keeps the port for the next start. Without it, that start takes another one.
pub fn keep(data_dir: &Path, listener: &TcpListener) {
    let written = listener.local_addr().and_then(|address| {
        let path = data_dir.join(PORT_FILE);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        writeln!(file, "{}", address.port())
    });
    if let Err(error) = written {
        tracing::warn!(error = %error.kind(), "the simulator's port cannot be kept for the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_kept_while_it_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = bind(directory.path(), any).await.unwrap();
        let port = first.local_addr().unwrap().port();
        keep(directory.path(), &first);
        let other = bind(directory.path(), any).await.unwrap();
        assert_ne!(other.local_addr().unwrap().port(), port, "it is taken");
        drop(first);
        let second = bind(directory.path(), any).await.unwrap();
        assert_eq!(second.local_addr().unwrap().port(), port);
        std::fs::write(directory.path().join(PORT_FILE), "nonsense").unwrap();
        bind(directory.path(), any).await.unwrap();
    }
}
