//! Documents as trees, and trees as the bytes that are hashed.

use std::collections::BTreeMap;

use bergshamra_c14n::{C14nMode, canonicalize_doc};
use hub_core::Problem;
use transform_xml::Limits;
use uppsala::{Document, NodeId};

use crate::names::{C14N_EXCLUSIVE, C14N10, C14N11, XML};
use crate::normal::Normal;

/// Reads a document that [`transform_xml::read`] has passed.
pub(crate) fn parse<'a>(text: &'a Normal<'_>, limits: &Limits) -> Result<Document<'a>, Problem> {
    let depth = u32::try_from(limits.depth_max).unwrap_or(u32::MAX);
    let parser = uppsala::Parser::new().with_max_depth(depth).with_forbid_dtd(true).with_max_entity_expansion(0);
    let malformed =
        |e: &dyn std::fmt::Display| Problem::at("xml.malformed", "", format!("document is not well-formed XML: {e}"));
    let document = parser.parse(text.as_str()).map_err(|e| malformed(&e))?;
    affordable(&document)?;
    Ok(document)
}

/// Namespaces in scope, summed over all elements. The canonicaliser copies them for each element: this many take about a
/// second.
const NAMESPACE_COPIES_MAX: usize = 4_000_000;

/// Refuses a document whose canonical form is out of proportion to its size.
fn affordable(document: &Document<'_>) -> Result<(), Problem> {
    let (mut copies, mut waiting) = (0usize, vec![(document.root(), 0usize)]);
    while let Some((node, inherited)) = waiting.pop() {
        let own = document.element(node).map_or(0, |element| element.namespace_declarations.len());
        copies += inherited + own;
        if copies > NAMESPACE_COPIES_MAX {
            return Err(Problem::at("xml.namespaces", "", "document has too many elements with too many namespaces"));
        }
        let children = document.children_iter(node).filter(|child| document.element(*child).is_some());
        waiting.extend(children.map(|child| (child, inherited + own)));
    }
    Ok(())
}

/// A canonicalisation that the profile allows; none of them keeps comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Canonical XML 1.0.
    Inclusive,
    /// Canonical XML 1.1.
    Inclusive11,
    /// Exclusive Canonical XML 1.0.
    Exclusive,
}

impl Form {
    /// The form of an algorithm's name.
    pub(crate) fn of_uri(uri: &str) -> Option<Self> {
        match uri {
            C14N10 => Some(Self::Inclusive),
            C14N11 => Some(Self::Inclusive11),
            C14N_EXCLUSIVE => Some(Self::Exclusive),
            _ => None,
        }
    }

    fn mode(self) -> C14nMode {
        match self {
            Self::Inclusive => C14nMode::Inclusive,
            Self::Inclusive11 => C14nMode::Inclusive11,
            Self::Exclusive => C14nMode::Exclusive,
        }
    }
}

/// The canonical bytes of a whole document without the subtrees `left_out`.
///
/// A subtree that is detached leaves exactly what XPath Filter 2 "subtract" and the enveloped-signature transform leave:
/// all other nodes keep their parents, so nothing is inherited anew.
pub(crate) fn without(mut document: Document<'_>, left_out: &[NodeId], form: Form) -> Result<Vec<u8>, Problem> {
    left_out.iter().for_each(|node| document.detach(*node));
    whole(&document, form)
}

fn whole(document: &Document<'_>, form: Form) -> Result<Vec<u8>, Problem> {
    let no_prefixes: [&str; 0] = [];
    canonicalize_doc(document, form.mode(), None, &no_prefixes)
        .map_err(|e| Problem::at("xml.canonical", "", format!("document has no canonical form: {e}")))
}

/// The canonical bytes of one element and all in it, as a document subset: namespaces in scope and (in the inclusive
/// forms) `xml:` attributes of its ancestors come with it.
///
/// # Errors
/// Code `xml.canonical` for `xml:base` above the element under Canonical XML 1.1, whose joining rules nobody needs here.
pub(crate) fn subtree(document: &Document<'_>, node: NodeId, form: Form) -> Result<Vec<u8>, Problem> {
    let mut alone = Document::new();
    let root = alone.root();
    let copy =
        alone.import_subtree(document, node).ok_or_else(|| Problem::at("xml.canonical", "", "not an element"))?;
    alone.append_child(root, copy);
    for (prefix, uri) in namespaces_in_scope(document, node) {
        let _ = alone.declare_namespace(copy, Some(&prefix).filter(|p| !p.is_empty()).map(String::as_str), uri);
    }
    if form != Form::Exclusive {
        inherit_xml_attributes(document, node, form, &mut alone, copy)?;
    }
    whole(&alone, form)
}

/// Prefix (empty: the default namespace) to URI, as they hold inside the element.
pub(crate) fn namespaces_in_scope(document: &Document<'_>, node: NodeId) -> BTreeMap<String, String> {
    let mut scope = BTreeMap::new();
    let mut at = Some(node);
    while let Some(element) = at.and_then(|id| document.element(id)) {
        for (prefix, uri) in element.namespace_declarations.iter().filter(|(prefix, _)| prefix != "xml") {
            let _ = scope.entry(prefix.to_string()).or_insert_with(|| uri.to_string());
        }
        at = at.and_then(|id| document.parent(id));
    }
    scope
}

fn inherit_xml_attributes(
    from: &Document<'_>,
    node: NodeId,
    form: Form,
    alone: &mut Document<'_>,
    copy: NodeId,
) -> Result<(), Problem> {
    let mut at = from.parent(node);
    while let Some(ancestor) = at.and_then(|id| from.element(id)) {
        for attribute in ancestor.attributes.iter().filter(|a| a.name.namespace_uri.as_deref() == Some(XML)) {
            let local = &*attribute.name.local_name;
            match (form, local) {
                (Form::Inclusive11, "base") => {
                    return Err(Problem::at(
                        "xml.canonical",
                        "",
                        "xml:base above a signature is not supported; remove it",
                    ));
                }
                (Form::Inclusive11, "id") => continue,
                _ => {}
            }
            if let Some(element) = alone.element_mut(copy).filter(|e| e.get_attribute_ns(XML, local).is_none()) {
                let owned = attribute.clone().into_static();
                let _ = element.set_attribute(owned.name, owned.value);
            }
        }
        at = at.and_then(|id| from.parent(id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(xml: &str, form: Form) -> Result<String, Problem> {
        let text = Normal::of(xml);
        let document = parse(&text, &Limits::default())?;
        let node = document.get_elements_by_tag_name("x")[0];
        subtree(&document, node, form).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_subset_takes_its_namespaces_with_it() {
        let xml = "<r xmlns='urn:d' xmlns:b='urn:b' xmlns:a='urn:a'><a:x a:k='1' j='2'><y xmlns=''/></a:x></r>";
        let inclusive = r#"<a:x xmlns="urn:d" xmlns:a="urn:a" xmlns:b="urn:b" j="2" a:k="1"><y xmlns=""></y></a:x>"#;
        assert_eq!(inner(xml, Form::Inclusive).unwrap(), inclusive);
        assert_eq!(inner(xml, Form::Inclusive11).unwrap(), inclusive);
        let exclusive = r#"<a:x xmlns:a="urn:a" j="2" a:k="1"><y></y></a:x>"#;
        assert_eq!(inner(xml, Form::Exclusive).unwrap(), exclusive);
    }

    #[test]
    fn a_subset_inherits_xml_attributes_by_its_form() {
        let xml = "<r xml:lang='it' xml:id='i'><m xml:space='preserve' xml:lang='de'><x/></m></r>";
        assert_eq!(inner(xml, Form::Inclusive).unwrap(), r#"<x xml:id="i" xml:lang="de" xml:space="preserve"></x>"#);
        assert_eq!(inner(xml, Form::Inclusive11).unwrap(), r#"<x xml:lang="de" xml:space="preserve"></x>"#);
        assert_eq!(inner(xml, Form::Exclusive).unwrap(), "<x></x>");
        let based = "<r xml:base='urn:b'><x/></r>";
        assert_eq!(inner(based, Form::Inclusive).unwrap(), r#"<x xml:base="urn:b"></x>"#);
        assert_eq!(inner(based, Form::Inclusive11).unwrap_err().code, "xml.canonical");
    }

    #[test]
    fn documents_that_cost_too_much_are_refused() {
        let namespaces: String = (0..32).map(|i| format!(" xmlns:p{i}='urn:p{i}'")).collect();
        let wide = |n: usize| format!("<r{namespaces}>{}</r>", "<a/>".repeat(n));
        let code = |xml: &str| parse(&Normal::of(xml), &Limits::default()).map(drop).map_err(|p| p.code);
        assert_eq!(code(&wide(100_000)), Ok(()));
        assert_eq!(code(&wide(200_000)), Err("xml.namespaces".into()));
    }

    #[test]
    fn a_detached_subtree_leaves_its_neighbours() {
        let xml = "<r>a<x><x/></x>b<!-- c --><y>\r\n&#13;</y></r>";
        let text = Normal::of(xml);
        let document = parse(&text, &Limits::default()).unwrap();
        let out = [document.get_elements_by_tag_name("x")[0]];
        let bytes = without(document, &out, Form::Inclusive).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "<r>ab<y>\n&#xD;</y></r>");
    }
}
