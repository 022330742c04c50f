//! The description of the API for clients (OpenAPI 3.1).

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::{alarms, cases, documents, health, messages, metrics, parked, recovery, statistics, status, tasks};
use crate::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Raccordo admin API",
        version = "1",
        description = "Reads come from the ledger; writes are judged by whoever owns the thing, and the verdict is the answer. \
            Lists give `items` and `next`; hand `next` back as `cursor`. A write gives a `position`; hand it to a read as \
            `after` to see the write. Every refusal is an RFC 9457 problem.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        status::status, status::routes,
        alarms::list, alarms::events,
        messages::list, messages::show,
        cases::list, cases::show, cases::timeline, cases::documents,
        documents::download,
        tasks::list, tasks::show, tasks::document, tasks::decide,
        parked::list, parked::show, parked::body, parked::release,
        recovery::show, recovery::release, recovery::end,
        statistics::statistics,
        health::live, health::ready, metrics::metrics,
    ),
    components(schemas(Problem)),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `admin.tokens`, bound to a person, roles and entities"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document, as `/api/openapi.json` gives it and `hub/admin/openapi.json` keeps it.
#[must_use]
pub fn openapi_json() -> String {
    // a description that cannot be written would be a mistake of ours, found by the test that compares the file
    Description::openapi().to_pretty_json().map(|text| text + "\n").unwrap_or_default()
}

pub(crate) async fn serve() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi_json())
}
