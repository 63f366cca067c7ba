//! Usage by account, number, direction, category and day. Each message stands on exactly one line: the aggregate
//! says when it moves, so that however often Meta repeats itself the sums stay right.

use wasend_domain::message::{Event as Change, UsageLine};
use wasend_domain::{AccountId, AnyEvent, Day, RecordedEvent};

use crate::engine::cell::CellField;
use crate::engine::record::table_record;
use crate::{
    BatchKeys, BatchRows, CellValue, ColumnKind, FoldError, Projection, ReadModels, StoreError, Table, TableRecord,
};

table_record! {
    /// One line of the usage.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct UsageRow in "usage" indexed by [["account_id", "day", "id"]] {
        key Self::line,
        pub account_id: String,
        pub number_id: String,
        pub direction: String,
        pub category: String,
        /// The UTC day on which WASend accepted or received the messages.
        pub day: Day,
        /// Messages that Meta showed to have gone out, or that came in.
        pub messages: i64,
        /// Those of them that reached a device.
        pub delivered: i64,
        /// Those of them that Meta said it charges.
        pub billable: i64,
    }
}

impl UsageRow {
    /// Begins with the account and the day, so that pages come in that order.
    fn line(&self) -> String {
        let Self { account_id, day, number_id, direction, category, .. } = self;
        format!("{account_id}/{day}/{number_id}/{direction}/{category}")
    }
}

/// By what usage can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageDimension {
    Day,
    Number,
    Direction,
    Category,
}

impl UsageDimension {
    /// Every dimension, in the order in which lines are sorted.
    pub const ALL: [Self; 4] = [Self::Day, Self::Number, Self::Direction, Self::Category];

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

/// Usage summed up; a dimension that it does not tell apart is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageSum {
    pub day: Option<Day>,
    pub number_id: Option<String>,
    pub direction: Option<String>,
    pub category: Option<String>,
    pub messages: i64,
    pub delivered: i64,
    pub billable: i64,
}

impl UsageSum {
    /// The account's usage of the days from the first to the last, of all numbers or of one: a sum for each combination
    /// of the dimensions `by`, in their order; one sum without dimensions. Waits for the account's turn.
    pub async fn of_account(
        reads: &ReadModels,
        account: AccountId,
        (first, last): (Day, Day),
        number: Option<&str>,
        by: &[UsageDimension],
    ) -> Result<Vec<Self>, StoreError> {
        let table = reads.physical::<UsageRow>()?;
        let mut binds = vec![CellValue::text(&account), first.number().into(), last.number().into()];
        let mut rows = "account_id = $1 AND day >= $2 AND day <= $3".to_owned();
        if let Some(number) = number {
            binds.push(number.into());
            rows += " AND number_id = $4";
        }
        let sum = |column| format!("CAST(COALESCE(sum({column}), 0) AS BIGINT)");
        let sums = [sum("messages"), sum("delivered"), sum("billable")].join(", ");
        let columns = by.iter().map(|dimension| dimension.column()).collect::<Vec<_>>().join(", ");
        let sql = if columns.is_empty() {
            format!("SELECT {sums} FROM {table} WHERE {rows}")
        } else {
            format!("SELECT {columns}, {sums} FROM {table} WHERE {rows} GROUP BY {columns} ORDER BY {columns}")
        };
        let kinds: Vec<_> = by.iter().map(|dimension| dimension.kind()).chain([ColumnKind::Int; 3]).collect();
        let _turn = reads.query_permit(&account.to_string()).await;
        let found = reads.cells(&sql, &binds, &kinds).await?;
        Ok(found.into_iter().map(|cells| Self::of(by, cells)).collect())
    }

    fn of(by: &[UsageDimension], cells: Vec<CellValue>) -> Self {
        let (mut line, mut cells) = (Self::default(), cells.into_iter());
        for (dimension, cell) in by.iter().zip(&mut cells) {
            match dimension {
                UsageDimension::Day => line.day = Day::from_cell(cell),
                UsageDimension::Number => line.number_id = String::from_cell(cell),
                UsageDimension::Direction => line.direction = String::from_cell(cell),
                UsageDimension::Category => line.category = String::from_cell(cell),
            }
        }
        let mut sum = || cells.next().and_then(i64::from_cell).unwrap_or_default();
        (line.messages, line.delivered, line.billable) = (sum(), sum(), sum());
        line
    }
}

static TABLES: &[&Table] = &[UsageRow::TABLE];

/// The projection of the table.
pub struct UsageProjection;

impl Projection for UsageProjection {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> &'static [&'static Table] {
        TABLES
    }

    fn keys(&self, event: &AnyEvent, recorded: &RecordedEvent, keys: &mut BatchKeys) {
        for (row, _) in moves(event, recorded) {
            keys.touch::<UsageRow>(row.id());
        }
    }

    fn fold(&self, event: &AnyEvent, recorded: &RecordedEvent, rows: &mut BatchRows) -> Result<(), FoldError> {
        for (moved, sign) in moves(event, recorded) {
            let id = moved.id();
            let mut row = rows.get::<UsageRow>(&id).cloned().unwrap_or(UsageRow {
                messages: 0,
                delivered: 0,
                billable: 0,
                ..moved.clone()
            });
            row.messages += sign * moved.messages;
            row.delivered += sign * moved.delivered;
            row.billable += sign * moved.billable;
            if row.messages == 0 {
                rows.delete::<UsageRow>(&id);
            } else {
                rows.put(row);
            }
        }
        Ok(())
    }
}

/// The lines that a message leaves (-1) and joins (+1), each holding that one message.
fn moves(event: &AnyEvent, recorded: &RecordedEvent) -> Vec<(UsageRow, i64)> {
    let AnyEvent::Message(change) = event else { return vec![] };
    let Change::Counted { number, direction, day, before, after } = &**change else { return vec![] };
    let row = |line: &UsageLine| UsageRow {
        account_id: recorded.account_id.to_string(),
        number_id: number.to_string(),
        direction: direction.name().to_owned(),
        category: line.category.as_str().to_owned(),
        day: *day,
        messages: 1,
        delivered: i64::from(line.delivered),
        billable: i64::from(line.billable),
    };
    before.iter().map(|line| (row(line), -1)).chain([(row(after), 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_holds_what_it_tells_apart() {
        let cells = vec![
            CellValue::from(20_000),
            CellValue::from("INBOUND"),
            CellValue::from(3),
            CellValue::from(2),
            CellValue::from(1),
        ];
        let sum = UsageSum::of(&[UsageDimension::Day, UsageDimension::Direction], cells);
        assert_eq!((sum.day, sum.direction.as_deref()), (Some(Day::from_number(20_000)), Some("INBOUND")));
        assert_eq!((sum.messages, sum.delivered, sum.billable), (3, 2, 1));
        assert_eq!((sum.number_id, sum.category), (None, None));
    }
}
