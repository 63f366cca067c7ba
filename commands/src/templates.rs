//! Which variables an approved template takes, asked of Meta and remembered for a while, so that a message with a
//! missing variable is refused at once instead of failing at Meta.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasend_domain::content::{OutboundContent, TemplateShape};
use wasend_domain::{Clock, Time};
use wasend_projections::numbers::NumberRow;
use wasend_whatsapp::{MetaGateway, TemplateDefinition};

use crate::{CommandError, SenderCredentials};

/// How long an answer is believed; Meta may approve, pause or change a template at any time.
const TEMPLATE_TTL: Duration = Duration::from_secs(300);
/// How long an absence is believed: short, since an approval may be awaited.
const ABSENT_TEMPLATE_TTL: Duration = Duration::from_secs(15);
/// How many templates are remembered at most.
const CACHED_TEMPLATES_MAX: usize = 10_000;

/// What is known of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownTemplate {
    Approved {
        shape: TemplateShape,
        is_marketing: bool,
    },
    /// Meta has no approved template of this name and language.
    Absent,
    /// Meta could not be asked: the message is accepted, and Meta will judge it.
    Unknown,
}

/// WABA, template name, language.
type TemplateKey = (String, String, String);

/// The approved templates of the numbers' business accounts, asked of Meta and remembered for a short time.
pub struct TemplateCatalog {
    gateway: Arc<dyn MetaGateway>,
    lines: Arc<SenderCredentials>,
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<TemplateKey, (Time, KnownTemplate)>>,
}

impl TemplateCatalog {
    /// Nothing is remembered yet.
    pub fn new(gateway: Arc<dyn MetaGateway>, lines: Arc<SenderCredentials>, clock: Arc<dyn Clock>) -> Self {
        Self { gateway, lines, clock, seen: Mutex::default() }
    }

    /// What the template of this name and language takes; unknown where Meta cannot be asked.
    pub async fn shape(&self, number: &NumberRow, name: &str, language: &str) -> Result<KnownTemplate, CommandError> {
        let key = (number.waba_id.clone(), name.to_owned(), language.to_owned());
        if let Some(known) = self.remembered(&key) {
            return Ok(known);
        }
        let line = self.lines.line(number).await?;
        let Ok(definitions) = self.gateway.templates(&line, name).await else { return Ok(KnownTemplate::Unknown) };
        let definition = definitions.iter().find(|t| t.name == name && t.language == language && t.is_approved());
        let known = definition.map_or(KnownTemplate::Absent, |definition| KnownTemplate::Approved {
            shape: shape(definition),
            is_marketing: is_marketing(definition),
        });
        self.remember(key, known.clone());
        Ok(known)
    }

    /// Whether the content is marketing, or may be: a template of the category `MARKETING`, or of one that cannot be
    /// asked for.
    pub async fn is_marketing(&self, number: &NumberRow, content: &OutboundContent) -> Result<bool, CommandError> {
        let OutboundContent::Template(template) = content else { return Ok(false) };
        Ok(match self.shape(number, &template.name, &template.language).await? {
            KnownTemplate::Approved { is_marketing, .. } => is_marketing,
            KnownTemplate::Absent | KnownTemplate::Unknown => true,
        })
    }

    fn remembered(&self, key: &TemplateKey) -> Option<KnownTemplate> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = seen.get(key)?;
        let fresh = if *known == KnownTemplate::Absent { ABSENT_TEMPLATE_TTL } else { TEMPLATE_TTL };
        (self.clock.now().since(*at) < fresh).then(|| known.clone())
    }

    fn remember(&self, key: TemplateKey, known: KnownTemplate) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= CACHED_TEMPLATES_MAX {
            seen.clear();
        }
        seen.insert(key, (self.clock.now(), known));
    }
}

/// Meta names the category of every template; one without counts as marketing, so that no opt-out is passed over.
fn is_marketing(definition: &TemplateDefinition) -> bool {
    definition.category.as_deref().is_none_or(|category| category.eq_ignore_ascii_case("MARKETING"))
}

fn shape(definition: &TemplateDefinition) -> TemplateShape {
    if definition.has_named_parameters() {
        TemplateShape::Named(definition.body_parameters.clone())
    } else {
        TemplateShape::Positional(definition.body_parameters.len())
    }
}
