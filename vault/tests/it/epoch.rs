use std::{fs, os::unix::fs::PermissionsExt};

use wasend_vault::{EpochError, VaultFailure};

use crate::house::on_both;

fn is(failure: &VaultFailure, expected: impl Fn(&EpochError) -> bool) -> bool {
    matches!(failure, VaultFailure::Epoch(error) if expected(error))
}

#[tokio::test]
async fn a_vault_in_use_does_not_open_without_its_epoch_key() {
    on_both(async |house| {
        let (vault, account) = house.with_account().await;
        vault.close().await;
        let key = house.epoch_directory().join("epoch-1.key");
        let aside = house.directory.path().join("aside");
        fs::rename(&key, &aside).unwrap();
        let failure = house.try_vault().await.err().unwrap();
        assert!(is(&failure, |error| matches!(error, EpochError::Missing { .. })), "{failure}");
        assert!(!key.exists(), "no other key is made");

        fs::rename(&aside, &key).unwrap();
        let vault = house.vault().await;
        vault.create_account(account).await.unwrap();
        vault.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_or_exposed_epoch_key_is_refused() {
    on_both(async |house| {
        house.vault().await.close().await;
        let key = house.epoch_directory().join("epoch-1.key");
        let right = fs::read(&key).unwrap();
        fs::write(&key, "0".repeat(64)).unwrap();
        let failure = house.try_vault().await.err().unwrap();
        assert!(is(&failure, |error| *error == EpochError::WrongKey(1)), "{failure}");

        fs::write(&key, right).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let failure = house.try_vault().await.err().unwrap();
        assert!(is(&failure, |error| matches!(error, EpochError::Permissions { .. })), "{failure}");
    })
    .await;
}

#[tokio::test]
async fn of_two_nodes_that_start_at_once_with_other_keys_one_is_refused() {
    on_both(async |house| {
        let [one, two] = ["one", "two"].map(|name| house.directory.path().join(name));
        let (one, two) = tokio::join!(house.vault_with_keys_in(&one), house.vault_with_keys_in(&two));
        let mut refused = 0;
        for result in [one, two] {
            match result {
                Ok(vault) => vault.close().await,
                Err(failure) => {
                    let expected =
                        |error: &EpochError| matches!(error, EpochError::WrongKey(1) | EpochError::Missing { .. });
                    assert!(is(&failure, expected), "{failure}");
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 1);
    })
    .await;
}
