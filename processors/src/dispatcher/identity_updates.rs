//! What Meta tells about a recipient besides taking the message: under which ids it knows the person.

use std::sync::Arc;

use tokio::sync::mpsc;
use wasend_commands::{Caller, CommandError, Commands};
use wasend_domain::phone::PhoneNumber;
use wasend_domain::{AccountId, SubjectId};
use wasend_vault::PersonIdentity;
use wasend_whatsapp::SendReceipt;

use crate::dispatcher::DISPATCHER;
use crate::dispatcher::call::CallJob;

/// New identities of a contact.
pub(crate) struct IdentityUpdate {
    account: AccountId,
    contact: SubjectId,
    identities: Vec<PersonIdentity>,
}

impl IdentityUpdate {
    /// The identities in the answer that the contact was not known by.
    pub fn of(job: &CallJob, submission: &SendReceipt) -> Option<Self> {
        let person = job.person.expose();
        let mut identities = Vec::new();
        if let Some(wa_id) = &submission.wa_id {
            let e164 = PhoneNumber::from_wa_id(wa_id).map(String::from);
            let known = person.wa_ids.contains(wa_id) || e164.is_ok_and(|phone| person.phones.contains(&phone));
            identities.extend((!known).then(|| PersonIdentity::wa_id(wa_id)));
        }
        if let Some(bsuid) = submission.user_id.as_ref().filter(|bsuid| !person.bsuids.contains(bsuid)) {
            identities.push(PersonIdentity::bsuid(bsuid));
        }
        (!identities.is_empty()).then_some(Self { account: job.account, contact: job.contact, identities })
    }
}

/// Adds what was learnt to the directory. An update that is lost comes again with the next message or webhook.
pub(crate) async fn run(commands: Arc<Commands>, mut lessons: mpsc::Receiver<IdentityUpdate>) {
    while let Some(lesson) = lessons.recv().await {
        if let Err(error) = Box::pin(learn(&commands, &lesson)).await {
            tracing::warn!(contact.id = %lesson.contact, %error, "an identity could not be kept");
        }
    }
}

async fn learn(commands: &Commands, lesson: &IdentityUpdate) -> Result<(), CommandError> {
    let caller = Caller { account_id: lesson.account, actor: DISPATCHER };
    let contact = commands.resolve(caller, lesson.contact).await?;
    commands.learn_identities(caller, contact, &lesson.identities, None).await.map(drop)
}

#[cfg(test)]
mod tests {
    use wasend_domain::{MessageId, NumberId, Personal};
    use wasend_vault::Person;
    use wasend_whatsapp::{RequestContent, RequestRecipient, SendRequest};

    use super::*;

    fn learnt(person: Person, wa_id: Option<&str>, user_id: Option<&str>) -> Vec<PersonIdentity> {
        let job = CallJob {
            message: MessageId::random(),
            account: AccountId::random(),
            number: NumberId::random(),
            contact: SubjectId::random(),
            attempt: 1,
            person: Personal::new(person),
            request: SendRequest {
                to: RequestRecipient::Phone("+551199999999".into()),
                content: RequestContent::Text { body: "hi".into(), preview_url: false },
                biz_opaque_callback_data: None,
            },
        };
        let submission = SendReceipt {
            wamid: "w".into(),
            wa_id: wa_id.map(str::to_owned),
            user_id: user_id.map(str::to_owned),
            message_status: None,
        };
        IdentityUpdate::of(&job, &submission).map(|lesson| lesson.identities).unwrap_or_default()
    }

    #[test]
    fn only_what_is_new_is_learnt() {
        let person = Person { phones: vec!["+5511999999999".into()], ..Person::default() };
        assert!(learnt(person.clone(), Some("5511999999999"), None).is_empty());
        let wa_id = vec![PersonIdentity::wa_id("551199999999")];
        assert_eq!(learnt(person.clone(), Some("551199999999"), None), wa_id);
        let bsuid = vec![PersonIdentity::bsuid("BR.1")];
        assert_eq!(learnt(person.clone(), None, Some("BR.1")), bsuid);
        let known = Person { wa_ids: vec!["551199999999".into()], bsuids: vec!["BR.1".into()], ..person };
        assert!(learnt(known, Some("551199999999"), Some("BR.1")).is_empty());
    }
}
