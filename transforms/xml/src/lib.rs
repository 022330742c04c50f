//! XML read within limits, and judged by a schema.
//!
//! - [`Limits`] and [`read`]: what every reader of foreign XML calls first. Size, encoding, DOCTYPE, depth and number of
//!   attributes are judged before any tree is built; the result is UTF-8 text that a parser may be given.
//! - [`Schema`]: an XSD compiled once from the configuration's folder, which judges documents and says where they are wrong.
//! - [`line_column`]: a byte offset as people count.
//!
//! What it is not: a tree, a binding or a writer. Formats (`opi`, `fatturapa`) read with `quick-xml`; signatures
//! (`transform-sign`) canonicalise with their own tree.

mod encoding;
mod limits;
mod place;
mod schema;

pub use encoding::Encodings;
pub use limits::{Limits, read};
pub use place::line_column;
pub use schema::{PROBLEMS_MAX, Schema, SchemaError};
