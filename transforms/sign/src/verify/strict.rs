//! Reading elements strictly: what is not expected is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uppsala::{Document, NodeId, NodeKind};

use crate::canonical::Form;
use crate::names::XADES;
use crate::verify::VerifyError;

pub(super) type Result<T> = std::result::Result<T, VerifyError>;

/// The document is of another shape than ours.
pub(super) fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(VerifyError::Profile(what.into()))
}

/// A document whose signatures are read strictly.
pub(super) struct Shape<'d, 'a> {
    pub(super) document: &'d Document<'a>,
}

impl<'d> Shape<'d, '_> {
    /// The one child of this name in the XAdES namespace.
    pub(super) fn only(&self, parent: NodeId, name: &str) -> Result<NodeId> {
        let children = self.elements(parent)?;
        let mut found = children.into_iter().filter(|node| self.is(*node, (XADES, name)));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            _ => refuse(format!("there is not exactly one `{name}`")),
        }
    }

    /// A referenced id must not occur a second time, whatever its attribute is called: readers differ on what an id is.
    pub(super) fn unique(&self, id: &str) -> Result<()> {
        let root = self.document.root();
        let ids = self.document.descendants(root).into_iter().filter_map(|node| self.document.element(node));
        let is_id = |name: &str| name.eq_ignore_ascii_case("id");
        let count = ids.flat_map(|e| &e.attributes).filter(|a| is_id(&a.name.local_name) && &*a.value == id).count();
        if count == 1 { Ok(()) } else { refuse(format!("the id `{id}` occurs {count} times")) }
    }

    pub(super) fn form(&self, uri: &str) -> Result<Form> {
        Form::of_uri(uri).ok_or_else(|| VerifyError::Profile(format!("canonicalisation `{uri}` is not accepted")))
    }

    /// The algorithm of an element that has no parameters.
    pub(super) fn algorithm(&self, node: NodeId) -> Result<&'d str> {
        self.attributes(node, &["Algorithm"])?;
        if !self.elements(node)?.is_empty() {
            return refuse("an algorithm has parameters");
        }
        self.attribute(node, "Algorithm")
    }

    /// Exactly these child elements, in this order.
    pub(super) fn children<const N: usize>(&self, parent: NodeId, names: [(&str, &str); N]) -> Result<[NodeId; N]> {
        let children: [NodeId; N] =
            self.elements(parent)?.try_into().or_else(|_| refuse("an element has too many or too few parts"))?;
        children.iter().zip(names).try_for_each(|(node, name)| self.named(*node, name))?;
        Ok(children)
    }

    /// Child elements; beside them only white space may stand.
    pub(super) fn elements(&self, parent: NodeId) -> Result<Vec<NodeId>> {
        let mut elements = Vec::new();
        for child in self.document.children_iter(parent) {
            match self.document.node_kind(child) {
                Some(NodeKind::Element(_)) => elements.push(child),
                Some(NodeKind::Text(text)) if text.chars().all(|c| c.is_ascii_whitespace()) => {}
                _ => return refuse("there are comments or text between the parts of a signature"),
            }
        }
        Ok(elements)
    }

    /// The text of an element that has nothing else; a comment in it would be read differently by different readers.
    pub(super) fn leaf(&self, node: NodeId) -> Result<&'d str> {
        let mut children = self.document.children_iter(node);
        match (children.next().and_then(|child| self.document.node_kind(child)), children.next()) {
            (Some(NodeKind::Text(text)), None) => Ok(text),
            _ => refuse("an element holds something else than one text"),
        }
    }

    pub(super) fn base64(&self, node: NodeId) -> Result<Vec<u8>> {
        let text: String = self.leaf(node)?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        STANDARD.decode(text).map_err(|e| VerifyError::Profile(format!("a value is not base64: {e}")))
    }

    pub(super) fn is(&self, node: NodeId, (namespace, name): (&str, &str)) -> bool {
        self.document.element(node).is_some_and(|element| element.matches_name_ns(namespace, name))
    }

    pub(super) fn named(&self, node: NodeId, name: (&str, &str)) -> Result<()> {
        if self.is(node, name) { Ok(()) } else { refuse(format!("`{}` is not where it must be", name.1)) }
    }

    /// No attributes but these, all without namespace.
    pub(super) fn attributes(&self, node: NodeId, known: &[&str]) -> Result<()> {
        let attributes = self.document.element(node).map(|e| e.attributes.as_slice()).unwrap_or_default();
        match attributes.iter().find(|a| a.name.namespace_uri.is_some() || !known.contains(&&*a.name.local_name)) {
            Some(unknown) => refuse(format!("attribute `{}` is not accepted in a signature", unknown.name.local_name)),
            None => Ok(()),
        }
    }

    pub(super) fn optional(&self, node: NodeId, name: &str) -> Option<&'d str> {
        let attributes = &self.document.element(node)?.attributes;
        let found = attributes.iter().find(|a| a.name.namespace_uri.is_none() && a.name.local_name == name)?;
        Some(&*found.value)
    }

    pub(super) fn attribute(&self, node: NodeId, name: &str) -> Result<&'d str> {
        self.optional(node, name).map_or_else(|| refuse(format!("attribute `{name}` is missing")), Ok)
    }
}
