//! One row of a file, read.

use std::collections::BTreeMap;

use wasend_commands::account::LABEL_MAX;
use wasend_commands::contact::{ATTRIBUTE_NAME_MAX, ATTRIBUTE_VALUE_MAX, ATTRIBUTES_MAX};
use wasend_domain::UnavailableCause;
use wasend_domain::import::{ColumnTarget, RowReport};
use wasend_domain::phone::{Bsuid, InvalidPhone, PhoneNumber, PhoneRegion};
use wasend_vault::PersonIdentity;

use super::cell::{holds_card_number, unescape_formula};
use super::consent_words::{OptOutCell, opt_out_cell};

/// What stands in a report in the place of a card number.
const REMOVED: &str = "[card number removed]";

/// A row as it stands in the file.
#[derive(Clone)]
pub struct FileRow {
    /// Of the file, 1 for the header's first.
    pub line: u64,
    pub cells: Vec<String>,
    pub parsed: Result<ParsedRow, RowError>,
    /// Of a row that cannot be taken: the people that it says are opted out.
    pub opted_out: Vec<PersonIdentity>,
}

/// A row that names its person.
#[derive(Clone)]
pub struct ParsedRow {
    pub phone: Option<PhoneNumber>,
    pub bsuid: Option<Bsuid>,
    pub name: Option<String>,
    pub attributes: BTreeMap<String, String>,
    pub opted_out: bool,
    /// What is told of it although it is taken.
    pub warnings: Vec<RowError>,
}

/// By what a row is the same person's as another; a number takes as little memory as it can.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum PersonKey {
    Phone(u64),
    Bsuid(String),
}

impl PersonKey {
    fn of(identity: &PersonIdentity) -> Option<Self> {
        match identity {
            PersonIdentity::Phone(phone) => {
                PhoneNumber::from_wa_id(phone.expose()).ok().and_then(|phone| Self::phone(&phone))
            }
            PersonIdentity::Bsuid(bsuid) => Some(Self::Bsuid(bsuid.expose().clone())),
            PersonIdentity::WaId(_) => None,
        }
    }

    fn phone(phone: &PhoneNumber) -> Option<Self> {
        phone.canonical().as_str().trim_start_matches('+').parse().ok().map(Self::Phone)
    }
}

/// What is wrong with a row, in the word that stands in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowError {
    RaggedRow,
    RowTooLong,
    Nul,
    PhoneMissing,
    PhoneScientific,
    Phone(InvalidPhone),
    BsuidInvalid,
    ValueTooLong,
    TooManyAttributes,
    CardNumber,
    OtherContacts,
    DuplicateInFile(u64),
    DuplicateExisting,
    PhoneNotValid,
    OptOutUnclear,
    CharacterReplaced,
    /// The person was erased after the file was received.
    Erased,
    /// The account has the contact, and the vault cannot read what it has of them.
    Unreadable(UnavailableCause),
}

impl RowError {
    /// The word in the report, which never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::RaggedRow => "RAGGED_ROW",
            Self::RowTooLong => "ROW_TOO_LONG",
            Self::Nul => "NUL_CHARACTER",
            Self::PhoneMissing => "PHONE_MISSING",
            Self::PhoneScientific => "PHONE_SCIENTIFIC",
            Self::Phone(InvalidPhone::Unreadable) => "PHONE_UNREADABLE",
            Self::Phone(InvalidPhone::NoCountryCode) => "PHONE_NO_COUNTRY_CODE",
            Self::Phone(InvalidPhone::TooShort) => "PHONE_TOO_SHORT",
            Self::Phone(InvalidPhone::TooLong) => "PHONE_TOO_LONG",
            Self::Phone(InvalidPhone::Extension) => "PHONE_EXTENSION",
            Self::Phone(InvalidPhone::Several) => "PHONE_SEVERAL",
            Self::Phone(InvalidPhone::Ambiguous) => "PHONE_AMBIGUOUS",
            Self::BsuidInvalid => "BSUID_INVALID",
            Self::ValueTooLong => "VALUE_TOO_LONG",
            Self::TooManyAttributes => "TOO_MANY_ATTRIBUTES",
            Self::CardNumber => "CARD_NUMBER",
            Self::OtherContacts => "OTHER_CONTACTS",
            Self::DuplicateInFile(_) => "DUPLICATE_IN_FILE",
            Self::DuplicateExisting => "DUPLICATE_EXISTING",
            Self::PhoneNotValid => "PHONE_NOT_VALID",
            Self::OptOutUnclear => "OPT_OUT_UNCLEAR",
            Self::CharacterReplaced => "CHARACTER_REPLACED",
            Self::Erased => "ERASED",
            Self::Unreadable(_) => "CONTACT_UNREADABLE",
        }
    }

    fn reason(self) -> String {
        match self {
            Self::RaggedRow => "the row has another number of cells than the header".to_owned(),
            Self::RowTooLong => "the row is longer than allowed".to_owned(),
            Self::Nul => "a cell holds the character NUL".to_owned(),
            Self::PhoneMissing => "the row has neither a phone number nor a BSUID".to_owned(),
            Self::PhoneScientific => {
                "the number was changed into scientific notation, as Excel does; format the column as text".to_owned()
            }
            Self::Phone(error) => format!("the phone number {error}"),
            Self::BsuidInvalid => "the BSUID is not a business-scoped user id".to_owned(),
            Self::ValueTooLong => "a cell is longer than allowed".to_owned(),
            Self::TooManyAttributes => format!("the contact would have more than {ATTRIBUTES_MAX} attributes"),
            Self::CardNumber => "a cell holds a payment card's number, which is not kept".to_owned(),
            Self::OtherContacts => "the phone number and the BSUID belong to two different contacts".to_owned(),
            Self::DuplicateInFile(line) => format!("the same person as in line {line}"),
            Self::Erased => "the person was erased after the file was received; the row was skipped".to_owned(),
            Self::Unreadable(why) => format!("a value of the contact cannot be read: {why}; the row was skipped"),
            Self::DuplicateExisting => "the account has this contact already".to_owned(),
            Self::PhoneNotValid => "imported, but the number fits no numbering plan".to_owned(),
            Self::CharacterReplaced => {
                "imported, but a byte of the row belongs to no character of the file's encoding".to_owned()
            }
            Self::OptOutUnclear => {
                "imported as opted out, because what the row says of that is not understood; write yes or no".to_owned()
            }
        }
    }
}

impl FileRow {
    /// The person of a row that could not be read, as far as it can be told: whatever looks like a number.
    pub fn identities(&self, region: Option<PhoneRegion>) -> Vec<PersonIdentity> {
        let number = |cell: &String| PhoneNumber::parse_in(unescape_formula(cell.trim()), region).ok();
        match &self.parsed {
            Ok(parsed) => parsed.identities(),
            Err(_) => self.cells.iter().filter_map(number).map(|phone| PersonIdentity::phone(phone.as_str())).collect(),
        }
    }

    /// The people that the row says are opted out.
    pub(crate) fn opted_out_keys(&self) -> Vec<PersonKey> {
        match &self.parsed {
            Ok(parsed) if parsed.opted_out => parsed.keys(),
            Ok(_) => Vec::new(),
            Err(_) => self.opted_out.iter().filter_map(PersonKey::of).collect(),
        }
    }

    /// The row as the report shows it; cells of people that are erased or unreadable are left away.
    pub fn report(&self, wrong: RowError) -> RowReport {
        let clean = |cell: &String| match wrong {
            // Nothing of an erased person is kept, not even to report the row.
            // Of one who cannot be read neither: it could not be erased with them.
            RowError::Erased | RowError::Unreadable(_) => String::new(),
            _ if holds_card_number(cell) => REMOVED.to_owned(),
            _ => cell.replace('\0', ""),
        };
        RowReport {
            line: self.line,
            code: wrong.code().to_owned(),
            reason: wrong.reason(),
            cells: self.cells.iter().map(clean).collect(),
        }
    }
}

impl ParsedRow {
    /// Whose row it is.
    pub(crate) fn identities(&self) -> Vec<PersonIdentity> {
        let phone = self.phone.iter().map(|phone| PersonIdentity::phone(phone.as_str()));
        phone.chain(self.bsuid.iter().map(|bsuid| PersonIdentity::bsuid(bsuid.as_str()))).collect()
    }

    pub(crate) fn keys(&self) -> Vec<PersonKey> {
        let phone = self.phone.as_ref().and_then(PersonKey::phone);
        phone.into_iter().chain(self.bsuid.as_ref().map(|bsuid| PersonKey::Bsuid(bsuid.as_str().to_owned()))).collect()
    }
}

/// Reads a row's cells by what its columns hold.
pub(crate) fn parse(
    cells: &[String],
    fields: &[ColumnTarget],
    region: Option<PhoneRegion>,
) -> Result<ParsedRow, RowError> {
    if cells.len() != fields.len() {
        return Err(RowError::RaggedRow);
    }
    if cells.iter().any(|cell| cell.contains('\0')) {
        return Err(RowError::Nul);
    }
    let mut parsed = ParsedRow {
        phone: None,
        bsuid: None,
        name: None,
        attributes: BTreeMap::new(),
        opted_out: false,
        warnings: Vec::new(),
    };
    if cells.iter().any(|cell| cell.contains('\u{fffd}')) {
        parsed.warnings.push(RowError::CharacterReplaced);
    }
    for (cell, field) in cells.iter().zip(fields) {
        let value = unescape_formula(cell);
        let text = value.trim();
        match field {
            ColumnTarget::Ignore => {}
            _ if text.is_empty() => {}
            ColumnTarget::Phone => parsed.phone = Some(phone(unescape_formula(text), region)?),
            ColumnTarget::WaId => parsed.phone = Some(wa_id(unescape_formula(text))?),
            ColumnTarget::Bsuid => parsed.bsuid = Some(text.parse().map_err(|_| RowError::BsuidInvalid)?),
            ColumnTarget::Name => parsed.name = Some(kept(text, LABEL_MAX)?),
            ColumnTarget::OptedOut => {
                let says = opt_out_cell(text);
                parsed.opted_out = says != OptOutCell::Willing;
                parsed.warnings.extend((says == OptOutCell::Unclear).then_some(RowError::OptOutUnclear));
            }
            ColumnTarget::Attribute(name) => {
                kept(name, ATTRIBUTE_NAME_MAX)?;
                parsed.attributes.insert(name.clone(), kept(value, ATTRIBUTE_VALUE_MAX)?);
            }
        }
    }
    if parsed.phone.is_none() && parsed.bsuid.is_none() {
        return Err(RowError::PhoneMissing);
    }
    if parsed.attributes.len() > ATTRIBUTES_MAX {
        return Err(RowError::TooManyAttributes);
    }
    if parsed.phone.as_ref().is_some_and(|phone| !phone.is_valid()) {
        parsed.warnings.push(RowError::PhoneNotValid);
    }
    Ok(parsed)
}

/// The people that a row says are opted out although it cannot be taken: that counts, whatever is wrong with its other cells.
pub(crate) fn opted_out_of(
    cells: &[String],
    fields: &[ColumnTarget],
    region: Option<PhoneRegion>,
) -> Vec<PersonIdentity> {
    let cell = |(cell, field): (&String, &ColumnTarget)| (unescape_formula(cell).trim().to_owned(), field.clone());
    let cells: Vec<_> = cells.iter().zip(fields).map(cell).filter(|(text, _)| !text.is_empty()).collect();
    let says = |(text, field): &(String, ColumnTarget)| {
        *field == ColumnTarget::OptedOut && opt_out_cell(text) != OptOutCell::Willing
    };
    if !cells.iter().any(says) {
        return Vec::new();
    }
    let identity = |(text, field): &(String, ColumnTarget)| match field {
        ColumnTarget::Phone => {
            phone(unescape_formula(text), region).ok().map(|phone| PersonIdentity::phone(phone.as_str()))
        }
        ColumnTarget::WaId => wa_id(unescape_formula(text)).ok().map(|phone| PersonIdentity::phone(phone.as_str())),
        ColumnTarget::Bsuid => text.parse::<Bsuid>().ok().map(|bsuid| PersonIdentity::bsuid(bsuid.as_str())),
        _ => None,
    };
    cells.iter().filter_map(identity).collect()
}

fn phone(text: &str, region: Option<PhoneRegion>) -> Result<PhoneNumber, RowError> {
    PhoneNumber::parse_in(text, region).map_err(|error| unread(text, error))
}

fn wa_id(text: &str) -> Result<PhoneNumber, RowError> {
    PhoneNumber::parse_wa_id(text).map_err(|error| unread(text, error))
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
mod tests {
    use super::*;

    fn wrong(phone: &str, note: &str) -> Option<RowError> {
        let fields = [ColumnTarget::Phone, ColumnTarget::Attribute("note".into())];
        parse(&[phone.to_owned(), note.to_owned()], &fields, None).err()
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
        assert_eq!(parse(&[], &[ColumnTarget::Phone], None).err(), Some(RowError::RaggedRow));
    }

    #[test]
    fn a_report_keeps_no_card_number() {
        let cells = vec!["+16505551234".to_owned(), "4111 1111 1111 1111".to_owned()];
        let report = FileRow { line: 2, cells, parsed: Err(RowError::CardNumber), opted_out: vec![] }
            .report(RowError::CardNumber);
        assert_eq!((report.cells[1].as_str(), report.cells[0].as_str()), (REMOVED, "+16505551234"));
    }
}
