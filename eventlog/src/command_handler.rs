//! The executor: load, decide, append, answer. Commands are executed as a set; one command is a set of one.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use wasend_domain::{AccountId, Clock, Position};

use crate::repository::histories;
use crate::unit_of_work::{CommandContext, CommandFailure, UnitOfWork};
use crate::{
    Append, AppendRejection, AppendedRange, CommandId, EventLog, ExecutableAggregate, LoadedAggregate, LogError,
    conflict_lock,
};

/// How often a command is decided again after others changed its aggregate first.
const COMMAND_ATTEMPTS_MAX: usize = 64;

/// A command that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedCommand<A: ExecutableAggregate> {
    /// The aggregate's id; for a repeated command that created one, the id it was given the first time.
    pub id: Uuid,
    /// After this command, and for a repeated one as it stands now.
    pub state: A,
    /// What this command recorded; nothing if it changed nothing or was repeated.
    pub events: Vec<A::Event>,
    /// The position from which on a reader sees the command's effect.
    pub position: Position,
    /// It had been executed before.
    pub repeated: bool,
}

type CommandOutcome<A> = Result<ExecutedCommand<A>, CommandFailure<<A as cqrs_es::Aggregate>::Error>>;

/// Executes a command on the aggregate `id`. Without events it succeeds and records nothing. What belongs to another
/// account is answered like what does not exist.
pub async fn execute<A: ExecutableAggregate>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    context: CommandContext,
    id: Uuid,
    command: A::Command,
) -> CommandOutcome<A> {
    one(execute_all(log, clock, vec![(context, id, command)]).await)
}

/// Executes a command that creates an aggregate under the fresh `id`, without reading first.
pub async fn execute_new<A: ExecutableAggregate>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    context: CommandContext,
    id: Uuid,
    command: A::Command,
) -> CommandOutcome<A> {
    one(execute_new_all(log, clock, vec![(context, id, command)]).await)
}

/// Executes commands as a set, each on its own merits: one load, one append. Several for the same aggregate see each
/// other in their order. Answers in the same order.
pub async fn execute_all<A: ExecutableAggregate>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    commands: Vec<(CommandContext, Uuid, A::Command)>,
) -> Vec<CommandOutcome<A>> {
    run(log, clock, commands, false).await
}

/// [`execute_new`] for a set.
pub async fn execute_new_all<A: ExecutableAggregate>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    commands: Vec<(CommandContext, Uuid, A::Command)>,
) -> Vec<CommandOutcome<A>> {
    run(log, clock, commands, true).await
}

fn one<A: ExecutableAggregate>(outcomes: Vec<CommandOutcome<A>>) -> CommandOutcome<A> {
    outcomes.into_iter().next().unwrap_or(Err(CommandFailure::Busy))
}

struct BatchCommand<A: ExecutableAggregate> {
    context: CommandContext,
    id: Uuid,
    command: A::Command,
    outcome: Option<CommandOutcome<A>>,
}

async fn run<A: ExecutableAggregate>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    commands: Vec<(CommandContext, Uuid, A::Command)>,
    mut fresh: bool,
) -> Vec<CommandOutcome<A>> {
    let mut items: Vec<BatchCommand<A>> = commands
        .into_iter()
        .map(|(context, id, command)| BatchCommand { context, id, command, outcome: None })
        .collect();
    let mut turns = Vec::new();
    for _ in 0..COMMAND_ATTEMPTS_MAX {
        let mut open: Vec<&mut BatchCommand<A>> = items.iter_mut().filter(|item| item.outcome.is_none()).collect();
        if open.is_empty() {
            break;
        }
        if let Err(error) = round(log, clock, &mut open, fresh).await {
            for item in open.into_iter().filter(|item| item.outcome.is_none()) {
                item.outcome = Some(Err(CommandFailure::Log(error.clone())));
            }
            break;
        }
        fresh = false;
        if turns.is_empty() {
            turns =
                conflict_lock::lock_all(open.iter().filter(|item| item.outcome.is_none()).map(|item| item.id)).await;
        }
    }
    items.into_iter().map(|item| item.outcome.unwrap_or(Err(CommandFailure::Busy))).collect()
}

/// What an item waits for in a round.
enum AwaitedAnswer<A: ExecutableAggregate> {
    /// The answer to its append.
    Append(ExecutedCommand<A>),
    /// Nothing, unless its command may have been recorded before.
    Settle(CommandOutcome<A>),
}

/// Decides every open item once and appends what follows as one. Those that met a conflict stay open.
async fn round<A: ExecutableAggregate>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    items: &mut [&mut BatchCommand<A>],
    fresh: bool,
) -> Result<(), LogError> {
    let mut found = if fresh { HashMap::new() } else { histories::<A>(log, items.iter().map(|item| item.id)).await? };
    let (mut steps, mut batch) = (Vec::new(), Vec::new());
    for item in items.iter() {
        let (step, append) = decide(item, &mut found, clock)?;
        let answered = append.map(|append| {
            batch.push(append);
            batch.len() - 1
        });
        steps.push((step, answered));
    }
    let answers = if batch.is_empty() { Vec::new() } else { log.append(batch).await? };
    let answered = steps.into_iter().map(|(step, asked)| (step, asked.and_then(|asked| answers.get(asked))));
    let repeats = assign_outcomes(items, answered)?;
    answer_repeats(log, items, repeats).await
}

/// Gives the items their outcomes, and says which of them are repeated and up to where they had been recorded.
fn assign_outcomes<'a, A: ExecutableAggregate>(
    items: &mut [&mut BatchCommand<A>],
    answered: impl Iterator<Item = (AwaitedAnswer<A>, Option<&'a Result<AppendedRange, AppendRejection>>)>,
) -> Result<Vec<(usize, Position)>, LogError> {
    let mut repeats = Vec::new();
    // A decision does not stand if one that it was built on was not recorded.
    let mut shaken = HashSet::new();
    let mut reached = HashMap::new();
    for (index, (item, (step, answer))) in items.iter_mut().zip(answered).enumerate() {
        match (answer, step) {
            (Some(Err(AppendRejection::Conflict { .. })), _) => drop(shaken.insert(item.id)),
            (Some(Err(AppendRejection::CommandReused)), _) => {
                shaken.insert(item.id);
                item.outcome = Some(Err(CommandFailure::CommandReused));
            }
            (Some(Ok(AppendedRange { repeated: true, last, .. })), _) => {
                shaken.insert(item.id);
                repeats.push((index, *last));
            }
            (Some(Ok(AppendedRange { last, .. })), AwaitedAnswer::Append(executed)) => {
                reached.insert(item.id, *last);
                item.outcome = Some(Ok(ExecutedCommand { position: *last, ..executed }));
            }
            (None, AwaitedAnswer::Append(_)) => return Err(LogError::Damaged("an append was not answered".to_owned())),
            (_, AwaitedAnswer::Settle(_)) if shaken.contains(&item.id) => {}
            (_, AwaitedAnswer::Settle(outcome)) => {
                let before = reached.get(&item.id).copied().unwrap_or(0);
                item.outcome =
                    Some(outcome.map(|done| ExecutedCommand { position: done.position.max(before), ..done }));
            }
        }
    }
    Ok(repeats)
}

/// The decision on one item, and what it asks of the log: to append its events, or nothing but whether the same
/// command was recorded before. A refused command may be the repetition of one that had succeeded.
fn decide<A: ExecutableAggregate>(
    item: &BatchCommand<A>,
    found: &mut HashMap<Uuid, (AccountId, LoadedAggregate<A>)>,
    clock: &dyn Clock,
) -> Result<(AwaitedAnswer<A>, Option<Append>), LogError> {
    let BatchCommand { context, id, command, .. } = item;
    let (owner, loaded) = found.entry(*id).or_insert_with(|| (context.account_id, LoadedAggregate::default()));
    let foreign = *owner != context.account_id;
    let mut stand_in = LoadedAggregate::default();
    let loaded = if foreign { &mut stand_in } else { loaded };
    let mut plan = UnitOfWork::new(context.clone(), clock.now());
    let decision = plan.decide(*id, loaded, command.clone());
    let planned = !plan.is_empty();
    let step = match decision {
        Err(CommandFailure::Log(error)) => return Err(error),
        Err(refused) => AwaitedAnswer::Settle(Err(refused)),
        Ok(_) if planned && foreign => AwaitedAnswer::Settle(Err(CommandFailure::NotFound)),
        Ok(events) => {
            let executed = ExecutedCommand {
                id: *id,
                state: loaded.state.clone(),
                events,
                position: loaded.position,
                repeated: false,
            };
            if planned { AwaitedAnswer::Append(executed) } else { AwaitedAnswer::Settle(Ok(executed)) }
        }
    };
    let append = match (&step, &context.command) {
        (AwaitedAnswer::Append(_), _) => Some(plan.into_append()),
        (AwaitedAnswer::Settle(_), CommandId::Repeatable { .. }) => {
            Some(UnitOfWork::new(context.clone(), clock.now()).into_append())
        }
        (AwaitedAnswer::Settle(_), CommandId::Fresh(_)) => None,
    };
    Ok((step, append))
}

/// Answers repeated commands with their aggregates as they stand now.
async fn answer_repeats<A: ExecutableAggregate>(
    log: &dyn EventLog,
    items: &mut [&mut BatchCommand<A>],
    repeats: Vec<(usize, Position)>,
) -> Result<(), LogError> {
    if repeats.is_empty() {
        return Ok(());
    }
    let mut ids = Vec::new();
    for (index, _) in &repeats {
        let item = &items[*index];
        ids.push(original::<A>(log, &item.context).await?.unwrap_or(item.id));
    }
    let found = histories::<A>(log, ids.iter().copied()).await?;
    for ((index, position), id) in repeats.into_iter().zip(ids) {
        let item = &mut *items[index];
        let mine = found.get(&id).filter(|(owner, _)| *owner == item.context.account_id);
        let state = mine.map(|(_, loaded)| loaded.state.clone()).unwrap_or_default();
        item.outcome = Some(Ok(ExecutedCommand { id, state, events: Vec::new(), position, repeated: true }));
    }
    Ok(())
}

/// Which aggregate the command changed when it was first given.
async fn original<A: ExecutableAggregate>(
    log: &dyn EventLog,
    context: &CommandContext,
) -> Result<Option<Uuid>, LogError> {
    let (CommandId::Fresh(id) | CommandId::Repeatable { id, .. }) = &context.command;
    let events = log.command(context.account_id, id).await?;
    Ok(events.into_iter().find(|event| event.aggregate_type == A::TYPE).map(|event| event.aggregate_id))
}
