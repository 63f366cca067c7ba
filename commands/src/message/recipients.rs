//! The recipients of a batch: found, refused where they do not want messages, and made known.

use std::collections::HashMap;

use uuid::Uuid;
use wasend_domain::contact::{ConsentScope, Contact};
use wasend_domain::phone::MessageRecipient;
use wasend_eventlog::{LoadedAggregate, StreamLookup, load};
use wasend_vault::{NewPerson, PersonIdentity};

use super::batch_message::BatchMessage;
use super::send::SendResult;
use super::validate::MessageAddressee;
use crate::{Caller, CommandError, Commands, Refusal, RefusalCode};

impl Commands {
    /// Finds the recipients that are known, loads their contacts and refuses those that opted out.
    pub(super) async fn known_contacts(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<SendResult>],
    ) -> Result<HashMap<Uuid, LoadedAggregate<Contact>>, CommandError> {
        let identities: Vec<_> = items.iter().filter_map(|item| identity(&item.checked.to)).collect();
        let mut found = self.vault.find_many(caller.account_id, &identities).await?.into_iter();
        for item in items.iter_mut() {
            item.subject = match &item.checked.to {
                MessageAddressee::Contact(id) => Some(*id),
                MessageAddressee::Recipient(_) => found.next().flatten(),
            };
        }
        let ids: Vec<_> = items.iter().filter_map(|item| item.subject).map(|subject| subject.uuid()).collect();
        let mut contacts: HashMap<_, _> = load::<Contact>(&*self.log, caller.account_id, &ids)
            .await?
            .into_iter()
            .filter_map(|(id, stream)| Some((id, StreamLookup::present(stream)?)))
            .collect();
        self.follow_merges(caller, items, &mut contacts).await?;
        let mut kept = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            let contact = item.subject.and_then(|subject| contacts.get(&subject.uuid()));
            let by_id = matches!(item.checked.to, MessageAddressee::Contact(_));
            let refusal = match contact {
                Some(contact) if contact.state.erased.is_some() => {
                    let field = if by_id { "contactId" } else { "to" };
                    Some(Refusal::new(field, RefusalCode::Erased, "the recipient is being erased"))
                }
                None if by_id => Some(Refusal::not_found("contactId", "contact")),
                Some(contact) if contact.state.opted_out => {
                    let field = if by_id { "contactId" } else { "to" };
                    Some(Refusal::new(field, RefusalCode::OptedOut, "the recipient has opted out"))
                }
                Some(contact) if item.is_marketing && contact.state.marketing_opted_out => {
                    let field = if by_id { "contactId" } else { "to" };
                    Some(Refusal::new(field, RefusalCode::OptedOut, "the recipient has opted out of marketing"))
                }
                _ => None,
            };
            match refusal {
                None => kept.push(item),
                Some(refusal) => answers[item.index] = Some(self.refused_unless_repeated(caller, &item, refusal).await),
            }
        }
        *items = kept;
        self.refuse_suppressed(caller, items, answers).await?;
        Ok(contacts)
    }

    /// Puts the contact that goes on in the place of one that was merged.
    async fn follow_merges(
        &self,
        caller: Caller,
        items: &mut [BatchMessage],
        contacts: &mut HashMap<Uuid, LoadedAggregate<Contact>>,
    ) -> Result<(), CommandError> {
        for item in items {
            let Some(subject) = item.subject else { continue };
            if contacts.get(&subject.uuid()).is_some_and(|contact| contact.state.merged_into.is_some()) {
                let (survivor, contact) = self.resolved_contact(caller, subject).await?;
                contacts.insert(survivor.uuid(), contact);
                item.subject = Some(survivor);
            }
        }
        Ok(())
    }

    /// Refuses the numbers of people who had opted out before they were erased, or while they were unknown.
    async fn refuse_suppressed(
        &self,
        caller: Caller,
        items: &mut Vec<BatchMessage>,
        answers: &mut [Option<SendResult>],
    ) -> Result<(), CommandError> {
        let identities: Vec<_> = items.iter().filter_map(|item| identity(&item.checked.to)).collect();
        let mut suppressed =
            self.vault.suppressed(caller.account_id, &identities, ConsentScope::All).await?.into_iter();
        let mut no_marketing = if items.iter().any(|item| item.is_marketing) {
            self.vault.suppressed(caller.account_id, &identities, ConsentScope::Marketing).await?.into_iter()
        } else {
            Vec::new().into_iter()
        };
        let mut kept = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            let named = matches!(item.checked.to, MessageAddressee::Recipient(_));
            let is_suppressed = named && suppressed.next().flatten().is_some();
            let is_unwanted = named && no_marketing.next().flatten().is_some() && item.is_marketing;
            if is_suppressed || is_unwanted {
                let refusal = Refusal::new("to", RefusalCode::OptedOut, "the recipient has opted out");
                answers[item.index] = Some(self.refused_unless_repeated(caller, &item, refusal).await);
            } else {
                kept.push(item);
            }
        }
        *items = kept;
        Ok(())
    }

    /// Makes the recipients known that are not: one subject each, however often the batch names it.
    pub(super) async fn create_subjects(
        &self,
        caller: Caller,
        items: &mut [BatchMessage],
        contacts: &mut HashMap<Uuid, LoadedAggregate<Contact>>,
    ) -> Result<(), CommandError> {
        let new = |item: &BatchMessage| item.subject.is_none().then(|| identity(&item.checked.to)).flatten();
        let person = |identity| NewPerson { identities: vec![identity], ..NewPerson::default() };
        let people: Vec<_> = items.iter().filter_map(new).map(person).collect();
        let made = self.vault.subjects_for(caller.account_id, &people).await?;
        let mut made = made.into_iter();
        for item in items.iter_mut().filter(|item| item.subject.is_none()) {
            item.subject = made.next().map(|(subject, _)| subject);
        }
        for subject in items.iter().filter_map(|item| item.subject) {
            contacts.entry(subject.uuid()).or_default();
        }
        Ok(())
    }
}

fn identity(to: &MessageAddressee) -> Option<PersonIdentity> {
    match to {
        MessageAddressee::Recipient(MessageRecipient::Phone(phone)) => Some(PersonIdentity::phone(phone.as_str())),
        MessageAddressee::Recipient(MessageRecipient::Bsuid(bsuid)) => Some(PersonIdentity::bsuid(bsuid.as_str())),
        MessageAddressee::Contact(_) => None,
    }
}
