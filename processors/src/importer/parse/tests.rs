use wasend_domain::import::ImportSource;

use super::super::columns::columns;
use super::super::record::Record;
use super::*;

fn record(cells: &[&str]) -> Record {
    Record { line: 1, cells: cells.iter().map(|cell| (*cell).to_owned()).collect(), fault: None }
}

fn source(region: Option<&str>, numbers: NumberNotation) -> ImportSource {
    let region = region.map(str::to_owned);
    ImportSource { filename: "x".into(), columns: vec![], region, numbers, encoding: None }
}

fn read_row(header: &[&str], cells: &[&str]) -> Result<ParsedRow, RowError> {
    let (header, row) = (record(header), record(cells));
    let columns = columns(&[header, row.clone()], &source(None, NumberNotation::AsWritten)).expect("a phone column");
    parse(&row.cells, &columns)
}

/// Number, name and attributes.
fn told(header: &[&str], cells: &[&str]) -> (String, String, String) {
    let row = read_row(header, cells).unwrap_or_else(|error| panic!("{cells:?}: {error:?}"));
    let phone = row.phone.map(|phone| phone.as_str().to_owned()).unwrap_or_default();
    let attributes: Vec<_> = row.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (phone, row.name.unwrap_or_default(), attributes.join(","))
}

fn wrong(phone: &str, note: &str) -> Option<RowError> {
    read_row(&["phone", "note"], &[phone, note]).err()
}

#[test]
fn rows_are_judged_by_their_cells() {
    for phone in ["+1 650 555 1234", "'+16505551234", "+４４７９１１１２３４５６", "+15550783881", "+551112345678"]
    {
        assert_eq!(wrong(phone, "note"), None, "{phone}");
    }
    for (phone, code) in [
        ("9.19812E+11", "PHONE_SCIENTIFIC"),
        ("9,19812E+11", "PHONE_SCIENTIFIC"),
        ("6505551234", "PHONE_NO_COUNTRY_CODE"),
        ("hello", "PHONE_UNREADABLE"),
        ("", "PHONE_MISSING"),
        ("+1650555", "PHONE_TOO_SHORT"),
        ("+165055512345678", "PHONE_TOO_LONG"),
    ] {
        assert_eq!(wrong(phone, "").map(RowError::code), Some(code), "{phone}");
    }
    assert_eq!(wrong("+16505551234", "4111 1111 1111 1111"), Some(RowError::CardNumber));
    assert_eq!(wrong("+16505551234", &"x".repeat(1_001)), Some(RowError::ValueTooLong));
    assert_eq!(wrong("+16505551234", "a\0b"), Some(RowError::Nul));
    assert_eq!(read_row(&["phone"], &[]).err(), Some(RowError::RaggedRow));
}

#[test]
fn of_several_columns_the_likeliest_is_asked_first() {
    let hubspot = ["First Name", "Last Name", "Phone Number", "Mobile Phone Number", "WhatsApp Phone Number"];
    let (landline, mobile, whatsapp) = ("+493012345678", "+4915123456701", "+4915123456702");
    let row = told(&hubspot, &["Ada", "King", landline, mobile, whatsapp]);
    let kept = format!("Mobile Phone Number={mobile},Phone Number={landline}");
    assert_eq!(row, (whatsapp.into(), "Ada King".into(), kept));
    assert_eq!(told(&hubspot, &["Ada", "", landline, mobile, " "]).0, mobile);
    let row = told(&hubspot, &["", "King", landline, "", ""]);
    assert_eq!(row, (landline.into(), "King".into(), String::new()));
    let row = read_row(&hubspot, &["", "", landline, mobile, "none"]).unwrap();
    assert_eq!(row.warnings, [RowError::PhoneOtherColumn]);
    assert_eq!(row.attributes.get("WhatsApp Phone Number").map(String::as_str), Some("none"));
    let outlook = ["First Name", "Middle Name", "Last Name", "Business Phone", "Home Phone", "Mobile Phone"];
    let row = told(&outlook, &["Ada", "M.", "King", landline, "", mobile]);
    assert_eq!(row, (mobile.into(), "Ada M. King".into(), format!("Business Phone={landline}")));
    // A number that is valid before one that only might be.
    assert_eq!(told(&["mobile", "phone"], &["+15550783881", "+16505551234"]).0, "+16505551234");
}

#[test]
fn exports_of_google_are_read_with_every_number() {
    let new = [
        "First Name",
        "Last Name",
        "Labels",
        "Phone 1 - Label",
        "Phone 1 - Value",
        "Phone 2 - Label",
        "Phone 2 - Value",
    ];
    let row = told(&new, &["Ada", "King", "* myContacts", "Home", "+493012345678", "Mobile", "+4915123456701"]);
    assert_eq!((row.0.as_str(), row.1.as_str()), ("+4915123456701", "Ada King"));
    assert!(row.2.contains("Phone 1 - Value=+493012345678") && row.2.contains("Labels=* myContacts"), "{}", row.2);
    let old = ["Name", "Given Name", "Family Name", "Phone 1 - Type", "Phone 1 - Value"];
    let row = told(&old, &["Ada King", "Ada", "King", "Mobile", "+16505551201 ::: +16505551202 ::: +16505551203"]);
    assert_eq!((row.0.as_str(), row.1.as_str()), ("+16505551201", "Ada King"));
    assert!(row.2.contains("Phone 1 - Value=+16505551202 ::: +16505551203"), "{}", row.2);
    let row = read_row(&["phone"], &["+16505551201 ::: +16505551202"]).unwrap();
    assert_eq!(row.warnings, [RowError::PhoneFurther], "a further number is told of");
    assert_eq!(row.attributes.get("phone").map(String::as_str), Some("+16505551202"));
    let fax = read_row(&old, &["Ada", "", "", "Work Fax", "+16505551201"]);
    assert_eq!(fax.err(), Some(RowError::PhoneMissing));
}

#[test]
fn marks_that_no_reader_sees_are_dropped() {
    for mark in
        ["\u{200b}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2060}", "\u{2069}", "\u{feff}", "\u{ad}"]
    {
        let phone = format!("{mark}+1 650\u{a0}555\u{2009}12{mark}34{mark}");
        assert_eq!(told(&[&format!("{mark}Phone"), "note"], &[&phone, ""]).0, "+16505551234", "{mark:?}");
        assert_eq!(read_row(&["bsuid"], &[&format!("{mark}US.13491{mark}")]).unwrap().bsuid, "US.13491".parse().ok());
        assert_eq!(read_row(&["phone"], &[mark]).err(), Some(RowError::PhoneMissing));
    }
}

#[test]
fn an_opt_out_counts_in_any_column_that_says_so() {
    let header = ["phone", "opted_out", "unsubscribed"];
    for (cells, expected) in [(["no", "yes"], true), (["yes", ""], true), (["no", "0"], false)] {
        let row = read_row(&header, &["+16505551234", cells[0], cells[1]]).unwrap();
        assert_eq!(row.opted_out, expected, "{cells:?}");
    }
}

#[test]
fn international_numbers_may_lack_their_sign() {
    let header = [record(&["phone"]), record(&["4915123456701"])];
    let read = |region, numbers| {
        let columns = columns(&header, &source(region, numbers)).expect("a phone column");
        parse(&header[1].cells, &columns).map(|row| row.phone.map(|phone| phone.as_str().to_owned()))
    };
    let found = Ok(Some("+4915123456701".to_owned()));
    assert!(read(None, NumberNotation::International) == found);
    assert!(read(Some("US"), NumberNotation::International) == found);
    assert!(read(None, NumberNotation::AsWritten) == Err(RowError::Phone(InvalidPhone::NoCountryCode)));
}

#[test]
fn east_asian_names_begin_with_the_family() {
    assert_eq!(told(&["電話番号", "姓", "名"], &["+819012345678", "山田", "太郎"]).1, "山田太郎");
    assert_eq!(told(&["Handynummer", "Name", "Vorname"], &["+4915123456701", "King", "Ada"]).1, "Ada King");
}
