//! The route language from outside: text in, plans, problems and explanations out.

// Helpers of tests may unwrap, as tests may.
#![allow(clippy::unwrap_used)]

#[path = "route/world.rs"]
mod world;

#[path = "route/broken.rs"]
mod broken;
#[path = "route/expressions.rs"]
mod expressions;
#[path = "route/golden.rs"]
mod golden;
#[path = "route/never.rs"]
mod never;
#[path = "route/plans.rs"]
mod plans;
#[path = "route/reports.rs"]
mod reports;
