//! What statuses tell of their recipients: a number or BSUID that the contact was not known by.

use wasend_domain::{Opened, SubjectId, Time};
use wasend_vault::PersonIdentity;
use wasend_whatsapp::StatusUpdate;

use super::identities_of;
use crate::{Caller, CommandError, Commands};

impl Commands {
    /// Keeps the recipients' identities of statuses. All are looked up together; nothing more is done where every one is
    /// known, as of all but the first status of a contact.
    pub(super) async fn learn_recipients(
        &self,
        caller: Caller,
        statuses: &[(SubjectId, &StatusUpdate)],
    ) -> Result<(), CommandError> {
        let recipients: Vec<Vec<PersonIdentity>> = statuses.iter().map(|(_, update)| recipient(update)).collect();
        let found = self.vault.find_many(caller.account_id, &recipients.concat()).await?;
        let mut found = found.into_iter();
        for ((contact, update), identities) in statuses.iter().zip(&recipients) {
            let bearers: Vec<_> = found.by_ref().take(identities.len()).collect();
            if !is_known(*contact, identities, &bearers) {
                self.learn_recipient(caller, *contact, identities, &bearers, update).await?;
            }
        }
        Ok(())
    }

    /// A status that names none of the contact's identities may speak of another person: from it only what no other
    /// contact bears is kept, and it merges no contacts.
    async fn learn_recipient(
        &self,
        caller: Caller,
        contact: SubjectId,
        identities: &[PersonIdentity],
        bearers: &[Option<SubjectId>],
        update: &StatusUpdate,
    ) -> Result<(), CommandError> {
        let contact = self.resolve(caller, contact).await?;
        if !bearers.contains(&Some(contact)) && bearers.iter().any(Option::is_some) {
            return Ok(());
        }
        let Opened::Value(person) = self.vault.identity(caller.account_id, contact).await? else { return Ok(()) };
        // WhatsApp's own spelling is no further number of a person whose number is known.
        let has_number = person.expose().phone().is_some();
        let is_kept = |identity: &&PersonIdentity| match identity {
            PersonIdentity::Phone(_) => !has_number,
            PersonIdentity::WaId(_) => has_number,
            PersonIdentity::Bsuid(_) => true,
        };
        let identities: Vec<_> = identities.iter().filter(is_kept).cloned().collect();
        let at = update.timestamp.map(Time::from_seconds);
        self.learn_identities(caller, contact, &identities, at).await?;
        Ok(())
    }
}

fn recipient(update: &StatusUpdate) -> Vec<PersonIdentity> {
    let user_ids = [update.recipient_user_id.as_deref(), update.recipient_parent_user_id.as_deref()];
    identities_of(update.recipient_id.as_deref(), &user_ids)
}

/// Whether the contact bears all of them; a number under one of its two kinds.
fn is_known(contact: SubjectId, identities: &[PersonIdentity], bearers: &[Option<SubjectId>]) -> bool {
    let (mut has_number, mut knows_number) = (false, false);
    for (identity, bearer) in identities.iter().zip(bearers) {
        let is_own = *bearer == Some(contact);
        if !is_own && (matches!(identity, PersonIdentity::Bsuid(_)) || bearer.is_some()) {
            return false;
        }
        if !matches!(identity, PersonIdentity::Bsuid(_)) {
            (has_number, knows_number) = (true, knows_number || is_own);
        }
    }
    !has_number || knows_number
}
