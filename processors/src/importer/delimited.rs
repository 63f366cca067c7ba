//! Rows of a delimited text. A quotation mark that is never closed costs its own row, not those after it.

use std::collections::VecDeque;
use std::io::Read;

use csv_core::ReadRecordResult;
use wasend_domain::import::FileError;

use super::decode::{delimiter, given_delimiter};
use super::lines::{LineReader, TextLine};
use super::reading::{ReadFailure, broken};
use super::record::{Record, RowSource, is_blank};
use super::row::RowError;

/// Lines that are looked at for the delimiter.
const EXAMINED_LINES: usize = 10;
/// Rows of one file whose quotation marks are never closed. Each costs a second look at the lines after it.
const OPEN_QUOTES_MAX: u32 = 1_000;

/// Reads rows from text.
pub(crate) struct DelimitedRows<R> {
    lines: LineReader<R>,
    /// Lines that were read ahead.
    ahead: VecDeque<TextLine>,
    delimiter: u8,
    parser: csv_core::Reader,
    row_bytes: usize,
    open_quotes: u32,
}

impl<R: Read> DelimitedRows<R> {
    /// Finds the delimiter, obeying a first line that gives it. `ahead` are lines that were read already, `row_bytes` is the
    /// longest row.
    pub fn open(
        mut lines: LineReader<R>,
        mut ahead: VecDeque<TextLine>,
        row_bytes: usize,
    ) -> Result<Self, ReadFailure> {
        let given = ahead.front().and_then(|line| given_delimiter(&line.text));
        if given.is_some() {
            ahead.pop_front();
        }
        while ahead.len() < EXAMINED_LINES {
            let Some(line) = lines.next().map_err(|error| broken(&error))? else { break };
            ahead.push_back(line);
        }
        let examined: Vec<&str> = ahead.iter().map(|line| line.text.as_str()).filter(|text| !is_blank(text)).collect();
        let delimiter = given.unwrap_or_else(|| delimiter(&examined));
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Ok(Self { lines, ahead, delimiter, parser, row_bytes, open_quotes: 0 })
    }

    /// What parts cells.
    pub const fn delimiter(&self) -> u8 {
        self.delimiter
    }

    fn next_line(&mut self) -> Result<Option<TextLine>, ReadFailure> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next().map_err(|error| broken(&error)),
        }
    }

    /// Goes on with a row whose first line ends inside quotation marks.
    fn long_row(&mut self, first: &TextLine, width: Option<usize>) -> Result<Record, ReadFailure> {
        let mut text = first.text.clone() + first.end;
        let mut taken: Vec<TextLine> = Vec::new();
        while let Some(line) = self.next_line()? {
            text.push_str(&line.text);
            let scanned = scan(&line.text, self.delimiter, true);
            text.push_str(if scanned == QuoteEnd::Open { line.end } else { "" });
            taken.push(line);
            match scanned {
                QuoteEnd::Open if text.len() <= self.row_bytes => {}
                QuoteEnd::Closed => {
                    let cells = cells(&mut self.parser, &text);
                    let looks_cut = width.is_some_and(|width| cells.len() != width);
                    if looks_cut && taken.iter().any(|line| self.is_row(&line.text, width)) {
                        break;
                    }
                    return Ok(Record { line: first.number, cells, fault: None });
                }
                QuoteEnd::Open | QuoteEnd::Misplaced => break,
            }
        }
        self.open_quotes += 1;
        if self.open_quotes > OPEN_QUOTES_MAX {
            return Err(ReadFailure::File(FileError::TooManyOpenQuotes));
        }
        for line in taken.into_iter().rev() {
            self.ahead.push_front(line);
        }
        self.skip_to_row(width)?;
        Ok(Record { line: first.number, cells: self.unquoted(&first.text), fault: Some(RowError::QuoteOpen) })
    }

    /// Passes over what is left of a broken row.
    fn skip_to_row(&mut self, width: Option<usize>) -> Result<(), ReadFailure> {
        while let Some(line) = self.next_line()? {
            if self.is_row(&line.text, width) {
                self.ahead.push_front(line);
                break;
            }
        }
        Ok(())
    }

    /// Whether the line is plausibly a row by itself: as many cells as there are columns, and every quotation mark closed.
    fn is_row(&mut self, line: &str, width: Option<usize>) -> bool {
        let is_closed = scan(line, self.delimiter, false) == QuoteEnd::Closed;
        is_closed && !is_blank(line) && width.is_none_or(|width| cells(&mut self.parser, line).len() == width)
    }

    fn unquoted(&self, line: &str) -> Vec<String> {
        line.split(char::from(self.delimiter)).map(|cell| cell.trim_matches('"').to_owned()).collect()
    }
}

impl<R: Read> RowSource for DelimitedRows<R> {
    fn next_row(&mut self, width: Option<usize>) -> Result<Option<Record>, ReadFailure> {
        loop {
            let Some(first) = self.next_line()? else { return Ok(None) };
            if first.text.is_empty() {
                continue;
            }
            if scan(&first.text, self.delimiter, false) == QuoteEnd::Open {
                return self.long_row(&first, width).map(Some);
            }
            return Ok(Some(Record { line: first.number, cells: cells(&mut self.parser, &first.text), fault: None }));
        }
    }
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuoteEnd {
    Closed,
    Open,
    /// A quotation mark that was to close a cell of an earlier line stands before other text: it opens another cell.
    Misplaced,
}

fn scan(line: &str, delimiter: u8, begins_quoted: bool) -> QuoteEnd {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        CellStart,
        Cell,
        Quoted,
        AfterQuote,
    }
    if !begins_quoted && !line.contains('"') {
        return QuoteEnd::Closed;
    }
    let mut at = if begins_quoted { At::Quoted } else { At::CellStart };
    // Of the cell that an earlier line began.
    let mut is_inherited = begins_quoted;
    for byte in line.bytes() {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::AfterQuote,
            (At::Quoted, _) => At::Quoted,
            (At::CellStart | At::AfterQuote, b'"') => At::Quoted,
            (_, byte) if byte == delimiter => At::CellStart,
            (At::AfterQuote, b' ') => At::AfterQuote,
            (At::AfterQuote, _) if is_inherited => return QuoteEnd::Misplaced,
            _ => At::Cell,
        };
        is_inherited &= at != At::CellStart;
    }
    if at == At::Quoted { QuoteEnd::Open } else { QuoteEnd::Closed }
}

/// The cells of one row.
fn cells(parser: &mut csv_core::Reader, row: &str) -> Vec<String> {
    let mut text = vec![0; row.len() + 1];
    let mut ends = vec![0; 16];
    let (mut input, mut written, mut count) = (row.as_bytes(), 0, 0);
    parser.reset();
    loop {
        let (result, read, wrote, ended) = parser.read_record(input, &mut text[written..], &mut ends[count..]);
        (input, written, count) = (&input[read..], written + wrote, count + ended);
        match result {
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::OutputFull => text.resize(text.len() * 2, 0),
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::Record | ReadRecordResult::End => break,
        }
    }
    let starts = std::iter::once(0).chain(ends[..count].iter().copied());
    let cell = |(start, end): (usize, &usize)| String::from_utf8_lossy(&text[start..*end]).into_owned();
    starts.zip(&ends[..count]).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use encoding_rs::UTF_8;

    use super::*;
    use crate::importer::decode::TextDecoder;

    fn open(text: &str) -> DelimitedRows<&[u8]> {
        let mut lines = LineReader::new(TextDecoder::new(text.as_bytes(), UTF_8), 1 << 12);
        let ahead = lines.next().unwrap().into_iter().collect();
        DelimitedRows::open(lines, ahead, 1 << 10).unwrap()
    }

    fn rows(text: &str) -> Vec<(u64, Vec<String>, bool)> {
        let mut source = open(text);
        let mut rows: Vec<(u64, Vec<String>, bool)> = Vec::new();
        while let Some(row) = source.next_row(rows.first().map(|(_, cells, _)| cells.len())).unwrap() {
            rows.push((row.line, row.cells, row.fault.is_some()));
        }
        rows
    }

    fn short(text: &str) -> Vec<(u64, String)> {
        let short = |(line, cells, is_faulty): (u64, Vec<String>, bool)| {
            (line, if is_faulty { "?".to_owned() } else { cells.join("|") })
        };
        rows(text).into_iter().map(short).collect()
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        let text = "phone,name\n1,\"a, \"\"b\"\"\"\r\n\n2,\"two\r\nlines\"\r3,\"\"\n\"4\",x";
        let expected = [(1, "phone|name"), (2, "1|a, \"b\""), (4, "2|two\r\nlines"), (6, "3|"), (7, "4|x")];
        assert_eq!(short(text), expected.map(|(line, row)| (line, row.to_owned())));
        // A quotation mark inside a cell is one.
        assert_eq!(short("a,b\n5\" pipe,x\n\"y\" z,w\n")[1..], [(2, "5\" pipe|x".into()), (3, "y z|w".into())]);
        assert_eq!(short("sep=;\na;b,c\n1;2\n"), [(2, "a|b,c".into()), (3, "1|2".into())]);
        assert_eq!(short("\"a\",b\n\n,\n"), [(1, "a|b".into()), (3, "|".into())]);
    }

    #[test]
    fn an_open_quote_costs_its_own_row() {
        let head = "phone,name,city\n1,Ana,Rome\n";
        let told = |rest: &str| short(&format!("{head}{rest}"))[2..].to_vec();
        let expect =
            |rows: &[(u64, &str)]| rows.iter().map(|(line, row)| (*line, (*row).to_owned())).collect::<Vec<_>>();
        // To the end of the file.
        assert_eq!(
            told("2,\"Bo,Bonn\n3,Cy,Cork\n4,Di,Dijon\n"),
            expect(&[(3, "?"), (4, "3|Cy|Cork"), (5, "4|Di|Dijon")])
        );
        // To the next quotation mark, which opens a cell.
        assert_eq!(
            told("2,\"Bo,Bonn\n3,Cy,Cork\n4,\"Di\",Dijon\n"),
            expect(&[(3, "?"), (4, "3|Cy|Cork"), (5, "4|Di|Dijon")])
        );
        assert_eq!(told("2,\"Bo,Bonn\n3,\"C,y\",Cork\n"), expect(&[(3, "?"), (4, "3|C,y|Cork")]));
        // To one that closes a cell by chance: the row that comes of it has too few cells.
        assert_eq!(
            told("2,\"Bo,Bonn\n3,Cy,Cork\n4,Di,Di\"\n"),
            expect(&[(3, "?"), (4, "3|Cy|Cork"), (5, "4|Di|Di\"")])
        );
        // What is left of the row itself is passed over.
        assert_eq!(told("2,\"Bo\nof two lines,Bonn\n3,Cy,Cork\n"), expect(&[(3, "?"), (5, "3|Cy|Cork")]));
        // A row of several lines stays one.
        assert_eq!(told("2,\"Bo\nof two\",Bonn\n3,Cy,Cork\n"), expect(&[(3, "2|Bo\nof two|Bonn"), (5, "3|Cy|Cork")]));
        let long = format!("2,\"{}\n3,Cy,Cork\n", "x\n".repeat(2_000));
        assert_eq!(told(&long), expect(&[(3, "?"), (2_004, "3|Cy|Cork")]));
    }

    #[test]
    fn a_file_full_of_open_quotes_is_given_up() {
        let text = "a,b\n".to_owned() + &"1,\"x\n2,y\n".repeat(1_001);
        let mut source = open(&text);
        let failure = loop {
            match source.next_row(Some(2)) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it is read to its end"),
                Err(failure) => break failure,
            }
        };
        assert!(matches!(failure, ReadFailure::File(FileError::TooManyOpenQuotes)));
    }
}
