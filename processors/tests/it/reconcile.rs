//! The vault is compared with the log before it opens anything.

use uuid::Uuid;
use wasend_domain::{Actor, EventId, EventMetadata, StreamId};
use wasend_eventlog::{Append, CommandId, NewEvent, StreamAppend};
use wasend_processors::erasure::reconcile;
use wasend_vault::{PersonIdentity, VaultError, VaultFailure, VaultSuspension};

use crate::world::World;

stories!(an_unreadable_privacy_event_keeps_the_vault_closed);

async fn an_unreadable_privacy_event_keeps_the_vault_closed(world: &World) {
    let (vault, account) = (&world.commands.vault, world.caller.account_id);
    let phone = [PersonIdentity::phone("+16505551234")];
    vault.suspend();
    let refused = vault.find_many(account, &phone).await;
    assert!(
        matches!(refused, Err(VaultError::Failure(VaultFailure::Suspended(VaultSuspension::NotCompared)))),
        "{refused:?}"
    );
    reconcile(&world.commands, &world.projector).await.unwrap();
    vault.find_many(account, &phone).await.unwrap();

    let event = NewEvent {
        event_id: EventId::random(),
        event_type: "ErasureOfAnotherVersion".to_owned(),
        event_version: "1".to_owned(),
        payload: "{}".to_owned(),
    };
    let stream = StreamId { aggregate_type: "privacy_request", aggregate_id: Uuid::new_v4() };
    let append = Append {
        account_id: account,
        command_id: CommandId::Fresh(Uuid::new_v4().to_string()),
        metadata: EventMetadata::by(Actor::Operator),
        streams: vec![StreamAppend { stream, expected: 0, events: vec![event] }],
    };
    world.commands.log.append(vec![append]).await.unwrap().pop().unwrap().unwrap();
    vault.suspend();
    let error = reconcile(&world.commands, &world.projector).await.unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("stopped at the event at position"), "{why}");
    assert!(vault.find_many(account, &phone).await.is_err(), "it stays closed");
}
