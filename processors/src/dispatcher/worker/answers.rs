//! What the number's loop does when a call ends.

use wasend_commands::CommandError;

use super::NumberWorker;
use crate::dispatcher::call::{CallJob, EndedCall};
use crate::dispatcher::context::{ThrottleScope, caller};
use crate::dispatcher::identity_updates::IdentityUpdate;
use crate::dispatcher::outcome_writer::EndedAttempt;
use crate::dispatcher::response_policy::{AttemptFacts, SideEffect};

/// Learns from the answer and has the outcome recorded.
pub(crate) async fn handle_answer(worker: &mut NumberWorker, EndedCall { job, begun, result }: EndedCall) {
    let now = worker.shared.now();
    if let Ok(submission) = &result
        && let Some(lesson) = IdentityUpdate::of(&job, submission)
        && worker.shared.lessons.try_send(lesson).is_err()
    {
        tracing::info!("more identities are new than can be kept at once");
    }
    if let Err(failure) = &result {
        tracing::info!(message.id = %job.message, number.id = %job.number, %failure, "a call did not end in an acceptance");
    }
    let facts = AttemptFacts { message: job.message, contact: job.contact, begun, now };
    let (ending, consequence) = worker.pace.respond(facts, result);
    follow(worker, &job, consequence).await;
    let CallJob { message, account, contact, attempt, .. } = job;
    worker.end(EndedAttempt { message, account, contact, attempt, ending, reply: worker.reply() }).await;
}

async fn follow(worker: &mut NumberWorker, job: &CallJob, consequence: SideEffect) {
    let shared = std::sync::Arc::clone(&worker.shared);
    match consequence {
        SideEffect::None => {}
        SideEffect::PauseWaba(until) | SideEffect::PauseApp(until) => {
            let Some(line) = worker.line() else { return };
            let scope = if matches!(consequence, SideEffect::PauseApp(_)) {
                ThrottleScope::app(&line)
            } else {
                ThrottleScope::waba(&line)
            };
            shared.pauses.pause(job.account, scope, shared.now(), until);
        }
        SideEffect::StopNumber { code } => {
            match Box::pin(shared.commands.stop_number(caller(job.account), job.number, Some(code))).await {
                Ok(done) => {
                    tracing::warn!(number.id = %job.number, code, "Meta refuses the number; it is stopped");
                    worker.stopped_at = worker.stopped_at.max(Some(done.position));
                }
                // Disconnected meanwhile: nothing is sent from it anyway.
                Err(CommandError::Refused(_)) => {}
                Err(error) => {
                    // The next message meets the same error and tries again to stop the number.
                    tracing::warn!(number.id = %job.number, %error, "the number could not be stopped");
                    worker.pace.pause(shared.now().plus(shared.options.waits.first));
                }
            }
        }
        SideEffect::OptOut => {
            let (at, identities) = (shared.now(), job.person.expose().identities());
            while let Err(error @ CommandError::Unavailable(_)) =
                Box::pin(shared.commands.refused_by_person(caller(job.account), job.contact, &identities, at)).await
            {
                tracing::warn!(contact.id = %job.contact, %error, "an opt-out cannot be recorded yet");
                tokio::time::sleep(shared.options.store_pause).await;
            }
        }
    }
}
