//! The list of all processors, as a server runs them.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::anchor::AnchorProcessor;
use crate::dispatcher::Dispatcher;
use crate::erasure::{ErasureOptions, ErasureProcessor};
use crate::importer::Importer;
use crate::importer::options::ImportOptions;
use crate::options::{DispatchOptions, TimerOptions};
use crate::processor::{Processor, ProcessorContext};
use crate::retention::{RetentionOptions, RetentionProcessor};
use crate::rotation::{RotationOptions, RotationProcessor};
use crate::timers::MessageTimers;

/// How each processor runs.
#[derive(Debug, Clone, Default)]
pub struct ProcessorOptions {
    pub dispatch: DispatchOptions,
    pub timers: TimerOptions,
    pub erasure: ErasureOptions,
    pub rotation: RotationOptions,
    pub retention: RetentionOptions,
    pub imports: ImportOptions,
}

type ShutdownFn = Box<dyn FnOnce(Duration) -> BoxFuture<'static, ()> + Send>;

/// Every processor of a server. Dropped without a shutdown, all end like those of a process that dies.
#[derive(Default)]
pub struct RunningProcessors(Vec<ShutdownFn>);

impl RunningProcessors {
    /// Starts every processor of the product.
    pub fn start(context: &ProcessorContext, options: ProcessorOptions) -> Self {
        let ProcessorOptions { dispatch, timers, erasure, rotation, retention, imports } = options;
        // What sends stops first, what stores last.
        Self::default()
            .with::<Dispatcher>(context, dispatch)
            .with::<MessageTimers>(context, timers)
            .with::<ErasureProcessor>(context, erasure)
            .with::<RotationProcessor>(context, rotation)
            .with::<RetentionProcessor>(context, retention)
            .with::<Importer>(context, imports)
            .with::<AnchorProcessor>(context, ())
    }

    fn with<P: Processor>(mut self, context: &ProcessorContext, options: P::Options) -> Self {
        let processor = P::start(context, options);
        self.0.push(Box::new(move |grace| processor.shutdown(grace).boxed()));
        self
    }

    /// Shuts one down after the other in the order of their start, each within `grace`.
    pub async fn shutdown(self, grace: Duration) {
        for shutdown in self.0 {
            shutdown(grace).await;
        }
    }
}
