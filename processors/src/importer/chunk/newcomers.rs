//! People whom the account does not know yet.

use wasend_commands::CommandError;
use wasend_domain::Personal;
use wasend_domain::contact::{self, Source, Via};
use wasend_vault::{Identity, NewPerson};

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
        let suppressed = self.suppressed(&people).await?;
        for ((index, (subject, _)), suppressed) in
            std::mem::take(&mut verdict.new).into_iter().zip(made).zip(suppressed)
        {
            let Ok(parsed) = &chunk.rows[index].parsed else { continue };
            let mut commands = vec![contact::Command::Create { source: Source::Import, attributes: None }];
            commands.extend(self.start.group.map(contact::Command::JoinGroup));
            let via = if suppressed { Via::Suppression } else { Via::Api };
            commands.extend((parsed.opted_out || suppressed).then_some(contact::Command::OptOut { via }));
            let attributes = (!parsed.attributes.is_empty()).then(|| parsed.attributes.clone());
            debug_assert!(!known.contacts.contains_key(&subject.uuid()), "a new subject has no history");
            verdict.acts.push(Act { subject, commands, attributes });
        }
        Ok(true)
    }

    /// Which of the people had opted out before they were erased: importing them again does not undo that.
    async fn suppressed(&self, people: &[NewPerson]) -> Result<Vec<bool>, CommandError> {
        let identities: Vec<_> = people.iter().flat_map(|person| person.identities.iter().cloned()).collect();
        let mut marks = self.commands.vault.suppressed(self.account, &identities).await?.into_iter();
        let of = |person: &NewPerson| marks.by_ref().take(person.identities.len()).fold(false, |any, mark| any | mark);
        Ok(people.iter().map(of).collect())
    }
}

fn person(parsed: &Parsed) -> NewPerson {
    let phone = parsed.phone.iter().map(|phone| Identity::phone(phone.as_str()));
    let identities = phone.chain(parsed.bsuid.iter().map(|bsuid| Identity::bsuid(bsuid.as_str()))).collect();
    NewPerson { identities, name: parsed.name.clone().map(Personal::new) }
}
