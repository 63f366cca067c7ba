//! What a message goes through, and the personal values in it, sealed by the vault.

use wasend_domain::content::{Content, Kind, Wamid};
use wasend_domain::message::{Command, Outcome, Pricing, PricingCategory, StatusWord, Submission};
use wasend_domain::{AccountId, BlindIndex, Day, NumberId, Personal, Sealed, SubjectId, Time};
use wasend_vault::{Identity, NewPerson, Vault};

/// The commands of a message's life, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Accept,
    Attempt,
    Submit,
    Sent,
    Delivered,
    Read,
}

impl Step {
    pub const ALL: [Self; 6] = [Self::Accept, Self::Attempt, Self::Submit, Self::Sent, Self::Delivered, Self::Read];
}

/// A message that is on its way.
#[derive(Clone)]
pub struct Life {
    pub contact: SubjectId,
    content: Sealed<Content>,
    wamid: Sealed<Wamid>,
    wamid_index: BlindIndex,
}

/// One life for each contact that is named.
pub async fn begin(vault: &Vault, account: AccountId, contacts: &[SubjectId], day: Day) -> anyhow::Result<Vec<Life>> {
    let text = || Content::Text { body: "Your parcel has left our house.".to_owned(), preview_url: false };
    // As long as Meta's own, which hold the recipient's number.
    let wamid = || format!("wamid.{}{}", uuid::Uuid::new_v4().simple(), "A".repeat(20));
    let contents: Vec<_> = contacts.iter().map(|contact| (*contact, Personal::new(text()))).collect();
    let wamids: Vec<_> = contacts.iter().map(|contact| (*contact, wamid())).collect();
    let plain: Vec<_> = wamids.iter().map(|(_, wamid)| Personal::new(wamid.clone())).collect();
    let wamids: Vec<_> = wamids.into_iter().map(|(contact, wamid)| (contact, Personal::new(Wamid(wamid)))).collect();
    let indexes = vault.index_many(account, "wamid", &plain).await?;
    let contents = vault.seal_many(account, &contents, day).await;
    let wamids = vault.seal_many(account, &wamids, day).await;
    let mut lives = Vec::with_capacity(contacts.len());
    for (((contact, content), wamid), wamid_index) in contacts.iter().zip(contents).zip(wamids).zip(indexes) {
        lives.push(Life { contact: *contact, content: content?, wamid: wamid?, wamid_index });
    }
    Ok(lives)
}

impl Life {
    pub fn command(&self, step: Step, number: NumberId, at: Time) -> Command {
        let pricing = || Some(Pricing { at, category: PricingCategory::new("utility"), billable: true });
        let report = |word, pricing| Command::Report { word, pricing, submission: None, at };
        match step {
            Step::Accept => Command::Accept {
                number,
                contact: self.contact,
                kind: Kind::Text,
                template: None,
                content: self.content.clone(),
                at,
            },
            Step::Attempt => Command::Attempt { attempt: 1, at },
            Step::Submit => {
                let submission = Submission { wamid: self.wamid.clone(), wamid_index: self.wamid_index.clone() };
                Command::Conclude { attempt: 1, outcome: Outcome::Submitted { submission, held: false }, at }
            }
            Step::Sent => report(StatusWord::Sent, pricing()),
            Step::Delivered => report(StatusWord::Delivered, pricing()),
            Step::Read => report(StatusWord::Read, None),
        }
    }
}

/// Makes people known to the vault: German mobile numbers from the `first` on.
pub async fn people(vault: &Vault, account: AccountId, first: usize, many: usize) -> anyhow::Result<Vec<SubjectId>> {
    let person = |index| NewPerson { identities: vec![Identity::phone(phone(index))], name: None };
    let people: Vec<_> = (first..first + many).map(person).collect();
    Ok(vault.subjects_for(account, &people).await?.into_iter().map(|(subject, _)| subject).collect())
}

pub fn phone(index: usize) -> String {
    format!("+49152{index:08}")
}
