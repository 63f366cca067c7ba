//! Message ids of Meta's structure: base64 over a few framing bytes, the user's number in clear digits, and a random
//! part. (Which is why a wamid is personal data.) Structure read from ids in Meta's own examples.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;

/// For a message that the business sent to `user`, a number in digits or a BSUID.
pub fn outbound(user: &str) -> String {
    build(user, 0x11, 18)
}

/// For a message that `user` sent.
pub fn inbound(user: &str) -> String {
    build(user, 0x12, 20)
}

fn build(user: &str, direction: u8, random: u8) -> String {
    let user = &user.as_bytes()[..user.len().min(usize::from(u8::MAX))];
    let mut bytes = vec![0x1c, 0x18];
    // Cut to what one byte can count, just above.
    bytes.extend(u8::try_from(user.len()));
    bytes.extend_from_slice(user);
    bytes.extend_from_slice(&[0x15, 0x02, 0x00, direction, 0x18, random]);
    let unique = Uuid::new_v4().simple().to_string().to_uppercase();
    bytes.extend_from_slice(&unique.as_bytes()[..usize::from(random)]);
    bytes.push(0);
    format!("wamid.{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(wamid: &str) -> Vec<u8> {
        STANDARD.decode(wamid.strip_prefix("wamid.").unwrap()).unwrap()
    }

    #[test]
    fn looks_like_one_of_metas_and_contains_the_number() {
        // An id that Meta's documentation shows; only its random part, 18 characters, is ever another.
        let metas = decoded("wamid.HBgLMTY1MDUwNzY1MjAVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA");
        let ours = decoded(&outbound("16505076520"));
        assert_eq!(ours.len(), metas.len());
        assert_eq!(ours[..20], metas[..20]);
        assert_eq!(ours.last(), metas.last());
        assert_eq!(&ours[3..14], b"16505076520");
        let theirs = decoded(&inbound("16505076520"));
        assert_eq!(theirs[14..20], [0x15, 0x02, 0x00, 0x12, 0x18, 0x14]);
        assert_eq!(theirs.len(), 20 + 20 + 1);
    }

    #[test]
    fn no_two_are_alike() {
        assert_ne!(outbound("1"), outbound("1"));
    }
}
