//! The encoding of a file, told from its bytes, whatever the pieces they come in.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes that are looked at, from the first one on that is not ASCII; titles and names tell an encoding within far less.
const EXAMINED_BYTES: usize = 1 << 20;
/// In UTF-16 the digits and signs of a file of contacts have a zero byte each; so many in a thousand have at least.
const ZEROS_PER_MILLE: u64 = 250;

/// Reads bytes and says which encoding they are in: that of a mark at their beginning, UTF-8 (also with single faults),
/// UTF-16 without its mark, or the 8-bit or East Asian encoding that fits best.
pub struct EncodingCheck {
    beginning: Vec<u8>,
    bytes: u64,
    /// Zero bytes at even and at odd places.
    zeros: [u64; 2],
    utf8: Utf8Check,
    /// Boxed, since it is kilobytes and a part of every future that takes in a file.
    detector: Box<EncodingDetector>,
    /// Bytes that were looked at from the first one on that is not ASCII.
    examined: usize,
}

impl Default for EncodingCheck {
    fn default() -> Self {
        Self {
            beginning: Vec::new(),
            bytes: 0,
            zeros: [0; 2],
            utf8: Utf8Check::default(),
            detector: Box::new(EncodingDetector::new(Iso2022JpDetection::Allow)),
            examined: 0,
        }
    }
}

impl EncodingCheck {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.beginning.extend(bytes.iter().take(3_usize.saturating_sub(self.beginning.len())));
        for (place, byte) in (self.bytes..).zip(bytes) {
            self.zeros[usize::from(place % 2 == 1)] += u64::from(*byte == 0);
        }
        self.bytes += bytes.len() as u64;
        self.utf8.push(bytes);
        self.examine(bytes);
    }

    fn examine(&mut self, bytes: &[u8]) {
        // Escape begins what ISO-2022-JP has instead of bytes beyond ASCII.
        let begins = |bytes: &[u8]| bytes.iter().position(|byte| *byte >= 0x80 || *byte == 0x1b);
        let from = if self.examined == 0 { begins(bytes).unwrap_or(bytes.len()) } else { 0 };
        // What stands before it is fed as well: a letter is told by its neighbours.
        let end = bytes.len().min(from + (EXAMINED_BYTES - self.examined));
        self.detector.feed(&bytes[..end], false);
        self.examined += end - from;
    }

    /// The encoding of all bytes.
    pub fn finish(mut self) -> &'static Encoding {
        if let Some((encoding, _)) = Encoding::for_bom(&self.beginning) {
            return encoding;
        }
        let is_frequent = |zeros: u64| zeros > 0 && zeros * 2_000 >= self.bytes * ZEROS_PER_MILLE;
        let is_rare = |zeros: u64| zeros * 20 < self.zeros[0] + self.zeros[1];
        match self.zeros {
            [high, low] if is_frequent(low) && is_rare(high) => return UTF_16LE,
            [high, low] if is_frequent(high) && is_rare(low) => return UTF_16BE,
            _ => {}
        }
        if self.examined == 0 || self.utf8.is_utf8() && !self.is_iso_2022_jp() {
            return UTF_8;
        }
        self.detector.feed(&[], true);
        self.detector.guess(None, Utf8Detection::Deny)
    }

    /// All of it is ASCII, and escapes part it.
    fn is_iso_2022_jp(&self) -> bool {
        self.utf8.is_ascii() && self.examined > 0
    }
}

/// Whether bytes that come in pieces are UTF-8, perhaps with single faults: more of its longer characters are whole than
/// broken. In an 8-bit encoding hardly any are whole.
#[derive(Default)]
struct Utf8Check {
    /// The beginning of a character whose rest has not come.
    open: Vec<u8>,
    whole: u64,
    broken: u64,
}

impl Utf8Check {
    fn push(&mut self, bytes: &[u8]) {
        if self.open.is_empty() {
            return self.count(bytes);
        }
        let mut joined = std::mem::take(&mut self.open);
        joined.extend_from_slice(bytes);
        self.count(&joined);
    }

    fn count(&mut self, bytes: &[u8]) {
        let mut end = 0;
        for chunk in bytes.utf8_chunks() {
            end += chunk.valid().len() + chunk.invalid().len();
            self.whole += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count() as u64;
            let is_begun = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if end == bytes.len() && is_begun {
                self.open = chunk.invalid().to_vec();
            } else {
                self.broken += u64::from(!chunk.invalid().is_empty());
            }
        }
    }

    const fn is_ascii(&self) -> bool {
        self.whole == 0 && self.broken == 0 && self.open.is_empty()
    }

    fn is_utf8(&self) -> bool {
        let broken = self.broken + u64::from(!self.open.is_empty());
        broken == 0 || self.whole > broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8], size: usize) -> &'static str {
        let mut check = EncodingCheck::default();
        bytes.chunks(size).for_each(|piece| check.push(piece));
        check.finish().name()
    }

    #[test]
    fn utf8_is_told_whatever_the_pieces() {
        for size in 1..9 {
            let one_fault =
                ["Jürgen, Zoë 😀, M".as_bytes(), b"\xfcller, ", "Ñandú".as_bytes(), b"\xf0\x9f\x98,x"].concat();
            for text in ["aé€😀z".as_bytes(), b"", b"phone\n+16505551234\n", "\u{feff}x".as_bytes(), &one_fault] {
                assert_eq!(told(text, size), "UTF-8", "{size}");
            }
            for text in [&b"caf\xe9 au lait"[..], b"Fran\xe7ois", b"M\xfcller, J\xfcrgen, Zo\xeb"] {
                assert_eq!(told(text, size), "windows-1252", "{size}");
            }
        }
    }

    #[test]
    fn other_encodings_are_told_apart() {
        let russian = "Телефон;Имя\n+79161234567;Иван Петров\n+79161234568;Мария Сидорова\n";
        let polish = "telefon;imię\n+48601234567;Łukasz Wójcik\n+48601234568;Świętosława Źdźbło\n";
        let japanese = "電話番号,氏名\n+819012345678,山田太郎\n+819012345679,佐藤花子\n";
        let chinese = "手机号码,姓名\n+8613812345678,张伟\n+8613812345679,王芳\n";
        let greek = "Τηλέφωνο;Όνομα\n+306912345678;Γιώργος Παπαδόπουλος\n";
        for (text, label, name) in [
            (russian, "windows-1251", "windows-1251"),
            (russian, "koi8-u", "KOI8-U"),
            (polish, "windows-1250", "windows-1250"),
            (polish, "iso-8859-2", "ISO-8859-2"),
            (japanese, "shift_jis", "Shift_JIS"),
            (japanese, "euc-jp", "EUC-JP"),
            (japanese, "iso-2022-jp", "ISO-2022-JP"),
            (chinese, "gbk", "GBK"),
            (greek, "windows-1253", "windows-1253"),
        ] {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, ..) = encoding.encode(text);
            for size in [1, 7, 4096] {
                assert_eq!(told(&bytes, size), name, "{size}");
            }
        }
    }

    #[test]
    fn utf16_needs_no_mark() {
        for text in ["phone,name\n+16505551234,Zoë\n", "手机,姓名\n+8613812345678,王小明王小明王小明\n"] {
            let units: Vec<u16> = text.encode_utf16().collect();
            let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            for size in [1, 3, 4096] {
                assert_eq!((told(&little, size), told(&big, size)), ("UTF-16LE", "UTF-16BE"), "{text}");
            }
        }
        assert_eq!(told(b"phone\0,name\n+16505551234,x\n", 9), "UTF-8");
    }
}
