//! GraphiQL for people with a browser. Its scripts come from unpkg.com: without internet the page says so, and the
//! endpoint serves every client as before.

use async_graphql::http::{Credentials, GraphiQLSource};
use axum::response::{Html, IntoResponse, Response};

const NOTE: &str = "Loading GraphiQL from unpkg.com. Without internet, use any GraphQL client with this address; \
                    the schema is printed by <code>wasend schema</code>.";

pub fn page() -> Response {
    let page = GraphiQLSource::build()
        .title("WASend")
        .endpoint("/graphql")
        .subscription_endpoint("/graphql")
        .credentials(Credentials::Omit)
        .finish();
    Html(page.replace("Loading...", NOTE)).into_response()
}
