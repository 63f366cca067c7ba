//! Cards of an address book as rows: one card, one row, with the titles of Google's exports.

use std::collections::VecDeque;
use std::io::Read;

use calcard::vcard::{VCard, VCardEntry, VCardParameterName, VCardProperty};
use calcard::{Entry, Parser};

use super::lines::{LineReader, TextLine};
use super::reading::{ReadFailure, broken};
use super::record::{Record, RowSource};
use super::row::RowError;

/// Numbers of one card; what is beyond is left away.
const CARD_PHONES_MAX: usize = 8;
/// Titles before those of the numbers.
const TITLES: [&str; 4] = ["Name", "Organization", "E-mail", "Labels"];
const BEGIN: &str = "BEGIN:VCARD";
const END: &str = "END:VCARD";
/// Properties that hold pictures, sounds and keys, which are long and not kept.
const DROPPED: [&str; 4] = ["PHOTO", "LOGO", "SOUND", "KEY"];

/// Whether a file that begins with this line holds cards.
pub(crate) fn is_card(line: &str) -> bool {
    line.trim().eq_ignore_ascii_case(BEGIN)
}

/// Reads cards.
pub(crate) struct CardRows<R> {
    lines: LineReader<R>,
    ahead: VecDeque<TextLine>,
    card_bytes: usize,
    has_titles: bool,
}

impl<R: Read> CardRows<R> {
    /// Cards of at most so many bytes, their pictures not counted. `ahead` are lines that were read already.
    pub const fn new(lines: LineReader<R>, ahead: VecDeque<TextLine>, card_bytes: usize) -> Self {
        Self { lines, ahead, card_bytes, has_titles: false }
    }

    fn next_line(&mut self) -> Result<Option<TextLine>, ReadFailure> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next().map_err(|error| broken(&error)),
        }
    }

    /// The text of the next card, without pictures; none of it if it is too long.
    fn next_card(&mut self) -> Result<Option<(u64, Option<String>)>, ReadFailure> {
        let begin = loop {
            let Some(line) = self.next_line()? else { return Ok(None) };
            if is_card(&line.text) {
                break line.number;
            }
        };
        let mut text = format!("{BEGIN}\r\n");
        let mut is_dropped = false;
        while let Some(line) = self.next_line()? {
            if is_card(&line.text) {
                // The card before it has no end.
                self.ahead.push_front(line);
                break;
            }
            let is_end = line.text.trim().eq_ignore_ascii_case(END);
            let is_continued = line.text.starts_with([' ', '\t']) && !is_end;
            // In vCard 2.1 an empty line ends a picture, which may go on without a blank before it.
            is_dropped = !is_end && if is_continued { is_dropped } else { is_dropped_property(&line.text) };
            if !is_dropped && text.len() <= self.card_bytes {
                text.push_str(&line.text);
                text.push_str("\r\n");
            }
            if is_end {
                break;
            }
        }
        let is_whole = text.len() <= self.card_bytes;
        if !text.trim_end().to_ascii_uppercase().ends_with(END) {
            text.push_str(END);
        }
        Ok(Some((begin, is_whole.then_some(text))))
    }
}

impl<R: Read> RowSource for CardRows<R> {
    fn next_row(&mut self, _: Option<usize>) -> Result<Option<Record>, ReadFailure> {
        if !self.has_titles {
            self.has_titles = true;
            let phones =
                (1..=CARD_PHONES_MAX).flat_map(|n| [format!("Phone {n} - Label"), format!("Phone {n} - Value")]);
            let cells = TITLES.iter().map(|title| (*title).to_owned()).chain(phones).collect();
            return Ok(Some(Record { line: 1, cells, fault: None }));
        }
        let Some((line, text)) = self.next_card()? else { return Ok(None) };
        let Some(text) = text else {
            return Ok(Some(Record { line, cells: vec![], fault: Some(RowError::RowTooLong) }));
        };
        Ok(Some(match Parser::new(&text).entry() {
            Entry::VCard(card) => Record { line, cells: cells(&card), fault: None },
            _ => Record { line, cells: vec![], fault: Some(RowError::CardUnreadable) },
        }))
    }
}

fn is_dropped_property(line: &str) -> bool {
    let name = line.split([':', ';']).next().unwrap_or_default();
    // Behind the name of its group.
    let name = name.rsplit('.').next().unwrap_or_default();
    DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
}

fn cells(card: &VCard) -> Vec<String> {
    let first = |name: &VCardProperty| card.property(name).map(text_of).unwrap_or_default();
    let all = |name: &VCardProperty| {
        card.properties(name).map(text_of).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
    };
    let name = Some(first(&VCardProperty::Fn)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| card.property(&VCardProperty::N).map(structured_name).unwrap_or_default());
    let mut cells =
        vec![name, first(&VCardProperty::Org), first(&VCardProperty::Email), all(&VCardProperty::Categories)];
    let phones = card.properties(&VCardProperty::Tel).map(|entry| (label_of(entry, card), text_of(entry)));
    let phones: Vec<_> = phones.filter(|(_, phone)| !phone.is_empty()).take(CARD_PHONES_MAX).collect();
    for number in 0..CARD_PHONES_MAX {
        let (label, phone) = phones.get(number).cloned().unwrap_or_default();
        cells.extend([label, phone]);
    }
    cells
}

fn texts(entry: &VCardEntry) -> impl Iterator<Item = String> {
    let text = |value: &calcard::vcard::VCardValue| value.clone().into_text().map(|text| text.trim().to_owned());
    entry.values.iter().filter_map(text)
}

fn text_of(entry: &VCardEntry) -> String {
    texts(entry).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Given, middle and family name of `N`, which begins with the family's (RFC 6350, 6.2.2).
fn structured_name(entry: &VCardEntry) -> String {
    let parts: Vec<String> = texts(entry).collect();
    let part = |place: usize| parts.get(place).map(String::as_str).unwrap_or_default();
    [part(1), part(2), part(0)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What kind of number it is: its types, the label that Apple writes beside it, and that WhatsApp gave it.
fn label_of(entry: &VCardEntry, card: &VCard) -> String {
    let mut words: Vec<String> = Vec::new();
    for parameter in &entry.params {
        match &parameter.name {
            // `waid` is what WhatsApp adds to the cards it sends.
            VCardParameterName::Other(name) if name.eq_ignore_ascii_case("waid") => words.push("WhatsApp".to_owned()),
            VCardParameterName::Type => words.extend(parameter.value.as_text().map(str::to_owned)),
            // vCard 2.1 has types without the word.
            VCardParameterName::Other(name) => words.push(name.clone()),
            _ => {}
        }
    }
    let is_label = |other: &&VCardEntry| {
        entry.group.is_some()
            && other.group == entry.group
            && matches!(&other.name, VCardProperty::Other(name) if name.eq_ignore_ascii_case("X-ABLABEL"))
    };
    words.extend(card.entries.iter().filter(is_label).map(text_of));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use encoding_rs::UTF_8;

    use super::*;
    use crate::importer::decode::TextDecoder;

    fn rows(text: &str) -> Vec<Record> {
        let lines = LineReader::new(TextDecoder::new(text.as_bytes(), UTF_8), 1 << 20);
        let mut source = CardRows::new(lines, VecDeque::new(), 2_000);
        let mut rows = Vec::new();
        while let Some(row) = source.next_row(None).unwrap() {
            rows.push(row);
        }
        rows
    }

    fn shown(row: &Record) -> String {
        row.cells.iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>().join("|")
    }

    #[test]
    fn cards_of_every_version_are_rows() {
        let picture = format!("PHOTO;ENCODING=b;TYPE=JPEG:{}\r\n {}\r\n", "A".repeat(1_500), "B".repeat(1_500));
        let text = format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nN:King;Ada;M.;;\r\nFN:Ada King\r\nORG:Engine Ltd.\r\n{picture}\
             TEL;TYPE=HOME:+49 30 12345678\r\nTEL;TYPE=CELL,VOICE:+49 151 23456701\r\nCATEGORIES:Friends,VIP\r\nEND:VCARD\r\n\
             \r\nBEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=9F=D0=B5=D1=82=D1=80=\n=D0=BE=D0=B2;=D0=98=D0=B2=D0=B0=D0=BD;;;\n\
             TEL;CELL;PREF:+79161234567\nEND:VCARD\n\
             begin:vcard\nVERSION:4.0\nFN:Zoë\nTEL;VALUE=uri;TYPE=\"voice,home\":tel:+16505551202\n\
             item1.TEL;waid=16505551203:+1 650-555-1203\nitem1.X-ABLabel:WhatsApp\nend:vcard\n"
        );
        let rows = rows(&text);
        assert_eq!(rows[0].cells[..6].join("|"), "Name|Organization|E-mail|Labels|Phone 1 - Label|Phone 1 - Value");
        let lines: Vec<_> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [1, 1, 13, 19]);
        let ada = shown(&rows[1]).to_lowercase();
        assert_eq!(ada, "ada king|engine ltd.|friends, vip|home|+49 30 12345678|cell voice|+49 151 23456701");
        assert!(
            shown(&rows[2]).starts_with("Иван Петров|") && shown(&rows[2]).ends_with("|+79161234567"),
            "{}",
            shown(&rows[2])
        );
        let zoe = shown(&rows[3]);
        assert!(zoe.starts_with("Zoë|") && zoe.contains("tel:+16505551202") && zoe.contains("WhatsApp"), "{zoe}");
    }

    #[test]
    fn damaged_cards_cost_themselves() {
        let long = format!("NOTE:{}\r\n", "x".repeat(3_000));
        let text = format!(
            "BEGIN:VCARD\r\nFN:A\r\n{long}END:VCARD\r\nBEGIN:VCARD\r\nFN:B\r\nTEL:+16505551201\r\n\
             BEGIN:VCARD\r\nFN:C\r\nTEL:+16505551202\r\n"
        );
        let rows = rows(&text);
        assert_eq!(
            rows.iter().map(|row| row.fault).collect::<Vec<_>>(),
            [None, Some(RowError::RowTooLong), None, None]
        );
        assert_eq!((shown(&rows[2]), shown(&rows[3])), ("B|+16505551201".into(), "C|+16505551202".into()));
    }
}
