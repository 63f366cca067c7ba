//! Two contacts that turn out to be one person: the survivor goes on as the person and takes over groups, holds and the
//! stricter consent of the other, which is closed.

use std::collections::BTreeSet;

use super::{Command, ConsentChannel, ConsentScope, Contact, Error, Event};
use crate::{SubjectId, Time};

impl Contact {
    /// What the survivor is told when `other` is merged into it. Attributes are sealed and stay with the caller.
    ///
    /// The stricter consent wins at each level. It counts from the later of both words, so that neither is undone when
    /// the report of an earlier one comes again.
    #[must_use]
    pub fn merge_commands(&self, id: SubjectId, other: &Self) -> Vec<Command> {
        let mut commands = vec![Command::Absorb { contact: id, absorbed: other.absorbed.clone() }];
        let levels = [
            (ConsentScope::All, self.opted_out || other.opted_out, [self.consent_at, other.consent_at]),
            (
                ConsentScope::Marketing,
                self.marketing_opted_out || other.marketing_opted_out,
                [self.marketing_at, other.marketing_at],
            ),
        ];
        commands.extend(levels.into_iter().filter_map(|(scope, opted_out, words)| {
            let via = ConsentChannel::Merge;
            match words.into_iter().flatten().max() {
                Some(at) if opted_out => Some(Command::OptOut { via, scope, at }),
                Some(at) => Some(Command::OptIn { via, scope, at }),
                // Opted out by an event without a moment.
                None => opted_out.then_some(Command::OptOut { via, scope, at: Time::from_micros(0) }),
            }
        }));
        commands.extend(other.groups.iter().copied().map(Command::JoinGroup));
        commands.extend(other.holds.iter().copied().map(Command::Hold));
        commands
    }

    pub(super) fn absorb(&self, contact: SubjectId, absorbed: BTreeSet<SubjectId>) -> Vec<Event> {
        let all = std::iter::once(contact).chain(absorbed);
        all.filter(|id| !self.absorbed.contains(id)).map(|contact| Event::Absorbed { contact }).collect()
    }

    /// It leaves its groups, which the survivor has joined. The first merge stands.
    pub(super) fn merge_into(&self, into: SubjectId) -> Result<Vec<Event>, Error> {
        match self.merged_into {
            Some(known) if known == into => Ok(vec![]),
            Some(known) => Err(Error::Merged(known)),
            None => {
                let left = self.groups.iter().map(|group| Event::GroupLeft { group: *group });
                Ok(left.chain([Event::Merged { into }]).collect())
            }
        }
    }
}
