//! People whom the account does not know yet.

use wasend_commands::CommandError;
use wasend_domain::Personal;
use wasend_domain::contact::{self, Source};
use wasend_vault::NewPerson;

use super::super::reading::Chunk;
use super::super::row::Parsed;
use super::{Act, Job, Known, Verdict};

impl Job<'_> {
    /// Makes subjects of those who are not known. False if one came to be known meanwhile.
    pub(super) async fn make_new(
        &self,
        chunk: &Chunk,
        verdict: &mut Verdict,
        known: &Known,
    ) -> Result<bool, CommandError> {
        let parsed = |index: &usize| chunk.rows[*index].parsed.as_ref().ok();
        let people: Vec<_> = verdict.new.iter().filter_map(parsed).map(person).collect();
        let made = self.commands.vault.subjects_for(self.account, &people).await?;
        if made.iter().any(|(_, new)| !new) {
            return Ok(false);
        }
        for (index, (subject, _)) in std::mem::take(&mut verdict.new).into_iter().zip(made) {
            let Ok(parsed) = &chunk.rows[index].parsed else { continue };
            let mut commands = vec![contact::Command::Create { source: Source::Import, attributes: None }];
            commands.extend(self.start.group.map(contact::Command::JoinGroup));
            commands.extend(Self::opts_out(index, parsed, known));
            let attributes = (!parsed.attributes.is_empty()).then(|| parsed.attributes.clone());
            debug_assert!(!known.contacts.contains_key(&subject.uuid()), "a new subject has no history");
            verdict.acts.push(Act { subject, commands, attributes });
        }
        Ok(true)
    }
}

fn person(parsed: &Parsed) -> NewPerson {
    NewPerson { identities: parsed.identities(), name: parsed.name.clone().map(Personal::new) }
}
