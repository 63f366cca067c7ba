//! Files as people have them: numbers and words of consent that table programs and other exports changed.

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World};

use super::{begin, ended, get, import, upload};

stories!(
    no_cell_becomes_the_number_of_another_person,
    an_opt_out_counts_whatever_becomes_of_its_row,
    a_report_names_the_lines_that_an_editor_shows,
    one_bad_byte_costs_its_own_character,
);

/// Number and consent of every contact, by number.
async fn contacts(client: &Client) -> Vec<(String, bool)> {
    let query = "{ contacts(first: 100) { edges { node { phone optedOut } } } }";
    let answer = client.data(query, json!({})).await;
    let edges = answer["contacts"]["edges"].as_array().expect("edges").clone();
    let contact = |edge: &Value| {
        let node = &edge["node"];
        (node["phone"].as_str().unwrap_or_default().to_owned(), node["optedOut"] == true)
    };
    let mut all: Vec<_> = edges.iter().map(contact).collect();
    all.sort();
    all
}

async fn phones(client: &Client) -> Vec<String> {
    contacts(client).await.into_iter().map(|(phone, _)| phone).collect()
}

async fn no_cell_becomes_the_number_of_another_person(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = "wa_id,name\n5511987654321,Ana\n16505551202,Bo\n+4915123456703,Cy\n";
    assert_eq!(import(&client, json!({"content": file})).await["created"], 3);
    assert_eq!(phones(&client).await, ["+16505551202", "+4915123456703", "+5511987654321"]);

    let (other, _) = world.another_account().await;
    let file = "phone\n015123456701.0\n4915123456702\n(49) 151-23456706\n+4915123456704.00\n030 123456/57\n\
                +49 151 23456704/05\n+16505551205;+16515551205\n\u{202a}+1 650\u{a0}555 1299\u{202c}\n4915112345621.5\n";
    let counters = import(&other, json!({"content": file, "defaultRegion": "DE"})).await;
    assert_eq!((&counters["created"], &counters["invalid"]), (&json!(5), &json!(4)), "{counters}");
    let expected = ["+16505551299", "+4915123456701", "+4915123456702", "+4915123456704", "+4915123456706"];
    assert_eq!(phones(&other).await, expected);
    let send = json!({"numberId": world.number(), "to": "+16505551205 / +16515551205", "text": {"body": "x"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "INVALID_PHONE");
}

async fn an_opt_out_counts_whatever_becomes_of_its_row(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    import(&client, json!({"content": "phone\n+16505551210\n+16505551211\n"})).await;
    // Rows that are put aside because the contact is there already.
    let skipped = "phone,opted_out\n+16505551210,ja\n";
    import(&client, json!({"content": skipped, "mode": "SKIP"})).await;
    let refused = "phone,opted_out\n+16505551211,Y\n";
    import(&client, json!({"content": refused, "mode": "CREATE_ONLY"})).await;
    let card = "4111 1111 1111 1111";
    let file = format!(
        "phone,opted_out,note\n+16505551220,no,\n+1 650 555 1220,true,\n+16505551221,yes,{card}\n+16505551222,by mail,\n\
         +16505551223,0,\n"
    );
    let counters = import(&client, json!({"content": file})).await;
    assert_eq!((&counters["created"], &counters["warnings"]), (&json!(3), &json!(1)), "{counters}");
    let expected = [
        ("+16505551210", true),
        ("+16505551211", true),
        ("+16505551220", true),
        ("+16505551222", true),
        ("+16505551223", false),
    ];
    let expected: Vec<_> = expected.map(|(phone, is_out)| (phone.to_owned(), is_out)).into();
    assert_eq!(contacts(&client).await, expected);
    // The person of the row with a card number is no contact, and not to be written to.
    let send = json!({"numberId": world.number(), "to": "+16505551221", "text": {"body": "Offer"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "OPTED_OUT");
}

async fn a_report_names_the_lines_that_an_editor_shows(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let rows = [
        "phone,name",
        "+16505551201,Ana",
        "bad,Bo",
        "",
        "\"worse\",\"of two\nlines\"",
        "+1 650 555 1201,Ana",
        "bad,Cy",
    ];
    for end in ["\n", "\r\n", "\r"] {
        let id = begin(&client, json!({"content": rows.join(end), "filename": "x.csv", "dryRun": true})).await;
        assert_eq!(ended(&client, &id).await["state"], "DONE");
        let report = get(&client, &format!("imports/{id}/errors.csv")).await;
        let lines: Vec<_> =
            report.lines().filter_map(|line| line.split(',').next()?.trim_matches('"').parse::<u32>().ok()).collect();
        assert_eq!(lines, [3, 5, 7, 8], "{end:?}: {report}");
        assert!(report.contains("the same person as in line 2"), "{report}");
    }
}

async fn one_bad_byte_costs_its_own_character(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file =
        ["phone,name\n+16505551201,Jürgen\n+16505551202,Zoë 😀\n+16505551203,M".as_bytes(), b"\xfcller\n"].concat();
    let id = upload(&client, file).await;
    assert_eq!(import(&client, json!({"uploadId": id})).await, json!({"total": 3, "created": 3, "warnings": 1}));
    let query = "query($p: String) { contact(phone: $p) { name } }";
    for (phone, name) in [("+16505551201", "Jürgen"), ("+16505551202", "Zoë 😀"), ("+16505551203", "M\u{fffd}ller")]
    {
        assert_eq!(client.data(query, json!({"p": phone})).await["contact"]["name"], name);
    }
}
