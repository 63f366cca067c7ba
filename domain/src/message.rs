//! A message: accepted, attempted, submitted, and what Meta says became of it.
//!
//! Meta repeats, reorders, skips and contradicts itself, so the state keeps each fact on its own (the earliest
//! moment of each kind) and the status is derived from the facts together. Any order and any repetition of the same
//! facts gives the same state.

mod decide;
mod event;
mod state;
mod status;

#[cfg(test)]
mod tests;

pub use decide::{CallOutcome, Command, Error, MetaSubmission};
pub use event::{CancelReason, Event};
pub use state::{Message, MessageFailure, MessageOrigin};
pub use status::{DeliveryStatus, MessageDirection, MessagePricing, PricingCategory, StatusWord, UsageLine};
