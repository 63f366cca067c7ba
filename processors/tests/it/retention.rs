//! Keys of days whose time is over are destroyed, wherever a process died on the way.

use std::time::Duration;

use wasend_domain::bucket::{BucketContents, Command, RetentionBucket};
use wasend_domain::inbox::Event as Inbox;
use wasend_domain::{Actor, AnyEvent, DataCategory, Day, Opened, RecordedEvent};
use wasend_eventlog::{CommandContext, CommandId, EventFilter, execute};
use wasend_processors::Processor;
use wasend_processors::erasure::reconcile;

use crate::world::World;

stories!(
    only_days_that_are_over_die,
    a_process_that_dies_after_the_fence_leaves_the_rest_to_the_next,
    a_process_that_dies_after_the_destruction_leaves_the_record_to_the_next,
    a_fence_is_enough_for_a_vault_that_is_compared,
);

const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

async fn events(world: &World) -> Vec<RecordedEvent> {
    let filter = EventFilter { account_id: Some(world.caller.account_id), ..EventFilter::default() };
    world.commands.log.read(0, 100_000, &filter).await.unwrap()
}

async fn steps(world: &World) -> Vec<(String, String)> {
    let of_buckets =
        |event: RecordedEvent| (event.aggregate_type == "bucket").then_some((event.event_type, event.payload));
    events(world).await.into_iter().filter_map(of_buckets).collect()
}

/// Keeps something of today; its day.
async fn keep(world: &World, song: &str) -> Day {
    let taken = world.webhook(&format!("{{\"from\":\"16505557777\",\"song\":\"{song}\"}}")).await;
    assert_eq!(taken.kept, 1);
    let head = world.commands.log.head().await.unwrap();
    world.projector.wait_for(head, GRACE).await.unwrap();
    world.commands.clock.now().day()
}

/// What can be read of all that was kept, or why it cannot.
async fn readable(world: &World) -> Vec<Result<String, String>> {
    let mut all = Vec::new();
    for event in events(world).await {
        let Ok(AnyEvent::Inbox(Inbox::Held { update, people, .. })) = AnyEvent::decode(&event) else { continue };
        let opened = world.commands.vault.open_jointly(world.caller.account_id, &update, &people).await.unwrap();
        all.push(match opened {
            Opened::Erased(erased) => Err(erased.why),
            Opened::Unavailable(unavailable) => Err(unavailable.why.name().to_owned()),
            Opened::Value(value) => Ok(value.into_exposed().0),
        });
    }
    all
}

fn contents(day: Day) -> BucketContents {
    BucketContents { category: DataCategory::UnknownWebhook, day }
}

async fn fence(world: &World, day: Day) {
    let (commands, account) = (&world.commands, world.caller.account_id);
    let fingerprint = commands.vault.bucket_mark(account, DataCategory::UnknownWebhook, day).await.unwrap();
    assert!(fingerprint.is_some());
    let fence = Command::Fence { contents: contents(day), fingerprint, at: commands.clock.now() };
    let command = CommandId::Fresh(uuid::Uuid::new_v4().to_string());
    let context = CommandContext { account_id: account, actor: Actor::System("retention"), command };
    let id = contents(day).of(account).uuid();
    let done = execute::<RetentionBucket>(&*commands.log, &*commands.clock, context, id, fence).await.unwrap();
    world.projector.wait_for(done.position, GRACE).await.unwrap();
}

/// Runs the processor until it has recorded so many steps.
async fn until_steps(world: &World, wanted: &[&str]) {
    let retention = world.retention();
    world.eventually(|| async { steps(world).await.len() >= wanted.len() }).await;
    retention.shutdown(GRACE).await;
    let all = steps(world).await;
    assert_eq!(all.iter().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), wanted);
}

async fn only_days_that_are_over_die(world: &World) {
    let first = keep(world, "first").await;
    world.clock.advance(DAY);
    let second = keep(world, "second").await;
    assert_ne!(first, second);
    let retention = world.retention();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(steps(world).await.is_empty(), "nothing is over yet");
    retention.shutdown(GRACE).await;
    world.clock.advance(WEEK);
    until_steps(world, &["BucketFenced", "BucketDestroyed"]).await;
    let all = readable(world).await;
    assert_eq!(all[0], Err(contents(first).reason()));
    assert!(all[1].as_ref().unwrap().contains("second"));
    let said = steps(world).await;
    let fingerprint =
        world.commands.vault.bucket_mark(world.caller.account_id, DataCategory::UnknownWebhook, first).await;
    let fingerprint = fingerprint.unwrap().unwrap();
    assert!(said[0].1.contains(&fingerprint) && said[0].1.contains("unknown_webhook"), "{said:?}");
    world.clock.advance(DAY);
    until_steps(world, &["BucketFenced", "BucketDestroyed", "BucketFenced", "BucketDestroyed"]).await;
    assert!(readable(world).await.iter().all(Result::is_err));
    keep(world, "third").await;
    assert!(readable(world).await[2].is_ok());
}

async fn a_process_that_dies_after_the_fence_leaves_the_rest_to_the_next(world: &World) {
    let day = keep(world, "song").await;
    world.clock.advance(WEEK + DAY);
    fence(world, day).await;
    assert!(readable(world).await[0].is_ok(), "it is only named");
    until_steps(world, &["BucketFenced", "BucketDestroyed"]).await;
    assert_eq!(readable(world).await, [Err(contents(day).reason())]);
}

async fn a_process_that_dies_after_the_destruction_leaves_the_record_to_the_next(world: &World) {
    let day = keep(world, "song").await;
    world.clock.advance(WEEK + DAY);
    fence(world, day).await;
    let (vault, account) = (&world.commands.vault, world.caller.account_id);
    let reason = contents(day).reason();
    vault.destroy_bucket(account, DataCategory::UnknownWebhook, day, &reason).await.unwrap();
    until_steps(world, &["BucketFenced", "BucketDestroyed"]).await;
    assert_eq!(readable(world).await, [Err(reason)]);
    let again = vault.buckets_not_destroyed(&[(account, DataCategory::UnknownWebhook, day)]).await.unwrap();
    assert!(again.is_empty());
}

async fn a_fence_is_enough_for_a_vault_that_is_compared(world: &World) {
    let day = keep(world, "song").await;
    // As a store that was put back to a copy from before the day has it: no trace of a later key.
    let later = Day::from_number(day.number() + 1);
    fence(world, day).await;
    let (vault, account) = (&world.commands.vault, world.caller.account_id);
    vault.suspend();
    let done = reconcile(&world.commands, &world.projector).await.unwrap();
    assert_eq!(done.repeated, 1);
    assert_eq!(readable(world).await, [Err(contents(day).reason())]);
    assert_eq!(reconcile(&world.commands, &world.projector).await.unwrap().repeated, 0);
    let keys = [day, later].map(|day| (account, DataCategory::UnknownWebhook, day));
    let open = vault.buckets_not_destroyed(&keys).await.unwrap();
    assert_eq!(open, [(keys[1], false)]);
}
