//! What the columns of a file hold.

use std::collections::HashSet;

use wasend_commands::contact::ATTRIBUTE_NAME_MAX;
use wasend_domain::import::{ColumnTarget, FileError, ImportSource};

use super::cell::unescape_formula;

/// Most columns of a file.
pub(crate) const COLUMNS_MAX: usize = 500;
/// Before the title of a column that is an attribute whatever its name.
pub const ATTRIBUTE: &str = "attribute:";
/// Title of the column in which an export says why a contact could not be read; an import passes over it.
pub const UNAVAILABLE: &str = "wasend_unavailable";
const PHONE: [&str; 13] = [
    "phone",
    "phone_number",
    "phonenumber",
    "mobile",
    "mobile_phone",
    "mobile_number",
    "number",
    "whatsapp",
    "whatsapp_number",
    "tel",
    "telephone",
    "msisdn",
    "cell",
];
const NAME: [&str; 3] = ["name", "full_name", "contact_name"];

/// Finds out what each column holds: by the mapping, else by its title. What has no known title is an attribute.
pub(crate) fn columns(header: &csv::StringRecord, source: &ImportSource) -> Result<Vec<ColumnTarget>, FileError> {
    if header.len() > COLUMNS_MAX {
        return Err(FileError::TooManyColumns);
    }
    let titles: Vec<_> = header.iter().map(|title| unescape_formula(title.trim())).collect();
    if titles.iter().any(|title| title.is_empty() || title.contains('\0')) {
        return Err(FileError::EmptyHeader);
    }
    let mut seen = HashSet::new();
    if !titles.iter().all(|title| seen.insert(normal(title))) {
        return Err(FileError::DuplicateHeader);
    }
    if !source.columns.iter().all(|mapping| seen.contains(&normal(mapping.header.trim()))) {
        return Err(FileError::UnknownColumn);
    }
    let mapped = |title: &str| {
        let mapping = source.columns.iter().find(|mapping| normal(mapping.header.trim()) == normal(title));
        mapping.map(|mapping| mapping.field.clone())
    };
    let mut fields: Vec<Option<ColumnTarget>> = titles.iter().map(|title| mapped(title)).collect();
    for (field, title) in fields.iter_mut().zip(&titles) {
        if normal(title) == UNAVAILABLE {
            field.get_or_insert(ColumnTarget::Ignore);
        }
    }
    // Of several columns that could be it, the likeliest title is; the others are attributes.
    let mut claim = |field: ColumnTarget, aliases: &[&str]| {
        let is_number = |field: &ColumnTarget| matches!(field, ColumnTarget::Phone | ColumnTarget::WaId);
        let is_taken = |known: &Option<ColumnTarget>| {
            known.as_ref().is_some_and(|known| *known == field || (is_number(known) && is_number(&field)))
        };
        if fields.iter().any(is_taken) {
            return;
        }
        let of = |alias: &&str| titles.iter().position(|title| normal(title) == **alias);
        if let Some(at) = aliases.iter().filter_map(of).find(|at| fields[*at].is_none()) {
            fields[at] = Some(field);
        }
    };
    claim(ColumnTarget::Phone, &PHONE);
    claim(ColumnTarget::WaId, &["wa_id"]);
    claim(ColumnTarget::Bsuid, &["bsuid"]);
    claim(ColumnTarget::Name, &NAME);
    claim(ColumnTarget::OptedOut, &["opted_out"]);
    let attribute = |(field, title): (Option<ColumnTarget>, &&str)| {
        field.unwrap_or_else(|| ColumnTarget::Attribute(title.strip_prefix(ATTRIBUTE).unwrap_or(title).to_owned()))
    };
    let mut fields: Vec<_> = fields.into_iter().zip(&titles).map(attribute).collect();
    shorten(&mut fields);
    if !fields.iter().any(|field| matches!(field, ColumnTarget::Phone | ColumnTarget::WaId | ColumnTarget::Bsuid)) {
        return Err(FileError::NoPhoneColumn);
    }
    let mut once = HashSet::new();
    let twice = |field: &&ColumnTarget| match field {
        ColumnTarget::Phone | ColumnTarget::WaId => !once.insert("phone".to_owned()),
        ColumnTarget::Bsuid => !once.insert("bsuid".to_owned()),
        ColumnTarget::Name => !once.insert("name".to_owned()),
        ColumnTarget::OptedOut => !once.insert("opted_out".to_owned()),
        ColumnTarget::Attribute(name) => !once.insert(format!("attribute {name}")),
        ColumnTarget::Ignore => false,
    };
    let twice = fields.iter().filter(twice).count();
    if twice > 0 { Err(FileError::DuplicateHeader) } else { Ok(fields) }
}

/// Cuts names of attributes that are longer than allowed, such as the questions of a form; two that would be the same are
/// numbered.
fn shorten(fields: &mut [ColumnTarget]) {
    let name = |field: &ColumnTarget| match field {
        ColumnTarget::Attribute(name) => Some(name.clone()),
        _ => None,
    };
    let mut taken: HashSet<String> = fields.iter().filter_map(name).collect();
    for field in fields {
        let ColumnTarget::Attribute(name) = field else { continue };
        if name.chars().count() <= ATTRIBUTE_NAME_MAX {
            continue;
        }
        let cut = |room: usize| name.chars().take(room).collect::<String>();
        let numbered = (2..).map(|number| {
            let mark = format!(" ({number})");
            cut(ATTRIBUTE_NAME_MAX - mark.chars().count()) + &mark
        });
        let short = std::iter::once(cut(ATTRIBUTE_NAME_MAX)).chain(numbered).find(|short| !taken.contains(short));
        if let Some(short) = short {
            taken.insert(short.clone());
            *name = short;
        }
    }
}

/// Titles of an export: the fixed ones, and then each attribute's, which is never taken for one of them.
pub fn titles(fixed: &[&str], attributes: impl Iterator<Item = String>) -> Vec<String> {
    let mut titles: Vec<String> = fixed.iter().map(|title| (*title).to_owned()).collect();
    let mut seen: HashSet<_> = titles.iter().map(|title| normal(title)).collect();
    for name in attributes {
        let plain = !name.starts_with(ATTRIBUTE) && seen.insert(normal(&name));
        titles.push(if plain { name } else { format!("{ATTRIBUTE}{name}") });
    }
    titles
}

/// One spelling of a title. Marked attributes are taken at their word.
fn normal(title: &str) -> String {
    if title.starts_with(ATTRIBUTE) {
        return title.to_owned();
    }
    title.to_lowercase().replace([' ', '-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use wasend_domain::import::ColumnMapping;

    use super::*;

    fn of(header: &[&str], mapping: &[(&str, ColumnTarget)]) -> Result<Vec<ColumnTarget>, FileError> {
        let map = |(header, field): &(&str, ColumnTarget)| ColumnMapping {
            header: (*header).to_owned(),
            field: field.clone(),
        };
        let columns_given = mapping.iter().map(map).collect();
        let source = ImportSource { filename: "x".into(), columns: columns_given, region: None };
        columns(&csv::StringRecord::from(header.to_vec()), &source)
    }

    fn attribute(name: &str) -> ColumnTarget {
        ColumnTarget::Attribute(name.to_owned())
    }

    #[test]
    fn titles_are_understood() {
        let found = of(&["Full Name", "Mobile", "city", "WhatsApp"], &[]);
        assert!(found == Ok(vec![ColumnTarget::Name, ColumnTarget::Phone, attribute("city"), attribute("WhatsApp")]));
        let found = of(&["Kunde", "phone", "x"], &[("kunde", ColumnTarget::Name), ("x", ColumnTarget::Ignore)]);
        assert!(found == Ok(vec![ColumnTarget::Name, ColumnTarget::Phone, ColumnTarget::Ignore]));
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
    fn a_header_that_cannot_be_used_is_told() {
        let error = |header: &[&str], mapping: &[(&str, ColumnTarget)]| of(header, mapping).err();
        assert_eq!(error(&["phone", " "], &[]), Some(FileError::EmptyHeader));
        assert_eq!(error(&["phone", "Phone"], &[]), Some(FileError::DuplicateHeader));
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
}
