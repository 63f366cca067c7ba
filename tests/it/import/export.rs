//! Contacts and groups go out as files, and come in again.

use serde_json::json;
use wasend_tests::{Engine, World};

use super::{get, import};

stories!(an_export_imports_again_without_loss);

async fn an_export_imports_again_without_loss(engine: Engine) {
    let world = World::start(engine).await;
    let client = world.client();
    for (phone, name, value) in [
        ("+16505551001", "=HYPERLINK(\"x\")", "+1-2"),
        ("+16505551002", "'quoted", "-5"),
        ("+16505551003", "@name, \"said\"", "line\nbreak"),
        ("+16505551004", "Zoë 😀", "\tTab"),
        ("+16505551005", "＝cmd", "\n=1+1"),
        ("+16505551006", "\u{feff}=1", " =1+1"),
        ("+16505551007", "\u{200b}＠x", "\r\n-1"),
        ("+16505551008", "－1", "\u{3000}＋1"),
        ("+16505551009", "' =1", "\u{a0}\u{2060}@x"),
    ] {
        let attributes = json!([{"name": "name", "value": value}, {"name": "City", "value": "=1+1"}, {"name": "city", "value": " x "}]);
        let input = json!({"phone": phone, "name": name, "attributes": attributes});
        let made = client.mutate("createContact", input, "errors { code field message }").await;
        assert_eq!(made["errors"], json!([]));
    }
    let made = client
        .mutate("createContact", json!({"bsuid": "US.13491208655302741918", "name": "B"}), "contact { id }")
        .await;
    client.mutate("optOut", json!({"contactId": made["contact"]["id"]}), "errors { code }").await;
    let export = get(&client, "contacts.csv").await;
    assert!(!export.contains("\"=") && !export.contains("\"@") && !export.contains("\"-"), "{export}");
    for start in ["\n", "\r", "\t", " =", "＝", "＠", "－", "\u{feff}", "\u{200b}", "\u{3000}", "\u{a0}"] {
        assert!(!export.contains(&format!(",\"{start}")), "{start:?} in {export}");
    }
    assert!(export.contains("\"+16505551001\""), "{export}");
    let (other, _) = world.another_account().await;
    let counters = import(&other, json!({"content": export})).await;
    assert_eq!(counters, json!({"total": 10, "created": 10, "suppressed": 1}));
    let sorted = |export: &str| {
        let mut rows: Vec<_> = export.split("\"\n").map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(sorted(&get(&other, "contacts.csv").await), sorted(&export));
    let counters = import(&client, json!({"content": export})).await;
    assert_eq!(counters, json!({"total": 10, "unchanged": 10, "suppressed": 1}));
    let group = client.mutate("createGroup", json!({"name": "=Group"}), "group { id }").await;
    let id = group["group"]["id"].as_str().expect("an id").to_owned();
    client.mutate("addToGroup", json!({"groupId": id, "contactIds": [made["contact"]["id"]]}), "errors { code }").await;
    let groups = get(&client, "groups.csv").await;
    assert_eq!(groups, format!("\"id\",\"name\",\"members\"\n\"{id}\",\"'=Group\",\"1\"\n"));
    let members = get(&client, &format!("contacts.csv?groupId={id}")).await;
    assert!(members.contains("US.13491208655302741918") && !members.contains("+1650"), "{members}");
    // The members of a group go into a group of the other account.
    let into = other.mutate("createGroup", json!({"name": "=Group"}), "group { id }").await["group"]["id"].take();
    let counters = import(&other, json!({"content": members, "groupId": into})).await;
    assert_eq!(counters, json!({"total": 1, "updated": 1, "suppressed": 1}));
    let id = into.as_str().expect("an id");
    assert_eq!(get(&other, "groups.csv").await, groups.replace(groups.split('"').nth(7).expect("an id"), id));
    assert_eq!(get(&other, &format!("contacts.csv?groupId={id}")).await, members);
}
