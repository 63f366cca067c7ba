//! The schema as introspection tells it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasend_tests::Client;

/// A field of a type.
pub type Place = (String, String);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Query,
    Mutation,
    Subscription,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// A field of the query, of the mutation or of the subscription type.
pub struct Root {
    pub kind: Kind,
    pub name: String,
    kind_of_value: String,
}

impl Root {
    /// The type of a mutation's `input`.
    pub fn input(&self) -> String {
        format!("{}{}Input", self.name[..1].to_uppercase(), &self.name[1..])
    }
}

/// A personal field as an answer has it.
pub struct Found {
    pub place: Place,
    pub path: Vec<Value>,
    pub value: Value,
}

struct Field {
    name: String,
    about: String,
    /// The innermost type.
    kind: String,
}

pub struct Schema(BTreeMap<String, Vec<Field>>);

const INTROSPECTION: &str = "{ __schema { types { kind name fields { name description \
    type { name ofType { name ofType { name ofType { name } } } } } } } }";

impl Schema {
    pub async fn of(client: &Client) -> Self {
        let mut types = BTreeMap::new();
        let schema = client.data(INTROSPECTION, json!({})).await;
        for kind in schema["__schema"]["types"].as_array().expect("types") {
            let name = kind["name"].as_str().expect("a name");
            if kind["kind"] == "OBJECT" && !name.starts_with("__") {
                let fields = kind["fields"].as_array().expect("fields").iter().map(Field::of);
                types.insert(name.to_owned(), fields.collect());
            }
        }
        Self(types)
    }

    pub fn roots(&self) -> Vec<Root> {
        [(Kind::Query, "Query"), (Kind::Mutation, "Mutation"), (Kind::Subscription, "Subscriptions")]
            .into_iter()
            .flat_map(|(kind, name)| {
                let fields = self.0.get(name).unwrap_or_else(|| panic!("there is a type {name}"));
                fields.iter().map(move |field| Root {
                    kind,
                    name: field.name.clone(),
                    kind_of_value: field.kind.clone(),
                })
            })
            .collect()
    }

    /// Every field whose description names a scope that it needs.
    pub fn personal(&self) -> impl Iterator<Item = Place> {
        self.places()
            .filter(|(_, field)| field.scope().is_some())
            .map(|(kind, field)| (kind.clone(), field.name.clone()))
    }

    /// Every field that is a text, or a list of texts.
    pub fn texts(&self) -> impl Iterator<Item = Place> {
        let texts = self.places().filter(|(_, field)| field.kind == "String");
        texts.map(|(kind, field)| (kind.clone(), field.name.clone()))
    }

    pub fn scope(&self, place: &Place) -> Option<String> {
        self.0[&place.0].iter().find(|field| field.name == place.1)?.scope()
    }

    fn places(&self) -> impl Iterator<Item = (&String, &Field)> {
        self.0.iter().flat_map(|(kind, fields)| fields.iter().map(move |field| (kind, field)))
    }

    /// Everything below a root field.
    pub fn document(&self, root: &Root, arguments: &str) -> String {
        format!("{}{{ {}{arguments}{} }}", opening(root.kind), root.name, self.selection(&root.kind_of_value))
    }

    fn selection(&self, kind: &str) -> String {
        let Some(fields) = self.0.get(kind) else { return String::new() };
        let fields: Vec<_> =
            fields.iter().map(|field| format!("{}{}", field.name, self.selection(&field.kind))).collect();
        format!(" {{ {} }}", fields.join(" "))
    }

    /// The personal fields in the value of a root field.
    pub fn values(&self, root: &Root, value: &Value) -> Vec<Found> {
        let mut found = Vec::new();
        self.walk(&root.kind_of_value, value, &[json!(root.name)], &mut found);
        found
    }

    fn walk(&self, kind: &str, value: &Value, path: &[Value], found: &mut Vec<Found>) {
        let below = |step: Value| path.iter().cloned().chain([step]).collect::<Vec<_>>();
        match value {
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.walk(kind, value, &below(json!(index)), found);
                }
            }
            Value::Object(values) => {
                for field in self.0.get(kind).into_iter().flatten() {
                    // What was asked for is there, if only as null.
                    let value = values.get(&field.name).cloned();
                    let value = value.unwrap_or_else(|| panic!("{kind}.{} is left out at {path:?}", field.name));
                    let path = below(json!(field.name));
                    if field.scope().is_some() {
                        let place = (kind.to_owned(), field.name.clone());
                        found.push(Found { place, path: path.clone(), value: value.clone() });
                    }
                    self.walk(&field.kind, &value, &path, found);
                }
            }
            _ => {}
        }
    }
}

const fn opening(kind: Kind) -> &'static str {
    match kind {
        Kind::Subscription => "subscription ",
        Kind::Query | Kind::Mutation => "",
    }
}

impl Field {
    fn of(field: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut kind = &field["type"];
        while kind["ofType"].is_object() {
            kind = &kind["ofType"];
        }
        // Lines of a description may break anywhere.
        let about = text(&field["description"]).split_whitespace().collect::<Vec<_>>().join(" ");
        Self { name: text(&field["name"]), about, kind: text(&kind["name"]) }
    }

    fn scope(&self) -> Option<String> {
        let (_, rest) = self.about.split_once("Needs the scope ")?;
        Some(rest.split('.').next().unwrap_or_default().to_owned())
    }
}
