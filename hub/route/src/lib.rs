//! The route language. Pure: text in, plan or problems out.

pub mod expression;
pub mod plan;
pub mod problem;

mod cases;
mod check;
mod compose;
mod draft;
mod language;
mod nearest;
mod syntax;

pub use cases::{CaseKind, CaseModel, Judged};
pub use check::{Checked, RouteFile, World, check};
