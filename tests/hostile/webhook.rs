//! Webhook bodies: the whole handling, signed as a number's own, from JSON to events.

use wasend_commands::webhook::WebhookError;
use wasend_whatsapp::{WebhookPayload, signature};

use super::Inside;
use super::inside::APP_SECRET;

/// Whatever the body is, it is taken in or turned away as malformed or strange: nothing fails, and JSON is never
/// malformed.
pub fn trial(inside: &Inside, body: &[u8]) {
    let signed = signature::sign(APP_SECRET, body);
    let taken = inside.runtime.block_on(inside.app.commands.take_webhook(body, Some(&signed)));
    match (WebhookPayload::parse(body), taken) {
        (Ok(_), Ok(_) | Err(WebhookError::Signature)) | (Err(_), Err(WebhookError::Malformed)) => {}
        (parsed, taken) => panic!("parsed: {}, taken: {taken:?}", parsed.is_ok()),
    }
    let forged = signature::sign("another secret", body);
    let taken = inside.runtime.block_on(inside.app.commands.take_webhook(body, Some(&forged)));
    assert!(matches!(taken, Err(WebhookError::Signature)), "a forged signature opens nothing: {taken:?}");
}
