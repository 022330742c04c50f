//! Names of namespaces and algorithms, as they stand in documents.

/// XML Signature.
pub(crate) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XAdES 1.3.2 (ETSI EN 319 132-1).
pub(crate) const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
/// Every version of XAdES begins like this.
pub(crate) const XADES_ANY: &str = "http://uri.etsi.org/01903/";
/// XML-Signature XPath Filter 2.0: namespace and algorithm.
pub(crate) const FILTER2: &str = "http://www.w3.org/2002/06/xmldsig-filter2";
/// The `xml` prefix.
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Type of the reference to the signed properties.
pub(crate) const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";
/// The enveloped-signature transform.
pub(crate) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Canonical XML 1.0, without comments.
pub(crate) const C14N10: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
/// Canonical XML 1.1, without comments.
pub(crate) const C14N11: &str = "http://www.w3.org/2006/12/xml-c14n11";
/// Exclusive Canonical XML 1.0, without comments.
pub(crate) const C14N_EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// SHA-256, the only digest of our profile.
pub(crate) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
