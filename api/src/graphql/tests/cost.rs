//! What lists cost.

use async_graphql::Request;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{BaseType, FieldDefinition, ObjectType, Type, TypeKind, TypeSystemDefinition};
use std::collections::HashMap;

use super::World;
use crate::config::{self, ConfigSources};
use crate::graphql::schema_sdl;
use crate::graphql::transport::{GraphqlEngine, SchemaEngine};

type Objects = HashMap<String, ObjectType>;

fn objects() -> Objects {
    let definitions = parse_schema(schema_sdl()).unwrap().definitions.into_iter();
    let objects = definitions.filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => match definition.node.kind {
            TypeKind::Object(object) => Some((definition.node.name.node.to_string(), object)),
            _ => None,
        },
        _ => None,
    });
    objects.collect()
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

fn needs_arguments(field: &FieldDefinition) -> bool {
    field.arguments.iter().any(|argument| !argument.node.ty.node.nullable && argument.node.default_value.is_none())
}

/// All fields of an object, and of the objects in it, except lists of other things and what leads back.
fn all_fields(objects: &Objects, name: &str, within: &[&str]) -> String {
    let within = [within, &[name]].concat();
    let fields = objects[name].fields.iter().map(|field| &field.node).filter(|field| !needs_arguments(field));
    let fields = fields.filter_map(|field| {
        let (name, ty) = (&field.name.node, named(&field.ty.node));
        match objects.get(ty) {
            None => Some(name.to_string()),
            Some(_) if within.contains(&ty) || ty.ends_with("Connection") => None,
            Some(_) => Some(format!("{name} {{ {} }}", all_fields(objects, ty, &within))),
        }
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_full_page_with_all_fields_of_any_list_is_within_the_limit() {
    let world = World::new().await;
    let engine = SchemaEngine::new(world.schema.clone());
    let objects = objects();
    let max = config::load(ConfigSources::default()).unwrap().graphql.max_complexity;
    let mut costs = Vec::new();
    for (holder, object) in &objects {
        for field in object.fields.iter().map(|field| &field.node) {
            let (name, ty) = (&field.name.node, named(&field.ty.node));
            if !ty.ends_with("Connection") {
                continue;
            }
            assert_eq!(holder, "Query", "{name}: say here how a query gets to it");
            let edge = ty.replace("Connection", "Edge");
            let edges = all_fields(&objects, &edge, &[]);
            let document = format!(
                "{{ {name}(first: 100) {{ totalCount pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} edges {{ {edges} }} }} }}"
            );
            let cost = engine
                .validate(Request::new(&document))
                .await
                .unwrap_or_else(|errors| panic!("{document}: {errors:?}"));
            costs.push((cost, name.to_string()));
        }
    }
    assert!(costs.len() >= 8, "{costs:?}");
    assert!(costs.iter().all(|(cost, _)| *cost <= max), "at most {max}: {costs:?}");
    world.close().await;
}
