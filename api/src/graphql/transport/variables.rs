//! The variables of an operation, complete and coerced before it is executed: a default takes the place of a value that
//! was not given, and a required value that is missing is an error of the request.
//!
//! async-graphql 7.2 decides `@skip` and `@include` by the variables of the request alone, without the defaults of the
//! operation: <https://github.com/async-graphql/async-graphql/pull/1827>

use std::collections::HashSet;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned, ServerError, Value, Variables};
use async_graphql_value::Value as InputValue;

use super::input_types::{InputTypes, ValuePath};
use crate::problem::ProblemCode;

/// The operation of a document that a request means; none where it does not say which, or means one that is not there.
pub fn selected_operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a Positioned<OperationDefinition>> {
    let mut operations = document
        .operations
        .iter()
        .filter(|(known, _)| name.is_none_or(|name| known.is_some_and(|known| known == name)));
    match (operations.next(), operations.next()) {
        (Some((_, operation)), None) => Some(operation),
        _ => None,
    }
}

/// The values of the variables that the operation declares; one that may be absent and is has no entry. Others than the
/// declared ones are dropped. Errors: GRAPHQL_VALIDATION_FAILED for each variable that is missing or wrong.
pub fn complete_variables(
    types: &InputTypes,
    operation: &OperationDefinition,
    mut given: Variables,
) -> Result<Variables, Vec<ServerError>> {
    let (mut complete, mut errors) = (Variables::default(), Vec::new());
    for definition in &operation.variable_definitions {
        let (name, ty) = (&definition.node.name.node, &definition.node.var_type.node);
        let default = definition.node.default_value.as_ref().map(|value| value.node.clone());
        let outcome = match given.remove(name).or(default) {
            Some(mut value) => types.coerce(&mut value, ty, &ValuePath::Variable(name)).map(|()| Some(value)),
            None if ty.nullable => Ok(None),
            None => Err(format!("Variable \"${name}\" of type \"{ty}\" is required and was not given")),
        };
        match outcome {
            Ok(value) => {
                let entry = value.map(|value: Value| (name.clone(), value));
                complete.extend(entry);
            }
            Err(message) => {
                let error = ProblemCode::GraphqlValidationFailed.server_error(message);
                errors.push(ServerError { locations: vec![definition.pos], ..error });
            }
        }
    }
    if errors.is_empty() { Ok(complete) } else { Err(errors) }
}

/// Refuses a condition that may be null, which async-graphql does not: `@skip(if:)` and `@include(if:)` take `Boolean!`,
/// and so a variable that cannot be null or has a default. Errors: GRAPHQL_VALIDATION_FAILED.
pub fn check_conditions(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
) -> Result<(), Box<ServerError>> {
    let has_value =
        |default: &Option<Positioned<Value>>| default.as_ref().is_some_and(|value| value.node != Value::Null);
    let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
    let nullable =
        definitions.filter(|definition| definition.var_type.node.nullable && !has_value(&definition.default_value));
    let nullable: HashSet<&Name> = nullable.map(|definition| &definition.name.node).collect();
    if nullable.is_empty() {
        return Ok(());
    }
    ConditionCheck { document, nullable, fragments: HashSet::new() }.check(&operation.selection_set.node)
}

struct ConditionCheck<'a> {
    document: &'a ExecutableDocument,
    nullable: HashSet<&'a Name>,
    /// Those that were checked.
    fragments: HashSet<&'a Name>,
}

impl<'a> ConditionCheck<'a> {
    fn check(&mut self, set: &'a SelectionSet) -> Result<(), Box<ServerError>> {
        for selection in &set.items {
            for directive in selection.node.directives() {
                if let Some(InputValue::Variable(name)) = directive.node.get_argument("if").map(|value| &value.node)
                    && self.nullable.contains(name)
                {
                    let message =
                        format!("Variable \"${name}\" can be null, and a condition cannot; give it a default");
                    let error = ProblemCode::GraphqlValidationFailed.server_error(message);
                    return Err(Box::new(ServerError { locations: vec![directive.pos], ..error }));
                }
            }
            match &selection.node {
                Selection::Field(field) => self.check(&field.node.selection_set.node)?,
                Selection::InlineFragment(inline) => self.check(&inline.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let (true, Some(fragment)) = (self.fragments.insert(name), self.document.fragments.get(name)) {
                        self.check(&fragment.node.selection_set.node)?;
                    }
                }
            }
        }
        Ok(())
    }
}
