//! Something in every field, and arguments for every root field.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use wasend_tests::{Client, World, until};

pub const PHONE: &str = "+16505557700";
const BSUID: &str = "US.13491208655302741918";

/// An account with everything in it, and a key for each scope alone.
pub struct Seed {
    pub admin: Client,
    pub alone: Vec<(String, Client)>,
    pub number: String,
    pub group: String,
    pub import: String,
    /// It sends nothing, so that its messages can be cancelled.
    paused: String,
    contact: String,
    message: String,
    request: String,
    /// On which the message was accepted.
    day: String,
    given: AtomicU32,
}

fn id(payload: &Value, of: &str) -> String {
    payload[of]["id"].as_str().unwrap_or_else(|| panic!("{of} in {payload}")).to_owned()
}

impl Seed {
    pub async fn plant(world: &World) -> Self {
        let (admin, number) = (world.client(), world.number());
        let scopes = admin.data("{ __type(name: \"Scope\") { enumValues { name } } }", json!({})).await;
        let mut alone = Vec::new();
        for scope in scopes["__type"]["enumValues"].as_array().expect("scopes") {
            let name = scope["name"].as_str().expect("a name").to_owned();
            let issued =
                admin.mutate("issueApiKey", json!({"scopes": [name], "label": "Of one scope"}), "secret").await;
            alone.push((name, Client::new(&world.url, issued["secret"].as_str().expect("a secret"))));
        }
        let contact =
            json!({"phone": PHONE, "bsuid": BSUID, "name": "Ada", "attributes": [{"name": "City", "value": "London"}]});
        let contact = id(&admin.mutate("createContact", contact, "contact { id }").await, "contact");
        let group = id(&admin.mutate("createGroup", json!({"name": "Friends"}), "group { id }").await, "group");
        admin.mutate("addToGroup", json!({"groupId": group, "contactIds": [contact]}), "errors { code }").await;
        let file = json!({"filename": "people.csv", "content": format!("phone\n{PHONE}\nnone\n")});
        let import = id(&admin.mutate("importContacts", file, "import { id }").await, "import");
        until("the import ends", || async {
            let import = admin.data("query($id: ID!) { import(id: $id) { endedAt } }", json!({"id": import})).await;
            import["import"]["endedAt"].is_string().then_some(())
        })
        .await;
        let paused = admin.try_connect_number().await.expect("a number");
        admin.mutate("pauseNumber", json!({"id": paused}), "errors { code }").await;
        let message = Self::messages(world, &admin, &number).await;
        let accepted = admin.message(&message, "acceptedAt").await["acceptedAt"].take();
        let day = accepted.as_str().expect("a moment")[..10].to_owned();
        let refused = json!({"subject": {"phone": PHONE}, "regime": "GDPR", "ground": "CHILD", "exception": "UNIDENTIFIED", "reason": "By telephone"});
        let request = id(&admin.mutate("refuseErasure", refused, "request { id }").await, "request");
        let given = AtomicU32::new(1);
        Self { admin, alone, number, group, import, paused, contact, message, request, day, given }
    }

    /// One of every kind, the last of which failed; the id of a text that was read.
    async fn messages(world: &World, client: &Client, number: &str) -> String {
        let text = client.send_text(number, PHONE, "Hello").await;
        client.until_status(&text, "READ").await;
        let template =
            json!({"name": "order_update", "language": "en_US", "parameters": [{"text": "7"}, {"text": "2"}]});
        client.send(json!({"numberId": number, "to": PHONE, "template": template})).await;
        let inbound = json!({"phone_number_id": world.phone_number_id().await, "from": PHONE.trim_start_matches('+'), "name": "Ada", "username": "ada", "text": "Hi"});
        world.simulator.inbound(inbound).await;
        world.simulator.script("+16505557701", json!([{"type": "failed", "code": 131_026}]), None).await;
        let failed = client.send_text(number, "+16505557701", "Hello").await;
        client.until_status(&failed, "FAILED").await;
        until("all four are there", || async {
            let messages = client.data("{ messages { totalCount } }", json!({})).await;
            (messages["messages"]["totalCount"] == 4).then_some(())
        })
        .await;
        text
    }

    fn phone(&self) -> String {
        format!("+1650556{:04}", self.given.fetch_add(1, Ordering::Relaxed))
    }

    async fn made(&self, mutation: &str, input: Value, of: &str) -> String {
        id(&self.admin.mutate(mutation, input, &format!("{of} {{ id }} errors {{ code }}")).await, of)
    }

    async fn somebody(&self) -> String {
        self.made("createContact", json!({"phone": self.phone()}), "contact").await
    }

    async fn a_group(&self) -> String {
        self.made("createGroup", json!({"name": "Another"}), "group").await
    }

    async fn a_key(&self) -> String {
        self.made("issueApiKey", json!({"scopes": ["READ"], "label": "Another"}), "key").await
    }

    async fn a_number(&self) -> String {
        self.admin.try_connect_number().await.expect("a number")
    }

    /// What a root field is asked for: the arguments in the document, or the variable `input` of a mutation. They work
    /// any number of times. A new root field says here what it is asked for.
    pub async fn arguments(&self, root: &str) -> (String, Value) {
        let text = match root {
            "account" | "position" => "",
            "apiKeys" | "auditTrail" | "groups" | "imports" | "numbers" | "privacyRequests" => "(first: 2)",
            "contacts" => &format!("(first: 2, filter: {{groupId: \"{}\"}})", self.group),
            "messages" => "(first: 4)",
            "contact" => &format!("(id: \"{}\")", self.contact),
            "group" => &format!("(id: \"{}\")", self.group),
            "import" | "importProgress" => &format!("(id: \"{}\")", self.import),
            "message" => &format!("(id: \"{}\")", self.message),
            "number" => &format!("(id: \"{}\")", self.number),
            "privacyRequest" => &format!("(id: \"{}\")", self.request),
            "usage" => &format!("(period: {{from: \"{0}\", to: \"{0}\"}})", self.day),
            "messageStatusChanged" | "auditEvents" => "(after: 0)",
            mutation => return ("(input: $input)".to_owned(), json!({"input": self.input(mutation).await})),
        };
        (text.to_owned(), json!({}))
    }

    async fn input(&self, mutation: &str) -> Value {
        let message = || json!({"numberId": self.paused, "to": self.phone(), "text": {"body": "Hello"}});
        let subject = json!({"regime": "GDPR", "ground": "CHILD", "reason": "By letter"});
        let about = |contact: String| {
            let mut input = subject.clone();
            input["subject"] = json!({"contactId": contact});
            input
        };
        match mutation {
            "createContact" => {
                json!({"phone": self.phone(), "name": "Bea", "attributes": [{"name": "City", "value": "Rome"}]})
            }
            "updateContact" => json!({"id": self.contact, "name": "Ada"}),
            "optIn" | "optOut" => json!({"contactId": self.somebody().await}),
            "mergeContacts" => json!({"into": self.somebody().await, "from": self.somebody().await}),
            "setConsentKeywords" => json!({"stop": ["ENOUGH"]}),
            "createGroup" => json!({"name": "Family"}),
            "renameGroup" => json!({"id": self.group, "name": "Friends"}),
            "deleteGroup" => json!({"id": self.a_group().await}),
            "addToGroup" | "removeFromGroup" => json!({"groupId": self.group, "contactIds": [self.somebody().await]}),
            "sendMessage" => message(),
            "sendMessages" => json!({"messages": [message(), message()]}),
            "cancelMessage" => json!({"id": self.made("sendMessage", message(), "message").await}),
            "previewImport" => json!({"content": "phone\nnone\n"}),
            "importContacts" => json!({"filename": "more.csv", "content": "phone\nnone\n"}),
            "cancelImport" => json!({"id": self.import}),
            "issueApiKey" => json!({"scopes": ["READ"], "label": "Shop"}),
            "rotateApiKey" | "revokeApiKey" => json!({"id": self.a_key().await}),
            "connectNumber" => {
                let digits = (uuid::Uuid::new_v4().as_u128() % 1_000_000_000_000).to_string();
                json!({"phoneNumberId": digits, "wabaId": format!("9{digits}"), "displayPhoneNumber": "+1 555 0100",
                    "accessToken": "token", "appSecret": "secret", "verifyToken": digits})
            }
            "pauseNumber" | "resumeNumber" | "disconnectNumber" => json!({"id": self.a_number().await}),
            "setNumberRate" => json!({"id": self.paused, "messagesPerSecond": 10}),
            "updateNumberCredentials" => json!({"id": self.paused, "accessToken": "token"}),
            "requestErasure" => about(self.somebody().await),
            "liftErasureHold" => {
                let mut input = about(self.somebody().await);
                input["exception"] = json!("LEGAL_CLAIMS");
                json!({"id": self.made("refuseErasure", input, "request").await})
            }
            "refuseErasure" => {
                let mut input = about(self.somebody().await);
                input["exception"] = json!("UNIDENTIFIED");
                input
            }
            new => panic!("say what {new} is asked for"),
        }
    }
}
