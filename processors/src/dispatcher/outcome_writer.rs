//! Recording how attempts ended: whatever has ended meanwhile is sealed and appended together. An outcome is kept until
//! it is recorded, however long the log is away; one that is lost with the process is unknown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wasend_commands::Commands;
use wasend_domain::content::{ErrorText, Wamid};
use wasend_domain::message::{CallOutcome, Command, Message, MetaSubmission};
use wasend_domain::{AccountId, MessageId, Personal, PersonalValue, Position, Sealed, SubjectId};
use wasend_eventlog::{CommandFailure, execute_all};
use wasend_vault::VaultError;

use crate::context::once;
use crate::dispatcher::DISPATCHER;
use crate::dispatcher::response_policy::AttemptOutcome;

/// Most outcomes in one append.
const OUTCOMES_BATCH_MAX: usize = 1_000;

/// An attempt that ended.
pub(crate) struct EndedAttempt {
    pub message: MessageId,
    pub account: AccountId,
    pub contact: SubjectId,
    pub attempt: u32,
    pub ending: AttemptOutcome,
    /// Where the number's loop waits for it.
    pub reply: mpsc::UnboundedSender<RecordedOutcome>,
}

/// The outcome is recorded, and shows to readers from `position` on.
#[derive(Debug, Clone)]
pub(crate) struct RecordedOutcome {
    pub message: MessageId,
    pub position: Position,
}

/// Runs until every sender is gone and everything is recorded.
pub(crate) async fn run(commands: Arc<Commands>, mut ended: mpsc::Receiver<EndedAttempt>, pause: Duration) {
    let (mut left, mut retry_at, mut closed) = (Vec::new(), Instant::now(), false);
    loop {
        let mut batch = Vec::new();
        // What cannot be recorded yet does not hold up the rest: it may be one account's vault alone.
        tokio::select! {
            count = ended.recv_many(&mut batch, OUTCOMES_BATCH_MAX), if !closed => closed = count == 0,
            () = sleep_until(retry_at), if !left.is_empty() => batch.append(&mut left),
            else => return,
        }
        let failed = Box::pin(record(&commands, batch)).await;
        if !failed.is_empty() {
            tracing::warn!(outcomes = failed.len(), "outcomes cannot be recorded yet");
            if left.is_empty() {
                retry_at = Instant::now() + pause;
            }
            left.extend(failed);
        }
    }
}

/// Records what can be recorded, and returns the rest.
#[tracing::instrument(name = "dispatch.conclude", skip_all, fields(outcomes = ended.len()))]
async fn record(commands: &Commands, ended: Vec<EndedAttempt>) -> Vec<EndedAttempt> {
    if ended.is_empty() {
        return ended;
    }
    let outcomes = outcomes(commands, &ended).await;
    let at = commands.clock.now();
    let (mut left, mut sent, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    for (ended, outcome) in ended.into_iter().zip(outcomes) {
        let Some(outcome) = outcome else {
            left.push(ended);
            continue;
        };
        let command = Command::Conclude { attempt: ended.attempt, outcome, at };
        batch.push((once(ended.account, DISPATCHER), ended.message.uuid(), command));
        sent.push(ended);
    }
    let answers = execute_all::<Message>(&*commands.log, &*commands.clock, batch).await;
    for (ended, answer) in sent.into_iter().zip(answers) {
        let position = match answer {
            Ok(done) => {
                if !done.events.is_empty() {
                    metrics::counter!("wasend_dispatch_outcomes_total", "outcome" => label(&ended.ending)).increment(1);
                }
                done.position
            }
            Err(CommandFailure::Busy | CommandFailure::Log(_)) => {
                left.push(ended);
                continue;
            }
            Err(refused) => {
                tracing::error!(message.id = %ended.message, error = %refused, "an outcome was refused");
                *commands.log.watch().borrow() + 1
            }
        };
        // The receiver is gone if the number's loop has ended.
        drop(ended.reply.send(RecordedOutcome { message: ended.message, position }));
    }
    left
}

const fn label(ending: &AttemptOutcome) -> &'static str {
    match ending {
        AttemptOutcome::Submitted { held: true, .. } => "held",
        AttemptOutcome::Submitted { .. } => "submitted",
        AttemptOutcome::Deferred { .. } => "deferred",
        AttemptOutcome::Refused { .. } => "failed",
        AttemptOutcome::Unknown => "unknown",
    }
}

/// The sealed outcome of each; none where the vault does not answer for now.
async fn outcomes(commands: &Commands, ended: &[EndedAttempt]) -> Vec<Option<CallOutcome>> {
    let mut outcomes: Vec<Option<CallOutcome>> = Vec::with_capacity(ended.len());
    let mut submitted = BTreeMap::<AccountId, Vec<(usize, SubjectId, Wamid, bool)>>::new();
    let mut refused = BTreeMap::<AccountId, Vec<(usize, SubjectId, ErrorText)>>::new();
    for (index, EndedAttempt { account, contact, ending, .. }) in ended.iter().enumerate() {
        outcomes.push(match ending {
            AttemptOutcome::Deferred { until, code } => Some(CallOutcome::Deferred { until: *until, code: *code }),
            AttemptOutcome::Unknown => Some(CallOutcome::Unknown),
            AttemptOutcome::Refused { code, class, text: None } => {
                Some(CallOutcome::Refused { code: *code, class: (*class).to_owned(), detail: None })
            }
            AttemptOutcome::Refused { text: Some(text), .. } => {
                refused.entry(*account).or_default().push((index, *contact, ErrorText(text.expose().clone())));
                None
            }
            AttemptOutcome::Submitted { submission, held } => {
                let wamid = Wamid(submission.wamid.clone());
                submitted.entry(*account).or_default().push((index, *contact, wamid, *held));
                None
            }
        });
    }
    for (account, items) in submitted {
        let wamids: Vec<_> = items.iter().map(|(_, _, wamid, _)| Personal::new(wamid.0.clone())).collect();
        let Ok(indexes) = commands.vault.index_many(account, "wamid", &wamids).await else { continue };
        let values = items.iter().map(|(_, contact, wamid, _)| (*contact, Personal::new(wamid.clone())));
        let sealed = seal(commands, account, values.collect()).await;
        for (((index, _, _, held), sealed), wamid_index) in items.into_iter().zip(sealed).zip(indexes) {
            outcomes[index] = match sealed {
                Ok(wamid) => Some(CallOutcome::Submitted { submission: MetaSubmission { wamid, wamid_index }, held }),
                // The contact was erased during the call, or its key is missing or damaged since: that Meta has the message
                // may be known, its id may not.
                Err(UnsealFailure::Never) => Some(CallOutcome::Unknown),
                Err(UnsealFailure::NotNow) => None,
            };
        }
    }
    for (account, items) in refused {
        let values = items.iter().map(|(_, contact, text)| (*contact, Personal::new(text.clone())));
        let sealed = seal(commands, account, values.collect()).await;
        for ((index, ..), sealed) in items.into_iter().zip(sealed) {
            let AttemptOutcome::Refused { code, class, .. } = &ended[index].ending else { continue };
            let detail = match sealed {
                Ok(detail) => Some(detail),
                Err(UnsealFailure::Never) => None,
                Err(UnsealFailure::NotNow) => continue,
            };
            outcomes[index] = Some(CallOutcome::Refused { code: *code, class: (*class).to_owned(), detail });
        }
    }
    outcomes
}

enum UnsealFailure {
    /// There is no key for it, and there will be none.
    Never,
    /// The vault did not answer.
    NotNow,
}

async fn seal<T: PersonalValue>(
    commands: &Commands,
    account: AccountId,
    values: Vec<(SubjectId, Personal<T>)>,
) -> Vec<Result<Sealed<T>, UnsealFailure>> {
    let sealed = commands.vault.seal_many(account, &values, commands.clock.now().day()).await;
    let reason = |error| match error {
        VaultError::Failure(_) => UnsealFailure::NotNow,
        _ => UnsealFailure::Never,
    };
    sealed.into_iter().map(|sealed| sealed.map_err(reason)).collect()
}
