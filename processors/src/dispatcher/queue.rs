//! One number's part of the to-do list: what is due, what is under way, and which contacts must wait.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wasend_domain::content::OutboundContent;
use wasend_domain::{AccountId, MessageId, NumberId, Position, Sealed, SubjectId, Time};
use wasend_projections::outbox::OutboxRow;
use wasend_projections::{ReadModels, StoreError};

use crate::dispatcher::rate_limit::PairRateLimiter;

/// Contacts that must wait and are left out by the database itself; those beyond are left out after reading.
const WITHHELD_MAX: usize = 200;

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub(crate) struct WaitingMessage {
    pub message: MessageId,
    pub account: AccountId,
    pub contact: SubjectId,
    /// Calls begun so far.
    pub attempts: u32,
    /// None if what the list holds is no sealed value.
    pub content: Option<Sealed<OutboundContent>>,
}

impl WaitingMessage {
    fn of(row: &OutboxRow) -> Option<Self> {
        Some(Self {
            message: row.id.parse().ok()?,
            account: row.account_id.parse().ok()?,
            contact: row.contact_id.parse().ok()?,
            attempts: row.attempts.try_into().ok()?,
            content: Sealed::parse(&row.content).ok(),
        })
    }
}

/// What keeps a row out although the list still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WithheldReason {
    /// Its call, or the recording of the call's outcome, is under way.
    Open,
    /// What was done is recorded there; the list shows it once it has come as far.
    Recorded(Position),
}

/// How far the list was read.
#[derive(Debug, Clone, Copy)]
struct ListProgress {
    /// What the list showed then.
    position: Position,
    /// There may be more that is due.
    more: bool,
    /// When the next message is due that was not.
    next: Option<Time>,
}

pub(crate) struct NumberQueue {
    number: NumberId,
    page: usize,
    ready: VecDeque<WaitingMessage>,
    flights: HashMap<MessageId, WithheldReason>,
    parked: HashMap<SubjectId, Time>,
    read: Option<ListProgress>,
}

impl NumberQueue {
    /// An empty queue that reads `page` rows at once, at least 1.
    pub fn new(number: NumberId, page: usize) -> Self {
        let (ready, flights, parked) = (VecDeque::new(), HashMap::new(), HashMap::new());
        Self { number, page: page.max(1), ready, flights, parked, read: None }
    }

    /// How many may be taken without reading.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Messages whose outcome is not recorded yet.
    pub fn open(&self) -> usize {
        self.flights.values().filter(|flight| **flight == WithheldReason::Open).count()
    }

    /// The message's call has begun, or what was found out about it is being recorded.
    pub fn begin(&mut self, message: MessageId) {
        self.flights.insert(message, WithheldReason::Open);
    }

    /// What was done with the message is recorded there.
    pub fn recorded(&mut self, message: MessageId, position: Position) {
        self.flights.insert(message, WithheldReason::Recorded(position));
    }

    /// Everything must be read again, as when the number was stopped for a while.
    pub fn forget_reading(&mut self) {
        self.ready.clear();
        self.read = None;
    }

    /// The list now shows everything up to `position`.
    pub fn shown(&mut self, position: Position, now: Time) {
        self.flights.retain(|_, flight| !matches!(flight, WithheldReason::Recorded(at) if *at <= position));
        self.parked.retain(|_, until| *until > now);
    }

    /// Reads what is due, if what was read is used up and there may be news.
    pub async fn fill(&mut self, reads: &ReadModels, position: Position, now: Time) -> Result<(), StoreError> {
        let fresh = self
            .read
            .is_some_and(|read| read.position >= position && !read.more && read.next.is_none_or(|next| next > now));
        if !self.ready.is_empty() || fresh {
            return Ok(());
        }
        let limit = self.page + self.flights.len();
        let rows = OutboxRow::due(reads, (self.number, now), self.parked.keys().take(WITHHELD_MAX), limit).await?;
        let more = rows.len() >= limit;
        for row in &rows {
            if let Some(waiting) = WaitingMessage::of(row) {
                self.ready.push_back(waiting);
            } else {
                tracing::error!(message.id = %row.id, "a row of the outbox is damaged; it is not sent");
            }
        }
        let next = if more { None } else { OutboxRow::next_due(reads, self.number, now).await? };
        self.ready.retain(|row| !self.flights.contains_key(&row.message) && !self.parked.contains_key(&row.contact));
        // A withheld message comes back at its due time, not by reading the list again and again.
        let next = next.into_iter().chain(self.parked.values().copied()).min();
        self.read = Some(ListProgress { position, more: more && !self.ready.is_empty(), next });
        Ok(())
    }

    /// When there may be something to take that there is not now.
    pub fn next_at(&self) -> Option<Time> {
        self.read.and_then(|read| read.next)
    }

    /// Takes up to `count` messages whose contacts may be written to now; the contacts of the others are left alone
    /// until they may.
    pub fn take(&mut self, count: usize, pairs: &PairRateLimiter, now: Time) -> Vec<WaitingMessage> {
        let mut taken: Vec<WaitingMessage> = Vec::new();
        let mut to: HashMap<SubjectId, u32> = HashMap::new();
        while taken.len() < count
            && let Some(waiting) = self.ready.pop_front()
        {
            let contact = waiting.contact;
            if self.flights.contains_key(&waiting.message) || self.parked.contains_key(&contact) {
                continue;
            }
            let chosen = to.entry(contact).or_default();
            if pairs.room(contact, now) > *chosen {
                *chosen += 1;
                taken.push(waiting);
            } else {
                let pause = Duration::from_millis(1);
                let until = pairs.ready_at(contact).unwrap_or(now).max(now.plus(pause));
                self.parked.insert(contact, until);
                if let Some(read) = &mut self.read {
                    read.next = Some(read.next.map_or(until, |next| next.min(until)));
                }
            }
        }
        taken
    }

    /// Takes everything that was read.
    pub fn take_all(&mut self) -> Vec<WaitingMessage> {
        self.ready.drain(..).collect()
    }

    /// Messages whose call was begun at or before `until` by a node that is gone, with the attempt's number.
    pub async fn orphans(&self, reads: &ReadModels, until: Time) -> Result<Vec<(WaitingMessage, u32)>, StoreError> {
        let rows = OutboxRow::begun(reads, (self.number, until), self.page + self.flights.len()).await?;
        let open = |waiting: &WaitingMessage| !self.flights.contains_key(&waiting.message);
        let rows = rows.iter().filter_map(WaitingMessage::of).filter(open);
        Ok(rows
            .map(|waiting| {
                let attempt = waiting.attempts;
                (waiting, attempt)
            })
            .collect())
    }
}
