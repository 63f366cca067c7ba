//! The same log through cqrs-es's own framework.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cqrs_es::persist::{PersistedEventStore, PersistenceError, QueryReplay, SemanticVersionEventUpcaster};
use cqrs_es::{AggregateError, CqrsFramework, EventEnvelope, EventStore, Query};
use serde_json::json;
use uuid::Uuid;
use wasend_domain::Actor;
use wasend_eventlog::{CqrsEsAdapter, EventLog, SqlLog, UpcasterChain, execute_new, replay};

use crate::account::{Account, Command, Refused};
use crate::harness::{Home, Stopped, account, context, fresh, stream};

crate::on_every_engine!(
    the_framework_writes_through_our_log,
    a_query_is_replayed,
    upcasters_are_the_same,
    snapshots_are_refused,
    an_id_that_is_no_uuid_is_refused,
);

fn stock(log: &Arc<SqlLog>) -> CqrsEsAdapter {
    CqrsEsAdapter::new(log.db(), log.clone(), Arc::new(Stopped), account(1), Actor::Operator)
}

fn framework(log: &Arc<SqlLog>) -> CqrsFramework<Account, PersistedEventStore<CqrsEsAdapter, Account>> {
    CqrsFramework::new(PersistedEventStore::new_event_store(stock(log)), vec![], ())
}

async fn the_framework_writes_through_our_log(home: Home) {
    let log = home.log().await;
    let (framework, id) = (framework(&log), Uuid::from_u128(9));
    execute_new::<Account>(&*log, &Stopped, context(1, fresh()), id, Command::Open).await.unwrap();
    let metadata = HashMap::from([("reason".to_owned(), "test".to_owned())]);
    framework.execute_with_metadata(&id.to_string(), Command::Deposit(4), metadata).await.unwrap();
    framework.execute(&id.to_string(), Command::Open).await.unwrap();
    let refused = framework.execute(&id.to_string(), Command::Found).await;
    assert!(matches!(refused, Err(AggregateError::UserError(Refused::AlreadyOpen))));
    let replayed: Account = replay(&stock(&log), &UpcasterChain::default(), id).await.unwrap();
    assert_eq!(replayed, Account { opened: true, balance: 4, deposits: 1 });
    let event = log.load(&[stream(9)]).await.unwrap().remove(1);
    assert_eq!((event.position, event.sequence, event.account_id), (2, 2, account(1)));
    assert_eq!((event.metadata.actor(), event.metadata.0["reason"].as_str()), ("operator", "test"));
    // A stale context meets the conflict that the stock repository reports.
    let writes = PersistedEventStore::<_, Account>::new_event_store(stock(&log));
    let stale = writes.load_aggregate(&id.to_string()).await.unwrap();
    framework.execute(&id.to_string(), Command::Deposit(1)).await.unwrap();
    let late = writes.commit(vec![crate::account::Event::Deposited { amount: 1 }], stale, HashMap::new()).await;
    assert!(matches!(late, Err(AggregateError::AggregateConflict)));
}

#[derive(Clone, Default)]
struct Total(Arc<Mutex<u64>>);

#[async_trait]
impl Query<Account> for Total {
    async fn dispatch(&self, _: &str, events: &[EventEnvelope<Account>]) {
        *self.0.lock().unwrap() += events.len() as u64;
    }
}

async fn a_query_is_replayed(home: Home) {
    let log = home.log().await;
    let framework = framework(&log);
    for n in 0..3 {
        framework.execute(&Uuid::from_u128(n).to_string(), Command::Open).await.unwrap();
        framework.execute(&Uuid::from_u128(n).to_string(), Command::Deposit(1)).await.unwrap();
    }
    let total = Total::default();
    QueryReplay::new(stock(&log), total.clone()).replay_all().await.unwrap();
    assert_eq!(*total.0.lock().unwrap(), 6);
    QueryReplay::new(stock(&log), total.clone()).replay(&Uuid::from_u128(1).to_string()).await.unwrap();
    assert_eq!(*total.0.lock().unwrap(), 8);
}

async fn upcasters_are_the_same(home: Home) {
    let upcast = |_| json!({"Deposited": {"amount": 100}});
    let upcasters =
        UpcasterChain::new(vec![Box::new(SemanticVersionEventUpcaster::new("Deposited", "2.0", Box::new(upcast)))]);
    let log = home.log_with(upcasters.clone()).await;
    let id = Uuid::from_u128(9);
    framework(&log).execute(&id.to_string(), Command::Open).await.unwrap();
    framework(&log).execute(&id.to_string(), Command::Deposit(1)).await.unwrap();
    let state: Account = replay(&stock(&log), &upcasters, id).await.unwrap();
    let store =
        PersistedEventStore::<_, Account>::new_event_store(stock(&log)).with_upcasters(vec![Box::new(upcasters)]);
    let loaded = store.load_aggregate(&id.to_string()).await.unwrap();
    assert_eq!((state.balance, &state), (100, &loaded.aggregate));
}

async fn snapshots_are_refused(home: Home) {
    let log = home.log().await;
    let store = PersistedEventStore::<_, Account>::new_snapshot_store(stock(&log), 2);
    let refused = CqrsFramework::new(store, vec![], ()).execute(&Uuid::nil().to_string(), Command::Open).await;
    assert!(refused.unwrap_err().to_string().contains("no snapshots"));
    assert_eq!(log.head().await.unwrap(), 0);
}

async fn an_id_that_is_no_uuid_is_refused(home: Home) {
    let log = home.log().await;
    let refused = framework(&log).execute("somebody", Command::Open).await;
    assert!(matches!(refused, Err(AggregateError::UnexpectedError(_))));
    let nothing: Result<Account, PersistenceError> = replay(&stock(&log), &UpcasterChain::default(), Uuid::nil()).await;
    assert_eq!(nothing.unwrap(), Account::default());
}
