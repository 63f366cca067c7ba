//! Rows of the store that are missing or damaged: each is a typed value, and spoils nothing else.

use std::time::Duration;

use wasend_domain::UnavailableCause::{EntryMissing, KeyDamaged, KeyMissing, ValueDamaged};
use wasend_domain::{AccountId, DataCategory, KeyPurpose, Opened, Sealed, SubjectId, Time};
use wasend_vault::{PersonIdentity, Vault, VaultError};

use crate::house::{Body, House, TODAY, body, cause, change, on_both, read, subject};

const THEN: Time = Time::from_seconds(1_700_000_000);

struct Three {
    account: AccountId,
    subjects: [SubjectId; 3],
    values: Vec<Sealed<Body>>,
}

/// People with the numbers +1, +2 and +3; the store has lost the first's key and holds a damaged one of the second's.
async fn three(house: &House) -> (std::sync::Arc<Vault>, Three) {
    let (vault, account) = house.with_account().await;
    let mut subjects = Vec::new();
    let mut values = Vec::new();
    for phone in ["+1", "+2", "+3"] {
        let subject = subject(&vault, account, phone).await;
        values.push(vault.seal(account, subject, &body(phone), TODAY).await.unwrap());
        subjects.push(subject);
    }
    let subjects: [SubjectId; 3] = subjects.try_into().unwrap();
    change(house, &format!("DELETE FROM keys WHERE subject_id = '{}'", subjects[0])).await;
    let garble = "wrapped = 'AAAA' || substr(wrapped, 5)";
    change(house, &format!("UPDATE keys SET {garble} WHERE subject_id = '{}'", subjects[1])).await;
    vault.evict_all();
    (vault, Three { account, subjects, values })
}

#[tokio::test]
async fn a_missing_and_a_damaged_key_spoil_nothing_else() {
    on_both(async |house| {
        let (vault, Three { account, subjects, values }) = three(house).await;
        let opened = vault.open_many(account, &values).await.unwrap();
        let people = vault.identities(account, &subjects).await.unwrap();
        for (n, why) in [(0, KeyMissing), (1, KeyDamaged)] {
            let Opened::Unavailable(unavailable) = &opened[n] else { panic!("{:?}", opened[n]) };
            assert_eq!((unavailable.why, unavailable.subject), (why, Some(subjects[n])));
            assert!(matches!(&people[n], Opened::Unavailable(unavailable) if unavailable.why == why));
        }
        assert!(matches!(&opened[2], Opened::Value(value) if value.expose().0 == "+3"));
        assert!(matches!(&people[2], Opened::Value(person) if person.expose().phone() == Some("+3")));

        let refused: Vec<_> = subjects.iter().map(|subject| (*subject, body("late"))).collect();
        let sealed = vault.seal_many(account, &refused, TODAY).await;
        assert!(matches!(sealed[0], Err(VaultError::UnknownSubject)));
        assert!(matches!(sealed[1], Err(VaultError::Unavailable(_))));
        assert!(sealed[2].is_ok());
        let unsealable = vault.unsealable(account, DataCategory::Content, &subjects, TODAY).await.unwrap();
        let why: Vec<_> = unsealable.iter().map(|found| found.map(|found| found.why)).collect();
        assert_eq!(why, [Some(KeyMissing), Some(KeyDamaged), None]);

        change(house, &format!("UPDATE subjects SET person = 'x' WHERE subject_id = '{}'", subjects[2])).await;
        assert_eq!(cause(vault.identity(account, subjects[2]).await), Some(ValueDamaged));
        change(house, &format!("DELETE FROM subjects WHERE subject_id = '{}'", subjects[2])).await;
        assert_eq!(cause(vault.identity(account, subjects[2]).await), Some(EntryMissing));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_can_be_erased() {
    on_both(async |house| {
        let (vault, Three { account, subjects, values }) = three(house).await;
        for (n, why) in [(0, KeyMissing), (1, KeyDamaged)] {
            let subject = subjects[n];
            assert_eq!(vault.unlink(account, subject, THEN, Some(THEN)).await.unwrap(), Some(why));
            let marks = vault.marks(account, subject).await.unwrap();
            assert_eq!(marks.len(), 1);
            assert!(marks[0].0.contains(&subject.to_string()) && marks[0].1.is_empty() == (n == 0), "{marks:?}");
            vault.destroy_subject(account, subject, &KeyPurpose::ALL, "request 7").await.unwrap();
            vault.remove_from_directory(account, subject).await.unwrap();
            assert_eq!(read(&vault, account, &values[n]).await, Err("request 7".into()));
            assert!(matches!(vault.identity(account, subject).await, Ok(Opened::Erased(_))));
            assert!(matches!(vault.seal(account, subject, &body("x"), TODAY).await, Err(VaultError::Erased(_))));
            assert_eq!(vault.not_destroyed(&[(account, subject)]).await.unwrap(), []);
        }
        assert_eq!(vault.unlink(account, subjects[2], THEN, None).await.unwrap(), None);
        house.clock.advance(Duration::from_secs(61));
        assert_eq!(read(&vault, account, &values[2]).await, Ok("+3".into()));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_damaged_alias_is_mended_wherever_it_is_met() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let (one, two) = (subject(&vault, account, "+1").await, subject(&vault, account, "+2").await);
        change(house, "UPDATE aliases SET subject_id = 'x' || subject_id").await;
        assert_eq!(vault.find(account, &PersonIdentity::phone("+1")).await.unwrap(), Some(one));
        assert_eq!(subject(&vault, account, "+2").await, two, "no new subject comes of it");
        let refused = vault.add_alias(account, one, &PersonIdentity::phone("+2")).await;
        assert!(matches!(refused, Err(VaultError::AliasTaken)));

        // The subject that it led to cannot be read any more.
        change(house, "UPDATE aliases SET subject_id = 'x' || subject_id").await;
        change(house, &format!("DELETE FROM keys WHERE subject_id = '{one}'")).await;
        vault.evict_all();
        assert_eq!(vault.find(account, &PersonIdentity::phone("+1")).await.unwrap(), None);
        assert_eq!(vault.find(account, &PersonIdentity::phone("+2")).await.unwrap(), Some(two));
        let three = subject(&vault, account, "+1").await;
        assert_ne!(three, one);
        assert_eq!(vault.find(account, &PersonIdentity::phone("+1")).await.unwrap(), Some(three));

        // Nothing of a damaged row is left of a person who is erased.
        change(house, &format!("UPDATE aliases SET subject_id = 'y' WHERE subject_id = '{two}'")).await;
        vault.unlink(account, two, THEN, None).await.unwrap();
        change(house, "UPDATE aliases SET subject_id = 'z' WHERE subject_id = 'y'").await;
        assert_eq!(vault.find(account, &PersonIdentity::phone("+2")).await.unwrap(), None);
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_person_whose_alias_is_missing_is_found_by_reading_the_directory() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        // More than one page, so that the right one is not on the first alone.
        let people: Vec<_> = (0..1_100).map(|n| crate::house::person(&format!("+1{n}"))).collect();
        let subjects = vault.subjects_for(account, &people).await.unwrap();
        change(house, "DELETE FROM aliases").await;
        for n in [0, 7, 1_099] {
            let phone = PersonIdentity::phone(format!("+1{n}"));
            assert_eq!(vault.find(account, &phone).await.unwrap(), None);
            assert_eq!(vault.search(account, &phone).await.unwrap(), Some(subjects[n].0));
            vault.mend_alias(account, subjects[n].0, &phone).await.unwrap();
            assert_eq!(vault.find(account, &phone).await.unwrap(), Some(subjects[n].0));
        }
        assert_eq!(vault.search(account, &PersonIdentity::phone("+2")).await.unwrap(), None);
        assert_eq!(vault.search(AccountId::random(), &PersonIdentity::phone("+17")).await.unwrap_or(None), None);
        vault.close().await;
    })
    .await;
}
