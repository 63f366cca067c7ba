use wasend_domain::import::ColumnMapping;

use super::*;

fn record(cells: &[&str]) -> Record {
    Record { line: 1, cells: cells.iter().map(|cell| (*cell).to_owned()).collect(), fault: None }
}

fn found(rows: &[&[&str]], mapping: &[(&str, ColumnTarget)], region: Option<&str>) -> Result<RowColumns, FileError> {
    let map =
        |(header, field): &(&str, ColumnTarget)| ColumnMapping { header: (*header).to_owned(), field: field.clone() };
    let source = ImportSource {
        filename: "x".into(),
        columns: mapping.iter().map(map).collect(),
        region: region.map(str::to_owned),
        numbers: NumberNotation::AsWritten,
        encoding: None,
    };
    let rows: Vec<_> = rows.iter().map(|cells| record(cells)).collect();
    columns(&rows, &source).and_then(|found| found.names_people().then_some(found).ok_or(FileError::NoPhoneColumn))
}

fn of(header: &[&str], mapping: &[(&str, ColumnTarget)]) -> Result<Vec<ColumnTarget>, FileError> {
    found(&[header], mapping, None).map(|found| found.columns.into_iter().map(|column| column.field).collect())
}

/// The header of the column that is asked first, and whether the file has titles.
fn phone_column(rows: &[&[&str]], region: Option<&str>) -> Result<(String, bool), FileError> {
    let found = found(rows, &[], region)?;
    let first = found.columns.iter().find(|column| column.phone_rank == Some(1));
    Ok((first.map(|column| column.header.clone()).unwrap_or_default(), found.has_header))
}

fn attribute(name: &str) -> ColumnTarget {
    ColumnTarget::Attribute(name.to_owned())
}

#[test]
fn titles_are_understood() {
    let found = of(&["Full Name", "Mobile", "city", "WhatsApp"], &[]);
    assert!(found == Ok(vec![ColumnTarget::Name, attribute("Mobile"), attribute("city"), ColumnTarget::Phone]));
    let found = of(&["Kunde", "phone", "x"], &[("kunde", ColumnTarget::Name), ("x", ColumnTarget::Ignore)]);
    assert!(found == Ok(vec![ColumnTarget::Name, ColumnTarget::Phone, ColumnTarget::Ignore]));
    // What the caller says outweighs titles.
    let found = of(&["WhatsApp", "phone"], &[("phone", ColumnTarget::Phone)]);
    assert!(found == Ok(vec![attribute("WhatsApp"), ColumnTarget::Phone]));
    let found = of(&["attribute:phone", "Tel."], &[]);
    assert!(found == Ok(vec![attribute("phone"), ColumnTarget::Phone]));
}

#[test]
fn columns_with_numbers_are_ranked() {
    let header = ["Phone Number", "Home Phone", "Mobile Phone Number", "WhatsApp Phone Number", "number", "wa_id"];
    let Ok(found) = found(&[&header], &[], None) else { panic!("it is understood") };
    let ranks: Vec<_> = found.columns.iter().map(|column| column.phone_rank).collect();
    assert_eq!(ranks, [Some(3), Some(4), Some(2), Some(1), None, Some(5)]);
}

#[test]
fn long_titles_are_cut_and_stay_apart() {
    let long = "x".repeat(112);
    let other = format!("{long}y");
    let found = of(&["wa_id", &long, &other], &[]).unwrap_or_default();
    let cut = "x".repeat(100);
    let second = format!("{} (2)", "x".repeat(96));
    assert!(found == vec![ColumnTarget::WaId, attribute(&cut), attribute(&second)]);
    let found = of(&["phone", "wa_id"], &[]);
    assert!(found == Ok(vec![ColumnTarget::Phone, attribute("wa_id")]));
}

#[test]
fn empty_titles_are_passed_over_and_equal_ones_numbered() {
    assert!(
        of(&["phone", " ", "\u{200b}"], &[])
            == Ok(vec![ColumnTarget::Phone, ColumnTarget::Ignore, ColumnTarget::Ignore])
    );
    let found = of(&["phone", "City", "city", "CITY"], &[]);
    assert!(found == Ok(vec![ColumnTarget::Phone, attribute("City"), attribute("city (2)"), attribute("CITY (3)")]));
    let found = of(&["Phone", "Phone"], &[("phone (2)", ColumnTarget::Phone)]);
    assert!(found == Ok(vec![attribute("Phone"), ColumnTarget::Phone]));
}

#[test]
fn a_file_without_titles_is_read() {
    let expect = |rows: &[&[&str]], column: &str, has_header| {
        assert_eq!(phone_column(rows, None), Ok((column.to_owned(), has_header)), "{rows:?}");
    };
    expect(&[&["+16505551201"], &["+16505551202"]], "column 1", false);
    expect(&[&["16505551201"], &["16505551202"]], "column 1", false);
    expect(&[&["Ada", "+16505551201", "2026-01-01"], &["Bo", "+16505551202", "2026-01-02"]], "column 2", false);
    // A title that says nothing, or something else.
    expect(&[&["Kunde", "Erreichbar"], &["17", "+4915123456701"], &["18", "+4915123456702"]], "Erreichbar", true);
    assert_eq!(phone_column(&[&["name", "city"], &["Ada", "Rome"]], None), Err(FileError::NoPhoneColumn));
    assert_eq!(phone_column(&[&["name", "order"], &["Ada", "71203"]], Some("DE")), Err(FileError::NoPhoneColumn));
    let Ok(found) = found(&[&["Ada", "+16505551201"]], &[], None) else { panic!("it is read") };
    assert!(found.columns[0].field == ColumnTarget::Name);
}

#[test]
fn a_header_that_cannot_be_used_is_told() {
    let error = |header: &[&str], mapping: &[(&str, ColumnTarget)]| of(header, mapping).err();
    assert_eq!(error(&["", " "], &[]), Some(FileError::EmptyHeader));
    assert_eq!(error(&["pho\0ne", "name"], &[]), Some(FileError::EmptyHeader));
    assert_eq!(error(&["name", "city"], &[]), Some(FileError::NoPhoneColumn));
    assert_eq!(error(&["phone"], &[("x", ColumnTarget::Name)]), Some(FileError::UnknownColumn));
    assert_eq!(
        error(&["phone", "b"], &[("b", ColumnTarget::Phone), ("phone", ColumnTarget::Phone)]),
        Some(FileError::DuplicateHeader)
    );
    let many: Vec<_> = (0..501).map(|n| format!("c{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(error(&many, &[]), Some(FileError::TooManyColumns));
}

#[test]
fn an_exports_titles_are_taken_as_they_were_meant() {
    let fixed = ["phone", "bsuid", "name", "opted_out"];
    let attributes = ["Mobile Phone", "First Name", "city", "unsubscribed", "attribute:x", "Name"].map(str::to_owned);
    let titles = titles(&fixed, attributes.clone().into_iter());
    let header: Vec<&str> = titles.iter().map(String::as_str).collect();
    let found = of(&header, &[]).unwrap_or_default();
    assert!(found[4..] == attributes.map(ColumnTarget::Attribute));
    // One of before titles were told apart marks none of its attributes.
    let old = ["phone", "bsuid", "name", "opted_out", "Mobile", "First Name", "unsubscribed", UNAVAILABLE];
    let found = of(&old, &[]).unwrap_or_default();
    assert!(found[0] == ColumnTarget::Phone && found[2] == ColumnTarget::Name);
    assert!(found[4..7] == ["Mobile", "First Name", "unsubscribed"].map(attribute));
}

#[test]
fn names_are_put_together_where_no_column_holds_them_whole() {
    let name = |header: &[&str]| {
        let fields = of(header, &[]).unwrap_or_default();
        let parts = [ColumnTarget::Name, ColumnTarget::FirstName, ColumnTarget::MiddleName, ColumnTarget::LastName];
        parts.map(|part| fields.iter().position(|field| *field == part))
    };
    assert_eq!(name(&["phone", "First Name", "Last Name"]), [None, Some(1), None, Some(2)]);
    assert_eq!(name(&["phone", "First Name", "Middle Name", "Last Name"]), [None, Some(1), Some(2), Some(3)]);
    assert_eq!(name(&["phone", "Name", "Given Name", "Family Name"]), [Some(1), None, None, None]);
    assert_eq!(name(&["phone", "Name", "First Name"]), [Some(1), None, None, None]);
    assert_eq!(name(&["phone", "Name", "Vorname"]), [None, Some(2), None, Some(1)]);
    assert_eq!(name(&["phone", "Nom", "Prénom"]), [None, Some(2), None, Some(1)]);
    assert_eq!(name(&["phone", "Nombre", "Apellidos"]), [None, Some(1), None, Some(2)]);
    assert_eq!(name(&["phone", "Nombre"]), [Some(1), None, None, None]);
    assert_eq!(name(&["phone", "Full Name", "First Name", "Last Name"]), [Some(1), None, None, None]);
}
