//! The templates of each business account: a few that every account has, and those that were created.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Simulator, lock, nodes::GraphNode, refusal::GraphRefusal};
use crate::template::variables;

/// Meta's limit for a business that is not verified.
const TEMPLATES_MAX: usize = 250;
const ACCOUNTS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 512;
const PAGE_TEMPLATES_MAX: usize = 1_000;

#[derive(Clone)]
pub(super) struct StoredTemplate {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) language: String,
    /// In upper case.
    pub(super) category: String,
    pub(super) status: String,
    pub(super) components: Value,
}

/// What was created, by business account.
#[derive(Default)]
pub(super) struct TemplateStore(HashMap<String, Vec<StoredTemplate>>);

impl StoredTemplate {
    fn built_in(id: u32, name: &str, category: &str, body: &str) -> Self {
        Self {
            id: format!("90000000000{id:04}"),
            name: name.to_owned(),
            language: "en_US".to_owned(),
            category: category.to_owned(),
            status: "APPROVED".to_owned(),
            components: json!([{"type": "BODY", "text": body}]),
        }
    }

    /// The variables in the text of `component`, in any case.
    pub(super) fn variables(&self, component: &str) -> Vec<String> {
        let components = self.components.as_array().into_iter().flatten();
        let mut texts = components
            .filter(|given| given["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(component)))
            .filter_map(|given| given["text"].as_str());
        texts.next().map(variables).unwrap_or_default()
    }

    fn to_json(&self) -> Value {
        let named = self.variables("body").iter().any(|name| !name.bytes().all(|byte| byte.is_ascii_digit()));
        json!({
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "category": self.category,
            "status": self.status,
            "parameter_format": if named { "NAMED" } else { "POSITIONAL" },
            "components": self.components,
        })
    }
}

impl TemplateStore {
    pub(super) fn find(&self, waba_id: &str, name: &str, language: &str) -> Option<StoredTemplate> {
        self.all(waba_id).into_iter().find(|template| template.name == name && template.language == language)
    }

    fn all(&self, waba_id: &str) -> Vec<StoredTemplate> {
        let mut templates = vec![
            StoredTemplate::built_in(1, "hello_world", "UTILITY", "Welcome and congratulations!"),
            StoredTemplate::built_in(2, "order_update", "UTILITY", "Your order {{1}} is {{2}}. Thank you."),
            StoredTemplate::built_in(
                3,
                "appointment_reminder",
                "UTILITY",
                "Hello {{first_name}}, we expect you on {{date}} as agreed.",
            ),
            StoredTemplate::built_in(4, "summer_sale", "MARKETING", "Hello {{1}}, the summer sale has begun."),
        ];
        templates.extend(self.0.get(waba_id).into_iter().flatten().cloned());
        templates
    }

    fn create(&mut self, waba_id: &str, given: &Value) -> Result<StoredTemplate, GraphRefusal> {
        let template = new_template(given)?;
        if self.find(waba_id, &template.name, &template.language).is_some() {
            let duplicate = GraphRefusal {
                subcode: Some(2_388_024),
                ..GraphRefusal::invalid("There is already content in this language for this template")
            };
            return Err(duplicate);
        }
        let known = self.0.contains_key(waba_id);
        let created = self.0.get(waba_id).map_or(0, Vec::len);
        if created >= TEMPLATES_MAX || (!known && self.0.len() >= ACCOUNTS_MAX) {
            let full =
                GraphRefusal { subcode: Some(2_388_019), ..GraphRefusal::invalid("Message template limit exceeded") };
            return Err(full);
        }
        let template = StoredTemplate { id: format!("91{:013}", created + 1), ..template };
        self.0.entry(waba_id.to_owned()).or_default().push(template.clone());
        Ok(template)
    }
}

fn new_template(given: &Value) -> Result<StoredTemplate, GraphRefusal> {
    let text = |name: &str| {
        let text = given[name].as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| GraphRefusal::invalid(format!("The parameter {name} is required")))
    };
    let name = text("name")?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() > NAME_CHARS_MAX || !name.bytes().all(allowed) {
        return Err(GraphRefusal::invalid("Param name must be at most 512 of a-z, 0-9 and _"));
    }
    let category = text("category")?.to_uppercase();
    if !["MARKETING", "UTILITY", "AUTHENTICATION"].contains(&category.as_str()) {
        return Err(GraphRefusal::invalid("Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}"));
    }
    if !given["components"].is_array() {
        return Err(GraphRefusal::invalid("The parameter components is required"));
    }
    Ok(StoredTemplate {
        id: String::new(),
        name,
        language: text("language")?,
        category,
        status: "APPROVED".to_owned(),
        components: given["components"].clone(),
    })
}

#[derive(Deserialize)]
pub(super) struct TemplateFilter {
    name: Option<String>,
    language: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

pub(super) async fn list(
    State(simulator): State<Simulator>,
    Path(node): Path<GraphNode>,
    Query(filter): Query<TemplateFilter>,
    headers: HeaderMap,
) -> Result<Json<Value>, GraphRefusal> {
    simulator.account(&node.id, &headers).await?;
    let mut templates = lock(&simulator.inner.templates).all(&node.id);
    // Meta's filter finds names that contain the one asked for.
    templates.retain(|template| filter.name.as_ref().is_none_or(|name| template.name.contains(name)));
    templates.retain(|template| filter.language.as_ref().is_none_or(|language| template.language == *language));
    let skipped = filter.after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let limit = filter.limit.unwrap_or(25).clamp(1, PAGE_TEMPLATES_MAX);
    let page: Vec<Value> = templates.iter().skip(skipped).take(limit).map(StoredTemplate::to_json).collect();
    let mut answer = json!({"data": page});
    if !page.is_empty() {
        let end = skipped + page.len();
        answer["paging"] = json!({"cursors": {"before": skipped.to_string(), "after": end.to_string()}});
        if end < templates.len() {
            answer["paging"]["next"] = json!(format!("/{}/message_templates?after={end}", node.id));
        }
    }
    Ok(Json(answer))
}

/// Approves at once.
pub(super) async fn create(
    State(simulator): State<Simulator>,
    Path(node): Path<GraphNode>,
    headers: HeaderMap,
    Json(given): Json<Value>,
) -> Result<Json<Value>, GraphRefusal> {
    simulator.account(&node.id, &headers).await?;
    let created = lock(&simulator.inner.templates).create(&node.id, &given)?;
    Ok(Json(json!({"id": created.id, "status": created.status, "category": created.category})))
}
