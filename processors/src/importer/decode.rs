//! A file's bytes as UTF-8.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding};

/// Bytes that are decoded at once.
pub(crate) const DECODE_BUFFER_BYTES: usize = 64 << 10;

/// Decodes an encoding; a mark at the beginning outweighs it. A byte that belongs to no character becomes U+FFFD.
pub(crate) struct TextDecoder<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    ended: bool,
}

impl<R: Read> TextDecoder<R> {
    /// Reads bytes of this encoding.
    pub fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self { inner, decoder: encoding.new_decoder(), raw: vec![0; DECODE_BUFFER_BYTES], ended: false }
    }

    /// Appends the next piece of the text; false at its end.
    pub fn next_piece(&mut self, text: &mut String) -> io::Result<bool> {
        let before = text.len();
        while text.len() == before {
            if self.ended {
                return Ok(false);
            }
            let read = self.inner.read(&mut self.raw)?;
            self.ended = read == 0;
            self.decode(read, text);
        }
        Ok(true)
    }

    fn decode(&mut self, read: usize, text: &mut String) {
        let mut taken = 0;
        loop {
            text.reserve((read - taken).max(16));
            let (result, used, _) = self.decoder.decode_to_string(&self.raw[taken..read], text, self.ended);
            taken += used;
            if result == CoderResult::InputEmpty {
                return;
            }
        }
    }
}

/// The delimiter that the first line uses most outside quotation marks; of two, the one that the next lines use as often.
pub(crate) fn delimiter(lines: &[&str]) -> u8 {
    const KNOWN: [u8; 4] = *b",;\t|";
    let counts: Vec<[usize; 4]> = lines.iter().map(|line| KNOWN.map(|sign| count(line, sign))).collect();
    let Some((first, rest)) = counts.split_first() else { return KNOWN[0] };
    let alike = |sign: usize| rest.iter().filter(|counts| counts[sign] == first[sign]).count();
    let best = (0..KNOWN.len()).max_by_key(|sign| (first[*sign], alike(*sign), KNOWN.len() - sign));
    KNOWN[best.unwrap_or(0)]
}

fn count(line: &str, sign: u8) -> usize {
    let mut is_quoted = false;
    line.bytes()
        .filter(|byte| {
            is_quoted ^= *byte == b'"';
            *byte == sign && !is_quoted
        })
        .count()
}

/// The delimiter that the line `sep=;` gives, as Excel writes and obeys it.
pub(crate) fn given_delimiter(line: &str) -> Option<u8> {
    let line = line.trim_start_matches('\u{feff}').trim_matches('"');
    let rest = line.get(..4).filter(|head| head.eq_ignore_ascii_case("sep=")).map(|head| &line[head.len()..])?;
    match rest.trim_end_matches([' ', ',', ';']) {
        "" => rest.bytes().next(),
        sign if sign.len() == 1 => sign.bytes().next().filter(|sign| !sign.is_ascii_alphanumeric() && *sign != b'"'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1251, WINDOWS_1252};

    use super::*;

    fn decoded(bytes: &[u8], encoding: &'static Encoding) -> String {
        let mut text = String::new();
        let mut decoder = TextDecoder::new(bytes, encoding);
        while decoder.next_piece(&mut text).unwrap() {}
        text
    }

    #[test]
    fn encodings_are_decoded() {
        let utf16 = |little: bool| {
            let bytes = "\u{feff}Zoë,1".encode_utf16();
            bytes.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect::<Vec<_>>()
        };
        assert_eq!(decoded("Zoë,1".as_bytes(), UTF_8), "Zoë,1");
        assert_eq!(decoded("\u{feff}Zoë,1".as_bytes(), UTF_8), "Zoë,1");
        assert_eq!(decoded(b"Zo\xeb,1", WINDOWS_1252), "Zoë,1");
        assert_eq!(decoded(b"Zo\xeb,1", UTF_8), "Zo\u{fffd},1");
        for encoding in [UTF_8, UTF_16LE, WINDOWS_1251] {
            assert_eq!(decoded(&utf16(true), encoding), "Zoë,1", "a mark outweighs what is said");
            assert_eq!(decoded(&utf16(false), encoding), "Zoë,1");
        }
        assert_eq!(decoded(&utf16(true)[2..], UTF_16LE), "Zoë,1");
        assert_eq!(decoded(&utf16(false)[2..], UTF_16BE), "Zoë,1");
        assert_eq!(decoded(&SHIFT_JIS.encode("山田,1").0, SHIFT_JIS), "山田,1");
        assert_eq!(decoded(b"", UTF_8), "");
    }

    #[test]
    fn the_delimiter_is_the_first_lines() {
        for (lines, expected) in [
            (&["phone,name"][..], b','),
            (&["phone;\"a,b,c\";name"], b';'),
            (&["phone\tname", "1,2,3,4"], b'\t'),
            (&["phone|name"], b'|'),
            (&["phone"], b','),
            (&["Doe, Jane;+16505551201", "Roe;+16505551202"], b';'),
        ] {
            assert_eq!(delimiter(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_line_may_give_the_delimiter() {
        for (line, expected) in [
            ("sep=;", Some(b';')),
            ("SEP=,", Some(b',')),
            ("sep=\t", Some(b'\t')),
            ("\"sep=|\"", Some(b'|')),
            ("sep=;;;", Some(b';')),
            ("separator", None),
            ("sep=a", None),
            ("phone;name", None),
        ] {
            assert_eq!(given_delimiter(line), expected, "{line:?}");
        }
    }
}
