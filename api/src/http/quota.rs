//! How much of the server one account may use at once, so that none crowds out the others. Callers without a key share
//! one small account among themselves, and so do webhooks, which arrive without authentication.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::timeout,
};
use wasend_domain::AccountId;

use crate::{
    auth::RequestCaller,
    config::LimitsConfig,
    problem::{Problem, ProblemCode},
};

/// How long an operation waits for those of the same account that run.
const QUOTA_WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Of callers without a key, who can do no more than look at the schema.
const ANONYMOUS_OPERATIONS: usize = 16;
const ANONYMOUS_STREAMS: usize = 64;
/// An account's part of the memory for bodies.
const ACCOUNT_MEMORY_DIVISOR: usize = 4;
/// Bytes of a body that are not charged, so that small requests get through whatever large ones do.
pub const FREE_BODY_BYTES: usize = 16 << 10;
const KIB: usize = 1 << 10;

/// Who shares one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum QuotaHolder {
    Account(AccountId),
    Anonymous,
    Webhook,
}

/// The parts of all.
pub struct AccountQuotas {
    limits: LimitsConfig,
    /// In KiB, of all bodies together.
    memory: Arc<Semaphore>,
    parts: Mutex<HashMap<QuotaHolder, Arc<QuotaPart>>>,
}

struct QuotaPart {
    operations: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// One running operation, or one thing that is open; ends with its drop.
#[derive(Debug)]
pub struct OperationPermit(#[expect(dead_code, reason = "held for its drop alone")] OwnedSemaphorePermit);

impl AccountQuotas {
    /// Quotas of every account, and the memory that bodies of all accounts share, in whole KiB.
    pub fn new(limits: &LimitsConfig) -> Arc<Self> {
        let memory = Arc::new(Semaphore::new(limits.body_memory / KIB));
        Arc::new(Self { limits: limits.clone(), memory, parts: Mutex::default() })
    }

    /// A turn to run an operation, waited for. Errors: TOO_MANY_REQUESTS.
    pub async fn operation(&self, caller: &RequestCaller) -> Result<OperationPermit, Problem> {
        self.acquire_operation(holder(caller)).await
    }

    /// A turn to answer a webhook's handshake, which looks at the tokens of all numbers. Errors: TOO_MANY_REQUESTS.
    pub async fn handshake(&self) -> Result<OperationPermit, Problem> {
        self.acquire_operation(QuotaHolder::Webhook).await
    }

    async fn acquire_operation(&self, holder: QuotaHolder) -> Result<OperationPermit, Problem> {
        let turns = self.part(holder).operations.clone();
        match timeout(QUOTA_WAIT_TIMEOUT, turns.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(OperationPermit(permit)),
            _ => Err(Problem::new(
                ProblemCode::TooManyRequests,
                "too many operations of the account wait for their turn",
            )),
        }
    }

    /// A place for a subscription, a WebSocket, an upload or an export. Errors: TOO_MANY_SUBSCRIPTIONS.
    pub fn stream(&self, caller: &RequestCaller) -> Result<OperationPermit, Problem> {
        let places = self.part(holder(caller)).streams.clone();
        places.try_acquire_owned().map(OperationPermit).map_err(|_| {
            let message = "the account has as many subscriptions, WebSockets and files open as it may";
            Problem::new(ProblemCode::TooManySubscriptions, message)
        })
    }

    /// Memory for a body of the caller.
    pub fn body(&self, caller: &RequestCaller) -> MemoryCharge {
        self.charge(holder(caller))
    }

    /// Memory for a webhook.
    pub fn webhook(&self) -> MemoryCharge {
        self.charge(QuotaHolder::Webhook)
    }

    fn charge(&self, holder: QuotaHolder) -> MemoryCharge {
        let (all, own) = (self.memory.clone(), self.part(holder).memory.clone());
        MemoryCharge { all, own, held: None }
    }

    fn part(&self, holder: QuotaHolder) -> Arc<QuotaPart> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let LimitsConfig { max_operations, max_streams, body_memory } = self.limits;
        let (operations, streams) = match holder {
            QuotaHolder::Account(_) => (max_operations, max_streams),
            _ => (ANONYMOUS_OPERATIONS.min(max_operations), ANONYMOUS_STREAMS.min(max_streams)),
        };
        let part = parts.entry(holder).or_insert_with(|| {
            let semaphore = |permits| Arc::new(Semaphore::new(permits));
            let memory = semaphore(body_memory / ACCOUNT_MEMORY_DIVISOR / KIB);
            Arc::new(QuotaPart { operations: semaphore(operations), streams: semaphore(streams), memory })
        });
        Arc::clone(part)
    }
}

fn holder(caller: &RequestCaller) -> QuotaHolder {
    match caller {
        RequestCaller::Holder(actor) => QuotaHolder::Account(actor.account_id),
        RequestCaller::Anonymous => QuotaHolder::Anonymous,
    }
}

/// What one body takes; given back with its drop.
pub struct MemoryCharge {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl MemoryCharge {
    /// Takes memory until it holds `bytes`, less what is free. Errors: UNAVAILABLE.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let held = self.held.as_ref().map_or(0, |(all, _)| all.num_permits());
        let wanted = bytes.saturating_sub(FREE_BODY_BYTES).div_ceil(KIB);
        let Some(more) = wanted.checked_sub(held).filter(|more| *more > 0) else { return Ok(()) };
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let take = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_many_owned(more);
        let (all, own) = (|| Ok((take(&self.all)?, take(&self.own)?)))().map_err(|_: TryAcquireError| {
            Problem::new(ProblemCode::Unavailable, "too many large bodies at once; repeat the request after a while")
        })?;
        match &mut self.held {
            Some((held_all, held_own)) => {
                held_all.merge(all);
                held_own.merge(own);
            }
            None => self.held = Some((all, own)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasend_domain::KeyId;

    use super::*;
    use crate::auth::KeyHolder;

    fn account() -> RequestCaller {
        let actor = KeyHolder { account_id: AccountId::random(), key_id: KeyId::random(), scopes: [].into() };
        RequestCaller::Holder(Arc::new(actor))
    }

    fn quotas() -> Arc<AccountQuotas> {
        AccountQuotas::new(&LimitsConfig { max_operations: 1, max_streams: 1, body_memory: 1 << 20 })
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_waits_for_itself_alone() {
        let (quotas, one, other) = (quotas(), account(), account());
        let running = quotas.operation(&one).await.unwrap();
        assert_eq!(quotas.operation(&one).await.unwrap_err().code, ProblemCode::TooManyRequests);
        quotas.operation(&other).await.unwrap();
        quotas.operation(&RequestCaller::Anonymous).await.unwrap();
        drop(running);
        quotas.operation(&one).await.unwrap();
    }

    #[test]
    fn what_is_open_is_counted_until_it_closes() {
        let (quotas, one) = (quotas(), account());
        let open = quotas.stream(&one).unwrap();
        assert_eq!(quotas.stream(&one).unwrap_err().code, ProblemCode::TooManySubscriptions);
        quotas.stream(&account()).unwrap();
        drop(open);
        quotas.stream(&one).unwrap();
    }

    #[test]
    fn bodies_take_memory_of_their_account_and_of_all() {
        let (quotas, one) = (quotas(), account());
        let mut first = quotas.body(&one);
        first.grow(200 << 10).unwrap();
        first.grow(200 << 10).unwrap();
        let mut second = quotas.body(&one);
        assert_eq!(second.grow(200 << 10).unwrap_err().code, ProblemCode::Unavailable);
        second.grow(FREE_BODY_BYTES).unwrap();
        let mut others: Vec<_> = (0..4).map(|_| quotas.body(&account())).collect();
        let taken = others.iter_mut().map(|charge| charge.grow(256 << 10).is_ok()).filter(|taken| *taken).count();
        assert_eq!(taken, 3, "a quarter each");
        drop(first);
        second.grow(200 << 10).unwrap();
    }
}
