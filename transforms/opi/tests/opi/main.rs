//! The OPI module against the repository's own examples, schemas and, where they are there, foreign judges.

mod answers;
mod examples;
mod flows;
mod judges;
mod orders;
mod steps;
mod world;
