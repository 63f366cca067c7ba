//! How files may be written, and which are not taken.

use serde_json::json;
use wasend_tests::{Engine, Start, World};

use super::{begin, counted, ended, get, import, upload};

stories!(
    every_way_of_writing_a_file_is_read,
    a_file_that_cannot_be_used_changes_nothing,
    every_limit_is_kept,
    a_compressed_upload_is_refused
);

async fn every_way_of_writing_a_file_is_read(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let text = "phone;name;note\r\n+447911120000;Zoë;\"a;b\r\nc\"\r\n+447911120001;Max;plain\r\n";
    let utf16 = |little: bool| {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect::<Vec<u8>>()
    };
    let windows: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let old = text.replace("\r\n", "\r").into_bytes();
    let files = [
        text.as_bytes().to_vec(),
        format!("\u{feff}{text}").into_bytes(),
        utf16(true),
        utf16(false),
        windows,
        text.replace(';', "\t").replace("a\tb", "a;b").into_bytes(),
        text.replace(';', "|").replace("a|b", "a;b").into_bytes(),
    ];
    for (index, bytes) in files.into_iter().enumerate() {
        let id = upload(&client, bytes).await;
        let counters = import(&client, json!({"uploadId": id})).await;
        let expected = if index == 0 { "created" } else { "unchanged" };
        assert_eq!(counters, json!({"total": 2, expected: 2}), "file {index}");
    }
    let id = upload(&client, old).await;
    // Its line ends within quotation marks are others.
    assert_eq!(import(&client, json!({"uploadId": id})).await, json!({"total": 2, "updated": 1, "unchanged": 1}));
    let national = "Nummer,Wer\n0151 23456789,Eva\n００49 151 23456780,Uwe\n";
    let columns = json!([{"header": "Nummer", "field": "PHONE"}, {"header": "Wer", "field": "NAME"}]);
    let input = json!({"content": national, "columns": columns, "defaultRegion": "DE"});
    let counters = import(&client, input).await;
    assert_eq!(counters["created"], 2, "{counters}");
    // Any alias, in any case; the digits of East Asia; a comma between; and a byte order mark before it all.
    let full_width = "\u{feff}Full Name,WhatsApp Number\nMei,＋４４７９１１１２０００５\nMei again,+44 7911 120005\n";
    let counters = import(&client, json!({"content": full_width})).await;
    assert_eq!(counters, json!({"total": 2, "created": 1, "duplicateInFile": 1}));
    let twice = json!({"filename": "x", "uploadId": id});
    let again = client.mutate("importContacts", twice, "errors { code field }").await;
    assert_eq!(again["errors"][0]["code"], "NOT_FOUND", "an upload is imported once");
}

async fn a_file_that_cannot_be_used_changes_nothing(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for (content, failure) in [
        ("\n\n", "EMPTY_FILE"),
        ("pho\0ne,name\n1,2\n", "EMPTY_HEADER"),
        ("attribute:city,city,phone\n1,2,3\n", "DUPLICATE_HEADER"),
        ("%PDF-1.7\n", "FORMAT_UNKNOWN"),
        ("name,city\nAda,London\n", "NO_PHONE_COLUMN"),
    ] {
        let id = begin(&client, json!({"filename": "x.csv", "content": content})).await;
        let import = ended(&client, &id).await;
        assert_eq!((&import["state"], &import["failure"]), (&json!("FAILED"), &json!(failure)));
    }
    assert_eq!(client.data("{ contacts { totalCount } }", json!({})).await["contacts"]["totalCount"], 0);
    for (input, field) in [
        (json!({"filename": "x"}), "content"),
        (json!({"filename": "", "content": "phone\n"}), "filename"),
        (json!({"filename": "x", "content": "phone\n", "groupId": "no"}), "groupId"),
        (json!({"filename": "x", "content": "phone\n", "defaultRegion": "XX"}), "defaultRegion"),
        (json!({"filename": "x", "uploadId": uuid::Uuid::new_v4().to_string()}), "uploadId"),
    ] {
        let refused = client.mutate("importContacts", input, "import { id } errors { field }").await;
        assert_eq!((&refused["errors"][0]["field"], &refused["import"]), (&json!(field), &json!(null)));
    }
}

async fn every_limit_is_kept(engine: Engine) {
    let limits = Start::default().with("WASEND_IMPORTS_MAX_ROWS", "3").with("WASEND_IMPORTS_MAX_FILE", "1MiB");
    let world = limits.on(engine).await;
    let client = world.client();
    let rows = |count: usize| {
        ["+16505551000,Ada\n", "+16505551001,Bob\n", "+16505551002,Eve\n", "+16505551003,Max\n"][..count].concat()
    };
    let titles: Vec<_> = (0..500).map(|n| format!("c{n}")).collect();
    let failing = [
        (format!("phone,name\n{}", rows(4)), "TOO_MANY_ROWS"),
        (format!("phone,{}\n", titles.join(",")), "TOO_MANY_COLUMNS"),
        (format!("phone,name\n+16505551000,\"{}", "x ".repeat(200_000)), "ROW_TOO_LONG"),
    ];
    for (content, failure) in &failing {
        let id = begin(&client, json!({"filename": "x.csv", "content": content})).await;
        let import = ended(&client, &id).await;
        assert_eq!((&import["state"], &import["failure"]), (&json!("FAILED"), &json!(failure)));
        assert_eq!(counted(&import), json!({}), "{failure}");
    }
    assert_eq!(client.data("{ contacts { totalCount } }", json!({})).await["contacts"]["totalCount"], 0);
    assert_eq!(import(&client, json!({"content": format!("phone,name\n{}", rows(3))})).await["created"], 3);
    let columns = format!("phone,{}\n+16505551000{}\n", titles[..499].join(","), ",".repeat(499));
    assert_eq!(import(&client, json!({"content": columns})).await, json!({"total": 1, "unchanged": 1}));
    // One long row is that row's fault alone.
    let long = format!("phone,name\n+16505551000,{}\n+16505551001,Bob\n", "x".repeat(70_000));
    let id = begin(&client, json!({"filename": "x.csv", "content": long})).await;
    assert_eq!(counted(&ended(&client, &id).await), json!({"total": 2, "invalid": 1, "unchanged": 1}));
    assert!(get(&client, &format!("imports/{id}/errors.csv")).await.contains("\"2\",\"ROW_TOO_LONG\""));
    let large = client.http.post(format!("{}uploads", client.url)).bearer_auth(&client.key).body(vec![b'x'; 2 << 20]);
    if let Ok(answer) = large.send().await {
        assert_eq!(answer.status(), 413);
    }
    let inline = json!({"filename": "x.csv", "content": "x".repeat((1 << 20) + 1)});
    let refused = client.mutate("importContacts", inline, "errors { code field }").await;
    assert_eq!(refused["errors"], json!([{"code": "TOO_LONG", "field": "content"}]));
}

/// Nothing packed is taken for what it holds, and nothing is unpacked.
async fn a_compressed_upload_is_refused(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let post = |name: &'static str, coding: &'static str| {
        let request = client.http.post(format!("{}uploads", world.url)).bearer_auth(&client.key);
        async move { request.header(name, coding).body("phone\n+16505551234\n").send().await.expect("an answer") }
    };
    for coding in ["gzip", "br", "identity, gzip", "x-own"] {
        let refused = post("Content-Encoding", coding).await;
        assert_eq!(refused.status(), 415, "{coding}");
        let problem: serde_json::Value = refused.json().await.expect("a problem");
        assert_eq!(problem["code"], "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(post("Content-Encoding", "identity").await.status(), 200);
}
