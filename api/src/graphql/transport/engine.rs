//! The port to the schema: executes, and validates without executing.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{Executor, ObjectType, Request, Response, Schema, ServerError, SubscriptionType, ValidationResult};
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};

use super::input_types::InputTypes;

/// Executes operations: any `async_graphql::Schema`, without its type.
pub trait GraphqlEngine: Send + Sync {
    /// A query or a mutation.
    fn run(&self, request: Request) -> BoxFuture<'_, Response>;

    /// A subscription; a query or a mutation gives a stream of one response.
    fn open(&self, request: Request) -> BoxStream<'static, Response>;

    /// What is wrong with a document and its variables; nothing is executed. Its depth and complexity are not limited.
    fn validate(&self, request: Request) -> BoxFuture<'_, Vec<ServerError>>;

    /// The types of variables.
    fn input_types(&self) -> &InputTypes;
}

/// A schema as an engine.
pub struct SchemaEngine<Q, M, S> {
    schema: Schema<Q, M, S>,
    /// The same types. async-graphql validates only on the way to execution, which its extension ends.
    validator: Schema<Q, M, S>,
    input_types: InputTypes,
}

impl<Q, M, S> SchemaEngine<Q, M, S>
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    pub fn new(schema: Schema<Q, M, S>) -> Self {
        let validator = Schema::build(Q::default(), M::default(), S::default()).extension(ValidationOnly).finish();
        let input_types = InputTypes::of_sdl(&schema.sdl());
        Self { schema, validator, input_types }
    }
}

impl<Q, M, S> GraphqlEngine for SchemaEngine<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    fn run(&self, request: Request) -> BoxFuture<'_, Response> {
        self.schema.execute(request).boxed()
    }

    fn open(&self, request: Request) -> BoxStream<'static, Response> {
        Executor::execute_stream(&self.schema, request, None)
    }

    fn validate(&self, request: Request) -> BoxFuture<'_, Vec<ServerError>> {
        async { self.validator.execute(request).await.errors }.boxed()
    }

    fn input_types(&self) -> &InputTypes {
        &self.input_types
    }
}

/// Ends every request after its validation, with no error where it is valid.
struct ValidationOnly;

impl ExtensionFactory for ValidationOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for ValidationOnly {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        next.run(ctx).await?;
        Err(Vec::new())
    }
}
