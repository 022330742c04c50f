//! What travels: bytes with a name, an order and a story.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Case;

/// Names of the headers that Raccordo itself sets. Connectors document theirs with the connector.
pub mod header {
    /// The file, path or resource a message came from.
    pub const ORIGIN: &str = "origin";
    /// The authenticated sender (API client name, certificate subject, mailbox).
    pub const SENDER: &str = "sender";
    /// The sender's own idempotency key.
    pub const KEY: &str = "idempotency-key";
    /// File name, where the origin has one.
    pub const FILE_NAME: &str = "file-name";
}

/// The identity of a message: stable across re-reading, derived from its origin, never random.
///
/// Children of a split derive theirs from the parent's id and their index, so that running a step again after a crash
/// gives the same ids again.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// Derives an id from the parts that make the origin unique, for example `["http", route, sender, key]`.
    #[must_use]
    pub fn derive(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hex::encode(&hash.finalize()[..16]))
    }

    /// The id of the `index`-th child that the step at `place` makes of this message.
    #[must_use]
    pub fn child(&self, place: &str, index: usize) -> Self {
        Self::derive(&[&self.0, place, &index.to_string()])
    }

    /// Takes an id as it was written before.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text: 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({})", self.0)
    }
}

/// The unit of order: messages of one lane are worked on one after another, and order is promised nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lane(pub String);

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Headers of a message: an ordered map of text. Names are lower case.
pub type Headers = BTreeMap<String, String>;

/// What kind of bytes a body is; decides how the expression root `body` reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// JSON text, UTF-8.
    Json,
    /// An XML document.
    Xml,
    /// Plain text, UTF-8.
    Text,
    /// Anything else; expressions see no fields of it.
    Bytes,
}

impl Media {
    /// Reads a MIME type; parameters such as `charset` are ignored.
    #[must_use]
    pub fn of_mime(mime: &str) -> Self {
        let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Self::Json,
            "application/xml" | "text/xml" => Self::Xml,
            e if e.ends_with("+json") => Self::Json,
            e if e.ends_with("+xml") => Self::Xml,
            e if e.starts_with("text/") => Self::Text,
            _ => Self::Bytes,
        }
    }

    /// Guesses from a file name's extension.
    #[must_use]
    pub fn of_file_name(name: &str) -> Self {
        match name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "xml" => Self::Xml,
            "txt" | "csv" => Self::Text,
            _ => Self::Bytes,
        }
    }

    /// The MIME type to send or store it under.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::Text => "text/plain; charset=utf-8",
            Self::Bytes => "application/octet-stream",
        }
    }
}

/// The content of a message, kept byte for byte. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes as they arrived or were built.
    pub bytes: Bytes,
    /// What kind of bytes they are.
    pub media: Media,
}

impl Body {
    /// A body of the given kind.
    #[must_use]
    pub fn new(media: Media, bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), media }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(value: &crate::Value) -> Self {
        Self::new(Media::Json, value.to_string().into_bytes())
    }

    /// SHA-256 of the bytes, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        crate::sha256_hex(&self.bytes)
    }
}

impl fmt::Debug for Body {
    /// Never prints the content: bodies hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?}, {} bytes)", self.media, self.bytes.len())
    }
}

/// A message inside the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Stable identity.
    pub id: MessageId,
    /// Order is kept within a lane.
    pub lane: Lane,
    /// The business story it belongs to.
    pub case: Case,
    /// Facts about the message that are not content.
    pub headers: Headers,
    /// The content.
    pub body: Body,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_derive_from_their_parts_and_nothing_else() {
        assert_eq!(MessageId::derive(&["a", "b"]), MessageId::derive(&["a", "b"]));
        assert_ne!(MessageId::derive(&["ab", ""]), MessageId::derive(&["a", "b"]));
        let parent = MessageId::derive(&["x"]);
        assert_ne!(parent.child("3", 0), parent.child("3", 1));
    }

    #[test]
    fn media_is_read_from_mime_and_file_name() {
        assert_eq!(Media::of_mime("application/problem+json; charset=utf-8"), Media::Json);
        assert_eq!(Media::of_mime("text/xml"), Media::Xml);
        assert_eq!(Media::of_file_name("A.B.XML"), Media::Xml);
        assert_eq!(Media::of_file_name("noextension"), Media::Bytes);
    }
}
