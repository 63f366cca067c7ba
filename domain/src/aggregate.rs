//! How an aggregate decides: a pure function of the aggregate's history and the command.

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

/// An aggregate whose decisions are synchronous and pure. What it must know beyond its own history (the time, ids,
/// what a lookup said) comes inside the command.
pub trait DecidingAggregate: Aggregate<Services = ()> + Clone {
    /// The events that follow from the command; none when it changes nothing (a repeated command is a success).
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The events among `candidates` that still change something, each judged after those before it.
    fn news(&self, candidates: impl IntoIterator<Item = Self::Event>) -> Vec<Self::Event>
    where
        Self: PartialEq,
    {
        let mut state = self.clone();
        let mut events = Vec::new();
        for event in candidates {
            let mut next = state.clone();
            next.apply(event.clone());
            if next != state {
                state = next;
                events.push(event);
            }
        }
        events
    }
}

/// The body of every aggregate's [`Aggregate::handle`]: cqrs-es's asynchronous entry to the synchronous decision. The
/// aggregates of this crate get it by `bridge!`.
pub async fn handle<A: DecidingAggregate>(
    aggregate: &mut A,
    command: A::Command,
    sink: &EventSink<A>,
) -> Result<(), A::Error> {
    for event in aggregate.decide(command)? {
        sink.write(event, aggregate).await;
    }
    Ok(())
}

/// What cqrs-es asks of an aggregate besides `apply`: its name in the log, and the module's `Command`, `Event` and
/// `Error`. Stands inside `impl Aggregate for …`.
macro_rules! bridge {
    ($name:literal) => {
        const TYPE: &'static str = $name;
        type Command = Command;
        type Event = Event;
        type Error = Error;
        type Services = ();

        async fn handle(
            &mut self,
            command: Command,
            (): &(),
            sink: &cqrs_es::event_sink::EventSink<Self>,
        ) -> Result<(), Error> {
            $crate::aggregate::handle(self, command, sink).await
        }
    };
}
pub(crate) use bridge;
