//! A file's bytes as UTF-8, and the delimiter of its columns.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{CoderResult, Decoder, UTF_8, WINDOWS_1252};

/// Bytes that are decoded at once; the header's first line is looked for in the first of them.
const DECODE_BUFFER_BYTES: usize = 64 << 10;

/// Decodes UTF-8 (with its mark or without), UTF-16 (with it) and Windows-1252, and turns the line ends of Windows and of old
/// Macintosh files, also where a file has several, into ours; the last line has one. Fails where a row grows beyond its
/// limit.
pub(crate) struct TextDecoder<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    out: Vec<u8>,
    at: usize,
    ended: bool,
    /// The last character given was a carriage return, so that a line feed after it belongs to the same line end.
    after_cr: bool,
    /// The text goes on inside quotation marks.
    quoted: bool,
    /// The last byte given, none before the first.
    last: Option<u8>,
    given: u64,
    row: RowStart,
}

/// Where the row that is being read began, and how long it may be.
#[derive(Clone)]
pub(crate) struct RowStart {
    pub start: Arc<AtomicU64>,
    pub limit: u64,
}

impl<R: Read> TextDecoder<R> {
    /// Decodes as UTF-8, or else as Windows-1252; a mark of UTF-16 outweighs both.
    pub fn new(inner: R, utf8: bool, row: RowStart) -> Self {
        let decoder = if utf8 { UTF_8 } else { WINDOWS_1252 }.new_decoder();
        let (raw, out) = (vec![0; DECODE_BUFFER_BYTES], Vec::with_capacity(DECODE_BUFFER_BYTES * 4));
        Self {
            inner,
            decoder,
            raw,
            out,
            at: 0,
            ended: false,
            after_cr: false,
            quoted: false,
            last: None,
            given: 0,
            row,
        }
    }

    /// The first piece of the text, which is still to be read.
    pub fn beginning(&mut self) -> io::Result<&[u8]> {
        while self.out.is_empty() && !self.ended {
            self.fill()?;
        }
        Ok(&self.out)
    }

    fn fill(&mut self) -> io::Result<()> {
        // Whole pieces: what is told from the first one must not hang on how the file arrived.
        let mut read = 0;
        while read < self.raw.len() && !self.ended {
            let more = self.inner.read(&mut self.raw[read..])?;
            self.ended = more == 0;
            read += more;
        }
        self.out.clear();
        self.at = 0;
        let mut taken = 0;
        let mut text = String::with_capacity(DECODE_BUFFER_BYTES * 4);
        loop {
            let (result, used, _) = self.decoder.decode_to_string(&self.raw[taken..read], &mut text, self.ended);
            taken += used;
            match result {
                CoderResult::InputEmpty => break,
                CoderResult::OutputFull => text.reserve(DECODE_BUFFER_BYTES),
            }
        }
        self.out = text.into_bytes();
        self.unify_line_ends();
        Ok(())
    }

    /// Outside quotation marks: inside them line ends are the customer's own.
    fn unify_line_ends(&mut self) {
        let (mut after_cr, mut quoted) = (self.after_cr, self.quoted);
        self.out.retain_mut(|byte| {
            let is_second = after_cr && *byte == b'\n';
            quoted ^= *byte == b'"';
            after_cr = *byte == b'\r' && !quoted;
            if after_cr {
                *byte = b'\n';
            }
            !is_second
        });
        (self.after_cr, self.quoted) = (after_cr, quoted);
        self.last = self.out.last().copied().or(self.last);
        if self.ended && self.last.is_some_and(|last| last != b'\n') {
            self.out.push(b'\n');
            self.last = Some(b'\n');
        }
    }
}

impl<R: Read> Read for TextDecoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            if self.ended {
                return Ok(0);
            }
            self.fill()?;
        }
        // What the reader of rows has in its own buffer is no row's fault.
        let ahead = self.row.limit + 2 * DECODE_BUFFER_BYTES as u64;
        if self.given.saturating_sub(self.row.start.load(Ordering::Relaxed)) > ahead {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let count = into.len().min(self.out.len() - self.at);
        into[..count].copy_from_slice(&self.out[self.at..self.at + count]);
        self.at += count;
        self.given += count as u64;
        Ok(count)
    }
}

/// The delimiter that the header uses most, outside quotation marks.
pub(crate) fn delimiter(beginning: &[u8]) -> u8 {
    const KNOWN: [u8; 4] = *b",;\t|";
    let (mut counts, mut quoted) = ([0_usize; 4], false);
    for byte in beginning.iter().skip_while(|byte| matches!(byte, b'\n' | b'\r')) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            byte if !quoted => {
                if let Some(at) = KNOWN.iter().position(|known| known == byte) {
                    counts[at] += 1;
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let first = counts.iter().position(|count| *count == most).unwrap_or(0);
    KNOWN[first]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], utf8: bool) -> String {
        let mut text = String::new();
        let row = RowStart { start: Arc::default(), limit: 1 << 20 };
        TextDecoder::new(bytes, utf8, row).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn encodings_are_told_apart() {
        let utf16 = |little: bool| {
            let bytes = "\u{feff}Zoë,1".encode_utf16();
            bytes.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect::<Vec<_>>()
        };
        assert_eq!(decoded("Zoë,1".as_bytes(), true), "Zoë,1\n");
        assert_eq!(decoded("\u{feff}Zoë,1".as_bytes(), true), "Zoë,1\n");
        assert_eq!(decoded(b"Zo\xeb,1", false), "Zoë,1\n");
        assert_eq!(decoded(&utf16(true), false), "Zoë,1\n");
        assert_eq!(decoded(&utf16(false), false), "Zoë,1\n");
        assert_eq!(decoded(b"", true), "");
    }

    #[test]
    fn line_ends_are_one_kind() {
        assert_eq!(decoded(b"a\rb\r", true), "a\nb\n");
        assert_eq!(decoded(b"a\r\nb\r\n", true), "a\nb\n");
        assert_eq!(decoded(b"a\nb\rc\r\nd\n\re", true), "a\nb\nc\nd\n\ne\n");
        assert_eq!(decoded(b"a,\"b\r\nc\rd\"\r\n", true), "a,\"b\r\nc\rd\"\n");
        // Also where a piece ends between the two.
        let long = [vec![b'x'; DECODE_BUFFER_BYTES - 1], b"\r\ny\r".to_vec()].concat();
        let text = decoded(&long, true);
        assert_eq!((text.len(), &text[DECODE_BUFFER_BYTES - 1..]), (DECODE_BUFFER_BYTES + 2, "\ny\n"));
    }

    #[test]
    fn the_delimiter_is_the_headers() {
        for (header, expected) in [
            ("phone,name", b','),
            ("phone;\"a,b,c\";name", b';'),
            ("phone\tname\n1,2,3,4", b'\t'),
            ("phone|name", b'|'),
            ("\r\nphone;name", b';'),
            ("phone", b','),
        ] {
            assert_eq!(delimiter(header.as_bytes()), expected, "{header}");
        }
    }
}
