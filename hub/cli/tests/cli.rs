//! End-to-end tests of the binary.

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/benches.rs"]
mod benches;
#[cfg(feature = "failpoints")]
#[path = "cli/cluster.rs"]
mod cluster;
#[path = "cli/crash.rs"]
mod crash;
#[cfg(feature = "failpoints")]
#[path = "cli/doomed.rs"]
mod doomed;
#[cfg(feature = "failpoints")]
#[path = "cli/failpoints.rs"]
mod failpoints;
#[path = "cli/first_route.rs"]
mod first_route;
#[path = "cli/life.rs"]
mod life;
#[path = "cli/manual.rs"]
mod manual;
#[cfg(feature = "failpoints")]
#[path = "cli/migrate.rs"]
mod migrate;
#[cfg(feature = "failpoints")]
#[path = "cli/notices.rs"]
mod notices;
#[path = "cli/old_store.rs"]
mod old_store;
#[path = "cli/on_kafka.rs"]
mod on_kafka;
#[path = "cli/overload.rs"]
mod overload;
#[path = "cli/proof.rs"]
mod proof;
#[cfg(feature = "failpoints")]
#[path = "cli/receiver.rs"]
mod receiver;
#[path = "cli/routes.rs"]
mod routes;
#[path = "cli/status.rs"]
mod status;
#[path = "cli/verdict.rs"]
mod verdict;
#[path = "cli/versions.rs"]
mod versions;
#[path = "cli/years.rs"]
mod years;
