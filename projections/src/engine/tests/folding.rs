//! Folds without a database, as the read models' own tests run them.

use wasend_domain::{AnyEvent, RecordedEvent};

use super::ledger::{Balance, Balances, Entry, Fault, closed, decode, deposit, odd};
use crate::PoisonCause;
use crate::engine::testing::{folded, recorded};

fn history(events: impl IntoIterator<Item = (&'static str, serde_json::Value)>) -> Vec<(AnyEvent, RecordedEvent)> {
    let record = |(position, (kind, payload)): (u64, (&str, serde_json::Value))| {
        let recorded = recorded(position, kind, payload.to_string());
        (decode(&recorded).unwrap(), recorded)
    };
    (1..).zip(events).map(record).collect()
}

#[test]
fn a_history_folds_into_rows() {
    let projection = Balances { fault: Fault::None, version: 1 };
    let tables =
        folded(projection, &history([deposit("a", 1), deposit("b", 2), deposit("a", 3), closed("b")])).unwrap();
    assert_eq!(tables.get::<Balance>("a").map(|balance| balance.total), Some(4));
    assert_eq!(tables.get::<Balance>("b"), None);
    assert_eq!(tables.all::<Entry>().len(), 3);
}

#[test]
fn a_row_that_was_not_named_is_not_used() {
    let projection = Balances { fault: Fault::Forgets, version: 1 };
    assert_eq!(folded(projection, &history([deposit("a", 1), odd()])), Err(PoisonCause::Unnamed("balances")));
}
