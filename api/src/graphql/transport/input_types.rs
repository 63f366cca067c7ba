//! The input types of a schema, and the coercion of variables to them: <https://spec.graphql.org/October2021/#sec-Coercing-Variable-Values>
//!
//! async-graphql 7.2 coerces a value where an argument takes it, so that a variable is wrong only at a field. Here it is
//! coerced before anything is executed, and its error names the place in the variable.

use std::collections::{HashMap, HashSet};
use std::fmt;

use async_graphql::Value;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{BaseType, Type, TypeDefinition, TypeKind, TypeSystemDefinition};
use async_graphql::{Name, Number};

/// Every enum and input object of a schema, by its name. Scalars of the schema are checked by the executor.
pub struct InputTypes(HashMap<String, InputKind>);

enum InputKind {
    Enum(HashSet<String>),
    Object { fields: Vec<InputField>, is_one_of: bool },
}

struct InputField {
    name: Name,
    ty: Type,
    /// An omitted field is an error.
    is_required: bool,
}

/// A place in a variable, for messages: `$input.messages[3].to`.
#[derive(Clone, Copy)]
pub enum ValuePath<'a> {
    Variable(&'a str),
    Field(&'a ValuePath<'a>, &'a str),
    Item(&'a ValuePath<'a>, usize),
}

impl fmt::Display for ValuePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${name}"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn wrong(path: &ValuePath<'_>, what: impl fmt::Display) -> String {
    format!("Variable \"{path}\" {what}")
}

impl InputTypes {
    /// Reads the types from the schema's own definition. Without a type, its values are not checked here.
    pub fn of_sdl(sdl: &str) -> Self {
        let definitions = parse_schema(sdl).map(|document| document.definitions).unwrap_or_default();
        let kinds = definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => input_kind(definition.node),
            _ => None,
        });
        Self(kinds.collect())
    }

    /// Makes a value what its type asks for: one value becomes a list of one, a whole number with a fraction of zero an
    /// integer. Errors: what is wrong, in words for the caller that hold nothing of the value.
    pub fn coerce(&self, value: &mut Value, ty: &Type, path: &ValuePath<'_>) -> Result<(), String> {
        if matches!(value, Value::Null) {
            let refused = || Err(wrong(path, format_args!("of type \"{ty}\" must not be null")));
            return if ty.nullable { Ok(()) } else { refused() };
        }
        match &ty.base {
            BaseType::List(item_type) => self.coerce_list(value, item_type, path),
            BaseType::Named(name) => self.coerce_named(value, name, path),
        }
    }

    fn coerce_list(&self, value: &mut Value, item_type: &Type, path: &ValuePath<'_>) -> Result<(), String> {
        let Value::List(items) = value else {
            self.coerce(value, item_type, path)?;
            *value = Value::List(vec![std::mem::take(value)]);
            return Ok(());
        };
        let mut items = items.iter_mut().enumerate();
        items.try_for_each(|(index, item)| self.coerce(item, item_type, &ValuePath::Item(path, index)))
    }

    fn coerce_named(&self, value: &mut Value, name: &Name, path: &ValuePath<'_>) -> Result<(), String> {
        let is_right = match (name.as_str(), &mut *value, self.0.get(name.as_str())) {
            ("Int", Value::Number(number), _) => as_int(number).map(|whole| *number = whole.into()).is_some(),
            ("Float", Value::Number(_), _) => true,
            ("String" | "ID", Value::String(_), _) | ("Boolean", Value::Boolean(_), _) => true,
            ("ID", Value::Number(number), _) => number.is_i64() || number.is_u64(),
            ("Int" | "Float" | "String" | "Boolean" | "ID", _, _) => false,
            (_, Value::String(text), Some(InputKind::Enum(values))) => values.contains(text.as_str()),
            (_, Value::Enum(word), Some(InputKind::Enum(values))) => values.contains(word.as_str()),
            (_, Value::Object(_), Some(InputKind::Object { fields, is_one_of })) => {
                return self.coerce_object(value, name, fields, *is_one_of, path);
            }
            (_, _, Some(_)) => false,
            (_, _, None) => true,
        };
        if is_right { Ok(()) } else { Err(wrong(path, format_args!("is not a value of type \"{name}\""))) }
    }

    fn coerce_object(
        &self,
        value: &mut Value,
        name: &Name,
        fields: &[InputField],
        is_one_of: bool,
        path: &ValuePath<'_>,
    ) -> Result<(), String> {
        let Value::Object(given) = value else { return Ok(()) };
        if let Some(unknown) = given.keys().find(|key| fields.iter().all(|field| field.name != **key)) {
            // At most a name: what a caller put there by mistake may be long.
            let unknown: String = unknown.chars().take(100).collect();
            return Err(wrong(path, format_args!("has a field \"{unknown}\" that type \"{name}\" does not define")));
        }
        if is_one_of && (given.len() != 1 || given.values().any(|value| *value == Value::Null)) {
            return Err(wrong(path, format_args!("must have exactly one field of type \"{name}\", which is not null")));
        }
        fields.iter().try_for_each(|field| match given.get_mut(&field.name) {
            Some(value) => self.coerce(value, &field.ty, &ValuePath::Field(path, &field.name)),
            None if field.is_required => {
                let field_path = ValuePath::Field(path, &field.name);
                Err(wrong(&field_path, format_args!("of type \"{}\" is required and was not given", field.ty)))
            }
            None => Ok(()),
        })
    }
}

/// A whole number of 32 bits with a sign, which is all that `Int` holds.
fn as_int(number: &Number) -> Option<i32> {
    if let Some(whole) = number.as_i64() {
        return i32::try_from(whole).ok();
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
    // A text of the number, so that nothing is rounded.
    format!("{float:.0}").parse().ok()
}

fn input_kind(definition: TypeDefinition) -> Option<(String, InputKind)> {
    let is_one_of = definition.directives.iter().any(|directive| directive.node.name.node == "oneOf");
    let kind = match definition.kind {
        TypeKind::Enum(kind) => {
            InputKind::Enum(kind.values.into_iter().map(|value| value.node.value.node.to_string()).collect())
        }
        TypeKind::InputObject(kind) => {
            let fields = kind.fields.into_iter().map(|field| {
                let (field, ty) = (field.node.clone(), field.node.ty.node);
                let is_required = !ty.nullable && field.default_value.is_none();
                InputField { name: field.name.node, ty, is_required }
            });
            InputKind::Object { fields: fields.collect(), is_one_of }
        }
        _ => return None,
    };
    Some((definition.name.node.to_string(), kind))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const SDL: &str = "
        enum Word { A B }
        input Deep { words: [Word!]!, size: Int! = 3, note: String }
        input One @oneOf { a: Int, b: Int }
        scalar Moment
        type Query { a(deep: Deep, one: One, at: Moment): Int }";

    fn coerced(ty: &str, value: Json) -> Result<Json, String> {
        let mut value = Value::from_json(value).unwrap();
        let types = InputTypes::of_sdl(SDL);
        types.coerce(&mut value, &Type::new(ty).unwrap(), &ValuePath::Variable("v"))?;
        Ok(value.into_json().unwrap())
    }

    #[test]
    fn a_value_becomes_what_its_type_asks_for() {
        for (ty, value, expected) in [
            ("Int", json!(1.0), json!(1)),
            ("Int", json!(null), json!(null)),
            ("[Int]", json!(7), json!([7])),
            ("[[Int!]]", json!(7), json!([[7]])),
            ("[Int]", json!([null]), json!([null])),
            ("Float", json!(1), json!(1)),
            ("ID", json!(7), json!(7)),
            ("Deep", json!({"words": "A"}), json!({"words": ["A"]})),
            ("One", json!({"a": 1}), json!({"a": 1})),
            ("Moment", json!("whenever"), json!("whenever")),
        ] {
            assert_eq!(coerced(ty, value), Ok(expected), "{ty}");
        }
    }

    #[test]
    fn a_value_that_is_wrong_is_told_with_its_place() {
        for (ty, value, told) in [
            ("Int!", json!(null), "\"$v\" of type \"Int!\" must not be null"),
            ("Int", json!(1.5), "\"$v\" is not a value of type \"Int\""),
            ("Int", json!(2_147_483_648_u32), "\"Int\""),
            ("Int", json!("1"), "\"Int\""),
            ("String", json!(1), "\"String\""),
            ("Boolean", json!("true"), "\"Boolean\""),
            ("ID", json!(1.5), "\"ID\""),
            ("[Int!]", json!([1, null]), "\"$v[1]\" of type \"Int!\" must not be null"),
            ("Word", json!("C"), "\"Word\""),
            ("Deep", json!("A"), "\"Deep\""),
            ("Deep", json!({}), "\"$v.words\" of type \"[Word!]!\" is required and was not given"),
            ("Deep", json!({"words": ["C"]}), "\"$v.words[0]\" is not a value of type \"Word\""),
            ("Deep", json!({"words": [], "size": null}), "\"$v.size\""),
            ("Deep", json!({"words": [], "other": 1}), "a field \"other\" that type \"Deep\" does not define"),
            ("One", json!({"a": 1, "b": 2}), "exactly one"),
            ("One", json!({"a": null}), "exactly one"),
        ] {
            let error = coerced(ty, value).unwrap_err();
            assert!(error.contains(told), "{ty}: {error}");
        }
    }
}
