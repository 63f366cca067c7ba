//! Which recipient gets which behaviour, how often.

use thiserror::Error;

use super::behaviour::{RecipientScript, SimulatedBehaviour};

const SCRIPTS_MAX: usize = 10_000;
const ANYBODY: &str = "*";

/// As many recipients have a script as the simulator keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are {SCRIPTS_MAX} scripts already")]
pub struct TooManyScripts;

/// In the order in which they were added, which is the order in which those of one recipient are used up.
#[derive(Default)]
pub(super) struct ScriptQueue(Vec<RecipientScript>);

impl ScriptQueue {
    pub(super) fn add(&mut self, mut script: RecipientScript) -> Result<(), TooManyScripts> {
        script.recipient = key(&script.recipient);
        self.0.retain(|other| other.times.is_some() || other.recipient != script.recipient);
        if self.0.len() >= SCRIPTS_MAX {
            return Err(TooManyScripts);
        }
        if script.times != Some(0) {
            self.0.push(script);
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What the next request for `recipient` meets: at most one refusal, and everything that is none.
    pub(super) fn take(&mut self, recipient: &str) -> Vec<SimulatedBehaviour> {
        let recipient = key(recipient);
        let of = |name: &str| self.0.iter().position(|script| script.recipient == name);
        let Some(index) = of(&recipient).or_else(|| of(ANYBODY)) else {
            return Vec::new();
        };
        let script = &mut self.0[index];
        let behaviours = next(&mut script.behaviours);
        if let Some(times) = &mut script.times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(index);
            }
        }
        behaviours
    }
}

fn next(behaviours: &mut [SimulatedBehaviour]) -> Vec<SimulatedBehaviour> {
    let mut refused = false;
    let mut met = Vec::new();
    for behaviour in behaviours {
        if let Some(left) = behaviour.refusals_left() {
            if refused || *left == Some(0) {
                continue;
            }
            refused = true;
            if let Some(left) = left {
                *left -= 1;
            }
        }
        met.push(behaviour.clone());
    }
    met
}

/// Digits for a phone number in any spelling; anything else as it is.
fn key(recipient: &str) -> String {
    let phone = |c: char| c.is_ascii_digit() || "+-() ".contains(c);
    if recipient.chars().all(phone) {
        recipient.chars().filter(char::is_ascii_digit).collect()
    } else {
        recipient.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(recipient: &str, times: Option<u32>, code: i64) -> RecipientScript {
        RecipientScript { recipient: recipient.into(), behaviours: vec![SimulatedBehaviour::Failed { code }], times }
    }

    fn codes(scripts: &mut ScriptQueue, recipient: &str) -> Vec<i64> {
        let behaviours = scripts.take(recipient);
        behaviours
            .iter()
            .map(|behaviour| match behaviour {
                SimulatedBehaviour::Failed { code } | SimulatedBehaviour::RateLimited { code, .. } => *code,
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn ones_own_scripts_come_first_and_are_used_up() {
        let mut scripts = ScriptQueue::default();
        for script in [
            script("*", None, 1),
            script("+1 (650) 555-1234", Some(2), 2),
            script("16505551234", Some(1), 3),
            script("US.1349", None, 4),
        ] {
            scripts.add(script).unwrap();
        }
        let seen: Vec<_> = (0..4).flat_map(|_| codes(&mut scripts, "+16505551234")).collect();
        assert_eq!(seen, [2, 2, 3, 1]);
        assert_eq!(codes(&mut scripts, "US.1349"), [4]);
        scripts.add(script("*", None, 5)).unwrap();
        assert_eq!(codes(&mut scripts, "49"), [5]);
        scripts.clear();
        assert!(codes(&mut scripts, "49").is_empty());
    }

    #[test]
    fn refusals_come_one_at_a_time_and_end() {
        let limited = |code| SimulatedBehaviour::RateLimited { code, retry_after: None, times: Some(1) };
        let mut scripts = ScriptQueue::default();
        scripts
            .add(RecipientScript {
                recipient: "*".into(),
                behaviours: vec![limited(4), limited(80_007), SimulatedBehaviour::Duplicate],
                times: None,
            })
            .unwrap();
        assert_eq!(codes(&mut scripts, "1"), [4, 0]);
        assert_eq!(codes(&mut scripts, "2"), [80_007, 0]);
        assert_eq!(codes(&mut scripts, "1"), [0]);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut scripts = ScriptQueue(vec![script("1", Some(1), 1); SCRIPTS_MAX - 1]);
        scripts.add(script("2", None, 1)).unwrap();
        assert_eq!(scripts.add(script("3", None, 1)), Err(TooManyScripts));
        // Replacing one needs no room.
        scripts.add(script("2", None, 2)).unwrap();
        assert_eq!(scripts.len(), SCRIPTS_MAX);
    }
}
