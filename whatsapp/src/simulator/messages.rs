//! `POST /{phone}/messages`: accepting a message, and setting its statuses on their way.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Simulator,
    behaviour::SimulatedBehaviour,
    changes::{MessageJourney, put, user_id},
    ledger::AcceptedMessage,
    lifecycle::plan,
    lines::SimulatedLine,
    lock,
    nodes::GraphNode,
    outbox::PostOptions,
    refusal::{GraphRefusal, bare, dropped, scripted},
    validate::{ValidMessage, validate},
    wamid,
};
use crate::recipient::RequestRecipient;

/// Characters of a text that the ledger keeps, so that 200,000 messages fit in memory whatever they say.
const REMEMBERED_TEXT_CHARS: usize = 256;

pub(super) async fn send(
    State(simulator): State<Simulator>,
    Path(node): Path<GraphNode>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match simulator.send(&node.id, &headers, &body).await {
        Ok(response) => response,
        Err(refusal) => {
            lock(&simulator.inner.ledger).refuse();
            refusal.into_response()
        }
    }
}

impl Simulator {
    async fn send(&self, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, GraphRefusal> {
        let line = self.number(id, headers).await?;
        let body: Value = serde_json::from_slice(body).map_err(|_| GraphRefusal::invalid("The body is not JSON"))?;
        if body["status"] == "read" && body["message_id"].is_string() {
            return Ok(Json(json!({"success": true})).into_response());
        }
        let message =
            validate(&body, |name, language| lock(&self.inner.templates).find(&line.waba_id, name, language))?;
        if self.pending() >= self.inner.options.max_pending {
            return Err(GraphRefusal::new(429, 130_429));
        }
        let behaviours = lock(&self.inner.scripts).take(message.to.as_str());
        let late = behaviours.iter().find_map(|behaviour| match behaviour {
            SimulatedBehaviour::Delay { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        });
        let response = if let Some(refused) = scripted(&behaviours) {
            lock(&self.inner.ledger).refuse();
            refused
        } else {
            self.accept(line, &message, &behaviours)
        };
        if let Some(late) = late {
            sleep(late).await;
        }
        Ok(response)
    }

    fn accept(&self, line: SimulatedLine, message: &ValidMessage, behaviours: &[SimulatedBehaviour]) -> Response {
        let journey = journey(line, message, behaviours, self.now());
        lock(&self.inner.ledger).accept(AcceptedMessage {
            wamid: journey.wamid.clone(),
            phone_number_id: journey.line.phone_number_id.clone(),
            to: message.to.as_str().to_owned(),
            kind: message.kind.clone(),
            template: message.template.clone(),
            text: message.text.as_ref().map(|text| text.chars().take(REMEMBERED_TEXT_CHARS).collect()),
            biz_opaque_callback_data: message.biz_opaque_callback_data.clone(),
            accepted_at: journey.accepted_at,
        });
        let response = answer(&journey, &message.input, behaviours);
        self.follow(journey, behaviours);
        response
    }

    /// Posts the statuses, each when its time has come.
    fn follow(&self, journey: MessageJourney, behaviours: &[SimulatedBehaviour]) {
        let steps = plan(behaviours, &self.inner.options.delays);
        let manner = manner(behaviours);
        let simulator = self.clone();
        self.spawn(async move {
            for step in steps {
                if !step.wait.is_zero() {
                    sleep(step.wait).await;
                }
                let change = journey.change(&step, simulator.now());
                simulator.deliver(&journey.line, change, manner).await;
            }
        });
    }
}

fn journey(line: SimulatedLine, message: &ValidMessage, behaviours: &[SimulatedBehaviour], now: i64) -> MessageJourney {
    let (mut wa_id, user_id) = match &message.to {
        RequestRecipient::Phone(digits) => (Some(digits.clone()), user_id(&line, digits)),
        RequestRecipient::Bsuid(bsuid) => (None, bsuid.clone()),
    };
    let mut category = message.category.clone();
    let mut pricing_type = "regular".to_owned();
    let mut unknown_fields = false;
    for behaviour in behaviours {
        match behaviour {
            SimulatedBehaviour::WaId { wa_id: other } => wa_id = Some(other.clone()),
            SimulatedBehaviour::Category { category: other, pricing_type: other_type } => {
                category.clone_from(other);
                if let Some(other_type) = other_type {
                    pricing_type.clone_from(other_type);
                }
            }
            SimulatedBehaviour::UnknownFields => unknown_fields = true,
            _ => {}
        }
    }
    MessageJourney {
        wamid: wamid::outbound(wa_id.as_ref().unwrap_or(&user_id)),
        line,
        to: message.to.clone(),
        wa_id,
        user_id,
        biz_opaque_callback_data: message.biz_opaque_callback_data.clone(),
        category,
        pricing_type,
        unknown_fields,
        accepted_at: now,
    }
}

fn manner(behaviours: &[SimulatedBehaviour]) -> PostOptions {
    let mut manner = PostOptions::default();
    for behaviour in behaviours {
        match behaviour {
            SimulatedBehaviour::EscapeUnicode => manner.escape = true,
            SimulatedBehaviour::Batch { size } => manner.batch = Some(*size),
            _ => {}
        }
    }
    manner
}

fn answer(journey: &MessageJourney, input: &str, behaviours: &[SimulatedBehaviour]) -> Response {
    let mut status = "accepted";
    for behaviour in behaviours {
        match behaviour {
            SimulatedBehaviour::ServerErrorAfter => return bare(StatusCode::INTERNAL_SERVER_ERROR),
            SimulatedBehaviour::DropAfter => return dropped(),
            SimulatedBehaviour::Held { .. } => status = "held_for_quality_assessment",
            _ => {}
        }
    }
    let mut contact = json!({"input": input});
    put(&mut contact, "wa_id", journey.wa_id.as_ref());
    if let RequestRecipient::Bsuid(bsuid) = &journey.to {
        contact["user_id"] = json!(bsuid);
    }
    Json(json!({
        "messaging_product": "whatsapp",
        "contacts": [contact],
        "messages": [{"id": journey.wamid, "message_status": status}],
    }))
    .into_response()
}
