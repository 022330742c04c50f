//! The route language. Pure: text in, plan or problems out.

pub mod expression;
pub mod plan;
pub mod problem;

mod check;
mod nearest;
mod syntax;
