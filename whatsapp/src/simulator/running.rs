//! Serving the simulator on a listener.

use std::io;

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::DropGuard;
use url::Url;

use super::{Simulator, SimulatorOptions};

/// A simulator that is being served; it stops when it is dropped, more cleanly by [`Self::shutdown`].
pub struct RunningSimulator {
    /// For [`crate::SenderLine::base_url`]: with a version, as Meta's.
    pub base_url: Url,
    simulator: Simulator,
    server: JoinHandle<io::Result<()>>,
    stopping: DropGuard,
}

impl Simulator {
    /// Serves a new simulator on `listener`, which must be bound to an address that a client can connect to.
    pub fn start(listener: TcpListener, options: SimulatorOptions) -> io::Result<RunningSimulator> {
        let simulator = Self::new(options).map_err(io::Error::other)?;
        let address = listener.local_addr()?;
        let base_url = format!("http://{address}/v25.0").parse().map_err(io::Error::other)?;
        let stopping = simulator.inner.stopping.clone();
        let serve =
            axum::serve(listener, simulator.router()).with_graceful_shutdown(stopping.clone().cancelled_owned());
        Ok(RunningSimulator {
            base_url,
            simulator,
            server: tokio::spawn(serve.into_future()),
            stopping: stopping.drop_guard(),
        })
    }
}

impl RunningSimulator {
    /// The simulator behind the address.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// The address of a scripting endpoint, for example `scripts`.
    pub fn control_url(&self, endpoint: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("/_simulator/{endpoint}"));
        url
    }

    /// Takes no further connection, abandons what is still to be posted, and lets requests in progress finish.
    pub async fn shutdown(self) -> io::Result<()> {
        drop(self.stopping);
        self.simulator.stop().await;
        self.server.await.map_err(io::Error::other)?
    }
}
