use std::fmt::Write as _;
use std::io::Write as _;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// A workbook of these sheets: each its name, its state and the XML of its rows.
fn book(sheets: &[(&str, &str, &str)], strings: &str) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut put = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    let (mut list, mut links) = (String::new(), String::new());
    for (place, (name, state, rows)) in sheets.iter().enumerate() {
        let id = place + 1;
        write!(list, r#"<sheet name="{name}" sheetId="{id}" state="{state}" r:id="rId{id}"/>"#).unwrap();
        let target = format!("worksheets/sheet{id}.xml");
        write!(links, r#"<Relationship Id="rId{id}" Type="{OFFICE}/worksheet" Target="{target}"/>"#).unwrap();
        let sheet = format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>"#);
        put(&format!("xl/{target}"), &sheet);
    }
    write!(links, r#"<Relationship Id="rId99" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>"#).unwrap();
    put("xl/sharedStrings.xml", &format!(r#"<sst xmlns="{MAIN}">{strings}</sst>"#));
    put(
        "xl/workbook.xml",
        &format!(r#"<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{list}</sheets></workbook>"#),
    );
    put("xl/_rels/workbook.xml.rels", &format!(r#"<Relationships xmlns="{PACKAGE}">{links}</Relationships>"#));
    let root = format!(r#"<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>"#);
    put("_rels/.rels", &format!(r#"<Relationships xmlns="{PACKAGE}">{root}</Relationships>"#));
    zip.finish().unwrap().into_inner()
}

fn rows(bytes: Vec<u8>) -> Result<(String, Vec<(u64, String)>), ReadFailure> {
    with_rows(bytes, |source, sheet| {
        let mut rows = Vec::new();
        let mut width = None;
        while let Some(row) = source.next_row(width)? {
            width.get_or_insert(row.cells.len());
            rows.push((row.line, row.cells.join("|")));
        }
        Ok((sheet.to_owned(), rows))
    })
}

const PEOPLE: &str = r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>phone</t></is></c></row>
    <row r="3"><c r="B3"><v>4915112345621</v></c></row>
    <row r="4"><c r="A4" t="s"><v>1</v></c><c r="B4"><v>1.6505551202E10</v></c><c r="C4" t="b"><v>1</v></c></row>"#;

#[test]
fn the_first_visible_sheet_with_cells_is_read() {
    let strings = "<si><t>name</t></si><si><t>Zoë</t></si>";
    let hidden = r#"<row r="1"><c r="A1"><v>1</v></c></row>"#;
    let bytes = book(&[("old", "hidden", hidden), ("empty", "visible", ""), ("Kunden", "visible", PEOPLE)], strings);
    let expected = [(1, "name|phone"), (3, "|4915112345621"), (4, "Zoë|16505551202|TRUE")];
    let expected = expected.map(|(line, row)| (line, row.to_owned())).to_vec();
    assert_eq!(rows(bytes), Ok(("Kunden".to_owned(), expected)));
}

#[test]
fn hostile_workbooks_are_refused() {
    let failure = |bytes: Vec<u8>| match rows(bytes) {
        Err(ReadFailure::File(failure)) => failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(b"PK\x03\x04 and nothing of a workbook".to_vec()), FileError::WorkbookUnreadable);
    let mut cut = book(&[("a", "visible", PEOPLE)], "");
    cut.truncate(cut.len() / 2);
    assert_eq!(failure(cut), FileError::WorkbookUnreadable);
    assert_eq!(failure(book(&[("a", "visible", "")], "")), FileError::EmptyFile);
    // Shared texts that unpack to a hundred times the size of the file.
    let bomb = book(&[("a", "visible", PEOPLE)], &"<si><t>aaaaaaaaaaaaaaaa</t></si>".repeat(2_000_000));
    assert!(bomb.len() < 1 << 20);
    assert_eq!(failure(bomb), FileError::WorkbookTooLarge);
    // A cell that names no shared text, and one of a row and column beyond all sheets.
    for cell in [r#"<c r="A1" t="s"><v>7</v></c>"#, r#"<c r="ZZZZZZZ9999999999"><v>7</v></c>"#] {
        let read = rows(book(&[("a", "visible", &format!(r#"<row r="1">{cell}</row>"#))], ""));
        assert!(matches!(read, Ok(_) | Err(ReadFailure::File(_))), "{read:?}");
    }
    let wide = r#"<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>1</v></c></row>"#;
    let read = rows(book(&[("a", "visible", wide)], "")).map(|(_, rows)| rows[0].1.matches('|').count());
    assert_eq!(read, Ok(COLUMNS_MAX), "a row holds one cell more than may be");
}
