//! What imports keep, and for how long.

use serde_json::json;
use wasend_tests::{Engine, Start, World, until};

use super::{begin, counted, ended, get, import, many, upload};
use crate::erasure::{erase, known};
use crate::traces::{holds, one_column, wrapped_keys};

stories!(
    nothing_is_left_of_a_file_when_its_import_has_ended,
    what_nobody_takes_or_fetches_is_deleted,
    a_report_forgets_who_is_erased,
    many_imports_of_one_account_run_side_by_side,
    who_is_erased_while_a_file_is_imported_does_not_come_back,
    who_is_erased_after_a_file_was_uploaded_does_not_come_back,
);

async fn nothing_is_left_of_a_file_when_its_import_has_ended(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = format!("phone,name\n+16505551001,Persephone\n{}", "x,y\n".repeat(40_000));
    let id = upload(&client, file.into_bytes()).await;
    let select = "SELECT subject_id FROM uploads WHERE id = $1";
    let subject = one_column(&world, "log.db", select, &id).await.pop().expect("an upload");
    let pieces = "SELECT sealed FROM upload_parts WHERE owner = $1 AND kind = 'frame'";
    assert_eq!(one_column(&world, "log.db", pieces, &id).await.len(), 3, "pieces of 64 KiB");
    let keys = wrapped_keys(&world, &subject).await;
    assert!(!keys.is_empty());
    if engine == Engine::Sqlite {
        assert!(holds(world.data.path(), &keys), "the search finds what is there");
    }
    assert_eq!(import(&client, json!({"uploadId": id})).await["created"], 1);
    until("the file is gone", || async { one_column(&world, "log.db", select, &id).await.is_empty().then_some(()) })
        .await;
    assert_eq!(one_column(&world, "log.db", pieces, &id).await, [""; 0]);
    // Pages that the database has not used again may hold pieces; nothing opens them any more.
    assert!(wrapped_keys(&world, &subject).await.iter().all(|key| key.bytes().all(|b| b == b'0')));
    if engine == Engine::Sqlite {
        assert!(!holds(world.data.path(), &keys));
    }
}

async fn what_nobody_takes_or_fetches_is_deleted(engine: Engine) {
    let short = Start::default().with("WASEND_IMPORTS_UPLOAD_TTL", "2s").with("WASEND_IMPORTS_REPORT_TTL", "2s");
    let world = short.on(engine).await;
    let client = world.client();
    let unused = upload(&client, b"phone\n+16505551001\n".to_vec()).await;
    let id = begin(&client, json!({"filename": "x.csv", "content": "phone\nnobody\n"})).await;
    assert_eq!(ended(&client, &id).await["state"], "DONE");
    let report = format!("imports/{id}/errors.csv");
    until("the report is gone", || async { get(&client, &report).await.is_empty().then_some(()) }).await;
    let count = "SELECT id FROM uploads WHERE id = $1";
    until("the upload is gone", || async {
        one_column(&world, "log.db", count, &unused).await.is_empty().then_some(())
    })
    .await;
    let input = json!({"filename": "x.csv", "uploadId": unused});
    let refused = client.mutate("importContacts", input, "errors { code field }").await;
    assert_eq!(refused["errors"], json!([{"code": "NOT_FOUND", "field": "uploadId"}]));
    // What was counted stays.
    assert_eq!(counted(&ended(&client, &id).await), json!({"total": 1, "invalid": 1}));
}

async fn a_report_forgets_who_is_erased(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = "phone,name\n+16505551001,Ada\n+16505551001,Ada twice\n+1 650 555 1001,Ada,ragged\n+16505551002,Bob\n\
        +16505551002,Bob twice\nnobody,Eve\n";
    let id = begin(&client, json!({"filename": "x.csv", "content": file})).await;
    assert_eq!(ended(&client, &id).await["state"], "DONE");
    let path = format!("imports/{id}/errors.csv");
    let before = get(&client, &path).await;
    assert_eq!(before.lines().count(), 5, "{before}");
    known(&client, "+16505551001").await;
    erase(&client, "+16505551001").await;
    let after = get(&client, &path).await;
    let others: Vec<_> = before.lines().filter(|line| !line.contains("Ada")).collect();
    assert_eq!(after.lines().collect::<Vec<_>>(), others);
    assert_eq!(others.len(), 3, "the titles, and those who are others");
}

async fn many_imports_of_one_account_run_side_by_side(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    // They overlap: each has half of the people of the one before.
    let rows: Vec<_> = many(6_000).lines().skip(1).map(str::to_owned).collect();
    let file = |part: usize| format!("phone,name,city\n{}\n", rows[part * 500..part * 500 + 1_000].join("\n"));
    let begun = (0..10).map(|part| {
        let client = client.clone();
        let input = json!({"filename": "x.csv", "content": file(part), "mode": "SKIP"});
        async move { begin(&client, input).await }
    });
    let ids = futures::future::join_all(begun).await;
    let (mut created, mut existing) = (0, 0);
    for id in &ids {
        let import = ended(&client, id).await;
        assert_eq!((&import["state"], &import["counters"]["total"]), (&json!("DONE"), &json!(1_000)));
        created += import["counters"]["created"].as_u64().expect("a count");
        existing += import["counters"]["duplicateExisting"].as_u64().expect("a count");
    }
    let contacts = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(contacts["contacts"]["totalCount"].as_u64(), Some(created));
    let whole = import(&client, json!({"content": many(5_500), "dryRun": true})).await;
    assert_eq!(whole["unchanged"].as_u64(), Some(created), "{whole}");
    assert!(existing > 3_000, "{existing}");
}

async fn who_is_erased_while_a_file_is_imported_does_not_come_back(engine: Engine) {
    const PHONE: &str = "+16505554321";
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": PHONE, "name": "Ada"}), "errors { code }").await;
    known(&client, PHONE).await;
    client.mutate("optOut", json!({"phone": PHONE}), "errors { code }").await;
    let others = (0..20_000).map(|n| format!("+1650{:07},Person\n", 6_000_000 + n)).collect::<Vec<_>>().concat();
    let file = format!("phone,name\n{others}{PHONE},Persephone\n");
    let id = begin(&client, json!({"filename": "x.csv", "content": file})).await;
    erase(&client, PHONE).await;
    let ended = ended(&client, &id).await;
    assert_eq!(counted(&ended), json!({"total": 20_001, "created": 20_000, "erased": 1}));
    let query = "query($p: String) { contact(phone: $p) { id } }";
    assert_eq!(client.data(query, json!({"p": PHONE})).await["contact"], json!(null));
    let report = get(&client, &format!("imports/{id}/errors.csv")).await;
    assert!(report.contains(r#""20002","ERASED""#), "{report}");
    assert!(!report.contains("6505554321") && !report.contains("Persephone"), "{report}");
    let send = json!({"numberId": world.number(), "to": PHONE, "text": {"body": "Offer"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "OPTED_OUT");
}

async fn who_is_erased_after_a_file_was_uploaded_does_not_come_back(engine: Engine) {
    const PHONE: &str = "+16505554321";
    let mut world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": PHONE, "name": "Ada"}), "errors { code }").await;
    known(&client, PHONE).await;
    let file = format!("phone,name\n{PHONE},Ada\n+16505551001,Bob\n");
    let uploaded = upload(&client, file.clone().into_bytes()).await;
    erase(&client, PHONE).await;
    world.stop().await;
    let world = world.restart().await;
    let client = world.client();
    let skipped = import(&client, json!({"uploadId": uploaded})).await;
    assert_eq!(skipped, json!({"total": 2, "created": 1, "erased": 1}));
    // A person in a file that comes after the erasure is a new contact.
    let again = import(&client, json!({"content": file})).await;
    assert_eq!(again, json!({"total": 2, "created": 1, "unchanged": 1}));
}
