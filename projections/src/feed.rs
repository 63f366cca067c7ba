//! Append-only tables as a feed: what came after a position, in order of position.

use wasend_domain::Position;

use crate::engine::cell::CellValue;
use crate::engine::reads::ReadModels;
use crate::engine::sql::StoreError;
use crate::engine::table::TableRecord;

/// A row of an append-only table, in the order of its position.
pub trait FeedRow: TableRecord {
    /// Which rows are told at all: a condition over the table.
    const TOLD: &'static str;

    /// The position of the event that added the row.
    fn position(&self) -> Position;

    /// The account that may hear of it.
    fn account_id(&self) -> &str;
}

/// Up to `limit` rows of one account after a position. Waits for the account's turn.
pub async fn of_account<R: FeedRow>(
    reads: &ReadModels,
    account: &str,
    after: Position,
    limit: usize,
) -> Result<Vec<R>, StoreError> {
    let told = R::TOLD;
    let tail = format!("WHERE {told} AND account_id = $1 AND position > $2 ORDER BY position LIMIT {limit}");
    let _turn = reads.query_permit(account).await;
    reads.fetch::<R>(&tail, &[account.into(), CellValue::count(after)]).await
}

/// Up to `limit` rows of all accounts after a position, up to and with another. To Postgres a range with one end may be
/// a third of a table that it knows nothing about yet, all of which it reads and sorts then.
pub async fn between<R: FeedRow>(
    reads: &ReadModels,
    after: Position,
    until: Position,
    limit: usize,
) -> Result<Vec<R>, StoreError> {
    let told = R::TOLD;
    let tail = format!("WHERE {told} AND position > $1 AND position <= $2 ORDER BY position LIMIT {limit}");
    reads.fetch::<R>(&tail, &[CellValue::count(after), CellValue::count(until)]).await
}

/// The position of the newest row, told or not; 0 of an empty table.
pub async fn newest<R: FeedRow>(reads: &ReadModels) -> Result<Position, StoreError> {
    let newest = reads.fetch::<R>("ORDER BY position DESC LIMIT 1", &[]).await?;
    Ok(newest.first().map_or(0, FeedRow::position))
}
