//! The port to the schema: executes, and validates without executing.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{
    Executor, ObjectType, Request, Response, Schema, ServerError, SubscriptionType, ValidationResult, Value,
};
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};

use super::input_types::InputTypes;

/// Executes operations: any `async_graphql::Schema`, without its type.
pub trait GraphqlEngine: Send + Sync {
    /// A query or a mutation.
    fn run(&self, request: Request) -> BoxFuture<'_, Response>;

    /// A subscription; a query or a mutation gives a stream of one response.
    fn open(&self, request: Request) -> BoxStream<'static, Response>;

    /// The complexity of a valid operation, or what is wrong with its document and variables; nothing is executed. Depth
    /// and complexity are not limited.
    fn validate(&self, request: Request) -> BoxFuture<'_, Result<usize, Vec<ServerError>>>;

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
    /// The engine over a schema; what its input types are is read from the SDL.
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

    fn validate(&self, request: Request) -> BoxFuture<'_, Result<usize, Vec<ServerError>>> {
        async {
            let errors = self.validator.execute(request).await.errors;
            match errors.first().and_then(measured_complexity) {
                Some(complexity) => Ok(complexity),
                None => Err(errors),
            }
        }
        .boxed()
    }

    fn input_types(&self) -> &InputTypes {
        &self.input_types
    }
}

/// Ends every request after its validation: where it is valid, with an error that carries its complexity.
struct ValidationOnly;

const COMPLEXITY: &str = "complexity";

fn measured_complexity(error: &ServerError) -> Option<usize> {
    match error.extensions.as_ref()?.get(COMPLEXITY)? {
        Value::Number(complexity) => usize::try_from(complexity.as_u64()?).ok(),
        _ => None,
    }
}

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
        let ValidationResult { complexity, .. } = next.run(ctx).await?;
        let mut valid = ServerError::new("the operation is valid", None);
        valid.extensions.get_or_insert_default().set(COMPLEXITY, complexity);
        Err(vec![valid])
    }
}
