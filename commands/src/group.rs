//! Groups of contacts.

use wasend_domain::contact::{self, Contact};
use wasend_domain::group::{Command, Error, Group};
use wasend_domain::{GroupId, SubjectId};
use wasend_eventlog::{StreamLookup, execute, execute_all, execute_new, load};

use crate::account::label;
use crate::{Caller, CommandEffect, CommandError, Commands, Refusal, RefusalCode};

/// Most contacts that join or leave a group in one call.
pub const MEMBERS_MAX: usize = 1_000;

impl Commands {
    /// Creates a group; its name, of 200 characters at most, is sealed.
    pub async fn create_group(&self, caller: Caller, name: &str) -> Result<CommandEffect<GroupId>, CommandError> {
        let name = self.seal_label(caller.account_id, label("name", name)?).await?;
        let id = GroupId::fresh(self.clock.now());
        let command = Command::Create { name };
        let done = execute_new::<Group>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let done = done.map_err(|failure| CommandError::of(failure, "name", code))?;
        Ok(CommandEffect { value: id, position: done.position })
    }

    /// Gives the group another name, of 200 characters at most.
    pub async fn rename_group(
        &self,
        caller: Caller,
        id: GroupId,
        name: &str,
    ) -> Result<CommandEffect<GroupId>, CommandError> {
        let name = label("name", name)?;
        self.group_exists(caller, "id", id).await?;
        let name = self.seal_label(caller.account_id, name).await?;
        self.group(caller, id, Command::Rename { name }).await
    }

    /// Deletes the group. Its contacts stay, and leave it.
    pub async fn delete_group(&self, caller: Caller, id: GroupId) -> Result<CommandEffect<GroupId>, CommandError> {
        self.group(caller, id, Command::Delete).await
    }

    async fn group(
        &self,
        caller: Caller,
        id: GroupId,
        command: Command,
    ) -> Result<CommandEffect<GroupId>, CommandError> {
        let done = execute::<Group>(&*self.log, &*self.clock, Self::once(caller), id.uuid(), command).await;
        let done = done.map_err(|failure| CommandError::of(failure, "id", code))?;
        Ok(CommandEffect { value: id, position: done.position })
    }

    /// Lets contacts join the group, or leave it. All of them must exist, or none joins.
    pub async fn change_members(
        &self,
        caller: Caller,
        id: GroupId,
        contacts: &[SubjectId],
        join: bool,
    ) -> Result<CommandEffect<GroupId>, CommandError> {
        if contacts.len() > MEMBERS_MAX {
            let message = format_args!("at most {MEMBERS_MAX} contacts at once");
            return Err(Refusal::new("contactIds", RefusalCode::TooMany, message).into());
        }
        self.group_exists(caller, "groupId", id).await?;
        let ids: Vec<_> = contacts.iter().map(SubjectId::uuid).collect();
        let found = load::<Contact>(&*self.log, caller.account_id, &ids).await?;
        let missing =
            |(_, contact): &(usize, &uuid::Uuid)| !matches!(found.get(*contact), Some(StreamLookup::Present(_)));
        let refusals: Vec<_> = ids.iter().enumerate().filter(missing).map(|(index, _)| index).collect();
        if !refusals.is_empty() {
            let refusal = |index| Refusal::not_found(&format!("contactIds.{index}"), "contact");
            return Err(CommandError::Refused(refusals.into_iter().map(refusal).collect()));
        }
        let command = || if join { contact::Command::JoinGroup(id) } else { contact::Command::LeaveGroup(id) };
        let commands = ids.iter().map(|contact| (Self::once(caller), *contact, command())).collect();
        let mut position = 0;
        for done in execute_all::<Contact>(&*self.log, &*self.clock, commands).await {
            let done = done.map_err(|failure| CommandError::of(failure, "contactIds", |_| RefusalCode::NotFound))?;
            position = position.max(done.position);
        }
        Ok(CommandEffect { value: id, position })
    }

    pub(crate) async fn group_exists(&self, caller: Caller, field: &str, id: GroupId) -> Result<(), CommandError> {
        let mut found = load::<Group>(&*self.log, caller.account_id, &[id.uuid()]).await?;
        let group = found.remove(&id.uuid()).and_then(StreamLookup::present);
        match group {
            Some(group) if !group.state.deleted => Ok(()),
            _ => Err(Refusal::not_found(field, "group").into()),
        }
    }
}

const fn code(error: Error) -> RefusalCode {
    match error {
        Error::NotFound => RefusalCode::NotFound,
    }
}
