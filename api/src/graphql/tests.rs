//! The schema over real stores on SQLite.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Request, Variables};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use wasend_domain::account::KeyScope;

use super::{GraphqlState, Schema, build_schema};
use crate::auth::{KeyHolder, RequestCaller};
use crate::bootstrap::App;
use crate::config::{self, ConfigSources};

mod cost;
mod isolation;
mod messages;
mod people;
mod watching;

/// A server without listeners, and the accounts in it.
struct World {
    schema: Schema,
    app: App,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data").to_string_lossy().into_owned();
        // An address without a listener: nothing here is sent.
        let flags = vec![("data_dir", data_dir), ("meta.base_url", "http://127.0.0.1:9/".to_owned())];
        let config = config::load(ConfigSources { flags, ..ConfigSources::default() }).unwrap();
        let app = App::open(&config).await.unwrap();
        let state = GraphqlState::new(Arc::clone(&app.commands), Arc::clone(&app.projector), Arc::default());
        Self { schema: build_schema(state, &config.graphql), app, _directory: directory }
    }

    async fn account(&self) -> Client<'_> {
        let opened = self.app.commands.open_account("Acme").await.unwrap();
        let (account_id, key) = opened.value;
        self.app.projector.wait_for(opened.position, Duration::from_secs(10)).await.unwrap();
        self.client(KeyHolder { account_id, key_id: key.id, scopes: KeyScope::ALL.into() })
    }

    fn client(&self, actor: KeyHolder) -> Client<'_> {
        Client { world: self, actor }
    }

    async fn close(self) {
        drop(self.schema);
        self.app.close().await;
    }
}

/// The holder of a key.
struct Client<'w> {
    world: &'w World,
    actor: KeyHolder,
}

impl Client<'_> {
    fn request(&self, query: &str, variables: Value) -> Request {
        let caller = RequestCaller::Holder(Arc::new(self.actor.clone()));
        Request::new(query).variables(Variables::from_json(variables)).data(caller)
    }

    /// Data and errors of an operation.
    async fn run(&self, query: &str, variables: Value) -> Value {
        let response = self.world.schema.execute(self.request(query, variables)).await;
        serde_json::to_value(response).unwrap()
    }

    /// Its data; it must have no errors.
    async fn ask(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.run(query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].take()
    }

    /// The code of its only error.
    async fn fail(&self, query: &str, variables: Value) -> String {
        let answer = self.run(query, variables).await;
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{query}: {answer}");
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }

    fn watch(&self, query: &str, variables: Value) -> impl Stream<Item = Value> + Unpin + use<> {
        let responses = self.world.schema.execute_stream(self.request(query, variables));
        responses.map(|response| serde_json::to_value(response).unwrap()).boxed()
    }

    async fn number(&self) -> String {
        const CONNECT: &str = "mutation($input: ConnectNumberInput!) {
            connectNumber(input: $input) { number { id state displayPhoneNumber messagesPerSecond } position errors { code field } } }";
        let id = self.actor.key_id.uuid().as_u128().to_string();
        let input = json!({
            "phoneNumberId": id, "wabaId": "1", "displayPhoneNumber": "+1 555 0100",
            "accessToken": "token", "appSecret": "secret", "verifyToken": "verify",
        });
        let answer = self.ask(CONNECT, json!({ "input": input })).await;
        let number = &answer["connectNumber"]["number"];
        assert_eq!(number["state"], "CONNECTED", "{answer}");
        assert_eq!(number["displayPhoneNumber"], "+1 555 0100");
        number["id"].as_str().unwrap().to_owned()
    }

    async fn send(&self, number: &str, to: &str, body: &str) -> Value {
        const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
            message { id status position } position repeated errors { code field message } } }";
        let input = json!({ "numberId": number, "to": to, "text": { "body": body } });
        self.ask(SEND, json!({ "input": input })).await["sendMessage"].take()
    }

    async fn cancel(&self, id: &Value) -> Value {
        const CANCEL: &str = "mutation($id: ID!) { cancelMessage(input: { id: $id }) {
            message { status cancelledAt } position errors { code field message } } }";
        self.ask(CANCEL, json!({ "id": id })).await["cancelMessage"].take()
    }
}
