//! People unknown to the account.

use std::collections::HashMap;

use wasend_commands::CommandError;
use wasend_domain::Personal;
use wasend_domain::contact::{self, ConsentChoice, ContactOrigin};
use wasend_vault::NewPerson;

use super::super::reading::RowChunk;
use super::super::row::ParsedRow;
use super::{ChunkDecision, ImportJob, KnownContacts, RowAction};

impl ImportJob {
    /// Makes subjects of the unknown ones; false if one came to be known meanwhile.
    pub(super) async fn make_new(
        &self,
        chunk: &RowChunk,
        repeats: &HashMap<usize, u64>,
        known: &mut KnownContacts,
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
    pub(super) fn act_on_new(&self, chunk: &RowChunk, verdict: &mut ChunkDecision, known: &KnownContacts) {
        for index in std::mem::take(&mut verdict.new) {
            let Some(subject) = known.made.get(&index).copied() else { continue };
            let Ok(parsed) = &chunk.rows[index].parsed else { continue };
            let mut commands = vec![contact::Command::Create { source: ContactOrigin::Import, attributes: None }];
            commands.extend(self.start.group.map(contact::Command::JoinGroup));
            commands.extend(self.opts_out(index, parsed, known).and_then(ConsentChoice::command));
            let attributes = (!parsed.attributes.is_empty()).then(|| parsed.attributes.clone());
            debug_assert!(!known.contacts.contains_key(&subject.uuid()), "a new subject has no history");
            verdict.acts.push(RowAction { subject, commands, attributes });
        }
    }
}

fn person(parsed: &ParsedRow) -> NewPerson {
    NewPerson { identities: parsed.identities(), name: parsed.name.clone().map(Personal::new), ..NewPerson::default() }
}
