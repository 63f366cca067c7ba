//! Imports whose outcome must not depend on how often, in which pieces, or through how many deaths they are made.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tokio::sync::Notify;
use wasend_commands::Caller;
use wasend_commands::contact::ContactInput;
use wasend_commands::import::ImportContacts;
use wasend_domain::contact::{ConsentChannel, ConsentScope};
use wasend_domain::import::{Import, MergeMode, NumberNotation, RowCounters, RunEnd};
use wasend_domain::{ImportId, Personal};
use wasend_eventlog::{StreamLookup, load};
use wasend_processors::Processor;
use wasend_processors::importer::report::report;
use wasend_processors::{ImportLimits, ImportOptions};
use wasend_vault::{NewPerson, PersonIdentity};

use crate::cases;
use crate::log::Mortal;
use crate::people::people;
use crate::world::World;

stories!(
    a_file_has_one_outcome_however_often_and_however_it_is_cut,
    wherever_a_node_dies_the_contacts_and_the_report_are_the_same,
    an_import_whose_work_panics_is_not_taken_for_done,
    whichever_door_and_spelling_comes_first_one_person_is_one_contact,
);

/// People with the other spelling of their number: a Brazilian, a Mexican and an Argentinian mobile, a Brazilian
/// landline that has one spelling, and others.
const PEOPLE: [(&str, &str); 9] = [
    ("+5511987654321", "+551187654321"),
    ("+525512345678", "+5215512345678"),
    ("+5491123456789", "+541123456789"),
    ("+551123456789", "+551123456789"),
    ("+16505551001", "0016505551001"),
    ("+16505551002", "+1 650 555 1002"),
    ("+16505551003", "+1 (650) 555-1003"),
    ("+16505551004", "tel:+16505551004"),
    ("+15550783881", "+15550783881"),
];

#[derive(Debug, Clone)]
struct Row {
    person: usize,
    other: bool,
    bsuid: Option<u8>,
    name: Option<u8>,
    city: Option<u8>,
    opted_out: bool,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq)]
enum Fault {
    None,
    Unreadable,
    Card,
    Ragged,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let fault = prop_oneof![
        9 => Just(Fault::None),
        1 => Just(Fault::Unreadable),
        1 => Just(Fault::Card),
        1 => Just(Fault::Ragged),
    ];
    let (bsuid, detail) = (option::weighted(0.2, 0..4_u8), || option::of(0..3_u8));
    let row = (0..PEOPLE.len(), any::<bool>(), bsuid, detail(), detail(), prop::bool::weighted(0.1), fault);
    let row = row.prop_map(|(person, other, bsuid, name, city, opted_out, fault)| Row {
        person,
        other,
        bsuid,
        name,
        city,
        opted_out,
        fault,
    });
    vec(row, 1..30)
}

fn file(rows: &[Row]) -> String {
    let mut file = "phone,bsuid,name,opted_out,city\n".to_owned();
    for Row { person, other, bsuid, name, city, opted_out, fault } in rows {
        let (one, two) = PEOPLE[*person];
        let phone = match (fault, other) {
            (Fault::Unreadable, _) => "nobody",
            (_, false) => one,
            (_, true) => two,
        };
        let text = |kind: &str, number: &Option<u8>| number.map(|n| format!("{kind} {n}")).unwrap_or_default();
        let city = if *fault == Fault::Card { "4111 1111 1111 1111".to_owned() } else { text("City", city) };
        let bsuid = bsuid.map(|n| format!("US.{n}")).unwrap_or_default();
        write!(file, "{phone},{bsuid},{},{},{city}", text("Name", name), if *opted_out { "yes" } else { "" }).unwrap();
        file.push_str(if *fault == Fault::Ragged { ",more\n" } else { "\n" });
    }
    file
}

fn in_chunks_of(rows: usize) -> ImportOptions {
    let options = ImportOptions::default();
    let limits = ImportLimits { chunk: rows, ..options.limits };
    let soon = Duration::from_millis(20);
    ImportOptions { limits, tick: soon, sweep: soon, ..options }
}

/// What came of an import: how it ended, its counters and its report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    end: Option<RunEnd>,
    counters: RowCounters,
    report: Vec<(u64, String, String, Vec<String>)>,
}

async fn begin(world: &World, caller: Caller, file: &str, piece: usize, mode: MergeMode) -> ImportId {
    let mut incoming = world.commands.upload(caller).await.unwrap();
    for piece in file.as_bytes().chunks(piece) {
        incoming.push(&world.commands, piece).await.unwrap();
    }
    let (upload, _) = incoming.finish(&world.commands).await.unwrap();
    let input = ImportContacts {
        filename: Personal::new("people.csv".into()),
        content: None,
        upload: Some(upload.to_string()),
        group: None,
        mode,
        dry_run: false,
        columns: Personal::new(vec![]),
        region: None,
        numbers: NumberNotation::AsWritten,
        encoding: None,
    };
    world.commands.import_contacts(caller, input).await.unwrap().value
}

async fn has_ended(world: &World, caller: Caller, id: ImportId) -> Option<Import> {
    let mut found = load::<Import>(&*world.commands.log, caller.account_id, &[id.uuid()]).await.unwrap();
    found
        .remove(&id.uuid())
        .and_then(StreamLookup::present)
        .map(|import| import.state)
        .filter(|import| import.ended.is_some())
}

/// Waits until the import has ended and nothing is left of its file.
async fn ended(world: &World, caller: Caller, id: ImportId) -> Outcome {
    world.eventually(|| async { has_ended(world, caller, id).await.is_some() }).await;
    let import = has_ended(world, caller, id).await.unwrap();
    let upload = import.started.unwrap().upload;
    world.eventually(|| async { world.commands.uploads.get(upload).await.unwrap().is_none() }).await;
    let (mut rows, mut next) = (Vec::new(), 0);
    while let Some(page) = report(&world.commands, caller.account_id, id, next).await.unwrap() {
        rows.extend(page.rows.into_iter().map(|row| (row.line, row.code, row.reason, row.cells)));
        assert_eq!(page.unavailable, []);
        next = page.next;
    }
    Outcome { end: import.ended, counters: import.counters, report: rows }
}

async fn import(world: &World, caller: Caller, file: &str, (chunk, piece): (usize, usize), mode: MergeMode) -> Outcome {
    let id = begin(world, caller, file, piece, mode).await;
    let importer = world.importer(&world.commands, &in_chunks_of(chunk));
    let outcome = ended(world, caller, id).await;
    importer.shutdown(Duration::from_secs(10)).await;
    outcome
}

/// An account that knows some of the people already: one by name, one who has opted out, one who had opted out before
/// being erased, and one that only the directory knows, as after a crash.
async fn acquainted(world: &World) -> Caller {
    let caller = world.account().await;
    let (commands, account) = (&world.commands, caller.account_id);
    let known = |person: usize, name: Option<&str>| ContactInput {
        phone: Some(Personal::new(PEOPLE[person].0.into())),
        name: name.map(|name| Personal::new(name.into())),
        ..ContactInput::default()
    };
    commands.create_contact(caller, known(0, Some("Name 1"))).await.unwrap();
    let out = commands.create_contact(caller, known(4, None)).await.unwrap();
    commands.opt_out(caller, out.value, ConsentScope::All, ConsentChannel::Api).await.unwrap();
    for person in [1, 5] {
        let person = NewPerson { identities: vec![PersonIdentity::phone(PEOPLE[person].0)], ..NewPerson::default() };
        commands.vault.subject_for(account, &person).await.unwrap();
    }
    let erased = commands.vault.find(account, &PersonIdentity::phone(PEOPLE[1].0)).await.unwrap().unwrap();
    let now = commands.clock.now();
    commands.vault.unlink(account, erased, now, Some(now)).await.unwrap();
    caller
}

async fn a_file_has_one_outcome_however_often_and_however_it_is_cut(world: &World) {
    for (rows, chunk, piece, cut) in cases(world.share(10), &(rows(), 1..9_usize, 1..200_usize, 0..30_usize)) {
        let whole = file(&rows);
        let (calm, cut_up, by_files) = (acquainted(world).await, acquainted(world).await, acquainted(world).await);
        let expected = import(world, calm, &whole, (1_000, 1 << 20), MergeMode::Update).await;
        assert_eq!(expected.end, Some(RunEnd::Finished));
        let outcome = import(world, cut_up, &whole, (chunk, piece), MergeMode::Update).await;
        assert_eq!(outcome, expected, "{rows:#?} in chunks of {chunk}");
        let known = people(world, calm).await;
        assert_eq!(people(world, cut_up).await, known, "{rows:#?} in chunks of {chunk}");
        // Again and again, in whatever pieces.
        for chunk in [chunk, 1_000] {
            let again = import(world, cut_up, &whole, (chunk, piece), MergeMode::Update).await;
            assert_eq!(again.report, expected.report, "{rows:#?}");
            let RowCounters { created, updated, unchanged, .. } = expected.counters;
            let same =
                RowCounters { created: 0, updated: 0, unchanged: created + updated + unchanged, ..expected.counters };
            assert_eq!(again.counters, same, "{rows:#?}");
            assert_eq!(people(world, cut_up).await, known, "{rows:#?}");
        }
        // The same rows as two files: the first wins where existing contacts are left alone.
        let one_file = acquainted(world).await;
        let skipped = import(world, one_file, &whole, (1_000, 1 << 20), MergeMode::Skip).await;
        let (first, second) = rows.split_at(cut.min(rows.len()));
        let mut created = 0;
        for part in [first, second] {
            created += import(world, by_files, &file(part), (chunk, piece), MergeMode::Skip).await.counters.created;
        }
        assert_eq!(created, skipped.counters.created, "{rows:#?} cut at {cut}");
        assert_eq!(people(world, by_files).await, people(world, one_file).await, "{rows:#?} cut at {cut}");
    }
}

/// When a node dies.
#[derive(Debug, Clone)]
enum Death {
    /// At an append, before or after it is written.
    Append { number: i64, written: bool },
    /// At any moment.
    Moment(Duration),
}

fn deaths() -> impl Strategy<Value = Vec<Death>> {
    let append = (0..4_i64, any::<bool>()).prop_map(|(number, written)| Death::Append { number, written });
    let moment = (0..40_000_u64).prop_map(|micros| Death::Moment(Duration::from_micros(micros)));
    vec(prop_oneof![append, moment], 1..5)
}

async fn wherever_a_node_dies_the_contacts_and_the_report_are_the_same(world: &World) {
    for (rows, chunk, deaths) in cases(world.share(16), &(rows(), 1..9_usize, deaths())) {
        let file = file(&rows);
        let (calm, troubled) = (acquainted(world).await, acquainted(world).await);
        let expected = import(world, calm, &file, (1_000, 1 << 20), MergeMode::Update).await;
        let id = begin(world, troubled, &file, 1 << 20, MergeMode::Update).await;
        let options = in_chunks_of(chunk);
        for death in &deaths {
            match death {
                Death::Append { number, written } => {
                    let (inner, left) = (world.commands.log.clone(), AtomicI64::new(*number));
                    let log = Arc::new(Mortal {
                        inner,
                        left,
                        written: *written,
                        died: Notify::new(),
                        stumbles: AtomicI64::new(0),
                    });
                    let node = world.importer(&world.over(log.clone()), &options);
                    tokio::select! {
                        () = log.died.notified() => {}
                        () = world.eventually(|| async { has_ended(world, troubled, id).await.is_some() }) => {}
                    }
                    drop(node);
                }
                Death::Moment(moment) => {
                    let node = world.importer(&world.commands, &options);
                    tokio::time::sleep(*moment).await;
                    drop(node);
                }
            }
            // Its lease runs out.
            world.clock.advance(options.lease + Duration::from_secs(1));
        }
        let last = world.importer(&world.commands, &options);
        let outcome = ended(world, troubled, id).await;
        last.shutdown(Duration::from_secs(10)).await;
        assert_eq!(outcome, expected, "{rows:#?} in chunks of {chunk}, {deaths:?}");
        assert_eq!(people(world, troubled).await, people(world, calm).await, "{rows:#?} {deaths:?}");
    }
}

async fn an_import_whose_work_panics_is_not_taken_for_done(world: &World) {
    let row = |person| Row {
        person,
        other: false,
        bsuid: None,
        name: Some(1),
        city: Some(1),
        opted_out: false,
        fault: Fault::None,
    };
    let file = file(&(0..PEOPLE.len()).map(row).collect::<Vec<_>>());
    let (calm, troubled) = (acquainted(world).await, acquainted(world).await);
    let expected = import(world, calm, &file, (2, 1 << 20), MergeMode::Update).await;
    let id = begin(world, troubled, &file, 1 << 20, MergeMode::Update).await;
    let (inner, left, died) = (world.commands.log.clone(), AtomicI64::new(i64::MAX), Notify::new());
    let log = Arc::new(Mortal { inner, left, written: true, died, stumbles: AtomicI64::new(3) });
    let node = world.importer(&world.over(log.clone()), &in_chunks_of(2));
    let outcome = ended(world, troubled, id).await;
    node.shutdown(Duration::from_secs(10)).await;
    assert!(log.stumbles.load(Ordering::SeqCst) < 0, "it stumbled");
    assert_eq!(outcome, expected);
    assert_eq!(people(world, troubled).await, people(world, calm).await);
}

async fn whichever_door_and_spelling_comes_first_one_person_is_one_contact(world: &World) {
    let importer = world.importer(&world.commands, &in_chunks_of(2));
    for round in 0..6 {
        let pairs = [
            (format!("+55119876543{round:02}"), format!("+5511876543{round:02}")),
            (format!("+5255123456{round:02}"), format!("+52155123456{round:02}")),
            (format!("+54911234567{round:02}"), format!("+5411234567{round:02}")),
        ];
        let mut doors = Vec::new();
        for (one, two) in &pairs {
            let (one, two) = (one.as_str(), two.as_str());
            doors.push(Box::pin(async move { _ = world.send(one).await }) as futures::future::LocalBoxFuture<'_, ()>);
            doors.push(Box::pin(async move { _ = world.send(two).await }));
            doors.push(Box::pin(async move { world.inbound(&two[1..], &["Hi".to_owned()]).await }));
            doors.push(Box::pin(async move {
                let input = ContactInput { phone: Some(Personal::new(two.into())), ..ContactInput::default() };
                drop(world.commands.create_contact(world.caller, input).await);
            }));
            doors.push(Box::pin(async move {
                let id = begin(world, world.caller, &format!("phone\n{two}\n"), 1 << 20, MergeMode::Update).await;
                ended(world, world.caller, id).await;
            }));
            doors.push(Box::pin(async move {
                let id = begin(world, world.caller, &format!("phone\n{one}\n"), 1 << 20, MergeMode::Update).await;
                ended(world, world.caller, id).await;
            }));
        }
        doors.rotate_left(round * 5 % 18);
        futures::future::join_all(doors).await;
        let known = people(world, world.caller).await;
        assert_eq!(known.len(), 3 * (round + 1), "{known:#?}");
    }
    importer.shutdown(Duration::from_secs(10)).await;
}
