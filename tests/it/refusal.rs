//! Wrong input gets a clear, typed error and changes nothing.

use serde_json::{Value, json};
use wasend_tests::{Engine, World, until};

stories!(every_wrong_message_is_refused_and_nothing_is_written, a_scope_is_needed, requests_out_of_bounds_are_refused);

async fn every_wrong_message_is_refused_and_nothing_is_written(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    client.mutate("createContact", json!({"phone": "+16505550001"}), "errors { code }").await;
    client.mutate("optOut", json!({"phone": "+16505550001"}), "errors { code }").await;
    let number = world.number();
    let text = |body: &str| json!({"body": body});
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({"numberId": number, "to": "hello", "text": text("x")}), "INVALID_PHONE", "to"),
        (json!({"numberId": number, "to": "6505551234", "text": text("x")}), "INVALID_PHONE", "to"),
        (json!({"numberId": number, "to": "+1", "text": text("x")}), "INVALID_PHONE", "to"),
        (json!({"numberId": number, "text": text("x")}), "REQUIRED", "to"),
        (json!({"numberId": number, "to": "+16505551234", "text": text("")}), "REQUIRED", "text.body"),
        (json!({"numberId": number, "to": "+16505551234", "text": text(" \n ")}), "REQUIRED", "text.body"),
        (json!({"numberId": number, "to": "+16505551234", "text": text(&"é".repeat(4097))}), "TOO_LONG", "text.body"),
        (json!({"numberId": number, "to": "+16505551234"}), "REQUIRED", "text"),
        (json!({"numberId": "nonsense", "to": "+16505551234", "text": text("x")}), "NOT_FOUND", "numberId"),
        (
            json!({"numberId": uuid::Uuid::new_v4().to_string(), "to": "+16505551234", "text": text("x")}),
            "NOT_FOUND",
            "numberId",
        ),
        (
            json!({"numberId": number, "contactId": uuid::Uuid::new_v4().to_string(), "text": text("x")}),
            "NOT_FOUND",
            "contactId",
        ),
        (json!({"numberId": number, "to": "+16505550001", "text": text("x")}), "OPTED_OUT", "to"),
        (
            json!({"numberId": number, "to": "+16505551234", "text": text("x"), "idempotencyKey": ""}),
            "REQUIRED",
            "idempotencyKey",
        ),
        (
            json!({"numberId": number, "to": "+16505551234", "template": {"name": "Bad Name", "language": "en_US"}}),
            "INVALID_TEMPLATE",
            "template.name",
        ),
        (
            json!({"numberId": number, "to": "+16505551234", "template": {"name": "hello_world", "language": "english"}}),
            "INVALID",
            "template.language",
        ),
        (
            json!({"numberId": number, "to": "+16505551234", "template": {"name": "order_update", "language": "en_US", "parameters": [{"text": "a"}, {"text": " "}]}}),
            "MISSING_PARAMETER",
            "template.parameters",
        ),
    ];
    let before = world.run(&["events"]).await.lines().count();
    for (input, code, field) in cases {
        let answer = client.send(input.clone()).await;
        assert_eq!(answer["message"], json!(null), "{input}");
        assert_eq!(answer["position"], json!(null), "{input}");
        assert_eq!(
            (&answer["errors"][0]["code"], &answer["errors"][0]["field"]),
            (&json!(code), &json!(field)),
            "{input} {answer}"
        );
        assert!(answer["errors"][0]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    assert_eq!(world.run(&["events"]).await.lines().count(), before, "nothing was written");
    let contacts = client.data("{ contacts { totalCount } }", json!({})).await;
    assert_eq!(contacts["contacts"]["totalCount"], 1);
    let longest = client.send(json!({"numberId": number, "to": "+16505551234", "text": text(&"é".repeat(4096))})).await;
    assert_eq!(longest["errors"], json!([]));
}

async fn a_scope_is_needed(engine: Engine) {
    let world = World::start(engine).await;
    let admin = world.client();
    let fields = "key { id } secret errors { code }";
    let issued = admin.mutate("issueApiKey", json!({"scopes": ["READ"], "label": "reader"}), fields).await;
    let reader = wasend_tests::Client::new(&world.url, issued["secret"].as_str().expect("a secret"));
    reader.data("{ messages { totalCount } }", json!({})).await;
    let send = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { position } }";
    let input = json!({"input": {"numberId": world.number(), "to": "+16505551234", "text": {"body": "x"}}});
    assert_eq!(reader.error_code(send, input.clone()).await, "FORBIDDEN");
    assert_eq!(reader.error_code("{ auditTrail { totalCount } }", json!({})).await, "FORBIDDEN");
    assert_eq!(reader.error_code("{ apiKeys { totalCount } }", json!({})).await, "FORBIDDEN");
    let day = json!({"d": "2026-01-01"});
    assert_eq!(
        reader.error_code("query($d: Date!) { usage(period: {from: $d, to: $d}) { messages } }", day).await,
        "FORBIDDEN"
    );

    let anonymous = wasend_tests::Client { key: String::new(), ..reader.clone() };
    let answer = anonymous
        .http
        .post(format!("{}graphql", world.url))
        .json(&json!({"query": "{ messages { totalCount } }"}))
        .send()
        .await
        .expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let wrong = wasend_tests::Client::new(&world.url, "wsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let answer = wrong
        .http
        .post(format!("{}graphql", world.url))
        .bearer_auth(&wrong.key)
        .json(&json!({"query": "{ position }"}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 401);

    let revoked = admin.mutate("revokeApiKey", json!({"id": issued["key"]["id"]}), "errors { code }").await;
    assert_eq!(revoked["errors"], json!([]));
    until("the key is dead", || async {
        let answer = reader
            .http
            .post(format!("{}graphql", world.url))
            .bearer_auth(&reader.key)
            .json(&json!({"query": "{ position }"}))
            .send()
            .await;
        (answer.expect("an answer").status() == 401).then_some(())
    })
    .await;
    let keys = admin.data("{ apiKeys { edges { node { id scopes revokedAt label } } } }", json!({})).await;
    let own = keys["apiKeys"]["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .find(|edge| edge["node"]["revokedAt"].is_null())
        .expect("the first key");
    let last = admin.mutate("revokeApiKey", json!({"id": own["node"]["id"]}), "errors { code }").await;
    assert_eq!(last["errors"][0]["code"], "LAST_ADMIN_KEY");
}

async fn requests_out_of_bounds_are_refused(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    let deep = format!(
        "{{ messages {} }}",
        "{ edges { node { contact { messages ".repeat(12) + "{ totalCount }" + &" } } } }".repeat(12)
    );
    let answer = client.ask(&deep, json!({})).await;
    assert!(answer["errors"][0]["extensions"]["code"].is_string(), "{answer}");
    let one = |n| format!("a{n}: messages(first: 100) {{ edges {{ node {{ id contact {{ name }} }} }} }}");
    let wide = (0..400).map(one).collect::<Vec<_>>().join(" ");
    let answer = client.ask(&format!("{{ {wide} }}"), json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{answer}");
    assert!(client.ask("{ messages(first: 1000) { totalCount } }", json!({})).await["errors"].is_array());
    assert!(client.ask("{ messages(first: -1) { totalCount } }", json!({})).await["errors"].is_array());
    let huge = client
        .http
        .post(format!("{}graphql", world.url))
        .bearer_auth(&client.key)
        .header("content-type", "application/json")
        .body(vec![b' '; 50_000_000])
        .send()
        .await;
    if let Ok(answer) = huge {
        assert_eq!(answer.status(), 413);
    }
    assert!(client.data("{ position }", json!({})).await["position"].is_number());
}
