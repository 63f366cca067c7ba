//! What remains of an operation once its conditions are decided: selections that `@skip` and `@include` leave out are
//! gone, and so are arguments and input fields for which no value was given.
//!
//! The executor (async-graphql 7.2) differs from the specification in what this makes good: it answers an object of which
//! every field is skipped with null instead of `{}`; it takes a variable that was not given for null, so that an update
//! would clear what it should leave; it runs a mutation's field twice that is selected twice; and it passes over
//! fragments at the root of a subscription.
//!
//! The document as it was sent has to be valid, since what is left out is not checked any more.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Request, Value, Variables};
use async_graphql_value::Value as InputValue;

type FragmentMap = HashMap<Name, Positioned<FragmentDefinition>>;

/// An operation with its conditions decided.
pub struct DecidedOperation {
    pub document: ExecutableDocument,
    /// The response key of a field that stands for the skipped ones, to be taken out of the answer ([`remove_key`]).
    pub placeholder: Option<Name>,
}

impl DecidedOperation {
    /// Whether nothing remains to be selected.
    pub fn is_empty(&self) -> bool {
        self.document.operations.iter().all(|(_, operation)| operation.node.selection_set.node.items.is_empty())
    }
}

/// Whether anything of the operation depends on conditions or on variables that were not given.
pub fn needs_decision(document: &ExecutableDocument, operation: &OperationDefinition, given: &Variables) -> bool {
    let root = &operation.selection_set.node;
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    has_gaps(root, given)
        || fragments.into_iter().any(|set| has_gaps(set, given))
        || (operation.ty != OperationType::Query && !is_flat(root))
}

fn has_gaps(set: &SelectionSet, given: &Variables) -> bool {
    set.items.iter().any(|selection| {
        let below = match &selection.node {
            Selection::Field(field) => {
                let mut arguments = field.node.arguments.iter();
                arguments.any(|(_, value)| lacks_value(&value.node, given))
                    || has_gaps(&field.node.selection_set.node, given)
            }
            Selection::InlineFragment(inline) => has_gaps(&inline.node.selection_set.node, given),
            Selection::FragmentSpread(_) => false,
        };
        below || selection.node.directives().iter().any(|directive| is_condition(&directive.node))
    })
}

fn lacks_value(value: &InputValue, given: &Variables) -> bool {
    match value {
        InputValue::Variable(name) => !given.contains_key(name),
        InputValue::List(items) => items.iter().any(|item| lacks_value(item, given)),
        InputValue::Object(fields) => fields.values().any(|field| lacks_value(field, given)),
        _ => false,
    }
}

/// Whether a root has fields alone, each once.
fn is_flat(root: &SelectionSet) -> bool {
    let mut keys = HashSet::new();
    root.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => keys.insert(&field.node.response_key().node),
        _ => false,
    })
}

fn is_condition(directive: &Directive) -> bool {
    matches!(directive.name.node.as_str(), "skip" | "include")
}

/// Decides the conditions of a valid document's operation, which is the one that the request means, by the request's
/// variables.
pub fn decide(
    document: &ExecutableDocument,
    operation: &Positioned<OperationDefinition>,
    request: &Request,
) -> DecidedOperation {
    let (given, placeholder) = (&request.variables, unused_name(&request.query));
    let mut pass = DecisionPass { fragments: &document.fragments, given, placeholder, decided: HashMap::new() };
    let mut operation = operation.clone();
    let root = std::mem::take(&mut operation.node.selection_set.node);
    let (mut root, is_reduced) = pass.decide_set(root);
    if operation.node.ty != OperationType::Query {
        let mut flat = SelectionSet::default();
        flatten(root, &pass.decided, &mut flat);
        root = flat;
    }
    if is_reduced && operation.node.ty != OperationType::Subscription {
        root.items.push(pass.stand_in());
    }
    operation.node.selection_set.node = root;
    let mut used = UsedNames::default();
    used.collect(&operation.node.selection_set.node, &pass.decided);
    operation.node.variable_definitions.retain(|definition| used.variables.contains(&definition.node.name.node));
    let DecisionPass { decided, placeholder, .. } = pass;
    let fragments = decided.into_iter().filter(|(name, _)| used.fragments.contains(name));
    let fragments = fragments.map(|(name, fragment)| (name, fragment.definition)).collect();
    let operations = match (&request.operation_name, &document.operations) {
        (Some(name), DocumentOperations::Multiple(_)) => {
            DocumentOperations::Multiple([(Name::new(name), operation)].into())
        }
        _ => DocumentOperations::Single(operation),
    };
    DecidedOperation {
        document: ExecutableDocument { operations, fragments },
        placeholder: used.keys.contains(&placeholder).then_some(placeholder),
    }
}

/// A name that does not occur in a document.
fn unused_name(document: &str) -> Name {
    let mut name = "skipped".to_owned();
    while document.contains(&name) {
        name.push('_');
    }
    Name::new(name)
}

struct DecidedFragment {
    definition: Positioned<FragmentDefinition>,
    is_reduced: bool,
}

struct DecisionPass<'a> {
    fragments: &'a FragmentMap,
    given: &'a Variables,
    placeholder: Name,
    decided: HashMap<Name, DecidedFragment>,
}

impl DecisionPass<'_> {
    /// What remains of a selection set, and whether anything of it or of its fragments was left out.
    fn decide_set(&mut self, set: SelectionSet) -> (SelectionSet, bool) {
        let (mut items, mut is_reduced) = (Vec::with_capacity(set.items.len()), false);
        for mut selection in set.items {
            if self.is_left_out(selection.node.directives()) {
                is_reduced = true;
                continue;
            }
            selection.node.directives_mut().retain(|directive| !is_condition(&directive.node));
            let remains = match &mut selection.node {
                Selection::Field(field) => {
                    self.decide_field(&mut field.node);
                    true
                }
                Selection::InlineFragment(inline) => {
                    let below = std::mem::take(&mut inline.node.selection_set.node);
                    let (below, below_reduced) = self.decide_set(below);
                    is_reduced |= below_reduced;
                    inline.node.selection_set.node = below;
                    !inline.node.selection_set.node.items.is_empty()
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.decide_fragment(&spread.node.fragment_name.node);
                    is_reduced |= fragment.is_some_and(|fragment| fragment.is_reduced);
                    fragment.is_none_or(|fragment| !fragment.definition.node.selection_set.node.items.is_empty())
                }
            };
            if remains {
                items.push(selection);
            }
        }
        (SelectionSet { items }, is_reduced)
    }

    fn decide_field(&mut self, field: &mut Field) {
        field.arguments.retain_mut(|(_, value)| keep_given(&mut value.node, self.given));
        let below = std::mem::take(&mut field.selection_set.node);
        let (mut below, is_reduced) = self.decide_set(below);
        if is_reduced {
            below.items.push(self.stand_in());
        }
        field.selection_set.node = below;
    }

    fn decide_fragment(&mut self, name: &Name) -> Option<&DecidedFragment> {
        if !self.decided.contains_key(name) {
            let mut definition = self.fragments.get(name)?.clone();
            let set = std::mem::take(&mut definition.node.selection_set.node);
            let (set, is_reduced) = self.decide_set(set);
            definition.node.selection_set.node = set;
            self.decided.insert(name.clone(), DecidedFragment { definition, is_reduced });
        }
        self.decided.get(name)
    }

    fn is_left_out(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().filter(|directive| is_condition(&directive.node)).any(|directive| {
            let condition = match directive.node.get_argument("if").map(|value| &value.node) {
                Some(InputValue::Boolean(condition)) => Some(*condition),
                Some(InputValue::Variable(name)) => match self.given.get(name) {
                    Some(Value::Boolean(condition)) => Some(*condition),
                    _ => None,
                },
                _ => None,
            };
            // A valid document has no other conditions.
            condition.is_some_and(|condition| condition == (directive.node.name.node == "skip"))
        })
    }

    /// A field that every object has, so that one of which all others are skipped is an object still.
    fn stand_in(&self) -> Positioned<Selection> {
        let at = |name: Name| Positioned::new(name, Pos::default());
        let field = Field {
            alias: Some(at(self.placeholder.clone())),
            name: at(Name::new("__typename")),
            arguments: Vec::new(),
            directives: Vec::new(),
            selection_set: Positioned::new(SelectionSet::default(), Pos::default()),
        };
        Positioned::new(Selection::Field(Positioned::new(field, Pos::default())), Pos::default())
    }
}

/// Takes out what has no value: a field of an object, and in a list null takes its place. False for a value that itself
/// has none.
fn keep_given(value: &mut InputValue, given: &Variables) -> bool {
    match value {
        InputValue::Variable(name) => return given.contains_key(name),
        InputValue::List(items) => items.iter_mut().for_each(|item| {
            if !keep_given(item, given) {
                *item = InputValue::Null;
            }
        }),
        InputValue::Object(fields) => fields.retain(|_, field| keep_given(field, given)),
        _ => {}
    }
    true
}

/// Puts the fields of a root's fragments into the root, and fields of one response key into one.
fn flatten(set: SelectionSet, fragments: &HashMap<Name, DecidedFragment>, into: &mut SelectionSet) {
    for selection in set.items {
        match selection.node {
            Selection::Field(field) => {
                let same = into.items.iter_mut().find_map(|known| match &mut known.node {
                    Selection::Field(known) if known.node.response_key() == field.node.response_key() => Some(known),
                    _ => None,
                });
                match same {
                    Some(known) => {
                        known.node.selection_set.node.items.extend(field.node.selection_set.node.items);
                    }
                    None => into.items.push(Positioned::new(Selection::Field(field), selection.pos)),
                }
            }
            Selection::InlineFragment(inline) => flatten(inline.node.selection_set.node, fragments, into),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                    flatten(fragment.definition.node.selection_set.node.clone(), fragments, into);
                }
            }
        }
    }
}

/// What a decided operation refers to; a document that defines more is not valid.
#[derive(Default)]
struct UsedNames {
    variables: HashSet<Name>,
    fragments: HashSet<Name>,
    keys: HashSet<Name>,
}

impl UsedNames {
    fn collect(&mut self, set: &SelectionSet, fragments: &HashMap<Name, DecidedFragment>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    self.keys.extend(field.node.alias.iter().map(|alias| alias.node.clone()));
                    field.node.arguments.iter().for_each(|(_, value)| self.collect_variables(&value.node));
                    self.collect(&field.node.selection_set.node, fragments);
                }
                Selection::InlineFragment(inline) => self.collect(&inline.node.selection_set.node, fragments),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let (true, Some(fragment)) = (self.fragments.insert(name.clone()), fragments.get(name)) {
                        self.collect(&fragment.definition.node.selection_set.node, fragments);
                    }
                }
            }
        }
    }

    fn collect_variables(&mut self, value: &InputValue) {
        match value {
            InputValue::Variable(name) => {
                self.variables.insert(name.clone());
            }
            InputValue::List(items) => items.iter().for_each(|item| self.collect_variables(item)),
            InputValue::Object(fields) => fields.values().for_each(|field| self.collect_variables(field)),
            _ => {}
        }
    }
}

/// Takes a key out of every object of an answer.
pub fn remove_key(data: &mut Value, key: &Name) {
    match data {
        Value::Object(fields) => {
            fields.shift_remove(key);
            fields.values_mut().for_each(|value| remove_key(value, key));
        }
        Value::List(items) => items.iter_mut().for_each(|item| remove_key(item, key)),
        _ => {}
    }
}
