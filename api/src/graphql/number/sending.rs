//! How fast a number sends, and what its messages wait for.

use std::time::Duration;

use async_graphql::{Enum, Result, SimpleObject};
use wasend_domain::Time;
use wasend_projections::accounts::AccountRow;
use wasend_projections::messages::StatusRow;
use wasend_projections::numbers::NumberRow;
use wasend_projections::outbox::OutboxRow;
use wasend_projections::{CellValue, ColumnKind};

use crate::graphql::error::unavailable;
use crate::graphql::scalar::DateTime;
use crate::graphql::state::GraphqlState;

/// Of how long the pace is told.
const PACE_WINDOW: Duration = Duration::from_secs(60);
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
    let mut sending = NumberSending {
        sent_last_minute: sent_since(state, number, now).await?,
        waiting: waiting(state, number).await?,
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
            let Some(next) = next(state, number).await? else { return Ok(sending) };
            sending.next_attempt_at = Some(DateTime(next.due_at));
            if next.due_at > now {
                (Some(SendingWait::Retry), last_code(state, &next).await?)
            } else {
                (Some(SendingWait::Pace), None)
            }
        }
    };
    Ok(sending)
}

async fn sent_since(state: &GraphqlState, number: &NumberRow, now: Time) -> Result<i64> {
    let since = now.micros().saturating_sub(i64::try_from(PACE_WINDOW.as_micros()).unwrap_or(i64::MAX));
    let facts = state.reads.physical::<StatusRow>().map_err(unavailable)?;
    let sql = format!(
        "SELECT count(*) FROM (SELECT number_id, fact, recorded_at FROM {facts} WHERE account_id = $1 \
         ORDER BY position DESC LIMIT {PACE_FACTS_MAX}) AS newest \
         WHERE number_id = $2 AND fact = 'MessageSubmitted' AND recorded_at >= $3"
    );
    let binds = [number.account_id.as_str().into(), number.id.as_str().into(), since.into()];
    count(state, &sql, &binds).await
}

async fn waiting(state: &GraphqlState, number: &NumberRow) -> Result<i64> {
    let outbox = state.reads.physical::<OutboxRow>().map_err(unavailable)?;
    let sql = format!(
        "SELECT count(*) FROM (SELECT id FROM {outbox} WHERE todo = 'send' AND number_id = $1 LIMIT {WAITING_MAX}) AS waiting"
    );
    count(state, &sql, &[number.id.as_str().into()]).await
}

async fn count(state: &GraphqlState, sql: &str, binds: &[CellValue]) -> Result<i64> {
    let rows = state.reads.cells(sql, binds, &[ColumnKind::Int]).await.map_err(unavailable)?;
    match rows.first().and_then(|row| row.first()) {
        Some(CellValue::Int(Some(count))) => Ok(*count),
        _ => Ok(0),
    }
}

/// The message that is tried next.
async fn next(state: &GraphqlState, number: &NumberRow) -> Result<Option<OutboxRow>> {
    let first = "WHERE todo = 'send' AND number_id = $1 ORDER BY due_at, id LIMIT 1";
    let rows = state.reads.fetch::<OutboxRow>(first, &[number.id.as_str().into()]).await.map_err(unavailable)?;
    Ok(rows.into_iter().next())
}

/// The code of the last fact about a message that has one.
async fn last_code(state: &GraphqlState, message: &OutboxRow) -> Result<Option<i64>> {
    let last = "WHERE message_id = $1 ORDER BY position DESC LIMIT 1";
    let rows = state.reads.fetch::<StatusRow>(last, &[message.id.as_str().into()]).await.map_err(unavailable)?;
    Ok(rows.first().and_then(|row| row.code))
}
