//! What a key sees with one scope alone, over the whole schema as introspection gives it: a field that holds personal
//! data says which scope it needs, and is null with FORBIDDEN without it, wherever its object is reached.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wasend_tests::{Client, Engine, World};

mod inputs;
mod schema;

use inputs::Seed;
use schema::{Kind, Place, Schema};

stories!(
    a_personal_field_needs_its_scope_everywhere,
    a_file_needs_its_scope,
    a_sender_sees_what_it_did_and_not_to_whom
);

/// Texts that hold no personal data, by their places. A new text is either personal, with a guard, or comes here.
const PLAIN: [(&str, &str); 42] = [
    ("ApiKey", "hint"), // of the random secret; keys are for ADMIN alone
    ("AuditEvent", "actor"),
    ("AuditEvent", "aggregateType"),
    ("AuditEvent", "commandId"),
    ("AuditEvent", "eventType"),
    ("Attribute", "name"),           // below Contact.attributes
    ("Attribute", "value"),          // below Contact.attributes
    ("ConsentKeywordLists", "stop"), // the account's words, not a person's
    ("ConsentKeywordLists", "start"),
    ("Erasure", "why"),
    ("Import", "failure"),
    ("ImportLayout", "delimiter"), // below Import.layout and ImportPreview.layout
    ("ImportLayout", "encoding"),
    ("ImportLayout", "sheet"),
    ("ImportLayoutColumn", "attribute"),
    ("ImportLayoutColumn", "header"),
    ("ImportPreview", "failure"),
    ("ImportPreviewRow", "bsuid"), // below ImportPreview.rows
    ("ImportPreviewRow", "cells"),
    ("ImportPreviewRow", "name"),
    ("ImportPreviewRow", "phone"),
    ("ImportRowFault", "code"),
    ("ImportRowFault", "reason"),
    ("IssueApiKeyPayload", "secret"), // shown to who issues it
    ("Message", "category"),
    ("Message", "template"),
    ("MessageStatusChange", "fact"),
    ("Number", "baseUrl"),
    ("Number", "phoneNumberId"),
    ("Number", "wabaId"),
    ("PageInfo", "endCursor"),
    ("PageInfo", "startCursor"),
    ("PrivacyRequest", "keyFingerprints"),
    ("StatusEntry", "fact"),
    ("TemplateContent", "language"), // below MessageContent.template
    ("TemplateContent", "name"),     // below MessageContent.template
    ("TemplateParameter", "name"),   // below MessageContent.template
    ("TemplateParameter", "text"),   // below MessageContent.template
    ("Unavailability", "reason"),
    ("UsageLine", "category"),
    ("UserError", "field"),
    ("UserError", "message"),
];

async fn a_personal_field_needs_its_scope_everywhere(engine: Engine) {
    let world = World::start(engine).await;
    let seed = Seed::plant(&world).await;
    let schema = Schema::of(&seed.admin).await;
    let personal: BTreeSet<Place> = schema.personal().collect();
    for text in schema.texts() {
        let plain = PLAIN.iter().any(|(kind, field)| (*kind, *field) == (&*text.0, &*text.1)) || text.1 == "cursor";
        assert_ne!(plain, personal.contains(&text), "{text:?} is either personal, with its scope, or not");
    }
    let mut shown = BTreeSet::new();
    for root in schema.roots() {
        // The owner of every scope sees all of it, so that what others do not see is there.
        let whole = ask(&seed, &seed.admin, &schema, &root).await;
        assert!(whole.get("errors").is_none(), "{}: {whole}", root.name);
        let open = schema.values(&root, &whole["data"][&root.name]);
        shown.extend(open.iter().filter(|found| !found.value.is_null()).map(|found| found.place.clone()));
        for (scope, client) in &seed.alone {
            let answer = ask(&seed, client, &schema, &root).await;
            let errors: Vec<_> = answer["errors"].as_array().cloned().unwrap_or_default();
            let data = &answer["data"][&root.name];
            assert!(!data.is_null() || !errors.is_empty(), "{} with {scope}: {answer}", root.name);
            for error in &errors {
                assert_eq!(error["extensions"]["code"], "FORBIDDEN", "{} with {scope}: {error}", root.name);
                assert_ne!(error["extensions"]["scope"], **scope, "{} with {scope}: {error}", root.name);
            }
            for found in schema.values(&root, data) {
                let needed = schema.scope(&found.place).expect("a personal field names its scope");
                if needed == *scope {
                    continue;
                }
                assert!(found.value.is_null(), "{:?} of {} with {scope}", found.place, root.name);
                let told = errors.iter().find(|error| error["path"] == json!(found.path));
                let told = told.unwrap_or_else(|| panic!("no word about {:?} with {scope}: {answer}", found.path));
                assert_eq!(told["extensions"]["scope"], needed, "{told}");
            }
        }
    }
    let unseen: Vec<_> = personal.difference(&shown).collect();
    assert!(unseen.is_empty(), "nothing was there to be shown of {unseen:?}");
}

/// One operation with everything below a root field.
async fn ask(seed: &Seed, client: &Client, schema: &Schema, root: &schema::Root) -> Value {
    let (arguments, variables) = seed.arguments(&root.name).await;
    let document = schema.document(root, &arguments);
    if root.kind == Kind::Subscription {
        let mut socket = client.connect_ws().await;
        socket.subscribe("1", &document, variables).await;
        let mut message = socket.next().await;
        return if message["type"] == "error" {
            json!({"data": null, "errors": message["payload"]})
        } else {
            message["payload"].take()
        };
    }
    let declared = if root.kind == Kind::Mutation { format!("($input: {}!)", root.input()) } else { String::new() };
    client.ask(&format!("{}{declared} {document}", root.kind.word()), variables).await
}

/// Every path of plain HTTP that takes a key, and who may.
async fn a_file_needs_its_scope(engine: Engine) {
    let world = World::start(engine).await;
    let seed = Seed::plant(&world).await;
    let routes = [
        ("GET", "contacts.csv".to_owned(), "READ"),
        ("GET", format!("contacts.csv?groupId={}", seed.group), "READ"),
        ("GET", "groups.csv".to_owned(), "READ"),
        ("GET", format!("imports/{}/errors.csv", seed.import), "READ"),
        ("POST", "uploads".to_owned(), "SEND"),
    ];
    for (method, path, needed) in routes {
        for (scope, client) in &seed.alone {
            let url = format!("{}{path}", world.url);
            let request = client.http.request(method.parse().expect("a method"), url).bearer_auth(&client.key);
            let answer = request.body(if method == "POST" { "phone\n" } else { "" }).send().await.expect("an answer");
            let status = answer.status();
            let text = answer.text().await.expect("a text");
            if scope == needed {
                assert_eq!(status, 200, "{path} with {scope}: {text}");
                continue;
            }
            assert_eq!(status, 403, "{path} with {scope}");
            let problem: Value = serde_json::from_str(&text).expect("a problem");
            assert_eq!(problem["code"], "FORBIDDEN");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(needed)), "{problem}");
        }
    }
}

async fn a_sender_sees_what_it_did_and_not_to_whom(engine: Engine) {
    let world = World::start(engine).await;
    let seed = Seed::plant(&world).await;
    let sender = &seed.alone.iter().find(|(scope, _)| scope == "SEND").expect("SEND").1;
    let query = "mutation($input: OptOutInput!) { optOut(input: $input) \
        { contact { id optedOut optedOutVia phone name attributes { value } groups { name } } position errors { code } } }";
    let answer = sender.ask(query, json!({"input": {"phone": inputs::PHONE}})).await;
    let done = &answer["data"]["optOut"];
    assert_eq!(done["errors"], json!([]));
    assert!(done["position"].is_u64());
    let contact = &done["contact"];
    assert_eq!((&contact["optedOut"], &contact["optedOutVia"]), (&json!(true), &json!("API")));
    assert!(contact["id"].is_string());
    for field in ["phone", "name", "attributes"] {
        assert!(contact[field].is_null(), "{contact}");
    }
    let input = json!({"numberId": seed.number, "to": "+16505557799", "text": {"body": "Hello"}});
    let query = "mutation($input: SendMessageInput!) { sendMessage(input: $input) \
        { message { id status contactId content { text } wamid statusHistory { fact } } position errors { code } } }";
    let answer = sender.ask(query, json!({"input": input})).await;
    let message = &answer["data"]["sendMessage"]["message"];
    assert!(message["id"].is_string() && message["status"].is_string() && message["contactId"].is_string());
    assert_eq!(message["content"], json!({"text": null}), "{answer}");
}
