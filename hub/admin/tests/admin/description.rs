//! The description fits the API, and the file fits the description.

use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::world::World;

#[test]
fn the_file_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    expect_test::expect_file![file].assert_eq(&hub_admin::openapi_json());
}

#[tokio::test]
async fn every_address_of_the_description_answers() {
    let world = World::new().await;
    let description = world.read("revisore", "/api/openapi.json").await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 26);
    let of_path = |methods: &Value| methods.as_object().unwrap().values().cloned().collect::<Vec<_>>();
    let names: Vec<String> = paths.values().flat_map(of_path).map(|one| one["operationId"].to_string()).collect();
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len(), "{names:?}");
    for (path, methods) in paths {
        let address = path
            .replace("/cases/{id}", "/cases/UFAAAA%2F2026%2F1")
            .replace("/tasks/{id}", "/tasks/w0-a")
            .replace("/parked/{id}", "/parked/o0-a")
            .replace("/messages/{id}", "/messages/m-UFAAAA_2026_1")
            .replace("{lane}", "siope%2FUFAAAA")
            .replace("{sha256}", &world.flow);
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let status = world.request(method.clone(), "amministratore", &address).send().await.unwrap().status();
            // a POST without a body is refused for that, and nothing else
            let expected = if method == Method::GET { 200 } else { 415 };
            assert_eq!(status, expected, "{method} {address}");
        }
    }
}

#[tokio::test]
async fn parameters_of_the_description_are_understood() {
    let world = World::new().await;
    let description = world.read("revisore", "/api/openapi.json").await;
    for list in ["cases", "tasks", "parked", "messages", "statistics"] {
        let parameters = description["paths"][format!("/api/v1/{list}")]["get"]["parameters"].as_array().unwrap();
        assert!(!parameters.is_empty());
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            let response = world.get("revisore", &format!("/api/v1/{list}?{name}=@")).await;
            let text = response.text().await.unwrap();
            assert!(!text.contains("unknown field"), "{list} {name}: {text}");
        }
    }
}

#[test]
fn every_refusal_of_the_description_is_a_problem() {
    let description: Value = serde_json::from_str(&hub_admin::openapi_json()).unwrap();
    let schema = &description["components"]["schemas"]["Problem"]["required"];
    assert_eq!(schema, &serde_json::json!(["type", "title", "status", "detail"]));
    assert_eq!(description["components"]["securitySchemes"]["token"]["scheme"], "bearer");
}
