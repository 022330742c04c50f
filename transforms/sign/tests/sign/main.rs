//! Signatures against an independent judge (`xmlsec1`), against attackers, and against arbitrary documents.

mod attacks;
mod documents;
mod judges;
mod keys;
mod properties;
mod speed;
mod step;
mod support;
mod zz;
