use wasend_domain::{DataCategory, Day, KeyPurpose, Opened, Personal, Sealed, SubjectId, UnavailableCause};
use wasend_vault::{Vault, VaultError};

use crate::house::{Body, TODAY, body, on_both, subject};

async fn read(
    vault: &Vault,
    account: wasend_domain::AccountId,
    (sealed, others): (&Sealed<Body>, &[SubjectId]),
) -> Result<String, String> {
    match vault.open_jointly(account, sealed, others).await.unwrap() {
        Opened::Erased(erased) => Err(erased.why),
        Opened::Unavailable(unavailable) => Err(unavailable.why.name().to_owned()),
        Opened::Value(value) => Ok(value.into_exposed().0),
    }
}

#[tokio::test]
async fn what_is_about_several_dies_with_the_first_of_them() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let mut people = Vec::new();
        for phone in ["+1", "+2", "+3"] {
            people.push(subject(&vault, account, phone).await);
        }
        let values = [
            (people.clone(), body("of three")),
            (people[..2].to_vec(), body("of two")),
            (vec![people[2]], body("of one")),
            (vec![people[0], SubjectId::random()], body("of somebody unknown")),
            (Vec::new(), body("of nobody")),
        ];
        let mut sealed = vault.seal_jointly(account, &values, TODAY).await;
        assert!(sealed.drain(3..).all(|refused| matches!(refused, Err(VaultError::UnknownSubject))));
        let sealed: Vec<_> = sealed.into_iter().map(Result::unwrap).collect();
        let open = |n: usize| (&sealed[n].0, &values[n].0[1..]);
        for (n, text) in ["of three", "of two", "of one"].into_iter().enumerate() {
            assert_eq!(read(&vault, account, open(n)).await.as_deref(), Ok(text));
        }
        // One subject is the same as sealing it alone.
        assert!(vault.open(account, &sealed[2].0).await.unwrap() == Opened::Value(body("of one")));
        // Others than those, fewer, or in another order, open nothing.
        for others in [vec![], vec![people[2], people[1]], vec![people[1]], vec![people[1], people[1]]] {
            let opened = read(&vault, account, (&sealed[0].0, &others)).await;
            assert_eq!(opened, Err(UnavailableCause::OtherKeys.name().to_owned()), "{others:?}");
        }
        vault.destroy_subject(account, people[1], &KeyPurpose::ALL, "request 7").await.unwrap();
        assert_eq!(read(&vault, account, open(0)).await, Err("request 7".into()));
        assert_eq!(read(&vault, account, open(1)).await, Err("request 7".into()));
        assert_eq!(read(&vault, account, open(2)).await.as_deref(), Ok("of one"));
        // What is erased is that also where a key is not known.
        let opened = vault.open_jointly(account, &sealed[0].0, &[people[1], SubjectId::random()]).await;
        assert!(matches!(opened, Ok(Opened::Erased(_))), "{:?}", opened.err());
        let refused = vault.seal_jointly(account, &values[..1], TODAY).await.remove(0);
        assert!(matches!(refused, Err(VaultError::Erased(erased)) if erased.why == "request 7"));
        vault.destroy_bucket(account, DataCategory::Content, TODAY, "retention").await.unwrap();
        assert_eq!(read(&vault, account, open(2)).await, Err("retention".into()));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_index_is_the_same_under_the_same_keys_and_dies_with_them() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let (one, two) = (subject(&vault, account, "+1").await, subject(&vault, account, "+2").await);
        let value = |people: Vec<SubjectId>, text: &str| (people, Personal::new(Body(text.to_owned())));
        let index = async |people: Vec<SubjectId>, text: &str, day: Day| {
            vault.seal_jointly(account, &[value(people, text)], day).await.remove(0).map(|(_, index)| index)
        };
        let first = index(vec![one, two], "hello", TODAY).await.unwrap();
        assert_eq!(index(vec![one, two], "hello", TODAY).await.unwrap(), first);
        let others = [
            index(vec![one], "hello", TODAY).await,
            index(vec![two, one], "hello", TODAY).await,
            index(vec![one, two], "hullo", TODAY).await,
            index(vec![one, two], "hello", Day::from_number(20_001)).await,
        ];
        assert!(others.into_iter().all(|other| other.unwrap() != first));
        vault.destroy_bucket(account, DataCategory::Content, TODAY, "retention").await.unwrap();
        assert!(matches!(index(vec![one, two], "hello", TODAY).await, Err(VaultError::Erased(_))));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_retention_key_is_destroyed_lives_or_leaves_no_trace() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let one = subject(&vault, account, "+1").await;
        let days = [TODAY, Day::from_number(20_001), Day::from_number(20_002)];
        for day in &days[..2] {
            vault.seal(account, one, &body("hello"), *day).await.unwrap();
        }
        let mark = vault.bucket_mark(account, DataCategory::Content, TODAY).await.unwrap();
        let prints = vault.destroy_bucket(account, DataCategory::Content, TODAY, "retention").await.unwrap();
        assert_eq!(mark.as_slice(), prints);
        assert_eq!(vault.bucket_mark(account, DataCategory::Content, TODAY).await.unwrap(), mark);
        assert_eq!(vault.bucket_mark(account, DataCategory::Content, days[2]).await.unwrap(), None);
        let keys = days.map(|day| (account, DataCategory::Content, day));
        let open = vault.buckets_not_destroyed(&keys).await.unwrap();
        assert_eq!(open, [(keys[1], true), (keys[2], false)]);
        vault.close().await;
    })
    .await;
}
