//! What the loops of all numbers on this node share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use wasend_commands::{Caller, Commands};
use wasend_domain::{AccountId, Time};
use wasend_projections::Projector;
use wasend_whatsapp::{MetaGateway, SenderLine};

use crate::dispatcher::DISPATCHER;
use crate::dispatcher::backoff::RandomJitter;
use crate::dispatcher::identity_updates::IdentityUpdate;
use crate::dispatcher::outcome_writer::EndedAttempt;
use crate::options::DispatchOptions;

/// What the loops work with.
pub(crate) struct DispatchContext {
    pub commands: Arc<Commands>,
    pub gateway: Arc<dyn MetaGateway>,
    pub projector: Arc<Projector>,
    pub options: DispatchOptions,
    pub jitter: Arc<RandomJitter>,
    pub calls: Arc<Semaphore>,
    pub pauses: MetaThrottles,
    pub endings: mpsc::Sender<EndedAttempt>,
    pub lessons: mpsc::Sender<IdentityUpdate>,
}

impl DispatchContext {
    /// The moment by the clock that all processors share.
    pub fn now(&self) -> Time {
        self.commands.clock.now()
    }
}

pub(crate) const fn caller(account_id: AccountId) -> Caller {
    Caller { account_id, actor: DISPATCHER }
}

/// Throttling by Meta beyond one number. Kept apart by account: what one account does never slows another.
#[derive(Default)]
pub(crate) struct MetaThrottles(Mutex<HashMap<(AccountId, ThrottleScope), Time>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ThrottleScope {
    /// A business account at a root of the API.
    Waba(String, String),
    /// Everything at a root of the API. Which app a token belongs to is not known; an account has rarely two.
    App(String),
}

impl ThrottleScope {
    /// The throttle of the line's business account.
    pub fn waba(line: &SenderLine) -> Self {
        Self::Waba(line.base_url.to_string(), line.waba_id.clone())
    }

    /// The throttle of the app that the line's token belongs to.
    pub fn app(line: &SenderLine) -> Self {
        Self::App(line.base_url.to_string())
    }
}

impl MetaThrottles {
    /// Stops sending within the scope until the moment; a later one that is known stands.
    pub fn pause(&self, account: AccountId, scope: ThrottleScope, now: Time, until: Time) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.retain(|_, until| *until > now);
        let end = pauses.entry((account, scope)).or_insert(until);
        *end = until.max(*end);
    }

    /// Until when the line is stopped, by its business account or its app; none if it may send.
    pub fn until(&self, account: AccountId, line: &SenderLine, now: Time) -> Option<Time> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends =
            [ThrottleScope::waba(line), ThrottleScope::app(line)].map(|scope| pauses.get(&(account, scope)).copied());
        ends.into_iter().flatten().filter(|until| *until > now).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(waba: &str) -> SenderLine {
        SenderLine {
            base_url: "https://graph.facebook.com/v25.0".parse().unwrap(),
            phone_number_id: "1".into(),
            waba_id: waba.into(),
            access_token: "t".into(),
        }
    }

    #[test]
    fn a_pause_reaches_as_far_as_its_scope_and_never_another_account() {
        let (pauses, now) = (MetaThrottles::default(), Time::from_seconds(100));
        let (ours, theirs) = (AccountId::random(), AccountId::random());
        let (soon, late) = (Time::from_seconds(110), Time::from_seconds(200));
        pauses.pause(ours, ThrottleScope::waba(&line("1")), now, late);
        pauses.pause(ours, ThrottleScope::waba(&line("1")), now, soon);
        assert_eq!(pauses.until(ours, &line("1"), now), Some(late));
        assert_eq!(pauses.until(ours, &line("2"), now), None);
        pauses.pause(ours, ThrottleScope::app(&line("1")), now, soon);
        assert_eq!(pauses.until(ours, &line("2"), now), Some(soon));
        assert_eq!(pauses.until(theirs, &line("1"), now), None);
        assert_eq!(pauses.until(ours, &line("1"), late), None);
    }
}
