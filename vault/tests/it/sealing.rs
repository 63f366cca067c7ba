use std::time::Duration;

use wasend_domain::UnavailableCause::{KeyMissing, OtherKeys, ValueDamaged};
use wasend_domain::{AccountId, Day, Opened, Personal, Sealed, SubjectId};
use wasend_vault::{PersonIdentity, VaultError};

use crate::house::{Body, Label, Other, TODAY, body, cause, on_both, read, subject};

#[tokio::test]
async fn a_sealed_value_is_read_back_also_after_a_restart() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let subject = subject(&vault, account, "+16505551234").await;
        let sealed = vault.seal(account, subject, &body("hello"), TODAY).await.unwrap();
        assert_eq!(read(&vault, account, &sealed).await, Ok("hello".into()));
        let (index, hash) =
            (vault.index(account, "wamid", &Personal::new("w".into())).await.unwrap(), vault.server_hash("wsk_1"));
        vault.close().await;

        let vault = house.vault().await;
        assert_eq!(read(&vault, account, &sealed).await, Ok("hello".into()));
        assert_eq!(vault.index(account, "wamid", &Personal::new("w".into())).await.unwrap(), index);
        assert_eq!(vault.server_hash("wsk_1"), hash);
        assert_ne!(vault.server_hash("wsk_2"), hash);
        let found = vault.find(account, &PersonIdentity::phone("+16505551234")).await.unwrap();
        assert_eq!(found, Some(subject));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn nobody_opens_what_is_another_accounts_subjects_or_fields() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let stranger = AccountId::random();
        vault.create_account(stranger).await.unwrap();
        let (one, two) = (subject(&vault, account, "+1").await, subject(&vault, account, "+2").await);
        let sealed = vault.seal(account, one, &body("hello"), TODAY).await.unwrap();
        for (value, day) in [(two, TODAY), (one, Day::from_number(19_999))] {
            vault.seal(account, value, &body("x"), day).await.unwrap();
        }

        for account in [stranger, AccountId::random()] {
            assert_eq!(cause(vault.open(account, &sealed).await), Some(KeyMissing));
        }
        let of_two = Sealed::<Body>::from_parts(two, TODAY, sealed.ciphertext());
        assert_eq!(cause(vault.open(account, &of_two).await), Some(OtherKeys));
        let of_yesterday = Sealed::<Body>::from_parts(one, Day::from_number(19_999), sealed.ciphertext());
        assert_eq!(cause(vault.open(account, &of_yesterday).await), Some(OtherKeys));
        let of_field = Sealed::<Other>::from_parts(one, TODAY, sealed.ciphertext());
        assert_eq!(cause(vault.open(account, &of_field).await), Some(OtherKeys));
        let of_day = Sealed::<Body>::from_parts(one, Day::from_number(i64::MAX), sealed.ciphertext());
        assert_eq!(cause(vault.open(account, &of_day).await), Some(KeyMissing));
        let of_nobody = Sealed::<Body>::from_parts(one, TODAY, "");
        assert_eq!(cause(vault.open(account, &of_nobody).await), Some(ValueDamaged));

        let phone = PersonIdentity::phone("+1");
        assert_eq!(vault.find(stranger, &phone).await.unwrap(), None);
        assert_eq!(cause(vault.identity(stranger, one).await), Some(KeyMissing));
        let refused = vault.seal(stranger, one, &body("x"), TODAY).await;
        assert!(matches!(refused, Err(VaultError::UnknownSubject)));
        let mine = vault.index(account, "phone", &Personal::new("+1".into())).await.unwrap();
        assert_ne!(mine, vault.index(stranger, "phone", &Personal::new("+1".into())).await.unwrap());
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_name() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let nobody = SubjectId::random();
        let refused = vault.seal(account, nobody, &body("x"), TODAY).await;
        assert!(matches!(refused, Err(VaultError::UnknownSubject)));
        let refused = vault.seal(AccountId::random(), nobody, &body("x"), TODAY).await;
        assert!(matches!(refused, Err(VaultError::UnknownAccount)));
        let contact = subject(&vault, account, "+1").await;
        let refused = vault.seal(account, contact, &Personal::new(Label("x".into())), TODAY).await;
        assert!(matches!(refused, Err(VaultError::UnknownSubject)), "a contact has no key for the account's things");
        let own = vault.create_subject(account).await.unwrap();
        vault.seal(account, own, &Personal::new(Label("x".into())), TODAY).await.unwrap();
        assert!(matches!(vault.create_subject(AccountId::random()).await, Err(VaultError::UnknownAccount)));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn many_values_are_sealed_and_opened_at_once_each_on_its_own() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let people: Vec<_> = (0..1_200).map(|n| crate::house::person(&format!("+1{n}"))).collect();
        let subjects = vault.subjects_for(account, &people).await.unwrap();
        let mut values: Vec<_> =
            subjects.iter().enumerate().map(|(n, (subject, _))| (*subject, body(&n.to_string()))).collect();
        values.push((SubjectId::random(), body("nobody's")));
        vault.evict_all();
        let mut sealed = vault.seal_many(account, &values, TODAY).await;
        assert!(matches!(sealed.pop(), Some(Err(VaultError::UnknownSubject))));
        let mut sealed: Vec<_> = sealed.into_iter().map(Result::unwrap).collect();
        sealed[7] = Sealed::from_parts(subjects[7].0, TODAY, "AAAA");

        house.clock.advance(Duration::from_secs(61));
        let opened = vault.open_many(account, &sealed).await.unwrap();
        assert_eq!(opened.len(), 1_200);
        for (n, opened) in opened.into_iter().enumerate() {
            match opened {
                Opened::Unavailable(unavailable) => assert_eq!((unavailable.why, n), (ValueDamaged, 7)),
                opened => assert_eq!(opened.value().unwrap().expose().0, n.to_string()),
            }
        }
        vault.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_need_a_days_first_key_agree_on_it() {
    on_both(async |house| {
        let (one, account) = house.with_account().await;
        let two = house.vault().await;
        let subject = subject(&one, account, "+1").await;
        for day in 0..20 {
            let (body, day) = (body("hello"), Day::from_number(day));
            let sealed = tokio::join!(one.seal(account, subject, &body, day), two.seal(account, subject, &body, day),);
            one.evict_all();
            assert_eq!(read(&one, account, &sealed.0.unwrap()).await, Ok("hello".into()));
            assert_eq!(read(&one, account, &sealed.1.unwrap()).await, Ok("hello".into()));
        }
        one.close().await;
        two.close().await;
    })
    .await;
}
