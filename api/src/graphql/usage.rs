//! Usage: how many messages went out and came in, by day, number, direction and category.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};
use wasend_domain::account::KeyScope;
use wasend_domain::message::MessageDirection as Way;
use wasend_domain::{AccountId, Day, NumberId};
use wasend_projections::usage::{self, UsageDimension, UsageSum};

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
#[graphql(name = "UsageDimension", remote = "usage::UsageDimension")]
enum DimensionEnum {
    /// The UTC day on which WASend accepted or received the messages.
    Day,
    Number,
    Direction,
    /// Meta's word for what a message is charged as; `unknown` until Meta has said it.
    Category,
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
        self.total.0.messages
    }

    /// Those of them that reached a device.
    async fn delivered(&self) -> i64 {
        self.total.0.delivered
    }

    /// Those of them that Meta said it charges.
    async fn billable(&self) -> i64 {
        self.total.0.billable
    }

    /// The sums told apart by some of the dimensions; by all of them if none is named. In the order of the dimensions.
    #[graphql(complexity = "times(100, child_complexity)")]
    async fn lines(&self, ctx: &Context<'_>, by: Option<Vec<DimensionEnum>>) -> Result<Vec<UsageLineObject>> {
        let is_asked = |dimension: &UsageDimension| by.as_ref().is_none_or(|by| by.contains(&(*dimension).into()));
        let by: Vec<_> = UsageDimension::ALL.into_iter().filter(is_asked).collect();
        sums(GraphqlState::of(ctx), self.account, (self.from, self.to), self.number.as_deref(), &by).await
    }
}

#[derive(Clone, Default)]
struct UsageLineObject(UsageSum);

/// One line of the usage. A dimension that it does not tell apart is null.
#[Object(name = "UsageLine")]
impl UsageLineObject {
    async fn day(&self) -> Option<DateScalar> {
        self.0.day.map(DateScalar)
    }

    async fn number_id(&self) -> Option<ID> {
        self.0.number_id.as_deref().map(ID::from)
    }

    /// Needs the scope READ.
    #[graphql(guard = "require(KeyScope::Read)")]
    async fn number(&self, ctx: &Context<'_>) -> Result<Option<NumberObject>> {
        let Some(id) = &self.0.number_id else { return Ok(None) };
        Ok(GraphqlState::of(ctx).loaders.row(ctx.actor()?.account_id, id).await?.map(NumberObject))
    }

    async fn direction(&self) -> Option<DirectionEnum> {
        self.0.direction.as_deref().and_then(Way::named).map(DirectionEnum::from)
    }

    async fn category(&self) -> Option<&str> {
        self.0.category.as_deref()
    }

    async fn messages(&self) -> i64 {
        self.0.messages
    }

    async fn delivered(&self) -> i64 {
        self.0.delivered
    }

    async fn billable(&self) -> i64 {
        self.0.billable
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
    period: (Day, Day),
    number: Option<&str>,
    by: &[UsageDimension],
) -> Result<Vec<UsageLineObject>> {
    let sums = UsageSum::of_account(&state.reads, account, period, number, by).await.map_err(unavailable)?;
    Ok(sums.into_iter().map(UsageLineObject).collect())
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
}
