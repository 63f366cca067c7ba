//! Which statuses follow an accepted message, and when.

use std::time::Duration;

use super::{
    behaviour::{HeldOutcome, SimulatedBehaviour},
    options::StatusDelays,
};

/// Meta's code for a template that was paused while messages were held.
const TEMPLATE_PAUSED: i64 = 132_015;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SimulatedStatus {
    Sent,
    Delivered,
    Read,
    Failed { code: i64 },
}

/// One status webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusStep {
    /// Since the step before.
    pub(super) wait: Duration,
    pub(super) word: SimulatedStatus,
    pub(super) priced: bool,
    /// Seconds after acceptance at which the status is dated; `None` for the moment at which it is posted.
    pub(super) dated: Option<i64>,
}

pub(super) fn plan(behaviours: &[SimulatedBehaviour], delays: &StatusDelays) -> Vec<StatusStep> {
    let mut words = vec![SimulatedStatus::Sent, SimulatedStatus::Delivered, SimulatedStatus::Read];
    let mut held = Duration::ZERO;
    let (mut reversed, mut doubled, mut free) = (false, false, false);
    for behaviour in behaviours {
        match behaviour {
            SimulatedBehaviour::Duplicate => doubled = true,
            SimulatedBehaviour::Reorder => reversed = true,
            SimulatedBehaviour::NoPricing => free = true,
            SimulatedBehaviour::SkipDelivered => words.retain(|word| *word != SimulatedStatus::Delivered),
            SimulatedBehaviour::SkipAll => words.clear(),
            SimulatedBehaviour::Failed { code } => words = vec![SimulatedStatus::Failed { code: *code }],
            SimulatedBehaviour::FailedAfterDelivered { code } => {
                words.truncate(2);
                words.push(SimulatedStatus::Failed { code: *code });
            }
            SimulatedBehaviour::Held { then } => {
                held = delays.held;
                if *then == HeldOutcome::Failed {
                    words = vec![SimulatedStatus::Failed { code: TEMPLATE_PAUSED }];
                }
            }
            _ => {}
        }
    }
    let mut steps = priced(words, delays);
    if reversed {
        for (dated, step) in (0..).zip(&mut steps) {
            step.dated = Some(dated);
        }
        steps.reverse();
    }
    if let Some(first) = steps.first_mut() {
        first.wait += held;
    }
    for step in &mut steps {
        step.priced &= !free;
    }
    if doubled { twice(&steps) } else { steps }
}

/// Meta prices `sent`, and one of `delivered` and `read`.
fn priced(words: Vec<SimulatedStatus>, delays: &StatusDelays) -> Vec<StatusStep> {
    let mut reached = false;
    let steps = words.into_iter().map(|word| {
        let (wait, priced) = match word {
            SimulatedStatus::Sent => (delays.sent, true),
            SimulatedStatus::Delivered => (delays.delivered, !std::mem::replace(&mut reached, true)),
            SimulatedStatus::Read => (delays.read, !std::mem::replace(&mut reached, true)),
            SimulatedStatus::Failed { .. } => (delays.sent, false),
        };
        StatusStep { wait, word, priced, dated: None }
    });
    steps.collect()
}

fn twice(steps: &[StatusStep]) -> Vec<StatusStep> {
    steps
        .iter()
        .flat_map(|step| {
            let again = StatusStep { wait: Duration::ZERO, ..*step };
            [*step, again]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters of the words, upper case where priced.
    fn words(behaviours: &[SimulatedBehaviour]) -> String {
        let steps = plan(behaviours, &StatusDelays::default());
        let letter = |step: &StatusStep| {
            let letter = match step.word {
                SimulatedStatus::Sent => 's',
                SimulatedStatus::Delivered => 'd',
                SimulatedStatus::Read => 'r',
                SimulatedStatus::Failed { .. } => 'f',
            };
            if step.priced { letter.to_ascii_uppercase() } else { letter }
        };
        steps.iter().map(letter).collect()
    }

    #[test]
    fn each_behaviour_has_its_own_statuses() {
        use SimulatedBehaviour as B;
        let cases: &[(&[B], &str)] = &[
            (&[], "SDr"),
            (&[B::Duplicate], "SSDDrr"),
            (&[B::Reorder], "rDS"),
            (&[B::SkipDelivered], "SR"),
            (&[B::SkipAll], ""),
            (&[B::SkipAll, B::Duplicate, B::Reorder], ""),
            (&[B::Failed { code: 131_026 }], "f"),
            (&[B::FailedAfterDelivered { code: 131_026 }], "SDf"),
            (&[B::Held { then: HeldOutcome::Sent }], "SDr"),
            (&[B::Held { then: HeldOutcome::Failed }], "f"),
            (&[B::NoPricing], "sdr"),
            (&[B::SkipDelivered, B::Duplicate, B::Reorder], "RRSS"),
        ];
        for (behaviours, expected) in cases {
            assert_eq!(words(behaviours), *expected);
        }
    }

    #[test]
    fn held_messages_wait_and_reordered_ones_are_dated_in_order() {
        let delays = StatusDelays::default();
        let held = plan(&[SimulatedBehaviour::Held { then: HeldOutcome::Failed }], &delays);
        assert_eq!(held[0].wait, delays.held + delays.sent);
        assert_eq!(held[0].word, SimulatedStatus::Failed { code: 132_015 });
        let reordered = plan(&[SimulatedBehaviour::Reorder], &delays);
        let dated: Vec<_> = reordered.iter().map(|step| step.dated).collect();
        assert_eq!(dated, [Some(2), Some(1), Some(0)]);
    }
}
