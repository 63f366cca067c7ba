//! `wasend schema`.

use crate::graphql::schema_sdl;

/// Prints the schema in GraphQL's schema definition language.
pub fn print() {
    print!("{}", schema_sdl());
}
