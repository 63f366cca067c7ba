//! What cells say where no title does.

use wasend_domain::import::{ImportSource, NumberNotation};
use wasend_domain::phone::{InvalidPhone, PhoneNumber, PhoneRegion};

use super::super::cell::unescape_formula;
use super::super::record::{Record, is_blank};
use super::super::titles::{TitleMeaning, meaning};
use super::{ATTRIBUTE, normal};

/// Fewest digits of a cell that may be a number without its country code.
const NUMBER_DIGITS_MIN: usize = 7;
/// Fewest where the column has a title that speaks of something else.
const SURE_NUMBER_DIGITS_MIN: usize = 10;
const NUMBER_DIGITS_MAX: usize = 15;

/// What a cell is, taken for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellKind {
    /// A number of a numbering plan.
    Valid,
    /// Digits that may be one with a country code before them; how many.
    Digits(usize),
    Other,
}

/// Whether the first row is one like the others: it holds a number and no known title.
pub(super) fn is_headerless(first: &Record, source: &ImportSource) -> bool {
    let cells: Vec<&str> = first.cells.iter().map(|cell| unescape_formula(cell.trim())).collect();
    let is_title = |cell: &&str| {
        let is_mapped = source.columns.iter().any(|mapping| normal(mapping.header.trim()) == normal(cell));
        is_mapped || cell.starts_with(ATTRIBUTE) || meaning(cell) != TitleMeaning::Unknown
    };
    let is_number = |cell: &&str| match kind(cell, source.region(), source.numbers) {
        CellKind::Valid => true,
        CellKind::Digits(count) => (NUMBER_DIGITS_MIN..=NUMBER_DIGITS_MAX).contains(&count),
        CellKind::Other => false,
    };
    cells.iter().any(is_number) && !cells.iter().any(is_title)
}

/// The column whose cells are numbers, most of them valid.
pub(super) fn number_column(free: &[usize], rows: &[Record], has_header: bool, source: &ImportSource) -> Option<usize> {
    let digits_min = if has_header { SURE_NUMBER_DIGITS_MIN } else { NUMBER_DIGITS_MIN };
    let score = |place: &usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(*place)).filter(|cell| !is_blank(cell));
        let kinds: Vec<_> = cells.map(|cell| kind(cell, source.region(), source.numbers)).collect();
        let valid = kinds.iter().filter(|kind| **kind == CellKind::Valid).count();
        let is_number = |kind: &&CellKind| match kind {
            CellKind::Valid => true,
            CellKind::Digits(count) => (digits_min..=NUMBER_DIGITS_MAX).contains(count),
            CellKind::Other => false,
        };
        let numbers = kinds.iter().filter(is_number).count();
        // With a title of something else four of five must be valid, or all of them look like numbers.
        let is_sure = if has_header { valid * 5 >= kinds.len() * 4 || numbers == kinds.len() } else { true };
        (numbers * 5 >= kinds.len() * 4 && !kinds.is_empty() && is_sure).then_some((valid, numbers))
    };
    let scored = free.iter().filter_map(|place| Some((score(place)?, std::cmp::Reverse(*place))));
    scored.max().map(|(_, place)| place.0)
}

/// Whether the column holds words.
pub(super) fn is_text(rows: &[Record], place: usize) -> bool {
    let mut cells = rows.iter().filter_map(|row| row.cells.get(place)).filter(|cell| !is_blank(cell)).peekable();
    let is_words = |cell: &String| cell.chars().any(char::is_alphabetic) && !cell.contains(['@', '/', ':', '_']);
    cells.peek().is_some() && cells.all(is_words)
}

fn kind(cell: &str, region: Option<PhoneRegion>, notation: NumberNotation) -> CellKind {
    let text = unescape_formula(cell.trim());
    let read = match notation {
        NumberNotation::International => PhoneNumber::parse_wa_id(text),
        NumberNotation::AsWritten => PhoneNumber::parse_in(text, region),
    };
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    match read {
        Ok(phone) if phone.is_valid() => CellKind::Valid,
        Ok(_) if text.starts_with(['+', '\u{ff0b}']) => CellKind::Valid,
        Ok(_) | Err(InvalidPhone::NoCountryCode | InvalidPhone::Ambiguous) => CellKind::Digits(digits),
        Err(_) => CellKind::Other,
    }
}
