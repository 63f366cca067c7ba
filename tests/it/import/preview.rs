//! What an import would do, before it does.

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World};

use super::{import, upload};

stories!(
    a_preview_shows_the_file_and_writes_nothing,
    a_preview_proposes_what_is_missing,
    what_cannot_be_previewed_is_told
);

const FIELDS: &str = "preview { failure proposedNumbersAre layout { format encoding delimiter hasHeader columns { header field phoneRank } } \
    rows { line cells outcome phone name optedOut fault { code reason } warnings { code } } } errors { code field }";

async fn preview(client: &Client, input: Value) -> Value {
    let answer = client.mutate("previewImport", input, FIELDS).await;
    assert_eq!(answer["errors"], json!([]), "{answer}");
    answer["preview"].clone()
}

async fn a_preview_shows_the_file_and_writes_nothing(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    import(&client, json!({"content": "phone\n+16505551201\n"})).await;
    let file = "Handynummer;Vorname;Nachname;Abgemeldet\n+1 650 555 1201;Ada;King;\n+1 650 555 1202;Bo;;ja\n\
                hello;Cy;;\n+1 650 555 1202;Bo;Again;\n";
    let position = client.data("{ position }", json!({})).await["position"].take();
    let id = upload(&client, file.as_bytes().to_vec()).await;
    for input in [json!({"content": file}), json!({"uploadId": id}), json!({"uploadId": id})] {
        let seen = preview(&client, input).await;
        let layout = &seen["layout"];
        assert_eq!(
            (&layout["format"], &layout["encoding"], &layout["delimiter"]),
            (&json!("CSV"), &json!("UTF-8"), &json!(";"))
        );
        assert_eq!(layout["columns"][0], json!({"header": "Handynummer", "field": "PHONE", "phoneRank": 1}));
        let fields: Vec<_> =
            layout["columns"].as_array().expect("columns").iter().map(|column| &column["field"]).collect();
        assert_eq!(fields, ["PHONE", "FIRST_NAME", "LAST_NAME", "OPTED_OUT"]);
        let rows = seen["rows"].as_array().expect("rows");
        let told: Vec<_> =
            rows.iter().map(|row| (&row["line"], &row["outcome"], &row["phone"], &row["name"])).collect();
        let (known, new) = (json!("KNOWN"), json!("NEW"));
        assert_eq!(told[0], (&json!(2), &known, &json!("+16505551201"), &json!("Ada King")));
        assert_eq!(told[1], (&json!(3), &new, &json!("+16505551202"), &json!("Bo")));
        assert_eq!((told[2].1, told[3].1), (&json!("INVALID"), &json!("DUPLICATE_IN_FILE")));
        assert_eq!((&rows[1]["optedOut"], &rows[2]["fault"]["code"]), (&json!(true), &json!("PHONE_UNREADABLE")));
        assert_eq!(rows[3]["warnings"], json!([{"code": "DUPLICATE_IN_FILE"}]));
        assert_eq!((&seen["failure"], rows.len()), (&json!(null), 4));
    }
    let after = client
        .data("{ position contacts { totalCount } imports(first: 9) { edges { node { id } } } }", json!({}))
        .await;
    assert_eq!((&after["position"], &after["contacts"]["totalCount"]), (&position, &json!(1)));
    assert_eq!(after["imports"]["edges"].as_array().map(Vec::len), Some(1));
    // What was looked at can still be imported.
    assert_eq!(import(&client, json!({"uploadId": id})).await["total"], 4);
}

async fn a_preview_proposes_what_is_missing(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = "phone\n4915123456701\n5511987654321\n+16505551201\n";
    let seen = preview(&client, json!({"content": file})).await;
    assert_eq!(
        (&seen["proposedNumbersAre"], &seen["rows"][0]["outcome"]),
        (&json!("INTERNATIONAL"), &json!("INVALID"))
    );
    let seen = preview(&client, json!({"content": file, "numbersAre": "INTERNATIONAL"})).await;
    assert_eq!((&seen["proposedNumbersAre"], &seen["rows"][0]["phone"]), (&json!(null), &json!("+4915123456701")));
    // No column says whose a row is: the columns are shown to choose from.
    let file = "client,town\nAda,Rome\n";
    let seen = preview(&client, json!({"content": file})).await;
    assert_eq!(
        (&seen["failure"], &seen["rows"][0]["fault"]["code"]),
        (&json!("NO_PHONE_COLUMN"), &json!("PHONE_MISSING"))
    );
    assert_eq!(seen["layout"]["columns"][1]["header"], "town");
    // The first rows of a long file.
    let long = format!("phone\n{}", "+16505551201\n".repeat(500));
    assert_eq!(preview(&client, json!({"content": long})).await["rows"].as_array().map(Vec::len), Some(20));
}

async fn what_cannot_be_previewed_is_told(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    assert_eq!(preview(&client, json!({"content": "%PDF-1.7"})).await["failure"], "FORMAT_UNKNOWN");
    assert_eq!(preview(&client, json!({"content": "\n"})).await["failure"], "EMPTY_FILE");
    let (other, _) = world.another_account().await;
    let foreign = upload(&other, b"phone\n+16505551201\n".to_vec()).await;
    for (input, error) in [
        (json!({}), json!({"code": "REQUIRED", "field": "content"})),
        (json!({"uploadId": foreign}), json!({"code": "NOT_FOUND", "field": "uploadId"})),
        (json!({"uploadId": "no"}), json!({"code": "NOT_FOUND", "field": "uploadId"})),
        (json!({"content": "phone\n", "defaultRegion": "XX"}), json!({"code": "INVALID", "field": "defaultRegion"})),
    ] {
        let refused = client.mutate("previewImport", input, FIELDS).await;
        assert_eq!((&refused["errors"], &refused["preview"]), (&json!([error]), &json!(null)));
    }
}
