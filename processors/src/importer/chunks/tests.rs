use encoding_rs::{SHIFT_JIS, UTF_16LE, WINDOWS_1251};
use wasend_domain::import::NumberNotation;

use super::*;

/// How the file is read, its rows as line and outcome, and how many were blank.
type Told = (Arc<FileLayout>, Vec<(u64, String)>, u64);

fn read(file: &[u8], encoding: &'static Encoding) -> Result<Told, ReadFailure> {
    let source = ImportSource {
        filename: "x".into(),
        columns: vec![],
        region: None,
        numbers: NumberNotation::AsWritten,
        encoding: None,
    };
    let (mut layout, mut told, mut blank_rows) = (None, Vec::new(), 0);
    read_rows(file, encoding, &source, &ImportLimits::default(), |read_as, rows, blank| {
        layout = Some(Arc::clone(read_as));
        blank_rows += blank;
        told.extend(rows.into_iter().map(|row| {
            let outcome = row.parsed.map(|parsed| {
                let phone = parsed.phone.map(|phone| phone.as_str().to_owned()).unwrap_or_default();
                format!("{phone} {}", parsed.name.unwrap_or_default())
            });
            (row.line, outcome.unwrap_or_else(|error| error.code().to_owned()))
        }));
        true
    })?;
    Ok((layout.expect("rows"), told, blank_rows))
}

fn told(text: &str) -> Vec<(u64, String)> {
    read(text.as_bytes(), UTF_8).expect("a file").1
}

fn rows(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(line, row)| (*line, (*row).to_owned())).collect()
}

#[test]
fn blank_rows_are_passed_over_and_counted() {
    let text = " , \nphone,name\n,\n+16505551201,Ada\n \u{a0},\u{200b}\n\n+16505551202,Bo\n,,\n";
    let (layout, told, blank) = read(text.as_bytes(), UTF_8).expect("a file");
    assert_eq!(told, rows(&[(4, "+16505551201 Ada"), (7, "+16505551202 Bo")]));
    assert_eq!((blank, layout.has_header, layout.delimiter), (3, true, Some(',')));
}

#[test]
fn a_row_may_have_empty_cells_behind_the_last_column() {
    let text = "phone,name\n+16505551201,Ada,,\n+16505551202,Bo,x\n+16505551203\n";
    assert_eq!(told(text), rows(&[(2, "+16505551201 Ada"), (3, "RAGGED_ROW"), (4, "RAGGED_ROW")]));
}

#[test]
fn an_open_quote_is_reported_where_it_stands() {
    let text = "phone,name\n+16505551201,\"Ada\n+16505551202,Bo\n+16505551203,\"Cy, Jr.\"\n";
    assert_eq!(told(text), rows(&[(2, "QUOTE_OPEN"), (3, "+16505551202 Bo"), (4, "+16505551203 Cy, Jr.")]));
}

#[test]
fn a_file_may_name_its_delimiter_and_lack_titles() {
    assert_eq!(told("sep=;\r\nphone;name\r\n+16505551201;King, Ada\r\n"), rows(&[(3, "+16505551201 King, Ada")]));
    assert_eq!(told("+16505551201\n+16505551202\n"), rows(&[(1, "+16505551201 "), (2, "+16505551202 ")]));
    assert_eq!(told("Ada;+16505551201\nBo;+16505551202\n"), rows(&[(1, "+16505551201 Ada"), (2, "+16505551202 Bo")]));
}

#[test]
fn rows_are_read_in_their_encoding() {
    let russian = WINDOWS_1251.encode("Телефон;Имя\n+79161234567;Иван\n").0;
    assert_eq!(read(&russian, WINDOWS_1251).expect("a file").1, rows(&[(2, "+79161234567 Иван")]));
    let japanese = SHIFT_JIS.encode("電話番号,氏名\n+819012345678,山田ソ太郎\n").0;
    assert_eq!(read(&japanese, SHIFT_JIS).expect("a file").1, rows(&[(2, "+819012345678 山田ソ太郎")]));
    let units: Vec<u8> = "phone,name\r\n+16505551201,Zoë\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (layout, told, _) = read(&units, UTF_16LE).expect("a file");
    assert_eq!((told, layout.encoding.as_deref()), (rows(&[(2, "+16505551201 Zoë")]), Some("UTF-16LE")));
}

#[test]
fn cards_are_rows() {
    let text = "\u{feff}BEGIN:VCARD\nFN:Ada\nTEL;HOME:+493012345678\nTEL;CELL:+4915123456701\nEND:VCARD\n\
                BEGIN:VCARD\nFN:Bo\nEND:VCARD\n";
    let (layout, told, _) = read(text.as_bytes(), UTF_8).expect("a file");
    assert_eq!(told, rows(&[(1, "+4915123456701 Ada"), (6, "PHONE_MISSING")]));
    assert_eq!((layout.format, layout.delimiter), (FileFormat::Vcard, None));
}

#[test]
fn files_of_another_kind_are_refused() {
    for file in OTHERS {
        assert_eq!(read(file, UTF_8).err(), Some(ReadFailure::File(FileError::FormatUnknown)));
    }
    assert_eq!(read(b"PK\x03\x04xx", UTF_8).err(), Some(ReadFailure::File(FileError::WorkbookUnreadable)));
    assert_eq!(read(b"\n \n,\n", UTF_8).err(), Some(ReadFailure::File(FileError::EmptyFile)));
}
