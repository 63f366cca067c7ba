//! The sealed form of one value: version ‖ salt ‖ commitment ‖ ciphertext ‖ tag, in URL-safe base64.
//!
//! The key of a value is derived from several roots at once, so that destroying any of them destroys it. AES-GCM
//! alone lets one ciphertext open under two keys; the commitment, derived beside the key, rules that out.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{AeadInOut, KeyInit},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hkdf::HkdfExtract;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use wasend_domain::{AccountId, Day, SubjectId, UnavailableCause};
use zeroize::Zeroizing;

use crate::{error::VaultFailure, key::RootKey};

const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const COMMITMENT_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + SALT_BYTES + COMMITMENT_BYTES;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const LENGTH_BYTES: usize = 4;

/// Where a value belongs: opening it in any other place fails.
#[derive(Clone, Copy)]
pub(crate) struct SealBinding<'a> {
    pub account: AccountId,
    pub subject: SubjectId,
    pub category: &'a str,
    /// `None` for what no retention key covers.
    pub day: Option<Day>,
    pub field: &'a str,
}

impl SealBinding<'_> {
    /// Each part with its length before it, so that no two places read alike.
    fn bytes(&self) -> Vec<u8> {
        let day = self.day.map(|day| day.number().to_be_bytes());
        let (account, subject) = (self.account.uuid(), self.subject.uuid());
        let parts: [&[u8]; 5] = [
            account.as_bytes(),
            subject.as_bytes(),
            self.category.as_bytes(),
            day.as_ref().map_or(&[], |bytes| &bytes[..]),
            self.field.as_bytes(),
        ];
        let mut place = Vec::with_capacity(96);
        for part in parts {
            place.extend_from_slice(&(part.len() as u64).to_be_bytes());
            place.extend_from_slice(part);
        }
        place
    }
}

/// What is derived for one value. The nonce is derived too: the salt makes every key unique.
struct DerivedKey(Zeroizing<[u8; KEY_BYTES + COMMITMENT_BYTES + NONCE_BYTES]>);

impl DerivedKey {
    fn new(roots: &[&RootKey], salt: &[u8], field: &str) -> Self {
        let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
        for root in roots {
            extract.input_ikm(root.bytes());
        }
        let (_, hkdf) = extract.finalize();
        let mut out = Zeroizing::new([0; KEY_BYTES + COMMITMENT_BYTES + NONCE_BYTES]);
        hkdf.expand_multi_info(&[b"wasend/seal/v1", field.as_bytes()], &mut *out)
            .expect("60 bytes are within the limits of HKDF");
        Self(out)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(&self.0[..KEY_BYTES]).expect("an AES-256 key has 32 bytes")
    }

    fn commitment(&self) -> &[u8] {
        &self.0[KEY_BYTES..KEY_BYTES + COMMITMENT_BYTES]
    }

    fn nonce(&self) -> Nonce<aes_gcm::aead::consts::U12> {
        Nonce::try_from(&self.0[KEY_BYTES + COMMITMENT_BYTES..]).expect("a nonce has 12 bytes")
    }
}

/// Seals `plaintext`, whose length is hidden up to the next step of 64, 256, 1,024 and multiples of 4,096 bytes.
pub(crate) fn seal(roots: &[&RootKey], place: &SealBinding<'_>, plaintext: &[u8]) -> Result<String, VaultFailure> {
    let length = u32::try_from(plaintext.len()).map_err(|_| VaultFailure::Encoding)?;
    let padded = padded(LENGTH_BYTES + plaintext.len());
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| VaultFailure::Entropy)?;
    let derived = DerivedKey::new(roots, &salt, place.field);

    let mut sealed = Vec::with_capacity(HEAD_BYTES + padded + 16);
    sealed.push(VERSION);
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(derived.commitment());
    sealed.extend_from_slice(&length.to_be_bytes());
    sealed.extend_from_slice(plaintext);
    sealed.resize(HEAD_BYTES + padded, 0);
    let tag = derived
        .cipher()
        .encrypt_inout_detached(&derived.nonce(), &place.bytes(), (&mut sealed[HEAD_BYTES..]).into())
        .expect("4 GiB are within the limits of AES-GCM");
    sealed.extend_from_slice(&tag);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
}

/// The plaintext, unless the keys or the place are others or a single bit has changed.
pub(crate) fn open(
    roots: &[&RootKey],
    place: &SealBinding<'_>,
    text: &str,
) -> Result<Zeroizing<Vec<u8>>, UnavailableCause> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| UnavailableCause::ValueDamaged)?;
    let (head, body) = sealed.split_at_checked(HEAD_BYTES).ok_or(UnavailableCause::ValueDamaged)?;
    let (salt, commitment) = head[1..].split_at(SALT_BYTES);
    if head[0] != VERSION {
        return Err(UnavailableCause::ValueDamaged);
    }
    let derived = DerivedKey::new(roots, salt, place.field);
    if !bool::from(derived.commitment().ct_eq(commitment)) {
        return Err(UnavailableCause::OtherKeys);
    }
    let mut plaintext = Zeroizing::new(body.to_vec());
    derived
        .cipher()
        .decrypt_in_place(&derived.nonce(), &place.bytes(), &mut *plaintext)
        .map_err(|_| UnavailableCause::ValueDamaged)?;
    unpad(&plaintext).map(|value| Zeroizing::new(value.to_vec())).ok_or(UnavailableCause::ValueDamaged)
}

fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

const fn padded(length: usize) -> usize {
    match length {
        0..=64 => 64,
        65..=256 => 256,
        257..=1024 => 1024,
        _ => length.next_multiple_of(4096),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> SealBinding<'static> {
        SealBinding {
            account: AccountId::random(),
            subject: SubjectId::random(),
            category: "content",
            day: Some(Day::from_number(20_000)),
            field: "message.content",
        }
    }

    fn roots() -> [RootKey; 3] {
        [1, 2, 3].map(|byte| RootKey::from_bytes([byte; 32]))
    }

    fn refs(roots: &[RootKey; 3]) -> [&RootKey; 3] {
        roots.each_ref()
    }

    #[test]
    fn opens_what_it_sealed_and_never_seals_alike() {
        let (roots, place) = (roots(), place());
        let one = seal(&refs(&roots), &place, b"hello").unwrap();
        assert_eq!(open(&refs(&roots), &place, &one).unwrap().as_slice(), b"hello");
        assert_ne!(one, seal(&refs(&roots), &place, b"hello").unwrap());
    }

    #[test]
    fn each_root_alone_decides() {
        let (roots, place) = (roots(), place());
        let text = seal(&refs(&roots), &place, b"hello").unwrap();
        let other = RootKey::from_bytes([9; 32]);
        for missing in 0..3 {
            let mut wrong = refs(&roots);
            wrong[missing] = &other;
            assert!(matches!(open(&wrong, &place, &text), Err(UnavailableCause::OtherKeys)));
        }
        assert!(matches!(open(&refs(&roots)[..2], &place, &text), Err(UnavailableCause::OtherKeys)));
    }

    #[test]
    fn each_part_of_the_place_is_bound() {
        let (roots, place) = (roots(), place());
        let text = seal(&refs(&roots), &place, b"hello").unwrap();
        let elsewhere = [
            SealBinding { account: AccountId::random(), ..place },
            SealBinding { subject: SubjectId::random(), ..place },
            SealBinding { category: "note", ..place },
            SealBinding { day: Some(Day::from_number(20_001)), ..place },
            SealBinding { day: None, ..place },
        ];
        for wrong in elsewhere {
            assert!(matches!(open(&refs(&roots), &wrong, &text), Err(UnavailableCause::ValueDamaged)));
        }
        let other_field = SealBinding { field: "message.contents", ..place };
        assert!(matches!(open(&refs(&roots), &other_field, &text), Err(UnavailableCause::OtherKeys)));
    }

    #[test]
    fn parts_never_run_into_one_another() {
        let place = place();
        let one = SealBinding { category: "ab", field: "c", ..place };
        let two = SealBinding { category: "a", field: "bc", ..place };
        assert_ne!(one.bytes(), two.bytes());
    }

    #[test]
    fn lengths_are_hidden_in_steps() {
        let (roots, place) = (roots(), place());
        let sealed = |length: usize| {
            let text = seal(&refs(&roots), &place, &vec![b'x'; length]).unwrap();
            assert_eq!(open(&refs(&roots), &place, &text).unwrap().len(), length);
            BASE64_URL_SAFE_NO_PAD.decode(text).unwrap().len() - HEAD_BYTES - 16
        };
        let steps = [(0, 64), (60, 64), (61, 256), (252, 256), (253, 1024), (1020, 1024), (1021, 4096), (4093, 8192)];
        for (length, padded) in steps {
            assert_eq!(sealed(length), padded, "{length}");
        }
    }

    #[test]
    fn every_single_bit_is_guarded() {
        let (roots, place) = (roots(), place());
        let text = seal(&refs(&roots), &place, b"\"hello\"").unwrap();
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&refs(&roots), &place, &BASE64_URL_SAFE_NO_PAD.encode(changed)).is_err(), "bit {bit}");
        }
        // And of the text itself, whose last letter carries bits that no byte needs.
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = String::from_utf8(changed) {
                assert!(open(&refs(&roots), &place, &changed).is_err(), "bit {bit} of the text");
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_text_is_refused_and_nothing_panics(text in ".{0,300}", cut in 0usize..150) {
            let (roots, place) = (roots(), place());
            prop_assert!(open(&refs(&roots), &place, &text).is_err());
            let honest = seal(&refs(&roots), &place, b"hello").unwrap();
            let (head, _) = honest.split_at(cut.min(honest.len() - 1));
            prop_assert!(open(&refs(&roots), &place, head).is_err());
            let glued = format!("{honest}{text}");
            prop_assert!(text.is_empty() || open(&refs(&roots), &place, &glued).is_err());
        }

        #[test]
        fn any_value_survives(value in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let (roots, place) = (roots(), place());
            let text = seal(&refs(&roots), &place, &value).unwrap();
            let opened = open(&refs(&roots), &place, &text).unwrap();
            prop_assert_eq!(opened.as_slice(), value.as_slice());
        }
    }
}
