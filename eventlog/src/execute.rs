//! The executor: load, decide, append, answer. Commands are executed as a set; one command is a set of one.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use wasend_domain::{AccountId, Clock, Position};

use crate::load::histories;
use crate::plan::{Context, Failure, Plan};
use crate::{Append, Appended, CommandId, EventLog, Executable, Loaded, LogError, Rejected, turns};

/// How often a command is decided again after others changed its aggregate first.
const ATTEMPTS: usize = 64;

/// A command that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed<A: Executable> {
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

type Outcome<A> = Result<Executed<A>, Failure<<A as cqrs_es::Aggregate>::Error>>;

/// Executes a command on the aggregate `id`. Without events it succeeds and records nothing. What belongs to another
/// account is answered like what does not exist.
pub async fn execute<A: Executable>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    context: Context,
    id: Uuid,
    command: A::Command,
) -> Outcome<A> {
    one(execute_all(log, clock, vec![(context, id, command)]).await)
}

/// Executes a command that creates an aggregate under the fresh `id`, without reading first.
pub async fn execute_new<A: Executable>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    context: Context,
    id: Uuid,
    command: A::Command,
) -> Outcome<A> {
    one(execute_new_all(log, clock, vec![(context, id, command)]).await)
}

/// Executes commands as a set, each on its own merits: one load, one append. Several for the same aggregate see each
/// other in their order. Answers in the same order.
pub async fn execute_all<A: Executable>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    commands: Vec<(Context, Uuid, A::Command)>,
) -> Vec<Outcome<A>> {
    run(log, clock, commands, false).await
}

/// [`execute_new`] for a set.
pub async fn execute_new_all<A: Executable>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    commands: Vec<(Context, Uuid, A::Command)>,
) -> Vec<Outcome<A>> {
    run(log, clock, commands, true).await
}

fn one<A: Executable>(outcomes: Vec<Outcome<A>>) -> Outcome<A> {
    outcomes.into_iter().next().unwrap_or(Err(Failure::Busy))
}

struct Item<A: Executable> {
    context: Context,
    id: Uuid,
    command: A::Command,
    outcome: Option<Outcome<A>>,
}

async fn run<A: Executable>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    commands: Vec<(Context, Uuid, A::Command)>,
    mut fresh: bool,
) -> Vec<Outcome<A>> {
    let mut items: Vec<Item<A>> =
        commands.into_iter().map(|(context, id, command)| Item { context, id, command, outcome: None }).collect();
    let mut turns = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut open: Vec<&mut Item<A>> = items.iter_mut().filter(|item| item.outcome.is_none()).collect();
        if open.is_empty() {
            break;
        }
        if let Err(error) = round(log, clock, &mut open, fresh).await {
            for item in open.into_iter().filter(|item| item.outcome.is_none()) {
                item.outcome = Some(Err(Failure::Log(error.clone())));
            }
            break;
        }
        fresh = false;
        if turns.is_empty() {
            turns = turns::take(open.iter().filter(|item| item.outcome.is_none()).map(|item| item.id)).await;
        }
    }
    items.into_iter().map(|item| item.outcome.unwrap_or(Err(Failure::Busy))).collect()
}

/// What an item waits for in a round.
enum Step<A: Executable> {
    /// The answer to its append.
    Append(Executed<A>),
    /// Nothing, unless its command may have been recorded before.
    Settle(Outcome<A>),
}

/// Decides every open item once and appends what follows as one. Those that met a conflict stay open.
async fn round<A: Executable>(
    log: &dyn EventLog,
    clock: &dyn Clock,
    items: &mut [&mut Item<A>],
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
    let repeats = settle(items, answered)?;
    answer_repeats(log, items, repeats).await
}

/// Gives the items their outcomes, and says which of them are repeated and up to where they had been recorded.
fn settle<'a, A: Executable>(
    items: &mut [&mut Item<A>],
    answered: impl Iterator<Item = (Step<A>, Option<&'a Result<Appended, Rejected>>)>,
) -> Result<Vec<(usize, Position)>, LogError> {
    let mut repeats = Vec::new();
    // A decision does not stand if one that it was built on was not recorded.
    let mut shaken = HashSet::new();
    let mut reached = HashMap::new();
    for (index, (item, (step, answer))) in items.iter_mut().zip(answered).enumerate() {
        match (answer, step) {
            (Some(Err(Rejected::Conflict { .. })), _) => drop(shaken.insert(item.id)),
            (Some(Err(Rejected::CommandReused)), _) => {
                shaken.insert(item.id);
                item.outcome = Some(Err(Failure::CommandReused));
            }
            (Some(Ok(Appended { repeated: true, last, .. })), _) => {
                shaken.insert(item.id);
                repeats.push((index, *last));
            }
            (Some(Ok(Appended { last, .. })), Step::Append(executed)) => {
                reached.insert(item.id, *last);
                item.outcome = Some(Ok(Executed { position: *last, ..executed }));
            }
            (None, Step::Append(_)) => return Err(LogError::Damaged("an append was not answered".to_owned())),
            (_, Step::Settle(_)) if shaken.contains(&item.id) => {}
            (_, Step::Settle(outcome)) => {
                let before = reached.get(&item.id).copied().unwrap_or(0);
                item.outcome = Some(outcome.map(|done| Executed { position: done.position.max(before), ..done }));
            }
        }
    }
    Ok(repeats)
}

/// The decision on one item, and what it asks of the log: to append its events, or nothing but whether the same
/// command was recorded before. A refused command may be the repetition of one that had succeeded.
fn decide<A: Executable>(
    item: &Item<A>,
    found: &mut HashMap<Uuid, (AccountId, Loaded<A>)>,
    clock: &dyn Clock,
) -> Result<(Step<A>, Option<Append>), LogError> {
    let Item { context, id, command, .. } = item;
    let (owner, loaded) = found.entry(*id).or_insert_with(|| (context.account_id, Loaded::default()));
    let foreign = *owner != context.account_id;
    let mut stand_in = Loaded::default();
    let loaded = if foreign { &mut stand_in } else { loaded };
    let mut plan = Plan::new(context.clone(), clock.now());
    let decision = plan.decide(*id, loaded, command.clone());
    let planned = !plan.is_empty();
    let step = match decision {
        Err(Failure::Log(error)) => return Err(error),
        Err(refused) => Step::Settle(Err(refused)),
        Ok(_) if planned && foreign => Step::Settle(Err(Failure::NotFound)),
        Ok(events) => {
            let executed =
                Executed { id: *id, state: loaded.state.clone(), events, position: loaded.position, repeated: false };
            if planned { Step::Append(executed) } else { Step::Settle(Ok(executed)) }
        }
    };
    let append = match (&step, &context.command) {
        (Step::Append(_), _) => Some(plan.into_append()),
        (Step::Settle(_), CommandId::Repeatable { .. }) => Some(Plan::new(context.clone(), clock.now()).into_append()),
        (Step::Settle(_), CommandId::Fresh(_)) => None,
    };
    Ok((step, append))
}

/// Answers repeated commands with their aggregates as they stand now.
async fn answer_repeats<A: Executable>(
    log: &dyn EventLog,
    items: &mut [&mut Item<A>],
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
        item.outcome = Some(Ok(Executed { id, state, events: Vec::new(), position, repeated: true }));
    }
    Ok(())
}

/// Which aggregate the command changed when it was first given.
async fn original<A: Executable>(log: &dyn EventLog, context: &Context) -> Result<Option<Uuid>, LogError> {
    let (CommandId::Fresh(id) | CommandId::Repeatable { id, .. }) = &context.command;
    let events = log.command(context.account_id, id).await?;
    Ok(events.into_iter().find(|event| event.aggregate_type == A::TYPE).map(|event| event.aggregate_id))
}
