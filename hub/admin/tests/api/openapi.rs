//! The published description is the one of the code.

use crate::fixture::Api;

/// `UPDATE_EXPECT=1 cargo test -p hub-admin` writes the file anew.
#[test]
fn the_published_description_is_fresh() {
    expect_test::expect_file!["../../openapi.json"].assert_eq(&hub_admin::openapi_json());
}

#[tokio::test]
async fn it_is_served_and_names_every_call() {
    let api = Api::start().await;
    let description = api.json("/api/openapi.json", "revisore").await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 23);
    for (path, calls) in paths {
        for (method, call) in calls.as_object().unwrap() {
            assert!(call["responses"].as_object().is_some_and(|r| !r.is_empty()), "{method} {path}");
            let asks_nothing = path.starts_with("/health/");
            assert_eq!(call.get("security").is_some(), asks_nothing, "{method} {path}");
            if asks_nothing {
                continue;
            }
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = api.call(method.clone(), &path.replace(['{', '}'], ""), "", None).await;
            assert_eq!(answer.status(), 401, "{method} {path}");
            let answer = api.call(method.clone(), &path.replace(['{', '}'], ""), "amministratore", None).await;
            assert!(![401, 405].contains(&answer.status().as_u16()), "{method} {path}");
        }
    }
    api.stop().await;
}
