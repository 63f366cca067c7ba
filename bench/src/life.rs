//! What a message goes through. Also of the peer's process, to which lives are handed as JSON.

use serde::{Deserialize, Serialize};
use wasend_domain::content::{ContentKind, OutboundContent, Wamid};
use wasend_domain::message::{CallOutcome, Command, MessagePricing, MetaSubmission, PricingCategory, StatusWord};
use wasend_domain::{BlindIndex, NumberId, Sealed, SubjectId, Time};

/// The commands of a message's life, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Accept,
    Attempt,
    Submit,
    Sent,
    Delivered,
    Read,
}

impl Step {
    pub const ALL: [Self; 6] = [Self::Accept, Self::Attempt, Self::Submit, Self::Sent, Self::Delivered, Self::Read];
}

/// A message that is on its way, with the personal values in it sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Life {
    pub contact: SubjectId,
    pub content: Sealed<OutboundContent>,
    pub wamid: Sealed<Wamid>,
    pub wamid_index: BlindIndex,
}

impl Life {
    pub fn command(&self, step: Step, number: NumberId, at: Time) -> Command {
        let pricing = || Some(MessagePricing { at, category: PricingCategory::new("utility"), billable: true });
        let report = |word, pricing| Command::Report { word, pricing, submission: None, at };
        match step {
            Step::Accept => Command::Accept {
                number,
                contact: self.contact,
                kind: ContentKind::Text,
                template: None,
                content: self.content.clone(),
                at,
            },
            Step::Attempt => Command::Attempt { attempt: 1, at },
            Step::Submit => {
                let submission = MetaSubmission { wamid: self.wamid.clone(), wamid_index: self.wamid_index.clone() };
                Command::Conclude { attempt: 1, outcome: CallOutcome::Submitted { submission, held: false }, at }
            }
            Step::Sent => report(StatusWord::Sent, pricing()),
            Step::Delivered => report(StatusWord::Delivered, pricing()),
            Step::Read => report(StatusWord::Read, None),
        }
    }
}
