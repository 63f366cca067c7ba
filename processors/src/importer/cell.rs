//! Single cells: what must not be run by a spreadsheet, and what must not be kept.

use std::borrow::Cow;

/// What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection"), also in the full-width and small forms
/// that East Asian editions take for the same.
const SIGNS: [char; 13] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '−'];
/// What splits a cell into another where quotes are lost.
const BREAKS: [char; 3] = ['\t', '\r', '\n'];
/// Digits of the shortest and the longest card number (ISO/IEC 7812).
const CARD: std::ops::RangeInclusive<usize> = 14..=19;

/// The cell as it is exported: an apostrophe before what a spreadsheet would run. A phone number in international form
/// stays as it is; [`unescape_formula`] gives every text back.
pub fn escape_formula(cell: &str) -> Cow<'_, str> {
    let phone = cell.strip_prefix('+').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if !phone && needs_guard(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// The cell without the apostrophe of [`escape_formula`].
pub fn unescape_formula(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if needs_guard(rest) => rest,
        _ => cell,
    }
}

/// Whether it begins with a line end, a tab or an apostrophe, or with a sign that at most invisible characters precede:
/// spreadsheets and the programs that clean files for them drop those.
fn needs_guard(cell: &str) -> bool {
    cell.starts_with(BREAKS)
        || cell.starts_with('\'')
        || cell.chars().find(|c| !is_invisible(*c)).is_some_and(|first| SIGNS.contains(&first))
}

/// Blanks, control characters, and what has no width (Unicode: `Default_Ignorable_Code_Point`).
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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
        assert_eq!(escape_formula("=1+1"), "'=1+1");
        assert_eq!(escape_formula("+1-2"), "'+1-2");
        assert_eq!(escape_formula("+16505551234"), "+16505551234");
        assert_eq!(escape_formula("plain"), "plain");
        for cell in ["", " ", "\u{feff}", "a=1", " a = b", "1-2", "Zoë"] {
            assert_eq!(escape_formula(cell), cell, "{cell:?}");
        }
    }

    #[test]
    fn a_sign_is_found_behind_what_nobody_sees() {
        for sign in SIGNS {
            for before in
                ["", " ", "\n", "\r\n", "\t", "\u{a0}", "\u{3000}", "\u{200b}", "\u{feff}", "\0", " \u{2060}\n"]
            {
                let cell = format!("{before}{sign}cmd|' /C calc'!A0");
                assert_eq!(escape_formula(&cell), format!("'{cell}"), "{cell:?}");
                assert_eq!(unescape_formula(&escape_formula(&cell)), cell);
            }
        }
        for cell in ["\nplain", "\rplain", "\tplain", "'plain"] {
            assert_eq!(escape_formula(cell), format!("'{cell}"));
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@＝＠\t\r\n \u{feff}\u{200b}-]{0,3}.{0,8}") {
            let guarded = escape_formula(&text);
            prop_assert_eq!(unescape_formula(&guarded), &text);
            prop_assert!(!guarded.starts_with(['=', '-', '@', '＝', '＠', '\t', '\r', '\n']));
            let seen = guarded.trim_start_matches(is_invisible);
            prop_assert!(!seen.starts_with(['=', '-', '@', '＝', '＠']), "{guarded:?}");
        }
    }
}
