//! How much a document asks for once its fragments are written out.
//!
//! The GraphQL library measures depth and complexity by walking every spread anew, so that thirty short fragments that
//! each spread the next one twice cost it a billion steps. Here each fragment is measured once, before that.
//!
//! Introspection is measured as well, by about how long its lists are: types have fields, which have types, which have
//! fields, and the library would follow that to millions of them without a key.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// Deepest nesting of selections that is measured; the library refuses what is deeper than 32.
const MAX_NESTING: usize = 64;

/// Most things that all introspection of a document may give. The query that tools send gives two thirds of it.
const INTROSPECTION_MAX: usize = 400_000;

/// Whether all operations of the document together select at most `max` things, and of the schema itself not too many.
/// One whose fragments spread each other in a circle never does.
pub fn selects_at_most(document: &ExecutableDocument, max: usize) -> bool {
    let measured = |inside: CountedPart, max: usize| {
        let mut measure = SelectionMeter { document, max, inside, fragments: HashMap::new() };
        let mut total = 0;
        document.operations.iter().all(|(_, operation)| {
            let size = measure.size(&operation.node.selection_set.node, 0);
            size.is_some_and(|size| {
                total += size;
                total <= max
            })
        })
    };
    measured(CountedPart::Everything, max) && measured(CountedPart::Introspection, INTROSPECTION_MAX)
}

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
enum CountedPart {
    Everything,
    /// Only below `__schema` and `__type`, and each thing as often as the lists around it are long.
    Introspection,
}

/// About how long a list of the schema's description of itself is.
fn length(field: &str) -> usize {
    match field {
        "types" => 120,
        "fields" | "inputFields" => 10,
        "enumValues" | "directives" => 6,
        "args" => 3,
        "interfaces" | "possibleTypes" => 2,
        _ => 1,
    }
}

struct SelectionMeter<'a> {
    document: &'a ExecutableDocument,
    max: usize,
    inside: CountedPart,
    /// Sizes of the fragments that were measured.
    fragments: HashMap<&'a str, usize>,
}

impl<'a> SelectionMeter<'a> {
    /// None as soon as it is known to be too much, so that nothing too large is ever walked to its end.
    fn size(&mut self, set: &'a SelectionSet, nesting: usize) -> Option<usize> {
        if nesting > MAX_NESTING {
            return None;
        }
        let mut total = 0;
        for selection in &set.items {
            let below = match &selection.node {
                Selection::Field(field) => {
                    let below = self.size(&field.node.selection_set.node, nesting + 1)?;
                    match (self.inside, field.node.name.node.as_str()) {
                        (CountedPart::Everything, _) => below,
                        // Nothing of the schema is below a field of ours.
                        (CountedPart::Introspection, name) if nesting == 0 && !name.starts_with("__") => 0,
                        (CountedPart::Introspection, name) => below.saturating_mul(length(name)),
                    }
                }
                Selection::InlineFragment(inline) => self.size(&inline.node.selection_set.node, nesting + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, nesting + 1)?,
            };
            total = below.saturating_add(total + 1);
            if total > self.max {
                return None;
            }
        }
        Some(total)
    }

    /// A fragment that does not exist is the validation's to refuse.
    fn fragment(&mut self, name: &'a str, nesting: usize) -> Option<usize> {
        if let Some(known) = self.fragments.get(name) {
            return Some(*known);
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Some(0) };
        let size = self.size(&fragment.node.selection_set.node, nesting)?;
        self.fragments.insert(name, size);
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use async_graphql::parser::parse_query;

    use super::*;

    fn fits(document: &str, max: usize) -> bool {
        selects_at_most(&parse_query(document).unwrap(), max)
    }

    #[test]
    fn fragments_count_as_often_as_they_are_spread() {
        let document = "{ a { b ...F } ... { c } ...F } fragment F on Q { d e }";
        assert!(fits(document, 10));
        assert!(!fits(document, 9));
        assert!(fits("{ a ...Unknown }", 2));
        assert!(!fits("query A { a } query B { b }", 1));
    }

    #[test]
    fn fragments_that_multiply_or_go_in_circles_are_too_much() {
        let mut bomb = "{ ...F0 } fragment F40 on Q { a }".to_owned();
        for n in 0..40 {
            write!(bomb, " fragment F{n} on Q {{ ...F{0} ...F{0} ...F{0} }}", n + 1).unwrap();
        }
        assert!(!fits(&bomb, 10_000));
        assert!(!fits("{ ...A } fragment A on Q { ...B ...B } fragment B on Q { ...A ...A }", 10_000));
        let mut chain = "{ ...F0 } fragment F5000 on Q { a }".to_owned();
        (0..5_000).for_each(|n| write!(chain, " fragment F{n} on Q {{ ...F{} }}", n + 1).unwrap());
        assert!(!fits(&chain, 10_000));
    }
}
