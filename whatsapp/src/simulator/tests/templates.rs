//! Templates, and what is known of a number.

use serde_json::json;

use super::*;
use crate::request::BodyParameters;

async fn create(world: &World, template: &Value) -> (u16, Value) {
    let url = format!("{}/{}/message_templates", world.line.base_url, world.line.waba_id);
    let request = browser().post(url).bearer_auth(TOKEN).json(template);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn built_in_templates_are_found_by_name() {
    let world = World::new().await;
    let find = async |name: &str| world.api.templates(&world.line, name).await.unwrap();
    let found = find("order_update").await;
    let [order] = found.as_slice() else {
        panic!("one language");
    };
    assert!(order.is_approved() && !order.has_named_parameters());
    assert_eq!(order.body_parameters, ["1", "2"]);
    assert_eq!((order.language.as_str(), order.category.as_deref()), ("en_US", Some("UTILITY")));
    let reminder = find("appointment_reminder").await;
    assert!(reminder[0].has_named_parameters());
    assert_eq!(reminder[0].body_parameters, ["first_name", "date"]);
    // Part of a name finds nothing, although Meta would answer with the whole.
    assert!(find("order").await.is_empty());

    let mut line = world.line.clone();
    line.waba_id = "7".into();
    let failure = world.api.templates(&line, "hello_world").await.unwrap_err();
    assert_eq!(failure.to_string(), "refused with code 100 (HTTP 400)");
}

#[tokio::test]
async fn a_created_template_can_be_sent() {
    let world = World::new().await;
    let template = json!({"name": "parcel", "language": "de", "category": "marketing", "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Paket"},
        {"type": "BODY", "text": "Paket {{1}}", "example": {"body_text": [["7"]]}},
    ]});
    let (status, created) = create(&world, &template).await;
    assert_eq!((status, &created["status"]), (200, &json!("APPROVED")));
    let mut request = text("m");
    request.content = RequestContent::Template {
        name: "parcel".into(),
        language: "de".into(),
        body: BodyParameters::Positional(vec!["7".into()]),
    };
    world.api.send(&world.line, &request).await.unwrap();
    assert_eq!(world.api.templates(&world.line, "parcel").await.unwrap().len(), 1);

    assert_eq!(create(&world, &template).await.1["error"]["error_subcode"], 2_388_024);
    for (member, wrong) in
        [("name", json!("Parcel!")), ("category", json!("SPAM")), ("components", json!(7)), ("language", json!(""))]
    {
        let mut template = template.clone();
        template[member] = wrong;
        assert_eq!(create(&world, &template).await.1["error"]["code"], 100, "{member}");
    }
}

#[tokio::test]
async fn more_templates_than_fit_in_a_page() {
    let world = World::new().await;
    for n in 0..246 {
        let template =
            json!({"name": format!("news_{n}"), "language": "en", "category": "MARKETING", "components": []});
        assert_eq!(create(&world, &template).await.0, 200);
    }
    for language in ["de", "en_US", "fr", "it"] {
        let template = json!({"name": "news", "language": language, "category": "MARKETING", "components": []});
        assert_eq!(create(&world, &template).await.0, 200);
    }
    // The four are the last of 250 names that contain theirs, on the third page.
    assert_eq!(world.api.templates(&world.line, "news").await.unwrap().len(), 4);
    let one_more = json!({"name": "more", "language": "en", "category": "MARKETING", "components": []});
    assert_eq!(create(&world, &one_more).await.1["error"]["error_subcode"], 2_388_019);
}

#[tokio::test]
async fn a_number_is_known_to_its_token() {
    let world = World::new().await;
    let url = format!("{}/{}", world.line.base_url, world.line.phone_number_id);
    let get = async |token: &str| {
        let answer = browser().get(&url).bearer_auth(token).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(get(TOKEN).await["display_phone_number"], "15550783881");
    assert_eq!(get("other").await["error"]["code"], 190);
}
