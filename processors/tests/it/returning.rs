//! What was begun before a person was erased does not bring that person back, and what was said before an opt-out does
//! not undo it.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::Notify;
use wasend_commands::contact::ContactInput;
use wasend_commands::import::ImportContacts;
use wasend_commands::privacy::ErasureInput;
use wasend_domain::contact::{ConsentChannel, ConsentScope, Contact};
use wasend_domain::import::{MergeMode, NumberNotation, RowCounters};
use wasend_domain::privacy::{LegalGround, LegalRegime, PrivacyRequest, RequestState};
use wasend_domain::{EventId, EventMetadata, ImportId, Personal, StreamId, SubjectId};
use wasend_eventlog::{Append, CommandId, NewEvent, StreamAppend, StreamLookup, load};
use wasend_processors::Processor;
use wasend_processors::importer::report::report;
use wasend_processors::{ImportLimits, ImportOptions};

use crate::log::Mortal;
use crate::people::people;
use crate::world::World;

stories!(
    an_import_skips_the_people_who_were_erased_since_its_file_was_received,
    an_import_that_goes_on_after_a_death_skips_who_was_erased_meanwhile,
    hashes_of_erased_people_are_forgotten_once_no_file_can_bring_them_back,
    an_opt_out_of_version_1_counts_from_its_record,
);

const GRACE: Duration = Duration::from_secs(10);
const OTHER: &str = "+16505559999";

fn options(chunk: usize) -> ImportOptions {
    let options = ImportOptions::default();
    let (limits, soon) = (ImportLimits { chunk, ..options.limits }, Duration::from_millis(20));
    ImportOptions { limits, tick: soon, sweep: soon, ..options }
}

async fn create(world: &World, phone: Option<&str>, bsuid: Option<&str>) -> SubjectId {
    let text = |text: &str| Personal::new(text.to_owned());
    let input = ContactInput { phone: phone.map(text), bsuid: bsuid.map(text), ..ContactInput::default() };
    world.commands.create_contact(world.caller, input).await.unwrap().value
}

async fn begin(world: &World, file: &str, dry_run: bool) -> ImportId {
    let input = ImportContacts {
        filename: Personal::new("x.csv".into()),
        content: Some(Personal::new(file.into())),
        upload: None,
        group: None,
        mode: MergeMode::Update,
        dry_run,
        columns: Personal::new(vec![]),
        region: None,
        numbers: NumberNotation::AsWritten,
        encoding: None,
    };
    world.commands.import_contacts(world.caller, input).await.unwrap().value
}

async fn erase(world: &World, contact: SubjectId) {
    let (commands, caller) = (&world.commands, world.caller);
    let input = ErasureInput {
        phone: None,
        bsuid: None,
        contact_id: Some(contact.to_string()),
        regime: LegalRegime::Gdpr,
        ground: LegalGround::WithdrawnConsent,
        reason: None,
    };
    let request = commands.request_erasure(caller, input).await.unwrap().value;
    world
        .eventually(|| async {
            let found = load::<PrivacyRequest>(&*commands.log, caller.account_id, &[request.uuid()]).await.unwrap();
            let request = found.into_values().find_map(StreamLookup::present).unwrap();
            request.state.state == RequestState::Completed
        })
        .await;
}

async fn counters(world: &World, id: ImportId) -> RowCounters {
    let (log, account) = (&*world.commands.log, world.caller.account_id);
    let import = || async {
        let found = load::<wasend_domain::import::Import>(log, account, &[id.uuid()]).await.unwrap();
        found.into_values().find_map(StreamLookup::present).unwrap().state
    };
    world.eventually(|| async { import().await.ended.is_some() }).await;
    import().await.counters
}

async fn is_opted_out(world: &World, contact: SubjectId) -> bool {
    let found = load::<Contact>(&*world.commands.log, world.caller.account_id, &[contact.uuid()]).await.unwrap();
    found.into_values().find_map(StreamLookup::present).unwrap().state.opted_out
}

async fn an_import_skips_the_people_who_were_erased_since_its_file_was_received(world: &World) {
    let erasures = world.erasures(&world.commands);
    let people_and_rows = [
        (Some("+16505550001"), None, "+16505550001,"),
        // The other spelling of the number.
        (Some("+5511987654321"), None, "+551187654321,"),
        (Some("+5491123456789"), None, "+541123456789,"),
        (None, Some("US.1001"), "+16505550004,US.1001"),
    ];
    let mut file = "phone,bsuid,name\n".to_owned();
    let mut contacts = Vec::new();
    for (phone, bsuid, row) in people_and_rows {
        contacts.push(create(world, phone, bsuid).await);
        file += &[row, ",Persephone\n"].concat();
    }
    // A row that repeats an erased person's is about that person as well.
    file += &["+16505550001,,Again\n", OTHER, ",,Other\n"].concat();
    world.commands.opt_out(world.caller, contacts[0], ConsentScope::All, ConsentChannel::Api).await.unwrap();
    let (dry, real) = (begin(world, &file, true).await, begin(world, &file, false).await);
    for contact in &contacts {
        erase(world, *contact).await;
    }
    // One of them comes back before the import runs: what the file says is older than that.
    let back = create(world, Some("+5511987654321"), None).await;
    let importer = world.importer(&world.commands, &options(2));
    for id in [dry, real] {
        let expected = RowCounters { total: 6, erased: 5, created: 1, ..RowCounters::default() };
        assert_eq!(counters(world, id).await, expected);
        let rows = report(&world.commands, world.caller.account_id, id, 1).await.unwrap().unwrap().rows;
        assert_eq!(rows.iter().filter(|row| row.code == "ERASED").count(), 5);
        assert!(rows.iter().all(|row| row.cells.iter().all(String::is_empty)), "nothing of the rows is kept");
    }
    let known = people(world, world.caller).await;
    assert_eq!(known.len(), 2, "{known:?}");
    assert!(known.values().all(|seen| seen.name.as_deref() != Some("Persephone")));
    assert!(!is_opted_out(world, back).await);
    // A file that was received after the erasure makes new contacts of them; who had opted out still has.
    let counted = counters(world, begin(world, &file, false).await).await;
    assert_eq!((counted.erased, counted.created, counted.suppressed), (0, 3, 1), "{counted:?}");
    importer.shutdown(GRACE).await;
    erasures.shutdown(GRACE).await;
}

async fn an_import_that_goes_on_after_a_death_skips_who_was_erased_meanwhile(world: &World) {
    let erasures = world.erasures(&world.commands);
    let ada = create(world, Some("+16505550001"), None).await;
    let file = format!("phone,name\n{OTHER},Other\n+16505550002,Another\n+16505550001,Ada\n+16505550003,New\n");
    let id = begin(world, &file, false).await;
    let log = Arc::new(Mortal {
        inner: world.commands.log.clone(),
        left: AtomicI64::new(1),
        written: false,
        died: Notify::new(),
        stumbles: AtomicI64::new(0),
    });
    let node = world.importer(&world.over(log.clone()), &options(1));
    log.died.notified().await;
    // It had prepared the chunks that come next, and made subjects of the unknown people.
    drop(node);
    erase(world, ada).await;
    world.clock.advance(options(1).lease + Duration::from_secs(1));
    let importer = world.importer(&world.commands, &options(1));
    let counted = counters(world, id).await;
    assert_eq!((counted.total, counted.created, counted.erased), (4, 3, 1), "{counted:?}");
    let known = people(world, world.caller).await;
    assert!(!known.contains_key("+16505550001") && known.len() == 3, "{known:?}");
    importer.shutdown(GRACE).await;
    erasures.shutdown(GRACE).await;
}

async fn hashes_of_erased_people_are_forgotten_once_no_file_can_bring_them_back(world: &World) {
    let erasures = world.erasures(&world.commands);
    let (vault, account) = (&world.commands.vault, world.caller.account_id);
    let identity = [wasend_vault::PersonIdentity::phone("+16505550001")];
    let since = world.commands.clock.now();
    let ada = create(world, Some("+16505550001"), None).await;
    let id = begin(world, "phone,name\n+16505550001,Ada\n", false).await;
    erase(world, ada).await;
    erasures.shutdown(GRACE).await;
    // However long the import takes to begin.
    world.clock.advance(Duration::from_secs(30 * 24 * 3_600));
    let importer = world.importer(&world.commands, &options(1));
    assert_eq!(counters(world, id).await.erased, 1);
    world.eventually(|| async { vault.erased_since(account, &identity, since).await.unwrap() == [false] }).await;
    importer.shutdown(GRACE).await;
}

async fn an_opt_out_of_version_1_counts_from_its_record(world: &World) {
    let (log, phone) = (&world.commands.log, "+16505550001");
    let contact = create(world, Some(phone), None).await;
    let event = NewEvent {
        event_id: EventId::random(),
        event_type: "ContactOptedOut".into(),
        event_version: "1".into(),
        payload: r#"{"OptedOut":{"via":"KEYWORD"}}"#.into(),
    };
    let stream = StreamId { aggregate_type: "contact", aggregate_id: contact.uuid() };
    let append = Append {
        account_id: world.caller.account_id,
        command_id: CommandId::Fresh(EventId::random().to_string()),
        metadata: EventMetadata::by(world.caller.actor),
        streams: vec![StreamAppend { stream, expected: 1, events: vec![event] }],
    };
    // Said at the clock's first second, like every inbound message of this world; recorded later.
    world.clock.advance(Duration::from_secs(5));
    log.append(vec![append]).await.unwrap().pop().unwrap().unwrap();
    world.inbound(&phone[1..], &["START".to_owned()]).await;
    assert!(is_opted_out(world, contact).await, "an older START, arriving late");
    world.commands.opt_in(world.caller, contact, ConsentScope::All, ConsentChannel::Api).await.unwrap();
    assert!(!is_opted_out(world, contact).await);
}
