//! What an HTTP answer of Meta proves. Only Meta's own error envelope proves that a message was not accepted; a status
//! code alone may come from anything between us and Meta.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::value::RawValue;

use crate::{
    errors::classify,
    gateway::{GraphError, SendFailure, SendReceipt, SubmissionStatus, UnknownOutcome},
    json::{JsonObject, list},
    template::TemplateDefinition,
};

/// Says for each WhatsApp Business Account how much of its hourly calls are used.
/// Source: Graph API "Rate limits", business use case limits.
const USAGE_HEADER: &str = "x-business-use-case-usage";
/// Longer waits than this are taken for a mistake.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// An HTTP answer that was read whole.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// One page of templates, and the cursor of the next.
pub(crate) struct TemplatePage {
    pub(crate) templates: Vec<TemplateDefinition>,
    pub(crate) after: Option<String>,
}

impl HttpAnswer {
    pub(crate) fn submission(&self) -> Result<SendReceipt, SendFailure> {
        let raw = self.success()?;
        read_submission(&raw).ok_or_else(|| self.unreadable())
    }

    pub(crate) fn templates(&self) -> Result<TemplatePage, SendFailure> {
        let raw = self.success()?;
        read_page(&raw).ok_or_else(|| self.unreadable())
    }

    fn success(&self) -> Result<Box<RawValue>, SendFailure> {
        let parsed = serde_json::from_slice::<Box<RawValue>>(&self.body).ok();
        if (200..300).contains(&self.status) {
            return parsed.ok_or_else(|| self.unreadable());
        }
        let envelope = parsed.and_then(|raw| self.graph_error(&raw));
        Err(match envelope {
            Some(error) => SendFailure::Refused(Box::new(error)),
            None => SendFailure::Unknown(UnknownOutcome::NoEnvelope { http_status: self.status }),
        })
    }

    fn graph_error(&self, raw: &RawValue) -> Option<GraphError> {
        let error = JsonObject::read(raw)?.object("error")?;
        let code = error.integer("code")?;
        Some(GraphError {
            code,
            subcode: error.integer("error_subcode"),
            message: error.text("message").unwrap_or_default(),
            details: error.object("error_data").and_then(|data| data.text("details")),
            http_status: self.status,
            class: classify(code, self.status),
            retry_after: self.retry_after(),
        })
    }

    fn unreadable(&self) -> SendFailure {
        SendFailure::Unknown(UnknownOutcome::Unreadable { http_status: self.status })
    }

    fn retry_after(&self) -> Option<Duration> {
        let header = |name: &str| self.headers.get(name)?.to_str().ok();
        let asked = header(RETRY_AFTER.as_str())
            .and_then(|seconds| seconds.trim().parse().ok())
            .or_else(|| header(USAGE_HEADER).and_then(minutes_to_regain).map(|minutes| minutes.saturating_mul(60)))?;
        Some(Duration::from_secs(asked).min(RETRY_AFTER_MAX))
    }
}

fn read_submission(raw: &RawValue) -> Option<SendReceipt> {
    let answer = JsonObject::read(raw)?;
    let message = answer.objects("messages").into_iter().next()?;
    let contact = answer.objects("contacts").into_iter().next();
    let identity = |name| contact.as_ref().and_then(|contact| contact.filled(name));
    Some(SendReceipt {
        wamid: message.filled("id")?,
        wa_id: identity("wa_id"),
        user_id: identity("user_id"),
        message_status: message.text("message_status").map(|word| SubmissionStatus::from_word(&word)),
    })
}

fn read_page(raw: &RawValue) -> Option<TemplatePage> {
    let answer = JsonObject::read(raw)?;
    let elements = answer.list("data")?;
    let paging = answer.object("paging");
    let more = paging.as_ref().is_some_and(|paging| paging.get("next").is_some());
    let cursor = paging.and_then(|paging| paging.object("cursors")).and_then(|cursors| cursors.filled("after"));
    Some(TemplatePage {
        templates: elements.into_iter().filter_map(TemplateDefinition::read).collect(),
        after: cursor.filter(|_| more),
    })
}

/// The longest `estimated_time_to_regain_access` of any account named, in minutes; `None` where nothing is exhausted.
fn minutes_to_regain(header: &str) -> Option<u64> {
    let raw: &RawValue = serde_json::from_str(header).ok()?;
    let accounts = JsonObject::read(raw)?;
    let minutes = accounts.members().flat_map(|(_, usages)| {
        let usages = list(usages).unwrap_or_default();
        usages.into_iter().filter_map(|usage| {
            let minutes = JsonObject::read(usage)?.integer("estimated_time_to_regain_access")?;
            u64::try_from(minutes).ok().filter(|minutes| *minutes > 0)
        })
    });
    minutes.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::ErrorClass;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() }
    }

    fn unknown(why: UnknownOutcome) -> SendFailure {
        SendFailure::Unknown(why)
    }

    #[test]
    fn an_acceptance_in_all_its_forms() {
        let full = answer(
            200,
            r#"{"messaging_product":"whatsapp","contacts":[{"input":"+1","wa_id":"16505551234","user_id":"US.1"}],
                "messages":[{"id":"wamid.A","message_status":"held_for_quality_assessment"}]}"#,
        );
        let submission = full.submission().unwrap();
        assert_eq!(submission.wamid, "wamid.A");
        assert_eq!(submission.wa_id.as_deref(), Some("16505551234"));
        assert_eq!(submission.user_id.as_deref(), Some("US.1"));
        assert_eq!(submission.message_status, Some(SubmissionStatus::Held));

        let least = answer(200, r#"{"messages":[{"id":"wamid.B"}]}"#).submission().unwrap();
        assert_eq!((least.wa_id, least.message_status), (None, None));
        for (word, status) in [
            ("accepted", SubmissionStatus::Accepted),
            ("paused", SubmissionStatus::Paused),
            ("thought_about", SubmissionStatus::Other),
        ] {
            let body = format!(r#"{{"messages":[{{"id":"w","message_status":"{word}"}}]}}"#);
            let submission = answer(200, &body).submission().unwrap();
            assert_eq!(submission.message_status, Some(status));
        }
    }

    #[test]
    fn an_envelope_is_a_refusal() {
        let mut refused = answer(
            400,
            r#"{"error":{"message":"(#131056) Pair","type":"OAuthException","code":131056,"error_subcode":7,
                "error_data":{"messaging_product":"whatsapp","details":"too fast"},"fbtrace_id":"x"}}"#,
        );
        refused.headers.insert(RETRY_AFTER, "17".parse().unwrap());
        let expected = GraphError {
            code: 131_056,
            subcode: Some(7),
            message: "(#131056) Pair".into(),
            details: Some("too fast".into()),
            http_status: 400,
            class: ErrorClass::ThrottlePair,
            retry_after: Some(Duration::from_secs(17)),
        };
        let failure = refused.submission().unwrap_err();
        assert_eq!(failure, SendFailure::Refused(Box::new(expected)));
    }

    #[test]
    fn the_usage_header_counts_in_minutes() {
        let mut refused = answer(400, r#"{"error":{"code":80007}}"#);
        let usage = r#"{"1":[{"type":"messaging","estimated_time_to_regain_access":0}],"2":[{"estimated_time_to_regain_access":3}]}"#;
        refused.headers.insert(USAGE_HEADER, usage.parse().unwrap());
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(180)));
        refused.headers.insert(RETRY_AFTER, "9".parse().unwrap());
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(9)));
        refused.headers.insert(RETRY_AFTER, u64::MAX.to_string().parse().unwrap());
        assert_eq!(refused.retry_after(), Some(RETRY_AFTER_MAX));
    }

    #[test]
    fn anything_else_proves_nothing() {
        for (status, body) in [
            (500, ""),
            (502, "<html>Bad Gateway</html>"),
            (503, r#"{"error":"no"}"#),
            (400, r#"{"error":{"message":"without a code"}}"#),
            (302, ""),
            (404, "{}"),
        ] {
            let failure = answer(status, body).submission().unwrap_err();
            let expected = UnknownOutcome::NoEnvelope { http_status: status };
            assert_eq!(failure, unknown(expected), "{status} {body}");
        }
        for body in ["", "OK", "{}", r#"{"messages":[]}"#, r#"{"messages":[{"id":""}]}"#, r#"{"error":{"code":100}}"#] {
            let failure = answer(200, body).submission().unwrap_err();
            assert_eq!(failure, unknown(UnknownOutcome::Unreadable { http_status: 200 }), "{body}");
        }
    }

    #[test]
    fn a_page_of_templates_names_the_next_only_if_there_is_one() {
        let page = |paging: &str| {
            let body = format!(r#"{{"data":[{{"name":"a","language":"en"}},7,{{}}],"paging":{paging}}}"#);
            answer(200, &body).templates().unwrap()
        };
        let last = page(r#"{"cursors":{"after":"X"}}"#);
        assert_eq!((last.templates.len(), last.after), (1, None));
        let next = page(r#"{"cursors":{"after":"X"},"next":"https://graph"}"#);
        assert_eq!(next.after.as_deref(), Some("X"));
        assert!(answer(200, "{}").templates().is_err());
    }
}
