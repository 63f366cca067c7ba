//! Usage by account, number, direction, category and day. Each message stands on exactly one line: the aggregate
//! says when it moves, so that however often Meta repeats itself the sums stay right.

use wasend_domain::message::{Event as Change, UsageLine};
use wasend_domain::{AnyEvent, Day, RecordedEvent};

use crate::engine::record::table_record;
use crate::{BatchKeys, BatchRows, FoldError, Projection, Table, TableRecord};

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
