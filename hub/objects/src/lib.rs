//! Blobs in an object store with an S3 API: for hubs on several machines, where [`hub_backbone::FileBlobs`] serves one.
//!
//! `settings` is the manual, `store` the client and its limits, `blobs` the contract ([`hub_backbone::Blobs`]), `failed` what
//! people are told when it does not work: never with a credential in it.
//!
//! Nothing is ever removed here. Two hubs share a bucket, and S3 has no way to delete an object only if nobody has put it
//! again meanwhile; a blob that is named and gone would be a document lost. Switch expiry (life cycle rules) off for the bucket.

mod blobs;
mod failed;
mod settings;
mod store;

pub use blobs::ObjectBlobs;
pub use settings::S3Settings;
