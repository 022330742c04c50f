//! The route language: YAML text in, plans or all problems out. Pure: no file, no network, no clock.
//!
//! It is not the runtime: nothing here carries a plan out. Read in this order:
//!
//! 1. `language`: the words and their fields as data; `check`, the JSON schema and the manual are made from them.
//! 2. `syntax`: YAML with a position for every node, within limits.
//! 3. [`expression`]: CEL, exact and bounded; what expressions see.
//! 4. `check`: nodes to a draft of the route; every mistake gets its place, a name and a hint ([`Problem`]).
//! 5. `compose`: a draft to segments, the [`plan`] that the runtime carries out.
//! 6. [`explain()`], [`render()`], [`to_sarif`], [`schema()`], [`manual()`]: what people and programs get to see.
//!
//! [`CaseModel`] is the other file read here: `config/cases.yaml`, the states of each kind of case.

pub mod expression;
pub mod plan;
pub mod problem;

mod cases;
mod check;
mod compose;
mod draft;
mod explain;
mod language;
mod manual;
mod nearest;
mod render;
mod schema;
mod syntax;

pub use cases::{CaseKind, CaseModel, Judged};
pub use check::{Checked, RouteFile, World, check};
pub use explain::explain;
pub use manual::manual;
pub use problem::{Problem, Severity};
pub use render::{render, to_json, to_sarif};
pub use schema::schema;
