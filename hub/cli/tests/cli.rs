//! End-to-end tests of the binary.

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/crash.rs"]
mod crash;
#[path = "cli/first_route.rs"]
mod first_route;
#[path = "cli/life.rs"]
mod life;
#[path = "cli/manual.rs"]
mod manual;
#[path = "cli/overload.rs"]
mod overload;
#[path = "cli/proof.rs"]
mod proof;
#[path = "cli/routes.rs"]
mod routes;
#[path = "cli/status.rs"]
mod status;
#[path = "cli/versions.rs"]
mod versions;
#[path = "cli/years.rs"]
mod years;
