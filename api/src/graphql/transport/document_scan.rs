//! How many tokens a document has, before anything is made of them.
//!
//! The GraphQL library makes hundreds of bytes of each token, so that a document within the body limit could take
//! gigabytes; and it compares a name that it does not know with every one that it does. Both are bounded here, by one
//! look at the text that keeps nothing of it.

/// Longest name or number, in bytes.
const WORD_MAX: usize = 512;
/// More digits in a name may be a phone number.
const DIGITS_MAX: usize = 4;
/// More digits in a number may be a phone number.
const NUMBER_DIGITS_MAX: usize = 6;
/// Deepest nesting of brackets of any kind. The parser calls itself for each.
const NESTING_MAX: usize = 200;

/// What one look at a document shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentScan {
    pub tokens: usize,
    /// It holds no text, number, comment or alias and no name with many digits: nothing that a client may have made of
    /// data about a person, rather than its developer of the schema.
    pub is_plain: bool,
    /// It holds no text, no comment and no name or number with many digits, while it may hold small numbers and aliases.
    pub is_without_texts: bool,
}

/// Looks at a document; none if it has more than `max` tokens, a monstrous one, or brackets too deep.
pub fn scan_document(document: &str, max: usize) -> Option<DocumentScan> {
    let mut rest = document.as_bytes();
    let (mut tokens, mut depth, mut arguments) = (0_usize, 0_usize, 0_usize);
    let (mut is_plain, mut is_without_texts) = (true, true);
    while let Some(&first) = rest.first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                (is_plain, is_without_texts) = (false, false);
                rest = &rest[run(rest, |byte| byte != b'\n' && byte != b'\r')..];
                continue;
            }
            b'"' => {
                (is_plain, is_without_texts) = (false, false);
                string(rest)
            }
            byte if is_word(byte) => {
                let length = run(rest, is_word);
                let digits = rest[..length].iter().filter(|byte| byte.is_ascii_digit()).count();
                let is_number = byte.is_ascii_digit();
                is_plain &= !is_number && digits <= DIGITS_MAX;
                is_without_texts &= digits <= if is_number { NUMBER_DIGITS_MAX } else { DIGITS_MAX };
                length
            }
            b':' => {
                is_plain &= arguments > 0;
                1
            }
            b'{' | b'[' | b'(' => {
                depth += 1;
                arguments += usize::from(first == b'(');
                1
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                arguments = arguments.saturating_sub(usize::from(first == b')'));
                1
            }
            _ => 1,
        };
        tokens += 1;
        let is_monstrous = is_word(first) && length > WORD_MAX;
        if tokens > max || depth > NESTING_MAX || is_monstrous {
            return None;
        }
        rest = &rest[length..];
    }
    Some(DocumentScan { tokens, is_plain, is_without_texts })
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn run(bytes: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !holds(*byte)).unwrap_or(bytes.len())
}

/// The length of a string with its quotation marks; one that does not end takes all, and the parser refuses it.
fn string(bytes: &[u8]) -> usize {
    if bytes.starts_with(br#"""""#) {
        return end(bytes, 3, br#"""""#);
    }
    end(bytes, 1, b"\"")
}

fn end(bytes: &[u8], begin: usize, mark: &[u8]) -> usize {
    let mut at = begin;
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(mark) {
            return at + mark.len();
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_within(document: &str, max: usize) -> bool {
        scan_document(document, max).is_some()
    }

    #[test]
    fn tokens_are_counted_as_the_specification_does() {
        for (document, tokens) in [
            ("", 0),
            ("{ a, b }", 4),
            ("# no { tokens\n{ a }", 3),
            (r#"{ a(x: "b c \" d") }"#, 8),
            (r#"{ a(x: """b " c""") }"#, 8),
            ("query($a: Int = -1) { ...F @d }", 18),
            (r#"{ a(x: "never closed } }"#, 6),
            ("é", 2),
        ] {
            assert!(is_within(document, tokens), "{document}");
            assert!(tokens == 0 || !is_within(document, tokens - 1), "{document}");
        }
    }

    #[test]
    fn what_is_monstrous_is_refused() {
        assert!(is_within(&format!("{}a{}", "{a".repeat(199), "}".repeat(199)), 10_000));
        for open in ["{a", "[", "(a:{b:"] {
            assert!(!is_within(&open.repeat(201), 10_000), "{open}");
        }
        assert!(is_within(&"a".repeat(512), 1) && !is_within(&"a".repeat(513), 1));
        assert!(is_within(&format!("{{a(x: \"{}\")}}", "long ".repeat(100_000)), 8));
    }

    #[test]
    fn what_holds_a_value_is_not_plain() {
        let is_plain = |document| scan_document(document, 100).unwrap().is_plain;
        for plain in ["{ a, b }", "query Q($a: [Int!]! = null) { ...F @d(if: $a) }", "{ a1(x: [TRUE, {y: $z}]) { b } }"]
        {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "{ a(x: \"b\") }",
            "{ a(x: 1) }",
            "{ a(x: -1.5) }",
            "# Ada\n{ a }",
            "{ a(x: \"\"\"b\"\"\") }",
            "{ Ada: a(x: $y) }",
            "query a16505551234 { b }",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
