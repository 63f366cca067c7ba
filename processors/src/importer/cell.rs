//! Single cells: what must not be run by a spreadsheet, and what must not be kept.

use std::borrow::Cow;

/// What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection").
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// Digits of the shortest and the longest card number (ISO/IEC 7812).
const CARD: std::ops::RangeInclusive<usize> = 14..=19;

/// The cell as it is exported: an apostrophe before what a spreadsheet would run. A phone number in international form
/// stays as it is; [`unguard`] gives every text back.
pub fn guard(cell: &str) -> Cow<'_, str> {
    let phone = cell.strip_prefix('+').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if !phone && cell.starts_with(|first| FORMULA.contains(&first) || first == '\'') {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The cell without the apostrophe of [`guard`].
pub fn unguard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(|first| FORMULA.contains(&first) || first == '\'') => rest,
        _ => cell,
    }
}

/// Whether the text holds a payment card's number: digits, perhaps with spaces or dashes between, that begin like an
/// issuer's and fulfil the Luhn check.
pub fn holds_card_number(text: &str) -> bool {
    let mut digits = Vec::new();
    let check = |digits: &mut Vec<u8>| {
        let found = is_card(digits);
        digits.clear();
        found
    };
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => digits.push(u8::try_from(digit).unwrap_or(0)),
            None if matches!(c, ' ' | '-' | '\u{a0}') && !digits.is_empty() => {}
            None if check(&mut digits) => return true,
            None => {}
        }
    }
    check(&mut digits)
}

fn is_card(digits: &[u8]) -> bool {
    if !CARD.contains(&digits.len()) {
        return false;
    }
    let prefix = |count: usize| digits[..count].iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let issuer = match digits.len() {
        14 => matches!(prefix(2), 36 | 38 | 39) || matches!(prefix(3), 300..=305),
        15 => matches!(prefix(2), 34 | 37),
        length => {
            let sixteen = matches!(prefix(2), 51..=55) || matches!(prefix(4), 2221..=2720);
            let long = matches!(prefix(4), 6011 | 3528..=3589) || matches!(prefix(3), 644..=649);
            (length == 16 && sixteen) || long || digits[0] == 4 || matches!(prefix(2), 62 | 65)
        }
    };
    issuer && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| {
        let value = u32::from(*digit) << (place % 2);
        sum + value / 10 + value % 10
    });
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn card_numbers_are_recognised() {
        for card in ["4111111111111111", "5555 5555 5555 4444", "3782-822463-10005", "pays with 4111 1111 1111 1111."] {
            assert!(holds_card_number(card), "{card}");
        }
        for other in ["4111111111111112", "+491519998887", "9999999999999995", "2026-11-23", "", "41111111"] {
            assert!(!holds_card_number(other), "{other}");
        }
    }

    #[test]
    fn a_formula_is_guarded_and_a_phone_number_is_not() {
        assert_eq!(guard("=1+1"), "'=1+1");
        assert_eq!(guard("+1-2"), "'+1-2");
        assert_eq!(guard("+16505551234"), "+16505551234");
        assert_eq!(guard("plain"), "plain");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@\t\r-]{0,3}.{0,8}") {
            let guarded = guard(&text);
            prop_assert_eq!(unguard(&guarded), &text);
            prop_assert!(!guarded.starts_with(['=', '-', '@', '\t', '\r']));
        }
    }
}
