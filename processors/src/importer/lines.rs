//! The lines of a text, however they are ended.

use std::io::{self, Read};

use super::decode::TextDecoder;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextLine {
    /// 1 for the file's first.
    pub number: u64,
    pub text: String,
    /// What ended it: LF, CRLF, CR, or nothing at the end of the file.
    pub end: &'static str,
}

/// Reads a text line by line. Fails with `InvalidData` where a line grows beyond its limit.
pub(crate) struct LineReader<R> {
    decoder: TextDecoder<R>,
    piece: String,
    at: usize,
    number: u64,
    limit: usize,
}

impl<R: Read> LineReader<R> {
    /// Lines of at most so many bytes.
    pub const fn new(decoder: TextDecoder<R>, limit: usize) -> Self {
        Self { decoder, piece: String::new(), at: 0, number: 0, limit }
    }

    /// The next line, none at the end.
    pub fn next(&mut self) -> io::Result<Option<TextLine>> {
        let mut text = String::new();
        self.number += 1;
        loop {
            if self.at == self.piece.len() && !self.refill()? {
                let line = TextLine { number: self.number, text, end: "" };
                return Ok((!line.text.is_empty()).then_some(line));
            }
            let rest = &self.piece[self.at..];
            let Some(found) = rest.bytes().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                text.push_str(rest);
                self.at = self.piece.len();
                self.check(&text)?;
                continue;
            };
            text.push_str(&rest[..found]);
            let is_cr = rest.as_bytes()[found] == b'\r';
            self.at += found + 1;
            self.check(&text)?;
            let end = if is_cr && self.takes_lf()? { "\r\n" } else { [("\n"), ("\r")][usize::from(is_cr)] };
            return Ok(Some(TextLine { number: self.number, text, end }));
        }
    }

    /// Whether a line feed comes next, which belongs to the carriage return before it.
    fn takes_lf(&mut self) -> io::Result<bool> {
        if self.at == self.piece.len() && !self.refill()? {
            return Ok(false);
        }
        let is_lf = self.piece.as_bytes()[self.at] == b'\n';
        self.at += usize::from(is_lf);
        Ok(is_lf)
    }

    fn refill(&mut self) -> io::Result<bool> {
        self.at = 0;
        self.piece.clear();
        self.decoder.next_piece(&mut self.piece)
    }

    fn check(&self, text: &str) -> io::Result<()> {
        if text.len() > self.limit { Err(io::Error::from(io::ErrorKind::InvalidData)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::UTF_8;

    use super::*;
    use crate::importer::decode::DECODE_BUFFER_BYTES;

    fn lines(bytes: &[u8]) -> Vec<(u64, String, &'static str)> {
        let mut reader = LineReader::new(TextDecoder::new(bytes, UTF_8), 1 << 20);
        let mut all = Vec::new();
        while let Some(line) = reader.next().unwrap() {
            all.push((line.number, line.text, line.end));
        }
        all
    }

    #[test]
    fn every_kind_of_line_end_ends_a_line() {
        let expected = [(1, "a", "\n"), (2, "b", "\r"), (3, "c", "\r\n"), (4, "d", "\n"), (5, "", "\r"), (6, "e", "")];
        assert_eq!(lines(b"a\nb\rc\r\nd\n\re"), expected.map(|(line, text, end)| (line, text.to_owned(), end)));
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\r"), [(1, String::new(), "\r")]);
        // Also where a piece ends between the two.
        let long = [vec![b'x'; DECODE_BUFFER_BYTES - 1], b"\r\ny\r".to_vec()].concat();
        let read = lines(&long);
        assert_eq!((read.len(), read[0].2, &read[1]), (2, "\r\n", &(2, "y".to_owned(), "\r")));
    }

    #[test]
    fn a_line_has_its_limit() {
        let mut reader = LineReader::new(TextDecoder::new(&b"ab\nabc\n"[..], UTF_8), 2);
        assert_eq!(reader.next().unwrap().map(|line| line.text), Some("ab".to_owned()));
        assert_eq!(reader.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
