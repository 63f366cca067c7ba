//! Lives of messages, with the personal values in them sealed by the vault.

use std::sync::Arc;

use anyhow::Context as _;
use wasend::bootstrap::{OpenStores, SystemClock};
use wasend_domain::content::{OutboundContent, Wamid};
use wasend_domain::{AccountId, Clock, Day, Personal, SubjectId};
use wasend_vault::{NewPerson, PersonIdentity, Vault};

use crate::life::Life;
use crate::stock::Lives;

/// What the peer is given its lives by, sealed when it asks for one as ours are.
pub fn giver(stores: Arc<OpenStores>, account: AccountId, contacts: Arc<[SubjectId]>) -> Lives {
    Arc::new(move |index| {
        let (stores, contact) = (stores.clone(), contacts[index % contacts.len()]);
        Box::pin(async move {
            let mut lives = begin(&stores.vault, account, &[contact], SystemClock.now().day()).await?;
            lives.pop().context("a life for each contact")
        })
    })
}

/// One life for each contact that is named.
pub async fn begin(vault: &Vault, account: AccountId, contacts: &[SubjectId], day: Day) -> anyhow::Result<Vec<Life>> {
    let text = || OutboundContent::Text { body: "Your parcel has left our house.".to_owned(), preview_url: false };
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

/// Makes people known to the vault: German mobile numbers from the `first` on.
pub async fn people(vault: &Vault, account: AccountId, first: usize, many: usize) -> anyhow::Result<Vec<SubjectId>> {
    let person = |index| NewPerson { identities: vec![PersonIdentity::phone(phone(index))], ..NewPerson::default() };
    let people: Vec<_> = (first..first + many).map(person).collect();
    Ok(vault.subjects_for(account, &people).await?.into_iter().map(|(subject, _)| subject).collect())
}

pub fn phone(index: usize) -> String {
    format!("+49152{index:08}")
}
