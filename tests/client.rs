//! A client of the GraphQL API.

use std::time::Duration;

use serde_json::{Value, json};

/// One API key's view of a server.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub key: String,
    pub http: reqwest::Client,
}

/// Without redirects, so that what is asked is what is answered.
pub fn http() -> reqwest::Client {
    let builder =
        reqwest::Client::builder().timeout(Duration::from_secs(60)).redirect(reqwest::redirect::Policy::none());
    builder.no_proxy().build().expect("a client is made")
}

impl Client {
    pub fn new(url: &str, key: &str) -> Self {
        Self { url: url.to_owned(), key: key.to_owned(), http: http() }
    }

    /// The whole response.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        self.try_ask(query, variables).await.expect("the server answers")
    }

    /// The same; fails when the server does not answer.
    pub async fn try_ask(&self, query: &str, variables: Value) -> reqwest::Result<Value> {
        let request = self.http.post(format!("{}graphql", self.url)).bearer_auth(&self.key);
        request.json(&json!({"query": query, "variables": variables})).send().await?.json().await
    }

    /// The data of a request that has no errors.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {}", answer["errors"]);
        answer["data"].take()
    }

    /// The payload of a mutation with one `input`.
    pub async fn mutate(&self, name: &str, input: Value, fields: &str) -> Value {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query = format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} }} }}");
        self.data(&query, json!({"input": input})).await[name].take()
    }

    /// The code of the error that a request is answered with.
    pub async fn error_code(&self, query: &str, variables: Value) -> String {
        let answer = self.ask(query, variables).await;
        let code = answer["errors"][0]["extensions"]["code"].as_str();
        code.unwrap_or_else(|| panic!("{query} should fail: {answer}")).to_owned()
    }

    pub async fn send(&self, input: Value) -> Value {
        self.mutate("sendMessage", input, "message { id status } position repeated errors { code field message }").await
    }

    /// Sends a text that has to be accepted; its id.
    pub async fn send_text(&self, number: &str, to: &str, body: &str) -> String {
        let sent = self.send(json!({"numberId": number, "to": to, "text": {"body": body}})).await;
        assert_eq!(sent["errors"], json!([]), "{sent}");
        sent["message"]["id"].as_str().expect("an id").to_owned()
    }

    pub async fn message(&self, id: &str, fields: &str) -> Value {
        let query = format!("query($id: ID!) {{ message(id: $id) {{ {fields} }} }}");
        self.data(&query, json!({"id": id})).await["message"].take()
    }

    /// Waits until the message has the status.
    pub async fn until_status(&self, id: &str, status: &str) {
        crate::until(&format!("message {id} is {status}"), || async {
            (self.message(id, "status").await["status"] == *status).then_some(())
        })
        .await;
    }

    /// A new number on the simulator, if the server knows the key by now.
    pub async fn try_connect_number(&self) -> Option<String> {
        let digits = (uuid::Uuid::new_v4().as_u128() % 1_000_000_000_000).to_string();
        let input = json!({
            "phoneNumberId": digits, "wabaId": format!("9{digits}"), "displayPhoneNumber": "+1 555 078 3881",
            "accessToken": "token-of-a-test", "appSecret": uuid::Uuid::new_v4().to_string(), "verifyToken": "verify-me",
        });
        let query =
            "mutation($input: ConnectNumberInput!) { connectNumber(input: $input) { number { id } errors { code } } }";
        let answer = self.ask(query, json!({"input": input})).await;
        answer["data"]["connectNumber"]["number"]["id"].as_str().map(str::to_owned)
    }
}
