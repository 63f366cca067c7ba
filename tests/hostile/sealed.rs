//! Sealed values: arbitrary texts, and genuine ones with some bytes changed.

use std::sync::OnceLock;

use wasend_domain::content::{CustomerLabel, Wamid};
use wasend_domain::{Opened, Personal, Sealed};
use wasend_vault::{NewPerson, PersonIdentity, Vault};

use super::Inside;

const PLAINTEXT: &str = "wamid.of+16505551234";

/// The first byte chooses: the rest is a text by itself, or places and bytes to change in a genuine one. Whatever it
/// is, it opens only if it is the genuine ciphertext, in its own place.
pub fn trial(inside: &Inside, data: &[u8]) {
    static GENUINE: OnceLock<String> = OnceLock::new();
    let vault = &*inside.app.stores.vault;
    let genuine = GENUINE.get_or_init(|| inside.runtime.block_on(seal(inside, vault)));
    let Some((mode, rest)) = data.split_first() else { return };
    let text = if mode % 2 == 0 { String::from_utf8_lossy(rest).into_owned() } else { changed(genuine, rest) };
    let Ok(sealed) = Sealed::<Wamid>::parse(&text) else { return };
    match inside.runtime.block_on(vault.open(inside.account, &sealed)) {
        Ok(Opened::Value(value)) => {
            assert_eq!(value.expose().0, PLAINTEXT);
            assert!(genuine.ends_with(sealed.ciphertext()), "forged");
        }
        Ok(Opened::Erased(_)) => panic!("nothing was erased"),
        Ok(Opened::Unavailable(_)) => {}
        Err(failure) => panic!("{failure}"),
    }
    let stranger = inside.runtime.block_on(vault.open(inside.stranger, &sealed));
    assert!(matches!(stranger, Ok(Opened::Unavailable(_))), "opened for another account");
    if let Ok(elsewhere) = Sealed::<CustomerLabel>::parse(&text) {
        let opened = inside.runtime.block_on(vault.open(inside.account, &elsewhere));
        assert!(matches!(opened, Ok(Opened::Unavailable(_))), "opened as another field");
    }
}

async fn seal(inside: &Inside, vault: &Vault) -> String {
    let day = inside.app.stores.clock.now().day();
    let phone = PersonIdentity::Phone(Personal::new("+16505551234".to_owned()));
    let person = NewPerson { identities: vec![phone], ..NewPerson::default() };
    let (subject, _) = vault.subject_for(inside.account, &person).await.expect("a subject");
    let value = Personal::new(Wamid(PLAINTEXT.to_owned()));
    let sealed = vault.seal(inside.account, subject, &value, day).await.expect("a seal");
    serde_json::to_value(&sealed).expect("JSON").as_str().expect("a text").to_owned()
}

/// Three bytes each: two for the place, one to write there; a place beyond the end cuts the text.
fn changed(genuine: &str, edits: &[u8]) -> String {
    let mut bytes = genuine.as_bytes().to_vec();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        match bytes.get_mut(place) {
            Some(byte) => *byte = edit[2],
            None => bytes.truncate(place % 512),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
