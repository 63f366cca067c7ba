//! What tables hold: any text, nulls, many rows, and queries over them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::ledger::{Balance, Balances, Entry, House, both, closed, deposit};
use super::on_both;
use crate::engine::testing::{MemoryLog, TestDatabase, TestEngine};
use crate::{BuildState, CellValue, ColumnKind, RebuildOptions};

on_both!(
    any_text_and_null_comes_back_as_it_was,
    ten_thousand_rows_are_one_batch,
    indexes_are_made_once_a_build_has_caught_up,
    many_deleted_rows_are_cleared_away,
    the_planner_hears_of_a_table_that_grows,
    rows_are_queried_with_one_text_on_both_engines,
    a_text_that_cannot_be_stored_stops_the_projection_at_its_event,
    an_id_that_no_index_can_hold_stops_the_projection_at_its_event,
    a_text_that_no_index_can_hold_stops_the_projection_alone,
);

async fn any_text_and_null_comes_back_as_it_was(engine: TestEngine) {
    let texts = ["", "it's \"quoted\" and \\ {a,b} NULL", "two\nlines\t%_$1?", "žluťoučký 🐎 مرحبا \u{202e}", "null"];
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    // Many rows at once are written in another way than few.
    log.push((0..100).map(|n| deposit(&format!("filler-{n}"), n)));
    log.push(texts.map(|text| ("deposited", json!({"account": text, "amount": 1, "note": text}))));
    let position = log.push([("deposited", json!({"account": "none", "amount": 0, "note": null}))]);
    let house = House::start(&own, &log, vec![Balances::right()], 500).await;
    house.reaches(position).await;
    for text in texts {
        let found = house.projector.reads().get::<Balance>(text).await.unwrap().unwrap();
        assert_eq!((found.note.as_deref(), found.order.as_str(), found.last), (Some(text), text, Some(1)));
    }
    let none = house.projector.reads().get::<Balance>("none").await.unwrap().unwrap();
    assert_eq!((none.note, none.last), (None, None));
    let ids: Vec<String> = texts.iter().map(ToString::to_string).chain(["unknown".to_owned()]).collect();
    let found = house.projector.reads().by_ids::<Balance>(&ids).await.unwrap();
    assert_eq!(found.len(), texts.len());
    // Loaded again by the next fold, and deleted.
    let position = house.log.push(texts.map(closed));
    house.reaches(position).await;
    let left = house.totals().await.into_keys().filter(|id| !id.starts_with("filler-"));
    assert_eq!(left.collect::<Vec<_>>(), ["none"]);
}

async fn ten_thousand_rows_are_one_batch(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    log.push((0..10_000).map(|n| deposit(&format!("account-{n:05}"), n)));
    let house = House::start(&own, &log, both(Balances::right()), 10_000).await;
    house.reaches(10_000).await;
    let position = house.log.push((0..10_000).map(|n| deposit(&format!("account-{n:05}"), 1)));
    house.reaches(position).await;
    let totals = house.totals().await;
    assert_eq!((totals.len(), totals["account-00000"], totals["account-09999"]), (10_000, 1, 10_000));
    assert_eq!(house.projector.reads().count::<Entry>("", &[]).await.unwrap(), 20_000);
}

async fn indexes_are_made_once_a_build_has_caught_up(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let position = log.push((0..100).map(|n| deposit(&format!("account-{n:05}"), n)));
    let house = House::start(&own, &log, both(Balances::right()), 10).await;
    house.reaches(position).await;
    house.status("balances", |status| status.state == BuildState::Live).await;
    let ask = match engine {
        TestEngine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'balances_v1_b%' ORDER BY 1"
        }
        TestEngine::Postgres => {
            "SELECT indexname::text FROM pg_indexes WHERE indexname LIKE 'balances_v1_b%' ORDER BY 1"
        }
    };
    let reads = house.projector.reads();
    let names = async || reads.cells(ask, &[], &[ColumnKind::Text]).await.unwrap().concat();
    assert_eq!(names().await, ["balances_v1_b1_i0", "balances_v1_b1_i1"].map(CellValue::from));
    if let TestEngine::Postgres = engine {
        // -1 until a table was looked at.
        let known = "SELECT reltuples::bigint FROM pg_class WHERE relname IN ('balances_v1', 'entries_v1') ORDER BY 1";
        assert_eq!(
            reads.cells(known, &[], &[ColumnKind::Int]).await.unwrap().concat(),
            [100, 100].map(CellValue::from)
        );
    }
    house.projector.rebuild("balances", &RebuildOptions::default()).await.unwrap();
    assert_eq!(names().await, ["balances_v1_b2_i0", "balances_v1_b2_i1"].map(CellValue::from));
}

/// Of SQLite's tables a deleted row leaves nothing.
async fn many_deleted_rows_are_cleared_away(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let account = |n| format!("account-{n:05}");
    log.push((0..6_000).map(|n| deposit(&account(n), n)));
    let position = log.push((0..6_000).map(|n| closed(&account(n))));
    let house = House::start(&own, &log, both(Balances::right()), 6_000).await;
    house.reaches(position).await;
    assert_eq!(house.totals().await.len(), 0);
    let TestEngine::Postgres = engine else { return };
    // By hand, so not by the server's own.
    until_counted(&house, "vacuum_count", 1).await;
}

async fn the_planner_hears_of_a_table_that_grows(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let house = House::start(&own, &log, both(Balances::right()), 500).await;
    house.reaches(house.log.push([deposit("first", 1)])).await;
    house.status("balances", |status| status.state == BuildState::Live).await;
    let position = house.log.push((0..400).map(|n| deposit(&format!("account-{n:05}"), n)));
    house.reaches(position).await;
    assert_eq!(house.totals().await.len(), 401);
    let TestEngine::Postgres = engine else { return };
    // Once when it had caught up, while it was empty.
    until_counted(&house, "analyze_count", 2).await;
}

/// Waits until Postgres has done so often what it counts there.
async fn until_counted(house: &House, column: &str, count: i64) {
    let counted = format!("SELECT {column}::bigint FROM pg_stat_user_tables WHERE relname = 'balances_v1'");
    for _ in 0..1_000 {
        let rows = house.projector.reads().cells(&counted, &[], &[ColumnKind::Int]).await.unwrap();
        if matches!(rows[0][0], CellValue::Int(Some(counted)) if counted >= count) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {column}");
}

async fn rows_are_queried_with_one_text_on_both_engines(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let position = log.push([deposit("b", 5), deposit("a", 5), deposit("Z", 5), deposit("é", 9), deposit("c", 1)]);
    let house = House::start(&own, &log, both(Balances::right()), 50).await;
    house.reaches(position).await;
    let reads = house.projector.reads();
    let tail = "WHERE balances.total > $1 AND ($2 IS NULL OR note = $2) ORDER BY total DESC, id LIMIT $3";
    let page: Vec<Balance> = reads.fetch(tail, &[1.into(), CellValue::Text(None), 3.into()]).await.unwrap();
    // By their bytes: capitals first.
    assert_eq!(page.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["é", "Z", "a"]);
    let after = "WHERE (total, id) < ($1, $2) ORDER BY total DESC, id DESC";
    let rest: Vec<Balance> = reads.fetch(after, &[5.into(), "b".into()]).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a", "Z", "c"]);
    assert_eq!(reads.count::<Balance>("WHERE total = $1", &[5.into()]).await.unwrap(), 3);
    let sum = format!("SELECT CAST(sum(total) AS BIGINT) FROM {}", reads.physical::<Balance>().unwrap());
    assert_eq!(reads.cells(&sum, &[], &[ColumnKind::Int]).await.unwrap(), [[CellValue::Int(Some(25))]]);
}

async fn a_text_that_cannot_be_stored_stops_the_projection_at_its_event(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    log.push([deposit("a", 1), deposit("b", 1)]);
    log.push([("deposited", json!({"account": "c", "amount": 1, "note": "nothing\u{0}ness"}))]);
    log.push([deposit("\u{0}", 1), deposit("a", 1)]);
    let house = House::start(&own, &log, both(Balances::right()), 50).await;
    house.reaches(5).await;
    let stopped = house.status("balances", |status| status.state == BuildState::Poisoned).await;
    assert_eq!((stopped.position, stopped.error_position), (2, Some(3)));
    assert_eq!((house.totals().await.len(), house.tally().await), (2, 5));
}

/// Only the database can tell: PostgreSQL's indexes hold no more than 2,704 bytes, SQLite's any number.
async fn an_id_that_no_index_can_hold_stops_the_projection_at_its_event(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let huge = huge();
    log.push((0..100).map(|n| deposit(&n.to_string(), 1)));
    log.push([deposit(&huge, 1)]);
    let position = log.push((0..100).map(|n| deposit(&n.to_string(), 1)));
    let house = House::start(&own, &log, both(Balances::right()), 500).await;
    match engine {
        TestEngine::Sqlite => {
            house.reaches(position).await;
            assert_eq!(house.totals().await[&huge], 1);
        }
        TestEngine::Postgres => {
            let stopped = house.status("balances", |status| status.state == BuildState::Poisoned).await;
            assert_eq!((stopped.position, stopped.error_position), (100, Some(101)));
            assert_eq!(stopped.error.as_deref(), Some("the database refused the rows: code 54000"));
            house.reaches(position).await;
        }
    }
    assert_eq!(house.tally().await, 201);
}

/// The rows went in while there was no index yet.
async fn a_text_that_no_index_can_hold_stops_the_projection_alone(engine: TestEngine) {
    let (own, log) = (TestDatabase::new(engine).await, MemoryLog::new());
    let note = json!({"account": "a", "amount": 1, "note": huge()});
    let position = log.push([("deposited", note), deposit("b", 1)]);
    let house = House::start(&own, &log, both(Balances::right()), 50).await;
    house.reaches(position).await;
    let tallies = house.status("tallies", |status| status.state == BuildState::Live).await;
    assert_eq!(tallies.lag, 0);
    match engine {
        TestEngine::Sqlite => assert_eq!(house.totals().await.len(), 2),
        TestEngine::Postgres => {
            let stopped = house.status("balances", |status| status.state == BuildState::Poisoned).await;
            assert_eq!(stopped.error.as_deref(), Some("the database refused the rows: code 54000"));
        }
    }
}

/// 20,000 characters that cannot be compressed.
fn huge() -> String {
    let (mut huge, mut state) = (String::new(), 7_u64);
    while huge.len() < 20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        write!(huge, "{state:016x}").unwrap();
    }
    huge
}
