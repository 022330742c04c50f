//! The signature element, written part by part in the order in which they depend on each other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hub_core::Problem;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use transform_xml::Limits;

use crate::canonical::{Form, parse, subtree};
use crate::key::Signer;
use crate::names::{C14N10, C14N11, DS, FILTER2, SHA256, SIGNED_PROPERTIES, XADES};
use crate::normal::Normal;
use crate::xades::document::Target;

/// Prefix of XPath Filter 2 in our signatures.
pub(super) const F2_PREFIX: &str = "dsig-xpath";

/// All of a signature but its value.
#[derive(Debug)]
pub(super) struct Parts {
    id: String,
    signed_info: String,
    signed_info_canonical: Vec<u8>,
    key_info: String,
    object: String,
}

impl Parts {
    /// Writes the parts: signed properties, then `SignedInfo` over their digest and the document's.
    pub(super) fn build(id: &str, target: &Target<'_>, at: Timestamp, signer: &dyn Signer) -> Result<Self, Problem> {
        let mut parts = Self {
            id: id.to_string(),
            signed_info: String::new(),
            signed_info_canonical: Vec::new(),
            key_info: key_info(signer),
            object: object(id, at, signer),
        };
        let properties = parts.canonical(&target.context, (XADES, "SignedProperties"), Form::Inclusive)?;
        parts.signed_info = signed_info(id, signer, &target.digest, &Sha256::digest(properties));
        parts.signed_info_canonical = parts.canonical(&target.context, (DS, "SignedInfo"), Form::Inclusive11)?;
        Ok(parts)
    }

    /// The bytes to sign.
    pub(super) fn signed_info_canonical(&self) -> &[u8] {
        &self.signed_info_canonical
    }

    /// The whole element.
    pub(super) fn element(&self, value: &[u8]) -> String {
        let Self { id, signed_info, key_info, object, .. } = self;
        let value = STANDARD.encode(value);
        format!(
            "<ds:Signature xmlns:ds=\"{DS}\" Id=\"{id}\">{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue>\
             {key_info}{object}</ds:Signature>"
        )
    }

    /// The canonical bytes of one element of the signature as they will be below the document's root: a root with the
    /// same context stands in for the document, which is not parsed again.
    fn canonical(&self, context: &str, (namespace, name): (&str, &str), form: Form) -> Result<Vec<u8>, Problem> {
        let text = format!("<root{context}>{}</root>", self.element(b""));
        let text = Normal::of(&text);
        let document = parse(&text, &Limits::default())?;
        let found = document.get_elements_by_tag_name_ns(namespace, name);
        let node = found.first().ok_or_else(|| Problem::at("xml.canonical", "", format!("signature has no {name}")))?;
        subtree(&document, *node, form)
    }
}

fn signed_info(id: &str, signer: &dyn Signer, document: &[u8], properties: &[u8]) -> String {
    let filter = format!(
        "<ds:Transform Algorithm=\"{FILTER2}\"><{F2_PREFIX}:XPath xmlns:{F2_PREFIX}=\"{FILTER2}\" Filter=\"subtract\">\
         /descendant::ds:Signature</{F2_PREFIX}:XPath></ds:Transform>"
    );
    let about_document = format!("Id=\"{id}-document\" URI=\"\"");
    let about_properties = format!("Type=\"{SIGNED_PROPERTIES}\" URI=\"#{id}-properties\"");
    format!(
        "<ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"{C14N11}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>{}{}</ds:SignedInfo>",
        signer.algorithm().uri(),
        reference(&about_document, &filter, document),
        reference(&about_properties, "", properties),
    )
}

fn reference(attributes: &str, filter: &str, digest: &[u8]) -> String {
    format!(
        "<ds:Reference {attributes}><ds:Transforms>{filter}<ds:Transform Algorithm=\"{C14N10}\"></ds:Transform>\
         </ds:Transforms>{}</ds:Reference>",
        digest_of(digest)
    )
}

fn digest_of(digest: &[u8]) -> String {
    let value = STANDARD.encode(digest);
    format!("<ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod><ds:DigestValue>{value}</ds:DigestValue>")
}

fn key_info(signer: &dyn Signer) -> String {
    let certificates = std::iter::once(signer.certificate().der()).chain(signer.chain().iter().map(Vec::as_slice));
    let written = certificates.map(|der| format!("<ds:X509Certificate>{}</ds:X509Certificate>", STANDARD.encode(der)));
    format!("<ds:KeyInfo><ds:X509Data>{}</ds:X509Data></ds:KeyInfo>", written.collect::<String>())
}

/// The qualifying properties of baseline B: signing time, signing certificate (V2), format of the signed document.
fn object(id: &str, at: Timestamp, signer: &dyn Signer) -> String {
    let digest = digest_of(&signer.certificate().digest());
    format!(
        "<ds:Object><xades:QualifyingProperties xmlns:xades=\"{XADES}\" Target=\"#{id}\">\
         <xades:SignedProperties Id=\"{id}-properties\"><xades:SignedSignatureProperties>\
         <xades:SigningTime>{at}</xades:SigningTime><xades:SigningCertificateV2><xades:Cert><xades:CertDigest>{digest}\
         </xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>\
         <xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference=\"#{id}-document\">\
         <xades:MimeType>text/xml</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties>\
         </xades:SignedProperties></xades:QualifyingProperties></ds:Object>"
    )
}

/// A text as an attribute value, in canonical form.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out
}
