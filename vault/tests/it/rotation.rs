//! Epochs end: with keys in use, with processes that die at any step, on several nodes, and for good.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use wasend_domain::{AccountId, KeyPurpose, Sealed, SubjectId};
use wasend_vault::{
    EpochError, EpochKey, EpochPhase, FileEpoch, KeyRotation, LaggingNode, NamedKey, PersonIdentity, RotationStep,
    Vault, VaultFailure,
};

use crate::house::{Body, House, TODAY, body, on_both, on_postgres, person, read, subject};

/// More than a step wraps anew.
const PEOPLE: usize = 1_200;
const ROTATION_TIMEOUT: Duration = Duration::from_secs(30);

/// People with a value each, some of them erased.
struct Town {
    account: AccountId,
    values: Vec<Sealed<Body>>,
    erased: Vec<SubjectId>,
}

impl Town {
    async fn found(vault: &Vault) -> Self {
        Self::of(vault, PEOPLE).await
    }

    async fn of(vault: &Vault, people: usize) -> Self {
        let account = AccountId::random();
        vault.create_account(account).await.unwrap();
        let people: Vec<_> = (0..people).map(|n| person(&format!("+{n}"))).collect();
        let subjects = vault.subjects_for(account, &people).await.unwrap();
        let values = subjects.iter().map(|(subject, _)| (*subject, body("hello"))).collect::<Vec<_>>();
        let values = vault.seal_many(account, &values, TODAY).await.into_iter().map(Result::unwrap).collect();
        let mut town = Self { account, values, erased: Vec::new() };
        town.erase(vault, 0).await;
        town
    }

    async fn erase(&mut self, vault: &Vault, n: usize) {
        let subject = self.values[n].subject();
        vault.destroy_subject(self.account, subject, &KeyPurpose::ALL, "request").await.unwrap();
        self.erased.push(subject);
    }

    /// All who are not erased are found and read, the erased are not, and new people can be taken in.
    async fn is_well(&self, vault: &Vault, newcomer: &str) {
        for (sealed, opened) in self.values.iter().zip(vault.open_many(self.account, &self.values).await.unwrap()) {
            let erased = self.erased.contains(&sealed.subject());
            assert_eq!(matches!(opened, wasend_domain::Opened::Erased(_)), erased, "{opened:?}");
        }
        let last = self.values.len() - 1;
        let phone = PersonIdentity::phone(format!("+{last}"));
        assert_eq!(vault.find(self.account, &phone).await.unwrap(), Some(self.values[last].subject()));
        let new = subject(vault, self.account, newcomer).await;
        let sealed = vault.seal(self.account, new, &body("welcome"), TODAY).await.unwrap();
        vault.evict_all();
        assert_eq!(read(vault, self.account, &sealed).await.as_deref(), Ok("welcome"));
    }
}

fn key(house: &House, epoch: i64) -> PathBuf {
    house.epoch_directory().join(format!("epoch-{epoch}.key"))
}

/// Steps that did something, until nothing is left to do.
async fn finish(vault: &Arc<Vault>) -> Vec<RotationStep> {
    let mut rotation = KeyRotation::of(vault.clone());
    let mut steps = Vec::new();
    loop {
        match rotation.step().await.unwrap() {
            RotationStep::Idle => return steps,
            RotationStep::Waiting(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            step => steps.push(step),
        }
    }
}

async fn rotate(vault: &Arc<Vault>) -> Vec<RotationStep> {
    KeyRotation::of(vault.clone()).begin().await.unwrap();
    finish(vault).await
}

/// The rows of the keys as a backup would hold them: (id, kind, epoch, wrapped).
async fn backup(house: &House) -> Vec<(String, String, i64, String)> {
    const SQL: &str = "SELECT id, kind, epoch, wrapped FROM keys WHERE wrapped NOT LIKE '00000%'";
    if let Some(url) = &house.database {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query("SET search_path = vault").execute(&mut connection).await.unwrap();
        return sqlx::query_as(SQL).fetch_all(&mut connection).await.unwrap();
    }
    sqlx::query_as(SQL).fetch_all(&mut sqlite(house).await).await.unwrap()
}

async fn sqlite(house: &House) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(house.directory.path().join("vault.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn execute(house: &House, sql: &str) {
    match &house.database {
        Some(url) => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            sqlx::query("SET search_path = vault").execute(&mut connection).await.unwrap();
            sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        None => _ = sqlx::query(AssertSqlSafe(sql)).execute(&mut sqlite(house).await).await.unwrap(),
    }
}

/// How many of the rows some key file in the directory opens, whatever epoch its name speaks of.
async fn opened_by(directory: &Path, rows: &[(String, String, i64, String)]) -> usize {
    let mut opened = vec![false; rows.len()];
    for file in fs::read_dir(directory).unwrap() {
        let aside = tempfile::tempdir().unwrap();
        let holder = FileEpoch::in_directory(aside.path());
        for epoch in rows.iter().map(|row| row.2).collect::<BTreeSet<_>>() {
            fs::copy(file.as_ref().unwrap().path(), holder.path(epoch)).unwrap();
            holder.load(epoch).await.unwrap();
        }
        let named: Vec<_> =
            rows.iter().map(|(id, kind, epoch, key)| NamedKey { id, kind, epoch: *epoch, key: &**key }).collect();
        let found = holder.unwrap(&named).await.unwrap();
        opened.iter_mut().zip(found).for_each(|(opened, key)| *opened |= key.is_some());
    }
    opened.into_iter().filter(|opened| *opened).count()
}

#[tokio::test]
async fn an_epoch_ends_and_every_older_copy_is_noise() {
    on_both(async |house| {
        let vault = house.vault().await;
        let mut town = Town::found(&vault).await;
        town.erase(&vault, 1).await;
        let copy = backup(house).await;
        assert_eq!(opened_by(&house.epoch_directory(), &copy).await, copy.len(), "the copy can be opened now");
        assert!(vault.waiting_since().await.unwrap().is_some());
        let destruction = vault.last_destruction().await.unwrap();
        assert_eq!(vault.epoch_end(destruction).await.unwrap(), None);

        house.clock.advance(Duration::from_secs(60));
        let steps = rotate(&vault).await;
        let rewrapped: usize =
            steps.iter().map(|step| if let RotationStep::Rewrapped(n) = step { *n } else { 0 }).sum();
        assert_eq!(rewrapped, copy.len(), "all that lives, in steps: {steps:?}");
        assert!(steps.len() > 4 && steps.last() == Some(&RotationStep::Destroyed), "{steps:?}");
        assert!(!key(house, 1).exists() && key(house, 2).exists());
        assert_eq!(opened_by(&house.epoch_directory(), &copy).await, 0);
        assert_eq!(opened_by(&house.epoch_directory(), &backup(house).await).await, copy.len());
        assert_eq!(vault.waiting_since().await.unwrap(), None);
        let ended = vault.epoch_end(destruction).await.unwrap().unwrap();
        assert_eq!(ended, (1, wasend_domain::Clock::now(&*house.clock)));
        let epochs: Vec<_> = vault.epochs().await.unwrap().iter().map(|row| (row.epoch, row.phase)).collect();
        assert_eq!(epochs, [(1, EpochPhase::Destroyed), (2, EpochPhase::Current)]);
        town.is_well(&vault, "+new").await;

        // What is destroyed from now on waits for the next end.
        town.erase(&vault, 2).await;
        let later = vault.last_destruction().await.unwrap();
        assert_eq!(vault.epoch_end(later).await.unwrap(), None);
        assert_eq!(vault.epoch_end(destruction).await.unwrap(), Some(ended));
        vault.close().await;
        let vault = house.vault().await;
        town.is_well(&vault, "+newer").await;
        rotate(&vault).await;
        assert_eq!(vault.epoch_end(later).await.unwrap().map(|(epoch, _)| epoch), Some(2));
        town.is_well(&vault, "+newest").await;
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_process_may_die_at_any_step() {
    on_both(async |house| {
        let vault = house.vault().await;
        let mut town = Town::found(&vault).await;
        let all = rotate(&vault).await.len();
        vault.close().await;
        for died_after in 0..=all {
            let vault = house.vault().await;
            let mut rotation = KeyRotation::of(vault.clone());
            rotation.begin().await.unwrap();
            for _ in 0..died_after {
                rotation.step().await.unwrap();
            }
            // Between two steps others go on creating and destroying.
            town.is_well(&vault, &format!("+during {died_after}")).await;
            town.erase(&vault, died_after + 1).await;
            drop((rotation, vault));

            // The lost process has not said goodbye.
            house.clock.advance(Duration::from_secs(60));
            let vault = house.vault().await;
            town.is_well(&vault, &format!("+after {died_after}")).await;
            finish(&vault).await;
            town.is_well(&vault, &format!("+end {died_after}")).await;
            let files = fs::read_dir(house.epoch_directory()).unwrap().count();
            assert_eq!(files, 1, "after {died_after} steps: one key is left");
            vault.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_may_die_between_a_file_and_its_row() {
    on_both(async |house| {
        let vault = house.vault().await;
        let town = Town::of(&vault, 10).await;
        vault.close().await;
        // A key was made and never announced; another was announced and then lost.
        FileEpoch::in_directory(&house.epoch_directory()).create(2).await.unwrap();
        let vault = house.vault().await;
        KeyRotation::of(vault.clone()).begin().await.unwrap();
        vault.close().await;
        fs::remove_file(key(house, 3)).unwrap();
        let vault = house.vault().await;
        finish(&vault).await;
        let epochs: Vec<_> = vault.epochs().await.unwrap().iter().map(|row| (row.epoch, row.phase)).collect();
        let last = epochs.last().unwrap().0;
        assert_eq!(epochs, [(1, EpochPhase::Destroyed), (last, EpochPhase::Current)]);
        // A file that was overwritten but kept its name, by a process that died while it destroyed it.
        fs::write(key(house, 1), "0".repeat(65)).unwrap();
        vault.close().await;
        let vault = house.vault().await;
        town.is_well(&vault, "+new").await;
        assert_eq!(fs::read_dir(house.epoch_directory()).unwrap().count(), 1);
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn keys_are_made_and_destroyed_while_an_epoch_ends() {
    on_both(async |house| {
        let vault = house.vault().await;
        let mut town = Town::found(&vault).await;
        let other = house.vault().await;
        let rotating = async {
            for _ in 0..3 {
                rotate(&vault).await;
            }
        };
        let account = town.account;
        let living = async {
            let mut values = Vec::new();
            for n in 0..200 {
                let new = subject(&other, account, &format!("+live {n}")).await;
                let sealed = other.seal(account, new, &body("hello"), TODAY).await.unwrap();
                if n % 3 == 0 {
                    other.destroy_subject(account, new, &KeyPurpose::ALL, "request").await.unwrap();
                }
                values.push((n, sealed));
            }
            values
        };
        let ((), values) = tokio::join!(rotating, living);
        for vault in [&vault, &other] {
            vault.evict_all();
            for (n, sealed) in &values {
                assert_eq!(read(vault, account, sealed).await.is_err(), n % 3 == 0);
            }
        }
        town.erase(&vault, 1).await;
        town.is_well(&other, "+new").await;
        vault.close().await;
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_node_with_a_directory_of_its_own_is_waited_for_and_named() {
    on_postgres(async |house| {
        let vault = house.vault().await;
        let town = Town::of(&vault, 10).await;
        let theirs = house.directory.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::copy(key(house, 1), theirs.join("epoch-1.key")).unwrap();
        let other = house.vault_with_keys_in(&theirs).await.unwrap();
        let mut rotation = KeyRotation::of(vault.clone());
        rotation.begin().await.unwrap();
        let named = async |rotation: &mut KeyRotation, what: &str| {
            let wait = async {
                loop {
                    match rotation.step().await.unwrap() {
                        RotationStep::Waiting(nodes) if nodes[0].to_string().contains(what) => return nodes,
                        RotationStep::Waiting(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                        step => panic!("it went on: {step:?}"),
                    }
                }
            };
            let nodes: Vec<LaggingNode> = tokio::time::timeout(ROTATION_TIMEOUT, wait).await.expect(what);
            assert_eq!(nodes.len(), 1, "{nodes:?}");
            assert!(nodes[0].node.contains("theirs"), "{nodes:?}");
        };
        named(&mut rotation, "epoch-2.key that opens them is missing").await;
        town.is_well(&vault, "+one").await;
        town.is_well(&other, "+two").await;

        // A key of the same name that is another.
        FileEpoch::in_directory(&theirs).create(2).await.unwrap();
        named(&mut rotation, "epoch 2 at hand is not the one").await;
        fs::copy(key(house, 2), theirs.join("epoch-2.key")).unwrap();
        let wait = async { finish(&vault).await };
        tokio::time::timeout(ROTATION_TIMEOUT, wait).await.expect("it goes on once the key is there");
        assert!(!key(house, 1).exists() && !theirs.join("epoch-1.key").exists());
        town.is_well(&vault, "+three").await;
        town.is_well(&other, "+four").await;
        vault.close().await;
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_was_away_does_not_come_back_without_the_new_key() {
    on_both(async |house| {
        let vault = house.vault().await;
        let town = Town::of(&vault, 10).await;
        let theirs = house.directory.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::copy(key(house, 1), theirs.join("epoch-1.key")).unwrap();
        rotate(&vault).await;
        let failure = house.vault_with_keys_in(&theirs).await.err().unwrap();
        assert!(matches!(failure, VaultFailure::Epoch(EpochError::Missing { .. })), "{failure}");
        assert!(theirs.join("epoch-1.key").exists(), "the last one is kept until the next can be read");
        fs::copy(key(house, 2), theirs.join("epoch-2.key")).unwrap();
        let other = house.vault_with_keys_in(&theirs).await.unwrap();
        assert!(!theirs.join("epoch-1.key").exists());
        town.is_well(&other, "+new").await;
        other.close().await;
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_old_copy_of_the_store_is_refused() {
    on_both(async |house| {
        let vault = house.vault().await;
        Town::of(&vault, 5).await;
        vault.close().await;
        let epochs = "DELETE FROM epochs WHERE epoch > 1";
        let copy = backup(house).await;
        let vault = house.vault().await;
        rotate(&vault).await;
        vault.close().await;
        // The rows of then, put back.
        for (id, _, epoch, wrapped) in &copy {
            execute(house, &format!("UPDATE keys SET epoch = {epoch}, wrapped = '{wrapped}' WHERE id = '{id}'")).await;
        }
        execute(house, epochs).await;
        execute(house, "UPDATE epochs SET ended_at = NULL, destroyed_at = NULL").await;
        execute(house, "UPDATE current_epoch SET epoch = 1").await;
        let failure = house.try_vault().await.err().unwrap();
        assert!(matches!(failure, VaultFailure::Epoch(EpochError::Ended { epoch: 1, newest: 2 })), "{failure}");
        assert!(key(house, 2).exists());
        assert_eq!(opened_by(&house.epoch_directory(), &copy).await, 0);
    })
    .await;
}

#[tokio::test]
async fn damaged_keys_stop_the_end_of_an_epoch_until_they_are_given_up() {
    on_both(async |house| {
        let vault = house.vault().await;
        let mut town = Town::of(&vault, 10).await;
        let lost = town.values[7].subject();
        execute(house, &format!("UPDATE keys SET wrapped = 'rot' WHERE subject_id = '{lost}'")).await;
        let mut rotation = KeyRotation::of(vault.clone());
        rotation.begin().await.unwrap();
        let failure = loop {
            if let Err(failure) = rotation.step().await {
                break failure;
            }
        };
        assert!(matches!(failure, VaultFailure::DamagedKeys { count: 1, .. }), "{failure}");
        assert!(failure.to_string().contains(&lost.to_string()));
        assert!(key(house, 1).exists());
        let mut rotation = KeyRotation::of(vault.clone()).giving_up_damaged();
        while rotation.step().await.unwrap() != RotationStep::Destroyed {}
        assert!(!key(house, 1).exists());
        town.erased.push(lost);
        vault.evict_all();
        town.is_well(&vault, "+new").await;
        vault.close().await;
    })
    .await;
}
