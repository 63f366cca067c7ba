use std::collections::HashSet;
use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use wasend_domain::contact::ConsentScope;
use wasend_domain::{AccountId, Opened, Personal, SubjectId, Time, UnavailableCause};
use wasend_vault::{NewPerson, Person, PersonIdentity, Vault, VaultError};

use crate::house::{House, TODAY, body, cause, on_both, person, read, subject};

async fn who(vault: &Vault, account: AccountId, subject: SubjectId) -> Person {
    match vault.identity(account, subject).await.unwrap() {
        Opened::Value(person) => person.into_exposed(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_for_a_new_number_one_subject_comes_of_it() {
    on_both(async |house| {
        let (one, account) = house.with_account().await;
        let two = house.vault().await;
        for round in 0..5 {
            let tasks: Vec<_> = (0..40)
                .map(|n| {
                    let vault = if n % 2 == 0 { one.clone() } else { two.clone() };
                    let phones = [format!("+1{round}"), format!("+2{round}{n}"), format!("+3{round}")];
                    tokio::spawn(async move { vault.subjects_for(account, &phones.map(|phone| person(&phone))).await })
                })
                .collect();
            let mut shared = HashSet::new();
            let mut lone = HashSet::new();
            let mut created = 0;
            for task in tasks {
                let found = task.await.unwrap().unwrap();
                shared.extend([(0, found[0].0), (2, found[2].0)]);
                lone.insert(found[1].0);
                created += [found[0].1, found[2].1].iter().filter(|created| **created).count();
                assert!(found[1].1, "nobody else asked for it");
            }
            assert_eq!((shared.len(), lone.len(), created), (2, 40, 2));
        }
        one.close().await;
        two.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subjects_with_several_identities_race_without_losing_or_sharing_any() {
    on_both(async |house| {
        let (one, account) = house.with_account().await;
        let two = house.vault().await;
        let tasks: Vec<_> = (0..60)
            .map(|n| {
                let vault = if n % 2 == 0 { one.clone() } else { two.clone() };
                let (a, b) = (n % 7, (n * 3 + 1) % 7);
                let identities = vec![PersonIdentity::phone(format!("+{a}")), PersonIdentity::bsuid(format!("US.{b}"))];
                let person = NewPerson { identities, ..NewPerson::default() };
                tokio::spawn(async move { (a, b, vault.subject_for(account, &person).await.unwrap().0) })
            })
            .collect();
        for task in tasks {
            let (a, b, subject) = task.await.unwrap();
            let identities = [PersonIdentity::phone(format!("+{a}")), PersonIdentity::bsuid(format!("US.{b}"))];
            let owners = one.find_many(account, &identities).await.unwrap();
            assert!(owners.contains(&Some(subject)), "the answer bears one of the identities asked for");
            for owner in owners.into_iter().flatten() {
                who(&one, account, owner).await;
            }
        }
        one.close().await;
        two.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spellings_of_a_number_are_one_subjects_whoever_comes_first() {
    on_both(async |house| {
        let (one, account) = house.with_account().await;
        let two = house.vault().await;
        for round in 10..20 {
            let spellings = [format!("+55119876543{round}"), format!("+5511876543{round}")];
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let vault = if n % 3 == 0 { one.clone() } else { two.clone() };
                    let new = person(&spellings[n % 2]);
                    tokio::spawn(async move { vault.subject_for(account, &new).await.unwrap() })
                })
                .collect();
            let mut found = HashSet::new();
            let mut created = 0;
            for task in tasks {
                let (subject, new) = task.await.unwrap();
                found.insert(subject);
                created += u64::from(new);
            }
            assert_eq!((found.len(), created), (1, 1));
            for spelling in &spellings {
                assert!(found.contains(&one.find(account, &PersonIdentity::phone(spelling)).await.unwrap().unwrap()));
            }
            let bearer = found.into_iter().next().unwrap();
            let known = who(&one, account, bearer).await.phones;
            assert!(known.len() == 1 && spellings.contains(&known[0]), "as it was given");
            let other = subject(&one, account, "+551123456789").await;
            let taken = one.add_alias(account, other, &PersonIdentity::phone(&spellings[1])).await;
            assert!(matches!(taken, Err(VaultError::AliasTaken)));
            // A person who had opted out is on the list under both.
            let at = Time::from_seconds(7);
            one.unlink(account, bearer, at, Some(at)).await.unwrap();
            let numbers = spellings.each_ref().map(PersonIdentity::phone);
            let listed = one.suppressed(account, &numbers, ConsentScope::All).await.unwrap();
            assert_eq!(listed, [Some(at), Some(at)]);
            assert_eq!(one.erased_since(account, &numbers, at).await.unwrap(), [true, true]);
            let later = Time::from_micros(at.micros() + 1);
            assert_eq!(one.erased_since(account, &numbers, later).await.unwrap(), [false, false]);
        }
        one.close().await;
        two.close().await;
    })
    .await;
}

async fn rename_alias(house: &House, from: &str, to: &str) -> u64 {
    const RENAME: &str = "UPDATE aliases SET blind_index = $1 WHERE blind_index = $2";
    if let Some(url) = &house.database {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let rename = RENAME.replace("aliases", "vault.aliases");
        return sqlx::query(AssertSqlSafe(rename))
            .bind(to)
            .bind(from)
            .execute(&mut connection)
            .await
            .unwrap()
            .rows_affected();
    }
    let options = SqliteConnectOptions::new().filename(house.directory.path().join("vault.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(RENAME).bind(to).bind(from).execute(&mut connection).await.unwrap().rows_affected()
}

/// The first versions stored the hash of a number as it was given.
#[tokio::test]
async fn a_number_that_was_stored_as_it_was_given_is_found_by_both_spellings() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let (new, old) = (PersonIdentity::phone("+5511987654321"), PersonIdentity::phone("+551187654321"));
        let bearer = subject(&vault, account, "+5511987654321").await;
        let numbers = ["+5511987654321", "+551187654321"].map(|phone| Personal::new(phone.to_owned()));
        let indexes = vault.index_many(account, "phone", &numbers).await.unwrap();
        let (canonical, given) = (&indexes[0], &indexes[1]);
        assert_eq!(rename_alias(house, canonical.as_str(), given.as_str()).await, 1);
        let both = vault.find_many(account, &[new, old.clone()]).await.unwrap();
        assert_eq!(both, [Some(bearer); 2]);
        let people = ["+5511987654321", "+551187654321"].map(person);
        assert_eq!(vault.subjects_for(account, &people).await.unwrap(), [(bearer, false); 2]);
        let other = subject(&vault, account, "+16505551234").await;
        for spelling in ["+5511987654321", "+551187654321"] {
            let taken = vault.add_alias(account, other, &PersonIdentity::phone(spelling)).await;
            assert!(matches!(taken, Err(VaultError::AliasTaken)), "{spelling}");
        }
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_subjects_are_created_at_once_and_used() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let mut people: Vec<_> = (0..10_000).map(|n| person(&format!("+1650{n:07}"))).collect();
        people.push(person("+16500000003"));
        let first = vault.subjects_for(account, &people).await.unwrap();
        assert!(first[..10_000].iter().all(|(_, created)| *created));
        assert_eq!(first[10_000], (first[3].0, false), "the same number twice in one call");
        let distinct: HashSet<_> = first.iter().map(|(subject, _)| subject).collect();
        assert_eq!(distinct.len(), 10_000);

        let again = vault.subjects_for(account, &people).await.unwrap();
        assert!(first.iter().zip(&again).all(|(first, again)| (first.0, false) == *again));
        let subjects: Vec<_> = first.iter().map(|(subject, _)| *subject).collect();
        let identities = vault.identities(account, &subjects).await.unwrap();
        for (person, identity) in people.iter().zip(identities) {
            let PersonIdentity::Phone(phone) = &person.identities[0] else { panic!("a phone") };
            assert_eq!(identity.value().unwrap().expose().phone(), Some(phone.expose().as_str()));
        }
        let sealed = vault.seal(account, subjects[9_999], &body("hello"), TODAY).await.unwrap();
        assert_eq!(read(&vault, account, &sealed).await, Ok("hello".into()));
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_subject_is_found_by_each_identity_and_changed() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let new = NewPerson {
            identities: vec![PersonIdentity::phone("+16505551234"), PersonIdentity::bsuid("US.123")],
            name: Some(Personal::new("Ada".into())),
            ..NewPerson::default()
        };
        let (ada, created) = vault.subject_for(account, &new).await.unwrap();
        assert!(created);
        for identity in &new.identities {
            assert_eq!(vault.find(account, identity).await.unwrap(), Some(ada));
        }
        let by_other = NewPerson {
            identities: vec![PersonIdentity::wa_id("?"), PersonIdentity::bsuid("US.123")],
            ..NewPerson::default()
        };
        assert_eq!(vault.subject_for(account, &by_other).await.unwrap(), (ada, false));
        assert_eq!(vault.find(account, &PersonIdentity::phone("US.123")).await.unwrap(), None, "kinds are kept apart");

        let wa_id = PersonIdentity::wa_id("16505551234");
        vault.add_alias(account, ada, &wa_id).await.unwrap();
        vault.add_alias(account, ada, &wa_id).await.unwrap();
        vault.update_profile(account, ada, Some(&Personal::new("Ada L.".into()))).await.unwrap();
        assert_eq!(vault.find(account, &wa_id).await.unwrap(), Some(ada));
        let person = who(&vault, account, ada).await;
        assert_eq!((person.wa_ids.len(), person.name.as_deref()), (1, Some("Ada L.")));
        vault.update_profile(account, ada, None).await.unwrap();
        assert_eq!(who(&vault, account, ada).await.name, None);
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn two_subjects_are_never_merged() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let (one, two) = (subject(&vault, account, "+1").await, subject(&vault, account, "+2").await);
        let taken = vault.add_alias(account, two, &PersonIdentity::phone("+1")).await;
        assert!(matches!(taken, Err(VaultError::AliasTaken)));
        assert_eq!(vault.find(account, &PersonIdentity::phone("+1")).await.unwrap(), Some(one));
        assert_eq!(who(&vault, account, two).await.phones, ["+2"]);
        assert!(matches!(vault.subject_for(account, &NewPerson::default()).await, Err(VaultError::NoIdentity)));
        let refused = vault.add_alias(account, SubjectId::random(), &PersonIdentity::phone("+3")).await;
        assert!(matches!(refused, Err(VaultError::Unavailable(_))));
        assert_eq!(vault.find(account, &PersonIdentity::phone("+3")).await.unwrap(), None);
        assert_eq!(cause(vault.identity(account, SubjectId::random()).await), Some(UnavailableCause::KeyMissing));
        vault.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_are_all_kept() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let ada = subject(&vault, account, "+1").await;
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let vault = vault.clone();
                let wa_id = PersonIdentity::wa_id(n.to_string());
                tokio::spawn(async move { vault.add_alias(account, ada, &wa_id).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(who(&vault, account, ada).await.wa_ids.len(), 20);
        vault.close().await;
    })
    .await;
}

/// Clients close their connections when they like, and what was done for them is dropped where it stands.
#[tokio::test]
async fn whoever_goes_away_in_the_middle_of_a_write_keeps_nobody_else_waiting() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        let ada = subject(&vault, account, "+1").await;
        for steps in 0..20 {
            let mut left = steps;
            let mut leaving = Box::pin(vault.unlink(account, ada, Time::from_seconds(7), None));
            std::future::poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                leaving.as_mut().poll(context).map(drop)
            })
            .await;
            drop(leaving);
            let next =
                tokio::time::timeout(Duration::from_secs(5), vault.unlink(account, ada, Time::from_seconds(7), None))
                    .await;
            next.expect("the next one is served").unwrap();
        }
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn after_closing_everything_fails_and_nothing_hangs() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        vault.close().await;
        vault.close().await;
        assert!(matches!(vault.subject_for(account, &person("+1")).await, Err(VaultError::Failure(_))));
    })
    .await;
}
