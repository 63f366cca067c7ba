//! From messages that are due to calls that may be made: checks of consent, the content, the recipient,
//! and the record that an attempt begins, each for the whole set at once.

use std::collections::HashMap;

use wasend_commands::{Caller, CommandError, Commands};
use wasend_domain::contact::{ConsentScope, Contact};
use wasend_domain::content::OutboundContent;
use wasend_domain::message::{CancelReason, Command, Error, Event, Message};
use wasend_domain::{
    AccountId, MessageId, NumberId, Opened, Personal, Position, SubjectId, UnavailableCause, UnavailableValue,
};
use wasend_eventlog::{CommandFailure, StreamLookup, execute_all, load};
use wasend_projections::numbers::NumberRow;
use wasend_vault::{Person, PersonIdentity};

use crate::context::once;
use crate::dispatcher::DISPATCHER;
use crate::dispatcher::call::{CallJob, request};
use crate::dispatcher::queue::WaitingMessage;

/// What became of the messages of a set.
#[derive(Default)]
pub(crate) struct PreparedCalls {
    /// Their attempt is recorded, and no other node makes it.
    pub jobs: Vec<CallJob>,
    /// Their attempt is recorded, but what they say, or their recipient, cannot be read.
    pub unreadable: Vec<(WaitingMessage, u32, UnavailableCause)>,
    /// They are withdrawn, or the list was behind; it shows so from these positions on.
    pub done: Vec<(MessageId, Position)>,
    /// The log did not take the record.
    pub failed: Vec<MessageId>,
}

/// What is to be done with one message.
enum PreparedStep {
    Send(Personal<Person>, Box<wasend_whatsapp::SendRequest>),
    Cancel(CancelReason),
    Unreadable(UnavailableCause),
}

/// Decides about the set and records it. On an error nothing was recorded.
#[tracing::instrument(name = "dispatch.attempt", skip_all, fields(number.id = %number, messages = set.len()))]
pub(crate) async fn prepare(
    commands: &Commands,
    number: NumberId,
    account: AccountId,
    set: Vec<WaitingMessage>,
) -> Result<PreparedCalls, CommandError> {
    let steps = steps(commands, number, account, &set).await?;
    let mut prepared = PreparedCalls::default();
    let (mut attempts, mut cancels) = (Vec::new(), HashMap::<&str, (CancelReason, Vec<WaitingMessage>)>::new());
    for (waiting, step) in set.into_iter().zip(steps) {
        match step {
            PreparedStep::Cancel(reason) => {
                cancels.entry(reason.name()).or_insert((reason, Vec::new())).1.push(waiting);
            }
            step => attempts.push((waiting, step)),
        }
    }
    for (reason, set) in cancels.into_values() {
        cancel(commands, &set, reason, &mut prepared).await;
    }
    attempt(commands, number, attempts, &mut prepared).await;
    Ok(prepared)
}

/// Withdraws the messages of a set.
pub(crate) async fn cancel(
    commands: &Commands,
    set: &[WaitingMessage],
    reason: CancelReason,
    prepared: &mut PreparedCalls,
) {
    let at = commands.clock.now();
    let command = |waiting: &WaitingMessage| {
        (once(waiting.account, DISPATCHER), waiting.message.uuid(), Command::Cancel { reason, at })
    };
    let answers = execute_all::<Message>(&*commands.log, &*commands.clock, set.iter().map(command).collect()).await;
    for (waiting, answer) in set.iter().zip(answers) {
        match answer {
            Ok(done) => {
                if !done.events.is_empty() {
                    metrics::counter!("wasend_dispatch_outcomes_total", "outcome" => "cancelled").increment(1);
                }
                prepared.done.push((waiting.message, done.position));
            }
            Err(failure) => missed(commands, waiting, &failure, prepared),
        }
    }
}

async fn attempt(
    commands: &Commands,
    number: NumberId,
    set: Vec<(WaitingMessage, PreparedStep)>,
    prepared: &mut PreparedCalls,
) {
    let at = commands.clock.now();
    let command = |(waiting, _): &(WaitingMessage, PreparedStep)| {
        let command = Command::Attempt { attempt: waiting.attempts + 1, at };
        (once(waiting.account, DISPATCHER), waiting.message.uuid(), command)
    };
    let answers = execute_all::<Message>(&*commands.log, &*commands.clock, set.iter().map(command).collect()).await;
    for ((waiting, step), answer) in set.into_iter().zip(answers) {
        let done = match answer {
            Ok(done) => done,
            Err(failure) => {
                missed(commands, &waiting, &failure, prepared);
                continue;
            }
        };
        let attempt = done.events.iter().find_map(|event| match event {
            Event::Attempted { attempt, .. } => Some(*attempt),
            _ => None,
        });
        match (attempt, step) {
            (Some(attempt), PreparedStep::Send(person, request)) => prepared.jobs.push(CallJob {
                message: waiting.message,
                account: waiting.account,
                number,
                contact: waiting.contact,
                attempt,
                person,
                request: *request,
            }),
            (Some(attempt), PreparedStep::Unreadable(why)) => prepared.unreadable.push((waiting, attempt, why)),
            // What is cancelled is not attempted.
            (Some(_), PreparedStep::Cancel(_)) | (None, _) => prepared.done.push((waiting.message, done.position)),
        }
    }
}

fn missed(
    commands: &Commands,
    waiting: &WaitingMessage,
    failure: &CommandFailure<Error>,
    prepared: &mut PreparedCalls,
) {
    match failure {
        CommandFailure::Busy | CommandFailure::Log(_) => prepared.failed.push(waiting.message),
        // The list was behind. It has caught up once it shows something that is not there yet.
        CommandFailure::Refused(Error::NotNext | Error::NotCancellable(_)) => {
            prepared.done.push((waiting.message, *commands.log.watch().borrow()));
        }
        CommandFailure::Refused(Error::NotFound) | CommandFailure::NotFound | CommandFailure::CommandReused => {
            tracing::error!(message.id = %waiting.message, error = %failure, "a message cannot be sent");
            prepared.done.push((waiting.message, Position::MAX));
        }
    }
}

/// What is known of a message's recipient: of the contact that goes on, where that of the message was merged.
struct RecipientState {
    subject: SubjectId,
    is_erased: bool,
    is_opted_out: bool,
    refuses_marketing: bool,
}

async fn recipients(
    commands: &Commands,
    account: AccountId,
    set: &[WaitingMessage],
) -> Result<Vec<RecipientState>, CommandError> {
    let ids: Vec<_> = set.iter().map(|waiting| waiting.contact.uuid()).collect();
    let contacts = load::<Contact>(&*commands.log, account, &ids).await?;
    let mut recipients = Vec::with_capacity(set.len());
    for waiting in set {
        let loaded = match contacts.get(&waiting.contact.uuid()) {
            Some(StreamLookup::Present(contact)) => Some(&contact.state),
            _ => None,
        };
        let is_erased = loaded.is_some_and(|contact| contact.erased.is_some());
        let mut recipient = RecipientState {
            subject: waiting.contact,
            is_erased,
            is_opted_out: loaded.is_some_and(|contact| contact.opted_out),
            refuses_marketing: loaded.is_some_and(|contact| contact.marketing_opted_out),
        };
        if !is_erased && loaded.is_some_and(|contact| contact.merged_into.is_some()) {
            let caller = Caller { account_id: account, actor: DISPATCHER };
            let (subject, contact) = commands.resolved_contact(caller, waiting.contact).await?;
            recipient = RecipientState {
                subject,
                is_erased: contact.state.erased.is_some(),
                is_opted_out: contact.state.opted_out,
                refuses_marketing: contact.state.marketing_opted_out,
            };
        }
        recipients.push(recipient);
    }
    Ok(recipients)
}

async fn steps(
    commands: &Commands,
    number: NumberId,
    account: AccountId,
    set: &[WaitingMessage],
) -> Result<Vec<PreparedStep>, CommandError> {
    let recipients = recipients(commands, account, set).await?;
    let sealed: Vec<_> = set.iter().filter_map(|waiting| waiting.content.clone()).collect();
    let mut contents = commands.vault.open_many(account, &sealed).await?.into_iter();
    let subjects: Vec<_> = recipients.iter().map(|recipient| recipient.subject).collect();
    let people = commands.vault.identities(account, &subjects).await?;
    let mut steps = Vec::with_capacity(set.len());
    for ((waiting, person), recipient) in set.iter().zip(people).zip(recipients) {
        let (why, subject) = (UnavailableCause::ValueDamaged, Some(waiting.contact));
        let content = waiting.content.as_ref().and_then(|_| contents.next());
        let content = content.unwrap_or(Opened::Unavailable(UnavailableValue { why, subject }));
        steps.push(if recipient.is_erased {
            PreparedStep::Cancel(CancelReason::Erased)
        } else if recipient.is_opted_out
            || (recipient.refuses_marketing && is_marketing(commands, number, &content).await?)
        {
            PreparedStep::Cancel(CancelReason::OptedOut)
        } else {
            prepare_step(waiting, content, person)
        });
    }
    cancel_suppressed(commands, account, &mut steps).await?;
    Ok(steps)
}

/// Whether the content is marketing, or may be; asked only for people who do not want it.
async fn is_marketing(
    commands: &Commands,
    number: NumberId,
    content: &Opened<OutboundContent>,
) -> Result<bool, CommandError> {
    let Opened::Value(content) = content else { return Ok(false) };
    match commands.reads.get::<NumberRow>(&number.to_string()).await? {
        Some(row) => commands.templates.is_marketing(&row, content.expose()).await,
        None => Ok(true),
    }
}

/// Withdraws what is for numbers of people who had opted out before they were erased, by whatever contact they are
/// known now.
async fn cancel_suppressed(
    commands: &Commands,
    account: AccountId,
    steps: &mut [PreparedStep],
) -> Result<(), CommandError> {
    let phone = |step: &PreparedStep| match step {
        PreparedStep::Send(person, _) => person.expose().phone().map(PersonIdentity::phone),
        PreparedStep::Cancel(_) | PreparedStep::Unreadable(_) => None,
    };
    let phones: Vec<_> = steps.iter().enumerate().filter_map(|(index, step)| Some((index, phone(step)?))).collect();
    let identities: Vec<_> = phones.iter().map(|(_, identity)| identity.clone()).collect();
    let suppressed = commands.vault.suppressed(account, &identities, ConsentScope::All).await?;
    for ((index, _), _) in phones.into_iter().zip(suppressed).filter(|(_, suppressed)| suppressed.is_some()) {
        steps[index] = PreparedStep::Cancel(CancelReason::OptedOut);
    }
    Ok(())
}

fn prepare_step(waiting: &WaitingMessage, content: Opened<OutboundContent>, person: Opened<Person>) -> PreparedStep {
    let (content, person) = match (content, person) {
        (Opened::Erased(_), _) | (_, Opened::Erased(_)) => return PreparedStep::Cancel(CancelReason::Erased),
        (Opened::Unavailable(UnavailableValue { why, .. }), _)
        | (_, Opened::Unavailable(UnavailableValue { why, .. })) => {
            return PreparedStep::Unreadable(why);
        }
        (Opened::Value(content), Opened::Value(person)) => (content, person),
    };
    match request(waiting.message, person.expose(), content.into_exposed()) {
        Some(request) => PreparedStep::Send(person, Box::new(request)),
        None => PreparedStep::Cancel(CancelReason::Erased),
    }
}
