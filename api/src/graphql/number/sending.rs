//! How fast a number sends, and what its messages wait for.

use async_graphql::{Enum, Result, SimpleObject};
use wasend_domain::Time;
use wasend_projections::accounts::AccountRow;
use wasend_projections::messages::StatusRow;
use wasend_projections::numbers::NumberRow;
use wasend_projections::outbox::OutboxRow;

use crate::graphql::error::unavailable;
use crate::graphql::scalar::DateTime;
use crate::graphql::state::GraphqlState;

/// Of how long the pace is told.
const PACE_WINDOW_MICROS: i64 = 60_000_000;
/// Newest facts of the account that are looked at for it.
const PACE_FACTS_MAX: u32 = 30_000;
/// Waiting messages that are counted.
const WAITING_MAX: u32 = 100_000;

/// What the messages of a number wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum SendingWait {
    /// Their turn: they go out at the number's pace.
    Pace,
    /// The next attempt: Meta asked for a pause or could not be reached, and `code` tells its error.
    Retry,
    /// The number to be resumed: it was paused by hand.
    Paused,
    /// The number to be repaired and resumed: Meta stopped it, and `code` tells why.
    PausedByMeta,
    /// Nothing any more: the number is disconnected.
    Disconnected,
    /// The server's operator: the account's sending is held (`account { sendingHold }`).
    AccountHeld,
}

/// How fast a number sends, and what its messages wait for.
#[derive(SimpleObject)]
pub struct NumberSending {
    /// Messages that Meta took within the last minute; of a busy account at most those among its newest 30,000 facts.
    sent_last_minute: i64,
    /// Accepted messages that wait to be handed to Meta, counted up to 100,000.
    waiting: i64,
    /// Null if none waits.
    waits_for: Option<SendingWait>,
    /// When the next one may be tried; null if that is not a question of time.
    next_attempt_at: Option<DateTime>,
    /// Meta's error code behind it, if there is one.
    code: Option<i64>,
}

/// As the read models show it now.
pub async fn of_number(state: &GraphqlState, number: &NumberRow) -> Result<NumberSending> {
    let now = state.commands.clock.now();
    let _turn = state.reads.query_permit(&number.account_id).await;
    let since = Time::from_micros(now.micros() - PACE_WINDOW_MICROS);
    let sent = StatusRow::submitted_since(&state.reads, (&number.account_id, &number.id), since, PACE_FACTS_MAX).await;
    let sent = sent.map_err(unavailable)?;
    let waiting = OutboxRow::waiting_of(&state.reads, &number.id, WAITING_MAX).await.map_err(unavailable)?;
    let counted = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut sending = NumberSending {
        sent_last_minute: counted(sent),
        waiting: counted(waiting),
        waits_for: None,
        next_attempt_at: None,
        code: None,
    };
    if sending.waiting == 0 {
        return Ok(sending);
    }
    let account = state.reads.get::<AccountRow>(&number.account_id).await.map_err(unavailable)?;
    let is_held = account.is_some_and(|account| account.sending_held_at.is_some());
    (sending.waits_for, sending.code) = match number {
        _ if number.disconnected_at.is_some() => (Some(SendingWait::Disconnected), None),
        NumberRow { stopped_at: Some(_), stop_code: Some(code), .. } => (Some(SendingWait::PausedByMeta), Some(*code)),
        NumberRow { stopped_at: Some(_), .. } => (Some(SendingWait::Paused), None),
        _ if is_held => (Some(SendingWait::AccountHeld), None),
        _ => {
            let next = OutboxRow::next_to_send(&state.reads, &number.id).await.map_err(unavailable)?;
            let Some(next) = next else { return Ok(sending) };
            sending.next_attempt_at = Some(DateTime(next.due_at));
            if next.due_at > now {
                let last = StatusRow::last_of(&state.reads, &next.id).await.map_err(unavailable)?;
                (Some(SendingWait::Retry), last.and_then(|fact| fact.code))
            } else {
                (Some(SendingWait::Pace), None)
            }
        }
    };
    Ok(sending)
}
