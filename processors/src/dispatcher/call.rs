//! One call to Meta.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tracing::Instrument;
use wasend_domain::content::{OutboundContent, TemplateMessage};
use wasend_domain::{AccountId, MessageId, NumberId, Personal, SubjectId, Time};
use wasend_vault::Person;
use wasend_whatsapp::{
    self as meta, BodyParameters, MetaGateway, NamedParameter, SendFailure, SendRequest, SenderLine, UnknownOutcome,
};

/// A message whose attempt is recorded, ready to go.
pub(crate) struct CallJob {
    pub message: MessageId,
    pub account: AccountId,
    pub number: NumberId,
    pub contact: SubjectId,
    pub attempt: u32,
    /// Who the contact was known to be.
    pub person: Personal<Person>,
    pub request: SendRequest,
}

/// A call that ended.
pub(crate) struct EndedCall {
    pub job: CallJob,
    pub begun: Time,
    pub result: Result<meta::SendReceipt, SendFailure>,
}

/// Hands the message to Meta, once. Whatever goes wrong with the call itself, its outcome is then unknown.
pub(crate) async fn call(
    gateway: &Arc<dyn MetaGateway>,
    line: &SenderLine,
    job: &CallJob,
    timeout: Duration,
) -> Result<meta::SendReceipt, SendFailure> {
    let span = tracing::info_span!(
        "dispatch.send",
        message.id = %job.message,
        number.id = %job.number,
        message.attempt = job.attempt,
    );
    let start = Instant::now();
    let in_flight = InFlight::begin();
    let sending = AssertUnwindSafe(gateway.send(line, &job.request)).catch_unwind();
    let result = match tokio::time::timeout(timeout, sending).instrument(span).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SendFailure::Unknown(UnknownOutcome::ConnectionLost)),
        Err(_) => Err(SendFailure::Unknown(UnknownOutcome::Timeout)),
    };
    drop(in_flight);
    metrics::histogram!("wasend_dispatch_call_seconds").record(start.elapsed().as_secs_f64());
    result
}

/// Counts a call as under way, however it ends.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn begin() -> Self {
        let gauge = metrics::gauge!("wasend_dispatch_in_flight");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The message as Meta wants to be asked for it. Meta returns our id with every status, so that a call whose outcome
/// is unknown is recognised.
pub(crate) fn request(message: MessageId, person: &Person, content: OutboundContent) -> Option<SendRequest> {
    let content = match content {
        OutboundContent::Text { body, preview_url } => meta::RequestContent::Text { body, preview_url },
        OutboundContent::Template(TemplateMessage { name, language, parameters }) => {
            let body = if !parameters.is_empty() && parameters.iter().all(|parameter| parameter.name.is_some()) {
                let named = |(name, text)| NamedParameter { name, text };
                let parameters = parameters.into_iter().filter_map(|p| Some((p.name?, p.text)));
                BodyParameters::Named(parameters.map(named).collect())
            } else {
                BodyParameters::Positional(parameters.into_iter().map(|parameter| parameter.text).collect())
            };
            meta::RequestContent::Template { name, language, body }
        }
    };
    let biz_opaque_callback_data = Some(message.to_string());
    Some(SendRequest { to: recipient(person)?, content, biz_opaque_callback_data })
}

fn recipient(person: &Person) -> Option<meta::RequestRecipient> {
    let phone = person.phone().map(str::to_owned);
    let bsuid = || person.bsuid().map(|bsuid| meta::RequestRecipient::Bsuid(bsuid.to_owned()));
    let wa_id = || person.wa_id().map(|wa_id| meta::RequestRecipient::Phone(format!("+{wa_id}")));
    phone.map(meta::RequestRecipient::Phone).or_else(bsuid).or_else(wa_id)
}

#[cfg(test)]
mod tests {
    use wasend_domain::content::TemplateVariable;

    use super::*;

    fn person(phone: Option<&str>, bsuid: Option<&str>, wa_id: Option<&str>) -> Person {
        let list = |value: Option<&str>| value.into_iter().map(str::to_owned).collect();
        Person { phones: list(phone), bsuids: list(bsuid), wa_ids: list(wa_id), ..Person::default() }
    }

    fn addressed(person: &Person) -> Option<String> {
        recipient(person).map(|recipient| recipient.as_str().to_owned())
    }

    #[test]
    fn the_phone_number_comes_first() {
        let all = person(Some("+16505551234"), Some("US.1349"), Some("16505551234"));
        assert_eq!(addressed(&all).as_deref(), Some("+16505551234"));
        assert_eq!(addressed(&person(None, Some("US.1349"), Some("1"))).as_deref(), Some("US.1349"));
        assert_eq!(addressed(&person(None, None, Some("16505551234"))).as_deref(), Some("+16505551234"));
        assert_eq!(addressed(&Person::default()), None);
    }

    #[test]
    fn variables_go_by_name_if_all_have_one() {
        let parameter = |name: Option<&str>| TemplateVariable { name: name.map(str::to_owned), text: "Ada".into() };
        let body = |parameters| {
            let template = TemplateMessage { name: "order".into(), language: "en".into(), parameters };
            let message = MessageId::random();
            let person = person(Some("+16505551234"), None, None);
            let request = request(message, &person, OutboundContent::Template(template)).unwrap();
            assert_eq!(request.biz_opaque_callback_data, Some(message.to_string()));
            request.to_json()["template"]["components"][0]["parameters"][0].clone()
        };
        assert_eq!(body(vec![parameter(Some("first_name"))])["parameter_name"], "first_name");
        assert_eq!(body(vec![parameter(None)])["text"], "Ada");
        assert!(body(vec![]).is_null());
    }
}
