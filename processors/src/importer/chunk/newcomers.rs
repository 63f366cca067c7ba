//! People unknown to the account.

use std::collections::HashMap;

use wasend_commands::CommandError;
use wasend_domain::Personal;
use wasend_domain::contact::{self, Source, Word};
use wasend_vault::NewPerson;

use super::super::reading::Chunk;
use super::super::row::Parsed;
use super::{Act, Job, Known, Verdict};

impl Job {
    /// Makes subjects of the unknown ones; false if one came to be known meanwhile.
    pub(super) async fn make_new(
        &self,
        chunk: &Chunk,
        repeats: &HashMap<usize, u64>,
        known: &mut Known,
    ) -> Result<bool, CommandError> {
        let new = |index: &usize| {
            known.subjects[*index].is_none() && !repeats.contains_key(index) && !known.erased.contains(index)
        };
        let rows = chunk.rows.iter().enumerate().filter(|(index, _)| new(index));
        let (indexes, people): (Vec<_>, Vec<_>) =
            rows.filter_map(|(index, row)| Some((index, person(row.parsed.as_ref().ok()?)))).unzip();
        let made = self.commands.vault.subjects_for_unknown(self.account, &people).await?;
        let all_new = made.iter().all(|(_, new)| *new);
        known.made = indexes.into_iter().zip(made).map(|(index, (subject, _))| (index, subject)).collect();
        Ok(all_new)
    }

    /// What is done about those who were just made.
    pub(super) fn act_on_new(&self, chunk: &Chunk, verdict: &mut Verdict, known: &Known) {
        for index in std::mem::take(&mut verdict.new) {
            let Some(subject) = known.made.get(&index).copied() else { continue };
            let Ok(parsed) = &chunk.rows[index].parsed else { continue };
            let mut commands = vec![contact::Command::Create { source: Source::Import, attributes: None }];
            commands.extend(self.start.group.map(contact::Command::JoinGroup));
            commands.extend(self.opts_out(index, parsed, known).and_then(Word::command));
            let attributes = (!parsed.attributes.is_empty()).then(|| parsed.attributes.clone());
            debug_assert!(!known.contacts.contains_key(&subject.uuid()), "a new subject has no history");
            verdict.acts.push(Act { subject, commands, attributes });
        }
    }
}

fn person(parsed: &Parsed) -> NewPerson {
    NewPerson { identities: parsed.identities(), name: parsed.name.clone().map(Personal::new) }
}
