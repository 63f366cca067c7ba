//! The webhooks that follow a message.

use super::*;
use crate::{
    errors::ErrorClass,
    request::BodyParameters,
    simulator::HeldOutcome,
    statuses::{ReportedStatus, StatusUpdate},
};

/// Sends one message under these behaviours and returns its statuses.
async fn statuses(behaviours: Vec<SimulatedBehaviour>) -> Vec<StatusUpdate> {
    let world = World::new().await;
    world.script(behaviours);
    let submission = world.send("m-1").await.unwrap();
    let updates = world.updates().await;
    let statuses = updates.into_iter().filter_map(|update| match update {
        WebhookUpdate::Status(status) => Some(*status),
        _ => None,
    });
    let statuses: Vec<_> = statuses.collect();
    assert!(statuses.iter().all(|status| status.wamid == submission.wamid));
    assert!(statuses.iter().all(|status| status.biz_opaque_callback_data.as_deref() == Some("m-1")));
    statuses
}

async fn words(behaviours: Vec<SimulatedBehaviour>) -> String {
    let letter = |status: &StatusUpdate| match status.status {
        ReportedStatus::Sent => 's',
        ReportedStatus::Delivered => 'd',
        ReportedStatus::Read => 'r',
        ReportedStatus::Failed => 'f',
        _ => '?',
    };
    statuses(behaviours).await.iter().map(letter).collect()
}

#[tokio::test]
async fn sent_delivered_read() {
    let statuses = statuses(vec![]).await;
    let words: Vec<_> = statuses.iter().map(|status| status.status.clone()).collect();
    assert_eq!(words, [ReportedStatus::Sent, ReportedStatus::Delivered, ReportedStatus::Read]);
    for status in &statuses {
        assert_eq!(status.recipient_id.as_deref(), Some(DIGITS));
        assert!(status.recipient_user_id.as_deref().is_some_and(crate::is_bsuid));
        assert_eq!(status.timestamp, Some(NOW));
        assert!(!status.raw.get().contains("conversation"));
    }
    let pricing = statuses[1].pricing.clone().unwrap();
    assert_eq!(pricing.category.as_deref(), Some("service"));
    assert_eq!((pricing.pricing_type.as_deref(), pricing.model.as_deref()), (Some("regular"), Some("PMP")));
    assert_eq!(statuses[2].pricing, None);
}

#[tokio::test]
async fn every_script_has_its_words() {
    use SimulatedBehaviour as B;
    assert_eq!(words(vec![B::Duplicate]).await, "ssddrr");
    assert_eq!(words(vec![B::Reorder]).await, "rds");
    assert_eq!(words(vec![B::SkipDelivered]).await, "sr");
    assert_eq!(words(vec![B::SkipAll]).await, "");
    assert_eq!(words(vec![B::Failed { code: 131_026 }]).await, "f");
    assert_eq!(words(vec![B::FailedAfterDelivered { code: 131_026 }]).await, "sdf");
    assert_eq!(words(vec![B::Held { then: HeldOutcome::Sent }]).await, "sdr");
    assert_eq!(words(vec![B::Held { then: HeldOutcome::Failed }]).await, "f");
    assert_eq!(words(vec![B::UnknownFields, B::EscapeUnicode]).await, "sdr");
    assert_eq!(words(vec![B::Batch { size: 2 }, B::Duplicate]).await, "ssddrr");
}

#[tokio::test]
async fn failures_name_no_contact() {
    let world = World::new().await;
    world.script(vec![SimulatedBehaviour::Failed { code: 131_050 }]);
    world.send("m").await.unwrap();
    let bodies = world.bodies().await;
    let value = &bodies[0]["entry"][0]["changes"][0]["value"];
    assert!(value["contacts"].is_null());
    assert!(value["statuses"][0]["recipient_user_id"].is_null());
    let updates = world.updates().await;
    let [WebhookUpdate::Status(status)] = updates.as_slice() else {
        panic!("one status");
    };
    assert_eq!(status.errors[0].class, ErrorClass::Suppress);
    assert_eq!(status.pricing, None);
}

#[tokio::test]
async fn reordered_statuses_are_dated_as_they_happened() {
    let statuses = statuses(vec![SimulatedBehaviour::Reorder]).await;
    let dated: Vec<_> = statuses.iter().map(|status| status.timestamp.unwrap() - NOW).collect();
    assert_eq!(dated, [2, 1, 0]);
}

#[tokio::test]
async fn pricing_follows_the_template_or_the_script() {
    let world = World::new().await;
    let category = |update: &WebhookUpdate| match update {
        WebhookUpdate::Status(status) => status.pricing.as_ref().and_then(|pricing| pricing.category.clone()),
        _ => None,
    };
    for (name, variables) in [("order_update", 2), ("summer_sale", 1)] {
        let mut request = text("m");
        request.content = RequestContent::Template {
            name: name.into(),
            language: "en_US".into(),
            body: BodyParameters::Positional(vec!["x".into(); variables]),
        };
        world.api.send(&world.line, &request).await.unwrap();
        world.meta.simulator().settled().await;
    }
    world.script(vec![SimulatedBehaviour::Category {
        category: "utility".into(),
        pricing_type: Some("free_customer_service".into()),
    }]);
    world.send("m").await.unwrap();
    let updates = world.updates().await;
    let categories: Vec<_> = updates.iter().filter_map(category).collect();
    assert_eq!(categories, ["utility", "utility", "marketing", "marketing", "utility", "utility"]);
    let Some(WebhookUpdate::Status(last)) = updates.get(6) else {
        panic!("the last message was sent");
    };
    assert_eq!(last.pricing.as_ref().unwrap().billable, Some(false));

    world.script(vec![SimulatedBehaviour::NoPricing]);
    world.send("m").await.unwrap();
    let categories: Vec<_> = world.updates().await.iter().skip(9).filter_map(category).collect();
    assert!(categories.is_empty());
}

#[tokio::test]
async fn batches_of_many_messages_in_one_webhook() {
    let world = World::with(|options| options.batch_linger = Duration::from_secs(3_600)).await;
    world.script(vec![SimulatedBehaviour::Batch { size: 300 }]);
    for n in 0..100 {
        world.send(&n.to_string()).await.unwrap();
    }
    // The batch is full before its time, which the linger above would never bring.
    while lock(&world.receiver.bodies).is_empty() {
        tokio::task::yield_now().await;
    }
    let body = lock(&world.receiver.bodies)[0].clone();
    let payload = WebhookPayload::parse(body.as_bytes()).unwrap();
    assert_eq!(payload.updates().count(), 300);
    assert_eq!(payload.lines().phone_number_ids.len(), 1);
}

#[tokio::test]
async fn webhooks_are_tried_again_until_taken_or_given_up() {
    let world = World::with(|options| options.webhook_attempts = 3).await;
    // `sent` is taken at the third attempt, `delivered` never, `read` at once.
    lock(&world.receiver.answers).extend([503, 204, 200, 500, 500, 500]);
    world.send("m").await.unwrap();
    let updates = world.updates().await;
    let words: Vec<_> = updates
        .iter()
        .map(|update| match update {
            WebhookUpdate::Status(status) => status.status.clone(),
            _ => panic!("only statuses"),
        })
        .collect();
    assert_eq!(words, [ReportedStatus::Sent, ReportedStatus::Read]);
}

#[tokio::test]
async fn an_escaped_webhook_is_signed_as_escaped() {
    let world = World::new().await;
    world.script(vec![SimulatedBehaviour::EscapeUnicode, SimulatedBehaviour::UnknownFields]);
    world.send("Łódź/1").await.unwrap();
    let updates = world.updates().await;
    assert!(lock(&world.receiver.bodies).iter().all(|body| body.is_ascii() && body.contains("\\u0141")));
    let known = updates.iter().filter_map(|update| match update {
        WebhookUpdate::Status(status) => status.biz_opaque_callback_data.as_deref(),
        _ => None,
    });
    assert_eq!(known.collect::<Vec<_>>(), ["Łódź/1"; 3]);
}

#[tokio::test]
async fn it_stops_with_its_handle() {
    let world = World::with(|options| options.delays.sent = Duration::from_secs(3_600)).await;
    world.send("m").await.unwrap();
    let simulator = world.meta.simulator().clone();
    assert_eq!(simulator.pending(), 1);
    world.meta.shutdown().await.unwrap();
    assert_eq!(simulator.pending(), 0);
    assert_eq!(client().send(&world.line, &text("m")).await.unwrap_err().to_string(), "not sent: no connection");
}

#[tokio::test]
async fn too_many_in_the_background_are_refused() {
    let world = World::with(|options| {
        options.delays.sent = Duration::from_secs(3_600);
        options.max_pending = 1;
    })
    .await;
    world.send("m").await.unwrap();
    let failure = world.send("m").await.unwrap_err();
    assert_eq!(failure.to_string(), "refused with code 130429 (HTTP 429)");
}

#[tokio::test]
async fn many_at_once_lose_and_repeat_nothing() {
    let world = World::new().await;
    let ids: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let sends = ids.iter().map(|id| world.send(id));
    for submission in futures::future::join_all(sends).await {
        submission.unwrap();
    }
    let mut seen = std::collections::BTreeMap::<_, Vec<_>>::new();
    for update in world.updates().await {
        let WebhookUpdate::Status(status) = update else {
            panic!("only statuses");
        };
        seen.entry(status.biz_opaque_callback_data.unwrap()).or_default().push(status.status);
    }
    assert_eq!(seen.len(), ids.len());
    assert!(
        seen.values().all(|words| *words == [ReportedStatus::Sent, ReportedStatus::Delivered, ReportedStatus::Read])
    );
    let summary = world.meta.simulator().summary(0);
    assert_eq!((summary.accepted, summary.counts.len()), (500, 500));
    assert!(summary.repeated.is_empty());
}

#[tokio::test]
async fn without_a_subscriber_statuses_are_dropped() {
    let world = World::with(|options| {
        options.webhook_url = None;
        options.webhook_backoff = Duration::from_secs(3_600);
    })
    .await;
    world.send("m").await.unwrap();
    assert!(world.updates().await.is_empty());
}
