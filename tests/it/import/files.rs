//! Files of other programs: their titles, encodings and formats.

use std::io::{Cursor, Write as _};

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, WINDOWS_1251};
use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{begin, counted, ended, get, import, upload};

stories!(
    exports_of_other_programs_need_no_mapping,
    every_encoding_is_told_and_can_be_given,
    cards_and_workbooks_are_imported,
    a_damaged_row_costs_itself,
    numbers_may_lack_their_sign,
);

const LAYOUT: &str = "query($id: ID!) { import(id: $id) { layout { format encoding delimiter sheet hasHeader \
    columns { header field attribute phoneRank } } } }";

async fn layout(client: &Client, id: &str) -> Value {
    client.data(LAYOUT, json!({"id": id})).await["import"]["layout"].take()
}

/// Number and name of every contact, by number.
async fn people(client: &Client) -> Vec<(String, String)> {
    let answer = client.data("{ contacts(first: 100) { edges { node { phone name } } } }", json!({})).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let edges = answer["contacts"]["edges"].as_array().expect("edges").clone();
    let mut all: Vec<_> =
        edges.iter().map(|edge| (text(&edge["node"]["phone"]), text(&edge["node"]["name"]))).collect();
    all.sort();
    all
}

fn named(people: &[(&str, &str)]) -> Vec<(String, String)> {
    people.iter().map(|(phone, name)| ((*phone).to_owned(), (*name).to_owned())).collect()
}

async fn exports_of_other_programs_need_no_mapping(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for file in [
        "First Name,Last Name,Phone Number,Mobile Phone Number,WhatsApp Phone Number\nAda,King,+493012345678,+4915123456701,+16505551201\n",
        "First Name,Middle Name,Last Name,Business Phone,Home Phone,Mobile Phone\nBo,M.,Lee,+493012345678,,+16505551202\n",
        "Name,Given Name,Family Name,Phone 1 - Type,Phone 1 - Value\nCy Ng,Cy,Ng,Mobile,+16505551203 ::: +16505559203\n",
        "First Name,Last Name,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value\nDi,Oz,Home,+493012345678,Mobile,+16505551204\n",
        "sep=;\r\nNombre;Apellidos;Teléfono móvil;\r\nEva;Paz;+16505551205;\r\n",
        "رقم الهاتف,الاسم\n+١٦٥٠٥٥٥١٢٠٦,فاطمة\n",
        "+16505551207\n+16505551208\n",
        "Kunde;Erreichbar unter\nGil;+16505551209\n",
    ] {
        let counters = import(&client, json!({"content": file})).await;
        assert_eq!(counters["created"], counters["total"], "{file}: {counters}");
    }
    let expected = named(&[
        ("+16505551201", "Ada King"),
        ("+16505551202", "Bo M. Lee"),
        ("+16505551203", "Cy Ng"),
        ("+16505551204", "Di Oz"),
        ("+16505551205", "Eva Paz"),
        ("+16505551206", "فاطمة"),
        ("+16505551207", ""),
        ("+16505551208", ""),
        ("+16505551209", ""),
    ]);
    assert_eq!(people(&client).await, expected);
    let query = "query($p: String) { contact(phone: $p) { attributes { name value } } }";
    let others = client.data(query, json!({"p": "+16505551201"})).await["contact"]["attributes"].take();
    let kept = json!([{"name": "Mobile Phone Number", "value": "+4915123456701"}, {"name": "Phone Number", "value": "+493012345678"}]);
    assert_eq!(others, kept);
}

async fn every_encoding_is_told_and_can_be_given(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let russian = "Телефон;Имя\n+79161234567;Иван Петров\n+79161234568;Мария Сидорова\n";
    let japanese = "電話番号,氏名\n+819012345678,山田太郎\n";
    let utf16: Vec<u8> = "phone,name\r\n+16505551201,Zoë\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let encoded = |encoding: &'static Encoding, text| encoding.encode(text).0.into_owned();
    for (bytes, given, told) in [
        (encoded(WINDOWS_1251, russian), None, "windows-1251"),
        (encoded(SHIFT_JIS, japanese), None, "Shift_JIS"),
        (utf16, None, "UTF-16LE"),
        // Too little of it to be told from its bytes.
        (b"phone,name\n+16505551202,\xce\n".to_vec(), Some("greek"), "ISO-8859-7"),
        (encoded(UTF_8, "phone,name\n+16505551203,Žofie\n"), None, "UTF-8"),
    ] {
        let id = upload(&client, bytes).await;
        let id = begin(&client, json!({"filename": "x.csv", "uploadId": id, "encoding": given})).await;
        assert_eq!(ended(&client, &id).await["state"], "DONE", "{told}");
        assert_eq!(layout(&client, &id).await["encoding"], told);
    }
    let expected = named(&[
        ("+16505551201", "Zoë"),
        ("+16505551202", "Ξ"),
        ("+16505551203", "Žofie"),
        ("+79161234567", "Иван Петров"),
        ("+79161234568", "Мария Сидорова"),
        ("+819012345678", "山田太郎"),
    ]);
    assert_eq!(people(&client).await, expected);
    for input in [
        json!({"filename": "x", "content": "phone\n", "encoding": "utf-8"}),
        json!({"filename": "x", "uploadId": uuid::Uuid::new_v4().to_string(), "encoding": "klingon"}),
    ] {
        let refused = client.mutate("importContacts", input, "import { id } errors { code field }").await;
        assert_eq!(refused["errors"], json!([{"code": "INVALID", "field": "encoding"}]));
    }
}

/// A workbook with one sheet of these cells.
fn workbook(rows: &str) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let link = |kind: &str, target: &str| {
        let link = format!(r#"<Relationship Id="rId1" Type="{OFFICE}/{kind}" Target="{target}"/>"#);
        format!(r#"<Relationships xmlns="{PACKAGE}">{link}</Relationships>"#)
    };
    let sheets = r#"<sheets><sheet name="Kunden" sheetId="1" r:id="rId1"/></sheets>"#;
    let parts = [
        ("_rels/.rels", link("officeDocument", "xl/workbook.xml")),
        ("xl/_rels/workbook.xml.rels", link("worksheet", "worksheets/sheet1.xml")),
        ("xl/workbook.xml", format!(r#"<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{sheets}</workbook>"#)),
        ("xl/worksheets/sheet1.xml", format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>"#)),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(name, SimpleFileOptions::default()).expect("a part");
        zip.write_all(text.as_bytes()).expect("its text");
    }
    zip.finish().expect("a workbook").into_inner()
}

async fn cards_and_workbooks_are_imported(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let rows = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>Name</t></is></c><c r="B1" t="inlineStr"><is><t>Handy</t></is></c></row>
        <row r="2"><c r="A2" t="inlineStr"><is><t>Zoë</t></is></c><c r="B2"><v>4915123456701</v></c></row>
        <row r="4"><c r="A4" t="inlineStr"><is><t>Bo</t></is></c><c r="B4"><v>17</v></c></row>"#;
    let id = upload(&client, workbook(rows)).await;
    let id = begin(&client, json!({"filename": "people.xlsx", "uploadId": id, "defaultRegion": "DE"})).await;
    assert_eq!(counted(&ended(&client, &id).await), json!({"total": 2, "created": 1, "invalid": 1}));
    let told = layout(&client, &id).await;
    assert_eq!((&told["format"], &told["sheet"], &told["encoding"]), (&json!("XLSX"), &json!("Kunden"), &json!(null)));
    assert_eq!(told["columns"][1], json!({"header": "Handy", "field": "PHONE", "attribute": null, "phoneRank": 1}));
    assert!(get(&client, &format!("imports/{id}/errors.csv")).await.contains("\"4\",\"PHONE_"));
    let cards = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada King\r\nTEL;TYPE=HOME:+49 30 12345678\r\nTEL;TYPE=CELL:+1 650 555 1201\r\n\
                 END:VCARD\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nFN:No Number\r\nEND:VCARD\r\n";
    let id = begin(&client, json!({"filename": "people.vcf", "content": cards})).await;
    assert_eq!(counted(&ended(&client, &id).await), json!({"total": 2, "created": 1, "invalid": 1}));
    assert_eq!(layout(&client, &id).await["format"], "VCARD");
    assert_eq!(people(&client).await, named(&[("+16505551201", "Ada King"), ("+4915123456701", "Zoë")]));
    let bomb = workbook(&"<row/>".repeat(30_000_000));
    assert!(bomb.len() < 1 << 20, "it is small while it is packed");
    for (bytes, failure) in [
        (bomb, "WORKBOOK_TOO_LARGE"),
        (b"PK\x03\x04 no workbook".to_vec(), "WORKBOOK_UNREADABLE"),
        (b"\xd0\xcf\x11\xe0 of before 2007".to_vec(), "FORMAT_UNKNOWN"),
    ] {
        let id = upload(&client, bytes).await;
        let id = begin(&client, json!({"filename": "x.xlsx", "uploadId": id})).await;
        let import = ended(&client, &id).await;
        assert_eq!((&import["state"], &import["failure"]), (&json!("FAILED"), &json!(failure)));
    }
}

async fn a_damaged_row_costs_itself(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = "phone,name,opted_out\n+16505551201,Ada,\n,,\n+16505551202,yes,\"yes\n+16505551203,Cy,\n , ,\n+16505551204,\"Di, Jr.\",\n";
    let id = begin(&client, json!({"filename": "x.csv", "content": file})).await;
    assert_eq!(counted(&ended(&client, &id).await), json!({"total": 4, "created": 3, "invalid": 1, "blank": 2}));
    let report = get(&client, &format!("imports/{id}/errors.csv")).await;
    assert!(report.contains("\"4\",\"QUOTE_OPEN\""), "{report}");
    let expected = named(&[("+16505551201", "Ada"), ("+16505551203", "Cy"), ("+16505551204", "Di, Jr.")]);
    assert_eq!(people(&client).await, expected);
    // What it says of not wanting messages counts all the same.
    let send = json!({"numberId": world.number(), "to": "+16505551202", "text": {"body": "Offer"}});
    assert_eq!(client.send(send).await["errors"][0]["code"], "OPTED_OUT");
}

async fn numbers_may_lack_their_sign(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let file = "phone\n4915123456701\n5511987654321\n16505551201\n";
    assert_eq!(import(&client, json!({"content": file})).await, json!({"total": 3, "invalid": 3}));
    let input = json!({"content": file, "numbersAre": "INTERNATIONAL", "defaultRegion": "DE"});
    assert_eq!(import(&client, input).await, json!({"total": 3, "created": 3}));
    let expected = named(&[("+16505551201", ""), ("+4915123456701", ""), ("+5511987654321", "")]);
    assert_eq!(people(&client).await, expected);
}
