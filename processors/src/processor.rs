//! What a processor is, and what each is started with.

use std::sync::Arc;
use std::time::Duration;

use wasend_commands::Commands;
use wasend_projections::{Leases, Projector};
use wasend_whatsapp::MetaGateway;

/// What every processor works with. Clones share it.
#[derive(Clone)]
pub struct ProcessorContext {
    pub commands: Arc<Commands>,
    pub projector: Arc<Projector>,
    pub leases: Leases,
    pub gateway: Arc<dyn MetaGateway>,
}

/// Performs one kind of side effects in tasks that begin with its start. Dropped without a shutdown, it ends like a process
/// that dies: what it had in hand goes on elsewhere or later.
pub trait Processor: Send + Sized + 'static {
    /// How it runs.
    type Options;

    /// Starts the tasks.
    fn start(context: &ProcessorContext, options: Self::Options) -> Self;

    /// Begins nothing more, waits up to `grace` for what is under way, and gives its leases back.
    fn shutdown(self, grace: Duration) -> impl Future<Output = ()> + Send;
}
