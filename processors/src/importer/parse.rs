//! A row's cells, read by what its columns hold.

use std::collections::BTreeMap;

use wasend_commands::account::LABEL_MAX;
use wasend_commands::contact::{ATTRIBUTE_NAME_MAX, ATTRIBUTE_VALUE_MAX, ATTRIBUTES_MAX};
use wasend_domain::import::{ColumnTarget, NumberNotation};
use wasend_domain::phone::{Bsuid, InvalidPhone, PhoneNumber, is_invisible_mark};
use wasend_vault::PersonIdentity;

use super::cell::{holds_card_number, unescape_formula};
use super::columns::{PhoneColumn, RowColumns};
use super::consent_words::{OptOutCell, opt_out_cell};
use super::record::is_blank;
use super::row::{ParsedRow, RowError};
use super::titles::{PhoneRank, is_fax, label_rank};

/// What parts several numbers of one kind in an export of Google Contacts.
const GOOGLE_SEPARATOR: &str = ":::";
/// As [`GOOGLE_SEPARATOR`], with the blanks around it.
const GOOGLE_JOIN: &str = " ::: ";

/// Reads a row's cells by what its columns hold.
pub(crate) fn parse(cells: &[String], columns: &RowColumns) -> Result<ParsedRow, RowError> {
    if cells.len() != columns.columns.len() {
        return Err(RowError::RaggedRow);
    }
    if cells.iter().any(|cell| cell.contains('\0')) {
        return Err(RowError::Nul);
    }
    let number = number(cells, columns)?;
    let mut parsed = ParsedRow {
        phone: number.phone,
        bsuid: None,
        name: None,
        attributes: BTreeMap::new(),
        opted_out: false,
        warnings: number.warnings,
    };
    if cells.iter().any(|cell| cell.contains('\u{fffd}')) {
        parsed.warnings.push(RowError::CharacterReplaced);
    }
    let mut name = [None, None, None];
    for (place, (cell, column)) in cells.iter().zip(&columns.columns).enumerate() {
        let value = unescape_formula(cell);
        let text = value.trim();
        match &column.field {
            _ if is_blank(text) => {}
            ColumnTarget::Ignore | ColumnTarget::Phone | ColumnTarget::WaId => {}
            ColumnTarget::Bsuid => parsed.bsuid = Some(bsuid(text)?),
            ColumnTarget::Name => parsed.name = Some(kept(text, LABEL_MAX)?),
            ColumnTarget::FirstName => name[0] = Some(text),
            ColumnTarget::MiddleName => name[1] = Some(text),
            ColumnTarget::LastName => name[2] = Some(text),
            ColumnTarget::OptedOut => {
                let says = opt_out_cell(text);
                parsed.opted_out |= says != OptOutCell::Willing;
                parsed.warnings.extend((says == OptOutCell::Unclear).then_some(RowError::OptOutUnclear));
            }
            ColumnTarget::Attribute(_) if columns.phones.iter().any(|phone| phone.place == place) => {}
            ColumnTarget::Attribute(name) => {
                kept(name, ATTRIBUTE_NAME_MAX)?;
                parsed.attributes.insert(name.clone(), kept(value, ATTRIBUTE_VALUE_MAX)?);
            }
        }
    }
    if parsed.name.is_none() && name.iter().any(Option::is_some) {
        parsed.name = Some(kept(&joined(name), LABEL_MAX)?);
    }
    for (attribute, value) in number.others {
        parsed.attributes.insert(attribute, kept(&value, ATTRIBUTE_VALUE_MAX)?);
    }
    if parsed.phone.is_none() && parsed.bsuid.is_none() {
        return Err(RowError::PhoneMissing);
    }
    if parsed.attributes.len() > ATTRIBUTES_MAX {
        return Err(RowError::TooManyAttributes);
    }
    Ok(parsed)
}

/// The people that a row says are opted out although it cannot be taken: that counts, whatever is wrong with its other cells.
pub(crate) fn opted_out_of(cells: &[String], columns: &RowColumns) -> Vec<PersonIdentity> {
    if !says_opted_out(cells, columns) {
        return Vec::new();
    }
    let phone = number(cells, columns).ok().and_then(|number| number.phone);
    let mut identities: Vec<_> = phone.iter().map(|phone| PersonIdentity::phone(phone.as_str())).collect();
    let is_bsuid = |(_, column): &(_, &_)| matches!(column, ColumnTarget::Bsuid);
    let fields = columns.columns.iter().map(|column| &column.field);
    let bsuids = cells.iter().zip(fields).filter(is_bsuid).filter_map(|(cell, _)| bsuid(cell).ok());
    identities.extend(bsuids.map(|bsuid| PersonIdentity::bsuid(bsuid.as_str())));
    identities
}

/// Whether a cell says that the row's person does not want messages.
pub(crate) fn says_opted_out(cells: &[String], columns: &RowColumns) -> bool {
    let says = |(cell, field): (&String, &ColumnTarget)| {
        let text = unescape_formula(cell).trim();
        *field == ColumnTarget::OptedOut && !is_blank(text) && opt_out_cell(text) != OptOutCell::Willing
    };
    cells.iter().zip(columns.columns.iter().map(|column| &column.field)).any(says)
}

/// A row's number, and what becomes of its others.
#[derive(Default)]
struct RowNumber {
    phone: Option<PhoneNumber>,
    /// Attributes that keep them.
    others: Vec<(String, String)>,
    warnings: Vec<RowError>,
}

/// The first number that is valid, of the columns in their order; else the first that can be one.
fn number(cells: &[String], columns: &RowColumns) -> Result<RowNumber, RowError> {
    let asked = asked(cells, columns);
    let mut wrong = None;
    let mut possible = None;
    let mut valid = None;
    for (index, (column, text)) in asked.iter().enumerate() {
        match read(text, column, columns) {
            Ok(phone) if phone.is_valid() => {
                valid = Some((index, phone));
                break;
            }
            Ok(phone) => drop(possible.get_or_insert((index, phone))),
            Err(error) => drop(wrong.get_or_insert(error)),
        }
    }
    let is_valid = valid.is_some();
    let Some((taken, phone)) = valid.or(possible) else { return wrong.map_or_else(|| Ok(RowNumber::default()), Err) };
    let mut others: Vec<(String, String)> = Vec::new();
    for (_, (column, text)) in asked.iter().enumerate().filter(|(index, _)| *index != taken) {
        match others.iter_mut().find(|(name, _)| *name == column.attribute) {
            Some((_, value)) => value.extend([GOOGLE_JOIN, text]),
            None => others.push((column.attribute.clone(), (*text).to_owned())),
        }
    }
    let is_other = asked[taken].0.place != asked[0].0.place && wrong.is_some();
    let mut warnings = Vec::new();
    warnings.extend(is_other.then_some(RowError::PhoneOtherColumn));
    let of_cell = asked.iter().filter(|(column, _)| column.place == asked[taken].0.place).count();
    warnings.extend((of_cell > 1).then_some(RowError::PhoneFurther));
    warnings.extend((!is_valid).then_some(RowError::PhoneNotValid));
    Ok(RowNumber { phone: Some(phone), others, warnings })
}

/// The texts that may be the row's number, in the order in which they are asked.
fn asked<'a>(cells: &'a [String], columns: &'a RowColumns) -> Vec<(&'a PhoneColumn, &'a str)> {
    let label = |column: &PhoneColumn| column.label.and_then(|place| cells.get(place)).map(String::as_str);
    let is_answered = |column: &&PhoneColumn| !label(column).is_some_and(is_fax);
    let mut ordered: Vec<&PhoneColumn> = columns.phones.iter().filter(is_answered).collect();
    if ordered.iter().any(|column| column.label.is_some()) {
        ordered.sort_by_key(|column| label(column).and_then(label_rank).unwrap_or(PhoneRank::Phone));
    }
    let mut asked = Vec::new();
    for column in ordered {
        let Some(cell) = cells.get(column.place) else { continue };
        let texts = unescape_formula(cell.trim()).split(GOOGLE_SEPARATOR).map(str::trim);
        asked.extend(texts.filter(|text| !is_blank(text)).map(|text| (column, text)));
    }
    asked
}

fn read(text: &str, column: &PhoneColumn, columns: &RowColumns) -> Result<PhoneNumber, RowError> {
    let is_international = column.is_wa_id || columns.notation == NumberNotation::International;
    let read =
        if is_international { PhoneNumber::parse_wa_id(text) } else { PhoneNumber::parse_in(text, columns.region) };
    read.map_err(|error| unread(text, error))
}

fn bsuid(cell: &str) -> Result<Bsuid, RowError> {
    let shown: String = unescape_formula(cell).chars().filter(|c| !is_invisible_mark(*c)).collect();
    shown.trim().parse().map_err(|_| RowError::BsuidInvalid)
}

/// First, middle and last name; Chinese, Japanese and Korean names begin with the family's.
fn joined([first, middle, last]: [Option<&str>; 3]) -> String {
    let is_east_asian =
        |name: &str| name.chars().all(|c| matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'));
    match (first, middle, last) {
        (Some(first), None, Some(last)) if is_east_asian(first) && is_east_asian(last) => format!("{last}{first}"),
        _ => [first, middle, last].into_iter().flatten().collect::<Vec<_>>().join(" "),
    }
}

fn unread(text: &str, error: InvalidPhone) -> RowError {
    if scientific(text) { RowError::PhoneScientific } else { RowError::Phone(error) }
}

/// `4.91512E+12`, with a point or a comma.
fn scientific(text: &str) -> bool {
    let Some((number, exponent)) = text.split_once(['e', 'E']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    digits(whole.trim_start_matches('+')) && digits(part) && digits(exponent.trim_start_matches('+'))
}

fn kept(text: &str, max: usize) -> Result<String, RowError> {
    if text.chars().count() > max {
        return Err(RowError::ValueTooLong);
    }
    if holds_card_number(text) { Err(RowError::CardNumber) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests;
