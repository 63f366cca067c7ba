//! What the number's loop does when a call ends.

use wasend_commands::CommandError;

use crate::call::{Called, Job};
use crate::conclude::Ended;
use crate::learn::Lesson;
use crate::number::Worker;
use crate::shared::{Scope, caller};
use crate::verdict::{Consequence, Facts};

/// Learns from the answer and has the outcome recorded.
pub(crate) async fn hear(worker: &mut Worker, Called { job, begun, result }: Called) {
    let now = worker.shared.now();
    if let Ok(submission) = &result
        && let Some(lesson) = Lesson::of(&job, submission)
        && worker.shared.lessons.try_send(lesson).is_err()
    {
        tracing::info!("more identities are new than can be kept at once");
    }
    if let Err(failure) = &result {
        tracing::info!(message.id = %job.message, number.id = %job.number, %failure, "a call did not end in an acceptance");
    }
    let facts = Facts { message: job.message, contact: job.contact, begun, now };
    let (ending, consequence) = worker.pace.judge(facts, result);
    follow(worker, &job, consequence).await;
    let Job { message, account, contact, attempt, .. } = job;
    worker.end(Ended { message, account, contact, attempt, ending, reply: worker.reply() }).await;
}

async fn follow(worker: &mut Worker, job: &Job, consequence: Consequence) {
    let shared = std::sync::Arc::clone(&worker.shared);
    match consequence {
        Consequence::None => {}
        Consequence::PauseWaba(until) | Consequence::PauseApp(until) => {
            let Some(line) = worker.line() else { return };
            let scope =
                if matches!(consequence, Consequence::PauseApp(_)) { Scope::app(&line) } else { Scope::waba(&line) };
            shared.pauses.pause(job.account, scope, shared.now(), until);
        }
        Consequence::StopNumber { code } => {
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
        Consequence::OptOut => {
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
