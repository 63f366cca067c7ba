//! Every SQL text of the vault is understood by both engines.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr, Statement};

use super::{
    VaultStore, anchor, creation, destruction, erasure, identities, lineage, lookup, mending, rotation, sql,
    sql::with_list,
};

fn texts() -> Vec<String> {
    let rows = |sql: &str, width: usize| {
        let row: Vec<_> = (1..=width).map(|n| format!("${n}")).collect();
        sql.replace("{rows}", &format!("({})", row.join(",")))
    };
    vec![
        anchor::ANCHOR.to_owned(),
        anchor::PUT_ANCHOR.to_owned(),
        anchor::REPLACE_ANCHOR.to_owned(),
        anchor::INSERT_LISTED.to_owned(),
        with_list(anchor::LISTED, 1, 2),
        with_list(anchor::KNOWN, 1, 2),
        with_list(lookup::KEYS, 1, 2),
        with_list(lookup::ALIASES, 2, 2),
        with_list(lookup::PEOPLE, 2, 2),
        rows(creation::INSERT_KEYS, 8),
        rows(creation::INSERT_ALIASES, 3),
        with_list(creation::ALIASES_OF_SUBJECTS, 2, 2),
        rows(creation::INSERT_SUBJECTS, 4),
        creation::UPDATE_PERSON.to_owned(),
        with_list(destruction::OVERWRITE, 2, 2),
        with_list(destruction::RECORD, 3, 2),
        with_list(destruction::FINGERPRINTS, 1, 2),
        destruction::DELETE_SUBJECT.to_owned(),
        sql::DELETE_ALIASES.to_owned(),
        rows(erasure::INSERT_SUPPRESSIONS, 3),
        with_list(erasure::SUPPRESSED, 2, 2),
        with_list(erasure::UNSUPPRESS, 3, 2),
        rows(erasure::INSERT_ERASED, 3),
        erasure::ANY_ERASED.to_owned(),
        with_list(erasure::ERASED, 3, 2),
        erasure::FORGET_ERASED.to_owned(),
        with_list(erasure::MARKS, 1, 2),
        erasure::DESTRUCTIONS.to_owned(),
        sql::COUNT_DESTRUCTION.to_owned(),
        with_list(erasure::DESTROYED, 1, 2),
        identities::MOVE_ALIASES.to_owned(),
        identities::COPY_FORMER.to_owned(),
        identities::DELETE_FORMER.to_owned(),
        with_list(identities::DROP_ALIASES, 3, 2),
        rows(identities::INSERT_FORMER, 4),
        with_list(identities::FORMER, 3, 2),
        with_list(identities::CREATED, 2, 2),
        mending::PEOPLE_AFTER.to_owned(),
        mending::HOLD_ENTRY.to_owned(),
        mending::POINT_ALIAS.to_owned(),
        mending::DROP_ALIAS.to_owned(),
        lineage::STATE.to_owned(),
        lineage::JOIN.to_owned(),
        lineage::LEAVE.to_owned(),
        lineage::COUNT_WRITE.to_owned(),
        lineage::TAG.to_owned(),
        lineage::RENEW.to_owned(),
        with_list(erasure::LIVING, 1, 2),
        erasure::NODES_BEHIND.to_owned(),
        rotation::CURRENT.to_owned(),
        rotation::EPOCHS.to_owned(),
        rotation::ALL_EPOCHS.to_owned(),
        rotation::OVER_UNTIL.to_owned(),
        rotation::LAST_BEFORE.to_owned(),
        rotation::INSERT_EPOCH.to_owned(),
        rotation::COMING.to_owned(),
        rotation::ABANDON.to_owned(),
        rotation::SWITCH.to_owned(),
        rotation::NOT_WAITING.to_owned(),
        rotation::BEGUN.to_owned(),
        rotation::LIVING_BEFORE.to_owned(),
        rows(rotation::REWRAP, 4),
        rotation::END.to_owned(),
        rotation::DESTROYED.to_owned(),
        rotation::WAITING_SINCE.to_owned(),
        rotation::PUT_NODE.to_owned(),
        rotation::NODES.to_owned(),
        rotation::FORGET_NODES.to_owned(),
        rotation::REMOVE_NODE.to_owned(),
    ]
}

#[tokio::test]
async fn every_text_is_prepared_on_both() {
    let directory = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test server is named by the environment")]
    let server = std::env::var("WASEND_TEST_POSTGRES").expect("WASEND_TEST_POSTGRES: the URL of a test server");
    let mut own: url::Url = server.parse().unwrap();
    own.set_path(&format!("vault_{}", uuid::Uuid::new_v4().simple()));
    let name = own.path().trim_start_matches('/').to_owned();
    let mut admin = PgConnection::connect(&server).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let stores = [
        VaultStore::open_sqlite(&directory.path().join("vault.db")).await,
        VaultStore::open_postgres(own.as_str()).await,
    ];
    for store in stores.map(Result::unwrap) {
        for text in texts() {
            let sql = AssertSqlSafe(text.as_str()).into_sql_str();
            let prepared = match &store {
                VaultStore::Sqlite { writer, .. } => writer.prepare(sql).await.map(|it| it.sql().as_str().len()),
                VaultStore::Postgres(pool) => pool.prepare(sql).await.map(|it| it.sql().as_str().len()),
            };
            assert!(prepared.is_ok(), "{text}: {prepared:?}");
        }
        store.close().await;
    }
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name}"))).await.unwrap();
}
