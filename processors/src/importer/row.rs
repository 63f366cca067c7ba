//! One row of a file, read.

use std::collections::BTreeMap;

use wasend_commands::contact::ATTRIBUTES_MAX;
use wasend_domain::UnavailableCause;
use wasend_domain::import::RowReport;
use wasend_domain::phone::{Bsuid, InvalidPhone, PhoneNumber, PhoneRegion};
use wasend_vault::PersonIdentity;

use super::cell::{holds_card_number, unescape_formula};

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
    /// The number of the column that is asked first cannot be used.
    PhoneOtherColumn,
    /// The cell of the number holds others.
    PhoneFurther,
    /// A quotation mark that begins a cell of the row is never closed.
    QuoteOpen,
    /// A card of an address book that cannot be read.
    CardUnreadable,
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
            Self::PhoneOtherColumn => "PHONE_OTHER_COLUMN",
            Self::PhoneFurther => "PHONE_FURTHER",
            Self::QuoteOpen => "QUOTE_OPEN",
            Self::CardUnreadable => "CARD_UNREADABLE",
            Self::Erased => "ERASED",
            Self::Unreadable(_) => "CONTACT_UNREADABLE",
        }
    }

    /// What is told of it in the report and in a preview.
    pub(crate) fn reason(self) -> String {
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
            Self::PhoneFurther => {
                "imported with one number of the cell; the others are kept as an attribute".to_owned()
            }
            Self::PhoneOtherColumn => {
                "imported with the number of another column, because that of the first cannot be used".to_owned()
            }
            Self::CardUnreadable => "the card cannot be read".to_owned(),
            Self::QuoteOpen => {
                "a quotation mark that begins a cell here is never closed; reading goes on with the next line that is a row"
                    .to_owned()
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

    /// All identities that the row gives of its person, by which the directory is asked and which it is told. Of a row that
    /// cannot be taken only an opt-out counts.
    pub(crate) fn people(&self) -> Vec<PersonIdentity> {
        self.parsed.as_ref().map_or_else(|_| self.opted_out.clone(), ParsedRow::identities)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_no_card_number() {
        let cells = vec!["+16505551234".to_owned(), "4111 1111 1111 1111".to_owned()];
        let report = FileRow { line: 2, cells, parsed: Err(RowError::CardNumber), opted_out: vec![] }
            .report(RowError::CardNumber);
        assert_eq!((report.cells[1].as_str(), report.cells[0].as_str()), (REMOVED, "+16505551234"));
    }
}
