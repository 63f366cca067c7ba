//! `X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the raw body under the app secret>`, and the handshake with which
//! Meta checks a webhook address. The raw bytes are signed: Meta escapes non-ASCII as `\uXXXX` before signing, so a
//! body that was parsed and written again no longer verifies.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Name of the header, as HTTP libraries spell it.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

const PREFIX: &str = "sha256=";
const SIGNATURE_HEX_CHARS: usize = 64;
/// Meta's challenges are short digit strings; nothing longer is echoed back.
const CHALLENGE_MAX: usize = 1024;

/// Why a signature of a webhook is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("the signature header is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    #[error("the signature was not made with this app secret over this body")]
    Mismatch,
}

/// Whether a header could be a signature at all.
pub fn is_well_formed(header: &str) -> bool {
    header.strip_prefix(PREFIX).is_some_and(|digits| decode_hex(digits).is_some())
}

/// Verifies in constant time. An empty app secret verifies nothing.
pub fn verify(app_secret: &str, raw_body: &[u8], header: &str) -> Result<(), SignatureError> {
    let given = header.strip_prefix(PREFIX).and_then(decode_hex).ok_or(SignatureError::Malformed)?;
    if app_secret.is_empty() {
        return Err(SignatureError::Mismatch);
    }
    keyed(app_secret, raw_body).verify_slice(&given).map_err(|_| SignatureError::Mismatch)
}

/// The header's value for a body, as Meta would send it.
pub fn sign(app_secret: &str, raw_body: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let tag = keyed(app_secret, raw_body).finalize().into_bytes();
    let mut header = String::with_capacity(PREFIX.len() + SIGNATURE_HEX_CHARS);
    header.push_str(PREFIX);
    for byte in tag {
        header.push(char::from(DIGITS[usize::from(byte >> 4)]));
        header.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    header
}

/// The challenge to answer with if the query of a `GET` is Meta's handshake and carries our token, else `None`.
/// The answer must be 200 with the challenge as plain text.
pub fn verify_subscription(query: &str, verify_token: &str) -> Option<String> {
    let first = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let token = first("hub.verify_token")?;
    let known: bool = token.as_bytes().ct_eq(verify_token.as_bytes()).into();
    if verify_token.is_empty() || !known || first("hub.mode")? != "subscribe" {
        return None;
    }
    first("hub.challenge").filter(|challenge| challenge.len() <= CHALLENGE_MAX)
}

fn keyed(app_secret: &str, raw_body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(raw_body);
    mac
}

fn decode_hex(text: &str) -> Option<[u8; SIGNATURE_HEX_CHARS / 2]> {
    let digits = text.as_bytes();
    if digits.len() != SIGNATURE_HEX_CHARS {
        return None;
    }
    let mut bytes = [0; SIGNATURE_HEX_CHARS / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2.
    const KEY: &str = "Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const HEADER: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn signs_and_verifies_the_published_vector() {
        assert_eq!(sign(KEY, BODY), HEADER);
        assert_eq!(HEADER.len(), 71);
        assert_eq!(verify(KEY, BODY, HEADER), Ok(()));
        assert!(is_well_formed(HEADER));
        let upper = format!("sha256={}", HEADER[7..].to_uppercase());
        assert_eq!(verify(KEY, BODY, &upper), Ok(()));
    }

    #[test]
    fn another_body_key_or_tag_does_not_verify() {
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify(KEY, b"what do ya want for nothing!", HEADER), mismatch);
        assert_eq!(verify("jefe", BODY, HEADER), mismatch);
        assert_eq!(verify(KEY, BODY, &HEADER.replace("5b", "5c")), mismatch);
        assert_eq!(verify("", BODY, &sign("", BODY)), mismatch);
    }

    #[test]
    fn escaped_and_unescaped_bodies_have_different_signatures() {
        let escaped = br#"{"name":"Luc\u00eda"}"#;
        let header = sign(KEY, escaped);
        assert_eq!(verify(KEY, escaped, &header), Ok(()));
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify(KEY, "{\"name\":\"Lucía\"}".as_bytes(), &header), mismatch);
    }

    #[test]
    fn malformed_headers_are_told_apart() {
        let short = &HEADER[..70];
        let long = format!("{HEADER}0");
        let sha1 = HEADER.replace("sha256", "sha1");
        let other = HEADER.replace("5b", "5g");
        let signs = HEADER.replace("5b", "+b");
        let wide = format!("sha256={}", "é".repeat(32));
        for header in ["", "sha256=", short, &long, &sha1, &other, &signs, &wide] {
            assert_eq!(verify(KEY, BODY, header), Err(SignatureError::Malformed), "{header}");
            assert!(!is_well_formed(header), "{header}");
        }
    }

    #[test]
    fn the_handshake_echoes_the_challenge_only_for_our_token() {
        let query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=a%20b";
        assert_eq!(verify_subscription(query, "a b").as_deref(), Some("1158201444"));
        assert_eq!(verify_subscription(query, "a"), None);
        assert_eq!(verify_subscription(query, ""), None);
        assert_eq!(verify_subscription(&query.replace("subscribe", "other"), "a b"), None);
        assert_eq!(verify_subscription("hub.mode=subscribe&hub.verify_token=", ""), None);
        assert_eq!(verify_subscription("hub.mode=subscribe&hub.verify_token=t", "t"), None);
        assert_eq!(verify_subscription("", "t"), None);
        let long = format!("hub.mode=subscribe&hub.verify_token=t&hub.challenge={}", "1".repeat(1025));
        assert_eq!(verify_subscription(&long, "t"), None);
    }
}
