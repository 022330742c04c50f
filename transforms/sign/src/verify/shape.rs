//! The shape of signatures: every element in its one place, nothing else.

use jiff::Timestamp;
use uppsala::{Document, NodeId};

use crate::canonical::{Form, namespaces_in_scope};
use crate::key::Algorithm;
use crate::names::{DS, ENVELOPED, FILTER2, SHA256, SIGNED_PROPERTIES, XADES, XADES_ANY};
use crate::verify::VerifyError;
use crate::verify::strict::{Result, Shape, refuse};

/// Certificates in one signature.
const CERTIFICATES_MAX: usize = 9;

/// A signature, taken apart. Nothing in it is believed yet.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) node: NodeId,
    pub(super) id: String,
    pub(super) signed_info: NodeId,
    pub(super) signed_info_form: Form,
    pub(super) algorithm: Algorithm,
    pub(super) document: DocumentReference,
    pub(super) properties: PropertiesReference,
    pub(super) value: Vec<u8>,
    /// DER; the first is the signer's.
    pub(super) certificate: Vec<u8>,
}

/// Id, canonical form and digest that a reference to signed properties states.
type StatedProperties = (String, Form, Vec<u8>);

/// The reference to the document.
#[derive(Debug)]
pub(super) struct DocumentReference {
    pub(super) subtracts: Subtracts,
    pub(super) form: Form,
    pub(super) digest: Vec<u8>,
}

/// What is taken out of the document before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subtracts {
    /// All signatures.
    All,
    /// The signature itself.
    Own,
}

/// The reference to the signed properties, resolved by identity.
#[derive(Debug)]
pub(super) struct PropertiesReference {
    pub(super) node: NodeId,
    pub(super) form: Form,
    pub(super) digest: Vec<u8>,
    pub(super) signing_time: Timestamp,
    pub(super) certificate_digest: Vec<u8>,
}

/// All signatures of a document, each in its place and of the right shape.
pub(super) fn signatures(document: &Document<'_>) -> Result<Vec<Signature>> {
    let shape = Shape { document };
    let root = document.document_element();
    let nodes = document.get_elements_by_tag_name_ns(DS, "Signature");
    if nodes.iter().any(|node| document.parent(*node) != root) {
        return refuse("a signature does not stand directly below the root");
    }
    let everywhere = document.get_elements_by_tag_name("QualifyingProperties");
    let of_xades = |node: &&NodeId| {
        let element = document.element(**node);
        element.and_then(|e| e.name.namespace_uri.as_deref()).is_some_and(|uri| uri.starts_with(XADES_ANY))
    };
    if everywhere.iter().filter(of_xades).count() != nodes.len() {
        return refuse("there are qualifying properties outside the signatures");
    }
    nodes.into_iter().take(crate::xades::SIGNATURES_MAX + 1).map(|node| shape.signature(node)).collect()
}

impl Shape<'_, '_> {
    fn signature(&self, node: NodeId) -> Result<Signature> {
        self.attributes(node, &["Id"])?;
        let id = self.attribute(node, "Id")?;
        self.unique(id)?;
        let [signed_info, value, key_info, object] =
            self.children(node, [(DS, "SignedInfo"), (DS, "SignatureValue"), (DS, "KeyInfo"), (DS, "Object")])?;
        self.attributes(value, &["Id"])?;
        let (signed_info_form, algorithm, references) = self.signed_info(signed_info)?;
        let (document, properties) = self.references(references)?;
        Ok(Signature {
            node,
            id: id.to_string(),
            signed_info,
            signed_info_form,
            algorithm,
            document,
            properties: self.properties(object, id, properties)?,
            value: self.base64(value)?,
            certificate: self.key_info(key_info)?,
        })
    }

    fn signed_info(&self, node: NodeId) -> Result<(Form, Algorithm, [NodeId; 2])> {
        self.attributes(node, &["Id"])?;
        let [form, method, first, second] = self.children(
            node,
            [(DS, "CanonicalizationMethod"), (DS, "SignatureMethod"), (DS, "Reference"), (DS, "Reference")],
        )?;
        let form = self.form(self.algorithm(form)?)?;
        let uri = self.algorithm(method)?;
        let method = Algorithm::of_uri(uri);
        let method = method.ok_or_else(|| VerifyError::Profile(format!("signature method `{uri}` is not accepted")))?;
        Ok((form, method, [first, second]))
    }

    /// One reference to the document and one to the signed properties, in any order.
    fn references(&self, [first, second]: [NodeId; 2]) -> Result<(DocumentReference, StatedProperties)> {
        let is_properties = |node| self.optional(node, "Type") == Some(SIGNED_PROPERTIES);
        let (document, properties) = match (is_properties(first), is_properties(second)) {
            (false, true) => (first, second),
            (true, false) => (second, first),
            _ => return refuse("one reference to the document and one to the signed properties are expected"),
        };
        Ok((self.document_reference(document)?, self.properties_reference(properties)?))
    }

    fn document_reference(&self, node: NodeId) -> Result<DocumentReference> {
        self.attributes(node, &["Id", "URI"])?;
        if !self.attribute(node, "URI")?.is_empty() {
            return refuse("the document is referenced by something else than URI=\"\"");
        }
        let (transforms, digest) = self.reference(node)?;
        let (subtracts, form) = match transforms.as_slice() {
            [subtracts] => (*subtracts, None),
            [subtracts, form] => (*subtracts, Some(*form)),
            _ => return refuse("the document's transforms are not the accepted ones"),
        };
        let form = form.map_or(Ok(Form::Inclusive), |form| self.form(self.algorithm(form)?))?;
        Ok(DocumentReference { subtracts: self.subtracts(subtracts)?, form, digest })
    }

    /// URI without `#`, canonical form and digest.
    fn properties_reference(&self, node: NodeId) -> Result<StatedProperties> {
        self.attributes(node, &["Id", "URI", "Type"])?;
        let Some(id) = self.attribute(node, "URI")?.strip_prefix('#').filter(|id| !id.is_empty()) else {
            return refuse("the signed properties are not referenced by their Id");
        };
        let (transforms, digest) = self.reference(node)?;
        let form = match transforms.as_slice() {
            [] => Form::Inclusive,
            [form] => self.form(self.algorithm(*form)?)?,
            _ => return refuse("the signed properties' transforms are not the accepted ones"),
        };
        Ok((id.to_string(), form, digest))
    }

    fn reference(&self, node: NodeId) -> Result<(Vec<NodeId>, Vec<u8>)> {
        let children = self.elements(node)?;
        let (transforms, digest) = match *children.as_slice() {
            [transforms, method, value] => {
                self.named(transforms, (DS, "Transforms"))?;
                self.attributes(transforms, &[])?;
                (self.elements(transforms)?, self.digest(method, value)?)
            }
            [method, value] => (Vec::new(), self.digest(method, value)?),
            _ => return refuse("a reference has other parts than transforms and digest"),
        };
        transforms.iter().try_for_each(|node| self.named(*node, (DS, "Transform")))?;
        Ok((transforms, digest))
    }

    fn digest(&self, method: NodeId, value: NodeId) -> Result<Vec<u8>> {
        self.named(method, (DS, "DigestMethod"))?;
        self.named(value, (DS, "DigestValue"))?;
        self.attributes(value, &[])?;
        match self.algorithm(method)? {
            SHA256 => self.base64(value),
            other => refuse(format!("digest method `{other}` is not accepted")),
        }
    }

    /// The transform that takes signatures out: XPath Filter 2 in its one form, or enveloped-signature.
    fn subtracts(&self, node: NodeId) -> Result<Subtracts> {
        self.attributes(node, &["Algorithm"])?;
        match self.attribute(node, "Algorithm")? {
            ENVELOPED if self.elements(node)?.is_empty() => Ok(Subtracts::Own),
            FILTER2 => {
                let [xpath] = self.children(node, [(FILTER2, "XPath")])?;
                self.attributes(xpath, &["Filter"])?;
                let prefix =
                    self.leaf(xpath)?.trim().strip_prefix("/descendant::").and_then(|p| p.strip_suffix(":Signature"));
                let scope = namespaces_in_scope(self.document, xpath);
                let names_signatures = prefix.and_then(|prefix| scope.get(prefix)).is_some_and(|uri| uri == DS);
                if self.attribute(xpath, "Filter")? == "subtract" && names_signatures {
                    return Ok(Subtracts::All);
                }
                refuse("an XPath filter other than subtract /descendant::ds:Signature is not accepted")
            }
            other => refuse(format!("transform `{other}` is not accepted")),
        }
    }

    /// One or more certificates, all in one `X509Data`; the first is the signer's.
    fn key_info(&self, node: NodeId) -> Result<Vec<u8>> {
        self.attributes(node, &["Id"])?;
        let [data] = self.children(node, [(DS, "X509Data")])?;
        let certificates = self.elements(data)?;
        certificates.iter().try_for_each(|node| self.named(*node, (DS, "X509Certificate")))?;
        match certificates.first() {
            Some(first) if certificates.len() <= CERTIFICATES_MAX => self.base64(*first),
            _ => refuse(format!("the key info has no certificate, or more than {CERTIFICATES_MAX}")),
        }
    }

    /// The signed properties, in their one place below this signature.
    fn properties(
        &self,
        object: NodeId,
        signature: &str,
        (id, form, digest): StatedProperties,
    ) -> Result<PropertiesReference> {
        self.attributes(object, &[])?;
        let [qualifying] = self.children(object, [(XADES, "QualifyingProperties")])?;
        self.attributes(qualifying, &["Target"])?;
        let [node] = self.children(qualifying, [(XADES, "SignedProperties")])?;
        self.attributes(node, &["Id"])?;
        let right = self.attribute(qualifying, "Target")?.strip_prefix('#') == Some(signature);
        if !right || self.attribute(node, "Id")? != id {
            return refuse("the signed properties that are referenced are not those of this signature");
        }
        self.unique(&id)?;
        let (signing_time, certificate_digest) = self.signature_properties(node)?;
        Ok(PropertiesReference { node, form, digest, signing_time, certificate_digest })
    }

    /// Signing time, and digest of the signing certificate.
    fn signature_properties(&self, properties: NodeId) -> Result<(Timestamp, Vec<u8>)> {
        let all = self.elements(properties)?;
        let first = all.first().copied().filter(|_| all.len() <= 2);
        let Some(own) = first else { return refuse("the signed properties are not the accepted ones") };
        self.named(own, (XADES, "SignedSignatureProperties"))?;
        let others = &all[1..];
        others.iter().try_for_each(|node| self.named(*node, (XADES, "SignedDataObjectProperties")))?;
        let times = self.only(own, "SigningTime")?;
        let certificates = self.only(own, "SigningCertificateV2")?;
        let time = self.leaf(times)?.trim().parse::<Timestamp>();
        let time = time.map_err(|e| VerifyError::Profile(format!("the signing time cannot be read: {e}")))?;
        let [certificate] = self.children(certificates, [(XADES, "Cert")])?;
        let digest = self.only(certificate, "CertDigest")?;
        let [method, value] = self.children(digest, [(DS, "DigestMethod"), (DS, "DigestValue")])?;
        Ok((time, self.digest(method, value)?))
    }
}
