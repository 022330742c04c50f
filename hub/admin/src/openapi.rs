//! The published description of the API.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// `hub/admin/openapi.json`, as it is served. A test compares it with [`openapi_json`].
pub const OPENAPI: &str = include_str!("../openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Raccordo admin API",
        description = "What people and monitoring see of a running hub, and what they may tell it. Every error is an \
                       RFC 9457 problem. Writes return a position; reads take it as `after` and wait until they see it.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        crate::api::system::live, crate::api::system::ready, crate::metrics::metrics, crate::api::system::openapi,
        crate::api::system::status, crate::api::system::routes, crate::api::system::alarms,
        crate::api::messages::messages, crate::api::messages::message,
        crate::api::cases::cases, crate::api::cases::case, crate::api::cases::timeline, crate::api::cases::documents,
        crate::api::documents::document,
        crate::api::tasks::tasks, crate::api::tasks::task, crate::api::tasks::task_document, crate::api::tasks::decide,
        crate::api::parked::parked_list, crate::api::parked::parked, crate::api::parked::parked_body,
        crate::api::parked::release,
        crate::api::statistics::statistics,
    ),
    modifiers(&Bearer),
    security(("token" = [])),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("a token of `admin.tokens`"));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    }
}

/// The description, made from the code.
#[must_use]
pub fn openapi_json() -> String {
    let text = Api::openapi().to_pretty_json().expect("invariant: the description holds only what JSON can hold");
    format!("{text}\n")
}
