//! Contacts come in from files.

mod export;
mod files;
mod keeping;
mod people;
mod preview;
mod reading;

use std::fmt::Write as _;

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World, until};

stories!(
    a_file_is_imported_and_its_report_tells_every_row,
    double_spellings_find_the_contact_that_is_there,
    the_modes_and_the_dry_run_keep_their_word,
    who_opted_out_is_imported_and_never_messaged,
    who_opted_out_before_being_erased_is_counted_as_well,
    killed_in_the_middle_it_ends_with_the_same_report,
    two_imports_at_once_and_one_that_is_cancelled,
);

const COUNTERS: &str =
    "total created updated unchanged duplicateInFile duplicateExisting suppressed invalid warnings erased blank";

async fn begin(client: &Client, input: Value) -> String {
    let begun = client.mutate("importContacts", input, "import { id } position errors { code field message }").await;
    assert_eq!(begun["errors"], json!([]), "{begun}");
    begun["import"]["id"].as_str().expect("an id").to_owned()
}

async fn ended(client: &Client, id: &str) -> Value {
    let query = format!("query($id: ID!) {{ import(id: $id) {{ state failure filename counters {{ {COUNTERS} }} }} }}");
    until("the import ends", || async {
        let import = client.data(&query, json!({"id": id})).await["import"].take();
        let over = ["DONE", "FAILED", "CANCELLED"].contains(&import["state"].as_str()?);
        over.then_some(import)
    })
    .await
}

/// Imports the text and gives the counters that are not 0.
pub async fn import(client: &Client, mut input: Value) -> Value {
    input["filename"] = json!("people.csv");
    let id = begin(client, input).await;
    let import = ended(client, &id).await;
    assert_eq!(import["state"], "DONE", "{import}");
    counted(&import)
}

fn counted(import: &Value) -> Value {
    let counters = import["counters"].as_object().expect("counters");
    counters
        .iter()
        .filter(|(_, count)| **count != json!(0))
        .map(|(name, count)| (name.clone(), count.clone()))
        .collect()
}

async fn get(client: &Client, path: &str) -> String {
    let answer = client.http.get(format!("{}{path}", client.url)).bearer_auth(&client.key).send().await;
    let answer = answer.expect("the server answers");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("text")
}

async fn upload(client: &Client, bytes: Vec<u8>) -> String {
    let request = client.http.post(format!("{}uploads", client.url)).bearer_auth(&client.key).body(bytes);
    let answer: Value = request.send().await.expect("the server answers").json().await.expect("JSON");
    answer["uploadId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn a_file_is_imported_and_its_report_tells_every_row(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let group = client.mutate("createGroup", json!({"name": "Customers"}), "group { id }").await;
    let group = group["group"]["id"].clone();
    let content = "Phone,Name,city\n\
        +16505551001,Ada,London\n\
        +1 (650) 555-1001,Ada again,London\n\
        hello,Bob,Paris\n\
        9.19812E+11,Excel,Delhi\n\
        +15550783881,Meta,Menlo\n\
        +16505551002,\"Two\nlines\",Rome\n\
        +16505551003,Card,4111 1111 1111 1111\n\
        6505551004,No country,Oslo\n\
        +16505551005,Short\n";
    let input = json!({"filename": "people.csv", "content": content, "groupId": group});
    let id = begin(&client, input.clone()).await;
    let done = ended(&client, &id).await;
    assert_eq!((&done["state"], &done["filename"]), (&json!("DONE"), &json!("people.csv")));
    let first = json!({"total": 9, "created": 3, "duplicateInFile": 1, "invalid": 5, "warnings": 1});
    assert_eq!(counted(&done), first);
    let report = get(&client, &format!("imports/{id}/errors.csv")).await;
    for line in [
        r#""line","code","reason","Phone","Name","city""#,
        r#""3","DUPLICATE_IN_FILE","the same person as in line 2""#,
        r#""4","PHONE_UNREADABLE""#,
        r#""5","PHONE_SCIENTIFIC""#,
        r#""6","PHONE_NOT_VALID""#,
        r#""9","CARD_NUMBER""#,
        r#""10","PHONE_NO_COUNTRY_CODE""#,
        r#""11","RAGGED_ROW""#,
    ] {
        assert!(report.contains(line), "{line} in {report}");
    }
    assert!(!report.contains("4111"), "{report}");
    let query = "query($phone: String!) { contacts(filter: {phone: $phone}) { edges { node { name source attributes { name value } groups { name } } } } }";
    let found = client.data(query, json!({"phone": "+16505551001"})).await;
    let ada = json!({"name": "Ada", "source": "IMPORT", "attributes": [{"name": "city", "value": "London"}], "groups": [{"name": "Customers"}]});
    assert_eq!(found["contacts"]["edges"][0]["node"], ada);
    // The same file changes nothing, however often.
    for _ in 0..2 {
        let position = client.data("{ contacts { totalCount } position }", json!({})).await;
        let again = import(&client, input.clone()).await;
        assert_eq!(again, json!({"total": 9, "unchanged": 3, "duplicateInFile": 1, "invalid": 5, "warnings": 1}));
        let after = client.data("{ contacts { totalCount } position }", json!({})).await;
        assert_eq!(after["contacts"], position["contacts"]);
        // Started, described, one chunk, finished: nothing of the contacts.
        assert_eq!(after["position"].as_u64(), position["position"].as_u64().map(|at| at + 4));
    }
    let missing = client.http.get(format!("{}imports/{}/errors.csv", client.url, uuid::Uuid::new_v4()));
    assert_eq!(missing.bearer_auth(&client.key).send().await.expect("an answer").status(), 404);
    let (other, _) = world.another_account().await;
    let foreign = other.http.get(format!("{}imports/{id}/errors.csv", other.url)).bearer_auth(&other.key);
    assert_eq!(foreign.send().await.expect("an answer").status(), 404);
    assert_eq!(
        other.data("query($id: ID!) { import(id: $id) { id } }", json!({"id": id})).await["import"],
        json!(null)
    );
}

async fn double_spellings_find_the_contact_that_is_there(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let first = "phone\n+5511987654321\n+525512345678\n+541123456789\n+551123456789\n";
    assert_eq!(import(&client, json!({"content": first})).await["created"], 4);
    let second = "phone\n+551187654321\n+5215512345678\n+5491123456789\n+551123456789\n";
    let counters = import(&client, json!({"content": second})).await;
    assert_eq!((&counters["unchanged"], &counters["created"]), (&json!(4), &json!(null)));
    let both = "phone\n+5511976543210\n+551176543210\n";
    let counters = import(&client, json!({"content": both})).await;
    assert_eq!((&counters["created"], &counters["duplicateInFile"]), (&json!(1), &json!(1)));
    // A landline is another person than the mobile with a ninth digit.
    let counters = import(&client, json!({"content": "phone\n+5511923456789\n"})).await;
    assert_eq!(counters["created"], 1);
}

async fn the_modes_and_the_dry_run_keep_their_word(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    import(&client, json!({"content": "phone,name,city\n+16505551001,Ada,London\n+16505551002,Bob,Paris\n"})).await;
    let changed = "phone,name,plan\n+16505551001,Ada King,gold\n+16505551002,Bob,\n+16505551003,Eve,free\n";
    let before = get(&client, "contacts.csv").await;
    for (mode, expected) in [
        ("CREATE_ONLY", json!({"total": 3, "created": 1, "duplicateExisting": 2})),
        ("SKIP", json!({"total": 3, "created": 1, "duplicateExisting": 2})),
        ("UPDATE", json!({"total": 3, "created": 1, "updated": 1, "unchanged": 1})),
    ] {
        let counters = import(&client, json!({"content": changed, "mode": mode, "dryRun": true})).await;
        assert_eq!(counters, expected, "{mode}");
        assert_eq!(get(&client, "contacts.csv").await, before);
    }
    let counters = import(&client, json!({"content": changed, "mode": "UPDATE"})).await;
    assert_eq!(counters, json!({"total": 3, "created": 1, "updated": 1, "unchanged": 1}));
    let after = get(&client, "contacts.csv").await;
    assert!(after.contains(r#""+16505551001","","Ada King","","London","gold""#), "{after}");
    let counters = import(&client, json!({"content": "phone,name\n+16505551001,X\n", "mode": "SKIP"})).await;
    assert_eq!(counters, json!({"total": 1, "duplicateExisting": 1}));
    assert_eq!(get(&client, "contacts.csv").await, after);
}

async fn who_opted_out_is_imported_and_never_messaged(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let contact = client.mutate("createContact", json!({"phone": "+16505551001"}), "contact { id }").await;
    client.mutate("optOut", json!({"contactId": contact["contact"]["id"]}), "errors { code field }").await;
    let content = "phone,name,opted_out\n+16505551001,Ada,\n+16505551002,Bob,true\n";
    let counters = import(&client, json!({"content": content})).await;
    assert_eq!(counters, json!({"total": 2, "created": 1, "updated": 1, "suppressed": 2}));
    for to in ["+16505551001", "+16505551002"] {
        let sent = client.send(json!({"numberId": world.number(), "to": to, "text": {"body": "Hi"}})).await;
        assert_eq!(sent["errors"][0]["code"], "OPTED_OUT");
    }
}

async fn who_opted_out_before_being_erased_is_counted_as_well(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let (new, old) = ("+5511987654321", "+551187654321");
    client.mutate("createContact", json!({"phone": new}), "errors { code }").await;
    client.mutate("optOut", json!({"phone": new}), "errors { code }").await;
    crate::erasure::erase(&client, new).await;
    let file = format!("phone,name\n{old},Ada\n+16505551001,Bob\n");
    for dry_run in [true, false] {
        let counters = import(&client, json!({"content": file, "dryRun": dry_run})).await;
        // The old spelling fits no plan any more.
        assert_eq!(counters, json!({"total": 2, "created": 2, "suppressed": 1, "warnings": 1}));
    }
    let query = "query($p: String) { contact(phone: $p) { optedOut optedOutVia } }";
    for phone in [old, new] {
        let contact = client.data(query, json!({"p": phone})).await["contact"].take();
        assert_eq!(contact, json!({"optedOut": true, "optedOutVia": "SUPPRESSION"}), "{phone}");
        let sent = client.send(json!({"numberId": world.number(), "to": phone, "text": {"body": "Hi"}})).await;
        assert_eq!(sent["errors"][0]["code"], "OPTED_OUT", "{phone}");
    }
}

/// So many rows, every tenth of which is wrong and every seventh of which repeats the one before.
fn many(rows: usize) -> String {
    let mut file = "phone,name,city\n".to_owned();
    for row in 0..rows {
        let number = if row % 7 == 3 { row - 1 } else { row };
        let phone = if row % 10 == 9 { "none".to_owned() } else { format!("+1650{:07}", 2_000_000 + number) };
        writeln!(file, "{phone},Person {row},Town {}", row % 13).expect("a String");
    }
    file
}

async fn killed_in_the_middle_it_ends_with_the_same_report(engine: Engine) {
    let file = many(30_000);
    let calm = World::start(engine).await;
    let client = calm.client();
    let upload_id = upload(&client, file.clone().into_bytes()).await;
    let id = begin(&client, json!({"filename": "many.csv", "uploadId": upload_id})).await;
    let expected = ended(&client, &id).await;
    let report = get(&client, &format!("imports/{id}/errors.csv")).await;
    drop(calm);

    let mut world = World::start(engine).await;
    let upload_id = upload(&world.client(), file.clone().into_bytes()).await;
    let id = begin(&world.client(), json!({"filename": "many.csv", "uploadId": upload_id})).await;
    for part in 1..3 {
        until("some of it is applied", || async {
            let query = "query($id: ID!) { import(id: $id) { counters { total } } }";
            let import = world.client().data(query, json!({"id": id})).await;
            (import["import"]["counters"]["total"].as_u64()? >= part * 5_000).then_some(())
        })
        .await;
        world.kill().await;
        world = world.restart().await;
    }
    let client = world.client();
    assert_eq!(ended(&client, &id).await, expected);
    assert_eq!(get(&client, &format!("imports/{id}/errors.csv")).await, report);
    let count = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(count["contacts"]["totalCount"], expected["counters"]["created"]);
}

async fn two_imports_at_once_and_one_that_is_cancelled(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = many(4_000);
    let begin_one = || begin(&client, json!({"filename": "x.csv", "content": file}));
    let (one, two) = tokio::join!(begin_one(), begin_one());
    let (one, two) = tokio::join!(ended(&client, &one), ended(&client, &two));
    let count = |name: &str| one["counters"][name].as_u64().unwrap_or(0) + two["counters"][name].as_u64().unwrap_or(0);
    let contacts = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(contacts["contacts"]["totalCount"].as_u64(), Some(count("created")), "{one} {two}");
    assert_eq!((count("total"), count("invalid")), (8_000, 800));
    let names = client.data("{ imports(first: 5) { edges { node { state } } } }", json!({})).await;
    assert_eq!(names["imports"]["edges"].as_array().map(Vec::len), Some(2));

    let upload_id = upload(&client, many(200_000).replace("+1650", "+1415").into_bytes()).await;
    let id = begin(&client, json!({"filename": "x.csv", "uploadId": upload_id})).await;
    let mut socket = client.connect_ws().await;
    socket.subscribe("1", "subscription($id: ID!) { importProgress(id: $id) { state } }", json!({"id": id})).await;
    let told = socket.next().await;
    assert!(told["payload"]["data"]["importProgress"]["state"].is_string(), "{told}");
    let cancelled = client.mutate("cancelImport", json!({"id": id}), "import { state } errors { code }").await;
    assert_eq!(cancelled["import"]["state"], "CANCELLED", "{cancelled}");
    let mut last = told;
    loop {
        let next = socket.next().await;
        if next["type"] == "complete" {
            break;
        }
        last = next;
    }
    assert_eq!(last["payload"]["data"]["importProgress"]["state"], "CANCELLED");
    let again = client.mutate("cancelImport", json!({"id": id}), "errors { code }").await;
    assert_eq!(again["errors"], json!([]));
}
