//! The document that is to be signed: judged, hashed, and opened at the place of the signature.

use std::borrow::Cow;

use hub_core::Problem;
use sha2::{Digest, Sha256};
use transform_xml::Limits;
use uppsala::{Document, NodeId};

use crate::canonical::{Form, namespaces_in_scope, parse, without};
use crate::names::{DS, FILTER2, XADES, XML};
use crate::normal::Normal;
use crate::xades::SIGNATURES_MAX;
use crate::xades::parts::{F2_PREFIX, escape};

/// A document that may be signed.
#[derive(Debug)]
pub(super) struct Target<'a> {
    xml: &'a [u8],
    /// What stands between the two halves of `xml` beside the signature: nothing, or the two halves of `/>` unfolded.
    before: usize,
    after: usize,
    opening: Cow<'static, str>,
    closing: String,
    /// SHA-256 of the canonical document without signatures.
    pub(super) digest: [u8; 32],
    /// Namespace declarations and `xml:` attributes of the root, as they stand in a start tag.
    pub(super) context: String,
}

impl<'a> Target<'a> {
    /// Judges and hashes a document.
    pub(super) fn read(xml: &'a [u8], limits: &Limits) -> Result<Self, Problem> {
        let text = transform_xml::read(xml, limits)?;
        if !matches!(text, Cow::Borrowed(_)) {
            return Err(problem("xml.encoding", "document is not UTF-8; only UTF-8 is signed"));
        }
        // Everything before the text is the byte order mark, which stays.
        let shift = xml.len() - text.len();
        let normal = Normal::of(&text);
        let document = parse(&normal, limits)?;
        let root = document.document_element().ok_or_else(|| problem("xml.malformed", "there is no root element"))?;
        let context = context(&document, root)?;
        let signatures = document.get_elements_by_tag_name_ns(DS, "Signature");
        if signatures.contains(&root) || signatures.len() >= SIGNATURES_MAX {
            return Err(problem("sign.signatures", "document is a signature, or has as many as it may"));
        }
        let place = Place::of(&text, root_range(&text, &normal, &document, limits)?)?;
        let canonical = without(document, &signatures, Form::Inclusive)?;
        Ok(Self {
            xml,
            before: shift + place.before,
            after: shift + place.after,
            opening: place.opening,
            closing: place.closing,
            digest: Sha256::digest(&canonical).into(),
            context,
        })
    }

    /// The document with `element` as last child of its root.
    pub(super) fn with(&self, element: &str) -> Vec<u8> {
        let parts = [&self.xml[..self.before], self.opening.as_bytes(), element.as_bytes(), self.closing.as_bytes()];
        [parts.concat().as_slice(), &self.xml[self.after..]].concat()
    }
}

/// Where the root stands in the text as it came.
fn root_range(
    text: &str,
    normal: &Normal<'_>,
    document: &Document<'_>,
    limits: &Limits,
) -> Result<std::ops::Range<usize>, Problem> {
    let range = |document: &Document<'_>| document.document_element().and_then(|root| document.node_range(root));
    let found = match normal.is_original() {
        true => range(document),
        // Normal line ends have moved everything: the untouched text says where its root is.
        false => range(&parse(&Normal::untouched(text), limits)?),
    };
    found.ok_or_else(|| problem("xml.malformed", "the root has no place"))
}

/// Where in the text the signature goes.
struct Place {
    before: usize,
    after: usize,
    opening: Cow<'static, str>,
    closing: String,
}

impl Place {
    /// Right before the root's end tag. An empty-element tag is unfolded: to canonical XML that is the same.
    fn of(text: &str, root: std::ops::Range<usize>) -> Result<Self, Problem> {
        let missing = || problem("xml.malformed", "the root has no end tag");
        let source = text.get(root.clone()).ok_or_else(missing)?;
        if let Some(open) = source.strip_suffix("/>") {
            let name = open.strip_prefix('<').and_then(|tag| tag.split(|c: char| c.is_ascii_whitespace()).next());
            let closing = format!("</{}>", name.ok_or_else(missing)?);
            return Ok(Self { before: root.end - 2, after: root.end, opening: ">".into(), closing });
        }
        // An end tag holds no `<`, so the last `</` of the root's source begins it.
        let before = root.start + source.rfind("</").ok_or_else(missing)?;
        Ok(Self { before, after: before, opening: "".into(), closing: String::new() })
    }
}

/// What the root gives to everything in it; refused where our own names would change their meaning.
fn context(document: &Document<'_>, root: NodeId) -> Result<String, Problem> {
    let mut text = String::new();
    for (prefix, uri) in namespaces_in_scope(document, root) {
        let ours = [("ds", DS), ("xades", XADES), (F2_PREFIX, FILTER2)];
        if ours.iter().any(|(our, meaning)| prefix == *our && uri != *meaning) {
            let detail =
                format!("the root binds the prefix `{prefix}` to `{uri}`; signatures use it, choose another one");
            return Err(problem("sign.prefix", &detail));
        }
        let colon = if prefix.is_empty() { "" } else { ":" };
        text.push_str(&format!(" xmlns{colon}{prefix}=\"{}\"", escape(&uri)));
    }
    let attributes = document.element(root).map(|element| element.attributes.as_slice()).unwrap_or_default();
    for attribute in attributes.iter().filter(|a| a.name.namespace_uri.as_deref() == Some(XML)) {
        text.push_str(&format!(" xml:{}=\"{}\"", attribute.name.local_name, escape(&attribute.value)));
    }
    Ok(text)
}

fn problem(code: &str, detail: &str) -> Problem {
    Problem::at(code, "", detail)
}
