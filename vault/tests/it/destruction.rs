use std::time::Duration;

use wasend_domain::{AccountId, DataCategory, Day, KeyPurpose, Opened, Personal, Sealed, SubjectId, UnavailableCause};
use wasend_vault::{PersonIdentity, Vault, VaultError};

use crate::house::{Body, TODAY, body, cause, on_both, read, subject};

const YESTERDAY: Day = Day::from_number(19_999);

/// Values that share one, two or none of their roots with the first.
struct Shelf {
    accounts: [AccountId; 2],
    values: Vec<(AccountId, Sealed<Body>)>,
}

impl Shelf {
    async fn fill(vault: &Vault) -> Self {
        let accounts = [AccountId::random(), AccountId::random()];
        let mut values = Vec::new();
        for account in accounts {
            vault.create_account(account).await.unwrap();
            for phone in ["+1", "+2"] {
                let subject = subject(vault, account, phone).await;
                for day in [TODAY, YESTERDAY] {
                    values.push((account, vault.seal(account, subject, &body("hello"), day).await.unwrap()));
                }
            }
        }
        Self { accounts, values }
    }

    /// Whether the values can be read, in order.
    async fn readable(&self, vault: &Vault) -> Vec<bool> {
        let mut readable = Vec::new();
        for (account, sealed) in &self.values {
            readable.push(read(vault, *account, sealed).await.is_ok());
        }
        readable
    }
}

#[tokio::test]
async fn a_destroyed_subject_key_erases_that_subject_alone() {
    on_both(async |house| {
        let vault = house.vault().await;
        let shelf = Shelf::fill(&vault).await;
        let (account, first) = (shelf.accounts[0], shelf.values[0].1.subject());
        let prints = vault.destroy_subject(account, first, &KeyPurpose::ALL, "request 7").await.unwrap();
        assert_eq!(prints.len(), 1);
        assert_eq!(shelf.readable(&vault).await, [false, false, true, true, true, true, true, true]);
        vault.close().await;

        let vault = house.vault().await;
        assert_eq!(shelf.readable(&vault).await, [false, false, true, true, true, true, true, true]);
        assert_eq!(read(&vault, account, &shelf.values[0].1).await, Err("request 7".into()));
        assert!(matches!(vault.identity(account, first).await, Ok(Opened::Erased(_))));
        let refused = vault.seal(account, first, &body("late"), TODAY).await;
        assert!(matches!(refused, Err(VaultError::Erased(_))));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn fingerprints_die_with_their_subject_alone() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let (first, second) = (subject(&vault, account, "+1").await, subject(&vault, account, "+2").await);
        let value = || Personal::new("to +1: hello".to_owned());
        let both = [(first, value()), (second, value())];
        let before: Vec<_> = vault.fingerprints(account, &both).await.into_iter().map(Result::unwrap).collect();
        assert_ne!(before[0], before[1]);
        assert_eq!(vault.fingerprint(account, first, &value()).await.unwrap(), before[0]);
        assert_ne!(vault.index(account, "fingerprint", &value()).await.unwrap(), before[0]);
        vault.destroy_subject(account, first, &[KeyPurpose::Messaging], "request 7").await.unwrap();
        let after = vault.fingerprints(account, &both).await;
        assert!(matches!(&after[0], Err(VaultError::Erased(erased)) if erased.why == "request 7"));
        assert_eq!(after[1].as_ref().unwrap(), &before[1]);
        let unknown = vault.fingerprint(account, SubjectId::random(), &value()).await;
        assert!(matches!(unknown, Err(VaultError::UnknownSubject)));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_destroyed_retention_key_erases_that_day_and_category_alone_and_for_ever() {
    on_both(async |house| {
        let vault = house.vault().await;
        let shelf = Shelf::fill(&vault).await;
        let account = shelf.accounts[0];
        vault.destroy_bucket(account, DataCategory::Note, TODAY, "another category").await.unwrap();
        let prints = vault.destroy_bucket(account, DataCategory::Content, TODAY, "retention").await.unwrap();
        assert_eq!(prints.len(), 1);
        assert_eq!(shelf.readable(&vault).await, [false, true, false, true, true, true, true, true]);

        let tomorrow = Day::from_number(20_001);
        let none = vault.destroy_bucket(account, DataCategory::Content, tomorrow, "retention").await.unwrap();
        assert!(none.is_empty());
        for day in [TODAY, tomorrow] {
            let refused = vault.seal(account, shelf.values[0].1.subject(), &body("late"), day).await;
            assert!(matches!(refused, Err(VaultError::Erased(_))));
        }
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn destroying_again_changes_nothing_and_gives_the_same_fingerprints() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let subject = subject(&vault, account, "+1").await;
        let sealed = vault.seal(account, subject, &body("hello"), TODAY).await.unwrap();
        let first = vault.destroy_subject(account, subject, &[KeyPurpose::Messaging], "first").await.unwrap();
        house.clock.advance(Duration::from_secs(9));
        let again = vault.destroy_subject(account, subject, &[KeyPurpose::Messaging], "second").await.unwrap();
        assert_eq!(first, again);
        let Opened::Erased(erased) = vault.open(account, &sealed).await.unwrap() else { panic!("readable") };
        assert_eq!((erased.why.as_str(), erased.since), ("first", TODAY_AT_MIDNIGHT));
        vault.close().await;
    })
    .await;
}

const TODAY_AT_MIDNIGHT: wasend_domain::Time = wasend_domain::Time::from_seconds(20_000 * 86_400);

#[tokio::test]
async fn another_node_stops_reading_at_once_when_told_and_within_a_minute_when_not() {
    on_both(async |house| {
        let (one, account) = house.with_account().await;
        let two = house.vault().await;
        for told in [true, false] {
            let subject = subject(&one, account, if told { "+1" } else { "+2" }).await;
            let sealed = one.seal(account, subject, &body("hello"), TODAY).await.unwrap();
            assert!(read(&two, account, &sealed).await.is_ok());
            one.destroy_subject(account, subject, &KeyPurpose::ALL, "request").await.unwrap();
            assert!(read(&one, account, &sealed).await.is_err());
            if told {
                two.evict_all();
            } else {
                house.clock.advance(Duration::from_secs(60));
            }
            assert!(read(&two, account, &sealed).await.is_err());
        }
        one.close().await;
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_number_that_comes_again_after_its_removal_is_somebody_else() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let first = subject(&vault, account, "+1").await;
        let wa_id = PersonIdentity::wa_id("1");
        vault.add_alias(account, first, &wa_id).await.unwrap();
        vault.destroy_subject(account, first, &KeyPurpose::ALL, "request").await.unwrap();
        assert!(vault.remove_from_directory(account, first).await.unwrap());
        assert!(!vault.remove_from_directory(account, first).await.unwrap());
        assert_eq!(vault.find(account, &wa_id).await.unwrap(), None);
        assert!(matches!(vault.identity(account, first).await, Ok(Opened::Erased(_))));
        let second = subject(&vault, account, "+1").await;
        assert_ne!(first, second);
        let Ok(Opened::Value(person)) = vault.identity(account, second).await else { panic!("unreadable") };
        assert!(person.expose().wa_ids.is_empty());

        vault.remove_from_directory(account, second).await.unwrap();
        assert_eq!(cause(vault.identity(account, second).await), Some(UnavailableCause::EntryMissing));
        let refused = vault.update_profile(account, second, Some(&Personal::new("Ada".into()))).await;
        assert!(matches!(refused, Err(VaultError::Unavailable(_))));
        vault.close().await;
    })
    .await;
}
