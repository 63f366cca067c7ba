//! Usage: how many messages went out and came in, by day, number, direction and category.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};
use wasend_domain::account::KeyScope;
use wasend_domain::message::MessageDirection as Way;
use wasend_domain::{AccountId, Day, NumberId};
use wasend_projections::usage::UsageRow;
use wasend_projections::{CellValue, ColumnKind};

use super::error::{invalid, unavailable};
use super::message::DirectionEnum;
use super::number::NumberObject;
use super::page::times;
use super::scalar::{DateScalar, PositionScalar};
use super::state::GraphqlState;
use crate::auth::{ContextExt, require};

/// Longest period, in days.
const DAYS_MAX: i64 = 366;

/// Days in UTC, both included; at most 366.
#[derive(Clone, Copy, InputObject)]
#[graphql(name = "Period")]
struct UsagePeriod {
    from: DateScalar,
    to: DateScalar,
}

/// By what usage can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum UsageDimension {
    /// The UTC day on which WASend accepted or received the messages.
    Day,
    Number,
    Direction,
    /// Meta's word for what a message is charged as; `unknown` until Meta has said it.
    Category,
}

impl UsageDimension {
    const ALL: [Self; 4] = [Self::Day, Self::Number, Self::Direction, Self::Category];

    const fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Number => "number_id",
            Self::Direction => "direction",
            Self::Category => "category",
        }
    }

    const fn kind(self) -> ColumnKind {
        match self {
            Self::Day => ColumnKind::Int,
            Self::Number | Self::Direction | Self::Category => ColumnKind::Text,
        }
    }
}

struct UsageObject {
    account: AccountId,
    from: Day,
    to: Day,
    /// None for all numbers; an unknown number has no usage.
    number: Option<String>,
    total: UsageLineObject,
}

/// What the account used in a period. Each message counts once, however often Meta reports it.
#[Object(name = "Usage")]
impl UsageObject {
    async fn from(&self) -> DateScalar {
        DateScalar(self.from)
    }

    async fn to(&self) -> DateScalar {
        DateScalar(self.to)
    }

    /// Messages that Meta showed to have gone out, or that came in.
    async fn messages(&self) -> i64 {
        self.total.messages
    }

    /// Those of them that reached a device.
    async fn delivered(&self) -> i64 {
        self.total.delivered
    }

    /// Those of them that Meta said it charges.
    async fn billable(&self) -> i64 {
        self.total.billable
    }

    /// The sums told apart by some of the dimensions; by all of them if none is named. In the order of the dimensions.
    #[graphql(complexity = "times(100, child_complexity)")]
    async fn lines(&self, ctx: &Context<'_>, by: Option<Vec<UsageDimension>>) -> Result<Vec<UsageLineObject>> {
        let asked = by.unwrap_or_else(|| UsageDimension::ALL.to_vec());
        let by: Vec<_> = UsageDimension::ALL.into_iter().filter(|dimension| asked.contains(dimension)).collect();
        sums(GraphqlState::of(ctx), self.account, (self.from, self.to), self.number.as_deref(), &by).await
    }
}

#[derive(Clone, Default)]
struct UsageLineObject {
    day: Option<Day>,
    number: Option<String>,
    direction: Option<Way>,
    category: Option<String>,
    messages: i64,
    delivered: i64,
    billable: i64,
}

/// One line of the usage. A dimension that it does not tell apart is null.
#[Object(name = "UsageLine")]
impl UsageLineObject {
    async fn day(&self) -> Option<DateScalar> {
        self.day.map(DateScalar)
    }

    async fn number_id(&self) -> Option<ID> {
        self.number.as_deref().map(ID::from)
    }

    /// Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn number(&self, ctx: &Context<'_>) -> Result<Option<NumberObject>> {
        let Some(id) = &self.number else { return Ok(None) };
        Ok(GraphqlState::of(ctx).loaders.row(ctx.actor()?.account_id, id).await?.map(NumberObject))
    }

    async fn direction(&self) -> Option<DirectionEnum> {
        self.direction.map(DirectionEnum::from)
    }

    async fn category(&self) -> Option<&str> {
        self.category.as_deref()
    }

    async fn messages(&self) -> i64 {
        self.messages
    }

    async fn delivered(&self) -> i64 {
        self.delivered
    }

    async fn billable(&self) -> i64 {
        self.billable
    }
}

/// Queries of what the account used.
#[derive(Default)]
pub struct UsageQuery;

#[Object]
impl UsageQuery {
    /// What the account used, of all its numbers or of one.
    #[graphql(guard = "require(KeyScope::Billing)")]
    async fn usage(
        &self,
        ctx: &Context<'_>,
        period: UsagePeriod,
        number_id: Option<ID>,
        min_position: Option<PositionScalar>,
    ) -> Result<UsageObject> {
        let (state, actor) = GraphqlState::begin_query(ctx, min_position).await?;
        let (account, (from, to)) = (actor.account_id, days(period)?);
        let number = number_id.map(|id| id.parse::<NumberId>().map(|id| id.to_string()).unwrap_or_default());
        let total = sums(state, account, (from, to), number.as_deref(), &[]).await?.pop();
        Ok(UsageObject { account, from, to, number, total: total.unwrap_or_default() })
    }
}

fn days(UsagePeriod { from: DateScalar(from), to: DateScalar(to) }: UsagePeriod) -> Result<(Day, Day)> {
    match to.number() - from.number() {
        ..0 => Err(invalid("the period ends before it begins")),
        0..DAYS_MAX => Ok((from, to)),
        _ => Err(invalid(format!("the period is longer than {DAYS_MAX} days"))),
    }
}

async fn sums(
    state: &GraphqlState,
    account: AccountId,
    (from, to): (Day, Day),
    number: Option<&str>,
    by: &[UsageDimension],
) -> Result<Vec<UsageLineObject>> {
    let columns: Vec<_> = by.iter().map(|dimension| dimension.column()).collect();
    let columns = columns.join(", ");
    let table = state.reads.physical::<UsageRow>().map_err(unavailable)?;
    let mut binds = vec![CellValue::text(&account), from.number().into(), to.number().into()];
    let mut rows = "account_id = $1 AND day >= $2 AND day <= $3".to_owned();
    if let Some(number) = number {
        binds.push(number.into());
        rows += " AND number_id = $4";
    }
    let sum = |column| format!("CAST(COALESCE(sum({column}), 0) AS BIGINT)");
    let sums = [sum("messages"), sum("delivered"), sum("billable")].join(", ");
    let sql = if columns.is_empty() {
        format!("SELECT {sums} FROM {table} WHERE {rows}")
    } else {
        format!("SELECT {columns}, {sums} FROM {table} WHERE {rows} GROUP BY {columns} ORDER BY {columns}")
    };
    let kinds: Vec<_> = by.iter().map(|dimension| dimension.kind()).chain([ColumnKind::Int; 3]).collect();
    let _turn = state.reads.query_permit(&account.to_string()).await;
    let found = state.reads.cells(&sql, &binds, &kinds).await.map_err(unavailable)?;
    Ok(found.into_iter().map(|cells| line(by, cells)).collect())
}

fn line(by: &[UsageDimension], cells: Vec<CellValue>) -> UsageLineObject {
    let (mut line, mut cells) = (UsageLineObject::default(), cells.into_iter());
    for (dimension, cell) in by.iter().zip(&mut cells) {
        match (dimension, cell) {
            (UsageDimension::Day, CellValue::Int(day)) => line.day = day.map(Day::from_number),
            (UsageDimension::Number, CellValue::Text(number)) => line.number = number,
            (UsageDimension::Direction, CellValue::Text(word)) => line.direction = word.as_deref().and_then(Way::named),
            (UsageDimension::Category, CellValue::Text(category)) => line.category = category,
            (_, CellValue::Int(_) | CellValue::Text(_)) => {}
        }
    }
    let mut sum = || if let Some(CellValue::Int(Some(sum))) = cells.next() { sum } else { 0 };
    (line.messages, line.delivered, line.billable) = (sum(), sum(), sum());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_holds_both_its_ends_and_at_most_a_leap_year() {
        let period = |from: &str, to: &str| UsagePeriod {
            from: DateScalar(from.parse().unwrap()),
            to: DateScalar(to.parse().unwrap()),
        };
        assert!(days(period("2026-11-23", "2026-11-23")).is_ok());
        assert!(days(period("2024-01-01", "2024-12-31")).is_ok());
        assert!(days(period("2025-01-01", "2026-01-02")).is_err());
        assert!(days(period("2026-11-23", "2026-11-22")).is_err());
    }

    #[test]
    fn a_line_holds_what_it_tells_apart() {
        let cells = vec![
            CellValue::from(20_000),
            CellValue::from("INBOUND"),
            CellValue::from(3),
            CellValue::from(2),
            CellValue::from(1),
        ];
        let line = line(&[UsageDimension::Day, UsageDimension::Direction], cells);
        assert_eq!((line.day, line.direction), (Some(Day::from_number(20_000)), Some(Way::Inbound)));
        assert_eq!((line.messages, line.delivered, line.billable), (3, 2, 1));
        assert_eq!((line.number, line.category), (None, None));
    }
}
