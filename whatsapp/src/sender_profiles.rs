//! `value.contacts[]`: the people that the other lists of a change speak of.

use std::collections::HashMap;

use crate::json::JsonObject;

/// The people, found by their numbers and BSUIDs.
#[derive(Default)]
pub(crate) struct SenderProfiles {
    all: Vec<SenderProfile>,
    /// The first that has the number or the BSUID.
    by_wa_id: HashMap<String, usize>,
    by_user_id: HashMap<String, usize>,
}

/// One of the people.
pub(crate) struct SenderProfile {
    pub wa_id: Option<String>,
    pub user_id: Option<String>,
    pub parent_user_id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
}

impl SenderProfiles {
    /// The people of a change's value.
    pub(crate) fn read(value: &JsonObject<'_>) -> Self {
        let mut contacts = Self::default();
        for (place, contact) in value.objects("contacts").iter().enumerate() {
            let profile = contact.object("profile");
            let of_profile = |name| profile.as_ref().and_then(|profile| profile.filled(name));
            let user_id = contact.filled("user_id");
            let (wa_id, parent_user_id) = (contact.filled("wa_id"), contact.filled("parent_user_id"));
            if let Some(wa_id) = wa_id.clone() {
                contacts.by_wa_id.entry(wa_id).or_insert(place);
            }
            if let Some(user_id) = user_id.clone() {
                contacts.by_user_id.entry(user_id).or_insert(place);
            }
            let (name, username) = (of_profile("name"), of_profile("username"));
            contacts.all.push(SenderProfile { wa_id, user_id, parent_user_id, name, username });
        }
        contacts
    }

    pub(crate) fn find(&self, from: Option<&str>, from_user_id: Option<&str>) -> Option<&SenderProfile> {
        let by_wa_id = from.and_then(|from| self.by_wa_id.get(from));
        let by_user_id = from_user_id.and_then(|user_id| self.by_user_id.get(user_id));
        self.all.get(*by_wa_id.into_iter().chain(by_user_id).min()?)
    }
}
