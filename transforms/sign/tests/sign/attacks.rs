//! What an attacker does to a signed document, and that nothing of it passes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use transform_sign::key::{DemoKind, Signer};
use transform_sign::verify::{VerifyError, verify, verify_all};
use transform_xml::Limits;

use crate::support::{flow, owner, rsa, signed};

fn refused(xml: &str) -> VerifyError {
    assert!(verify_all(xml.as_bytes(), &Limits::default()).is_err(), "accepted: {xml}");
    verify(xml.as_bytes(), &Limits::default()).unwrap_err()
}

/// The document, and its signature element as text.
fn pieces() -> (String, String) {
    let xml = signed(&flow(2), &rsa().key);
    let signature = between(&xml, "<ds:Signature ", "</ds:Signature>");
    (xml, signature)
}

/// The piece from the first `from` to the next `to`, both included.
fn between(xml: &str, from: &str, to: &str) -> String {
    let start = xml.find(from).unwrap();
    let end = start + xml[start..].find(to).unwrap() + to.len();
    xml[start..end].to_string()
}

fn replaced(xml: &str, from: &str, to: &str) -> String {
    assert!(xml.contains(from), "{from} is not in the document");
    xml.replacen(from, to, 1)
}

#[test]
fn the_untouched_document_passes() {
    let (xml, _) = pieces();
    verify(xml.as_bytes(), &Limits::default()).unwrap();
}

/// Flips each byte of the whole file: the verdict is a refusal, or what was signed is unchanged (white space in a tag).
#[test]
fn no_flipped_byte_changes_what_is_read() {
    let xml = signed(&flow(1), &rsa().key);
    let content = verify(xml.as_bytes(), &Limits::default()).unwrap();
    let mut survivors = Vec::new();
    for at in 0..xml.len() {
        for bit in [0x01, 0x04, 0x20] {
            let mut bytes = xml.clone().into_bytes();
            bytes[at] ^= bit;
            if let Ok(read) = verify(&bytes, &Limits::default()) {
                assert_eq!(read, content, "byte {at} of {xml}");
                survivors.push(at);
            }
        }
    }
    // What may change without harm: the XML declaration, line ends outside the root, unused bits of base64.
    assert!(survivors.len() < 40, "{survivors:?}");
}

#[test]
fn another_certificate_is_refused() {
    let (xml, _) = pieces();
    let own = STANDARD.encode(rsa().key.certificate().der());
    let other = owner(DemoKind::Rsa2048);
    let swapped = replaced(&xml, &own, &STANDARD.encode(other.key.certificate().der()));
    assert!(matches!(refused(&swapped), VerifyError::Certificate(_)));
    let ecdsa = owner(DemoKind::EcdsaP256);
    let swapped = replaced(&xml, &own, &STANDARD.encode(ecdsa.key.certificate().der()));
    assert!(matches!(refused(&swapped), VerifyError::Certificate(_)));
    let garbage = replaced(&xml, &own, "AAAA");
    assert!(matches!(refused(&garbage), VerifyError::Certificate(_)));
    // A further certificate before ours is not ours; one after it is chain, and proves nothing.
    let element = format!("<ds:X509Certificate>{own}");
    let before = replaced(
        &xml,
        &element,
        &format!(
            "<ds:X509Certificate>{}</ds:X509Certificate>{element}",
            STANDARD.encode(other.key.certificate().der())
        ),
    );
    assert!(matches!(refused(&before), VerifyError::Certificate(_)));
}

#[test]
fn another_value_is_refused() {
    let (xml, _) = pieces();
    let value = between(&xml, "<ds:SignatureValue>", "</ds:SignatureValue>");
    let wrong = format!("<ds:SignatureValue>{}</ds:SignatureValue>", STANDARD.encode([1u8; 256]));
    assert!(matches!(refused(&replaced(&xml, &value, &wrong)), VerifyError::Value));
    assert!(matches!(
        refused(&replaced(&xml, &value, "<ds:SignatureValue></ds:SignatureValue>")),
        VerifyError::Profile(_)
    ));
}

/// The signed root is kept inside a new one, whose content the reader would take.
#[test]
fn moved_content_is_refused() {
    let (xml, signature) = pieces();
    let body = xml[xml.find("<flusso").unwrap()..].trim_end();
    let wrapped = format!("<flusso_ordinativi><mandato>999</mandato><x>{body}</x></flusso_ordinativi>");
    assert!(matches!(refused(&wrapped), VerifyError::Profile(_)));
    let unsigned = body.replace(&signature, "");
    let outside = format!("<flusso_ordinativi><mandato>999</mandato><x>{unsigned}</x>{signature}</flusso_ordinativi>");
    assert!(matches!(refused(&outside), VerifyError::Digest { .. }));
    let inside = replaced(
        &xml,
        &signature,
        &signature.replace("<ds:Object>", &format!("<ds:Object>{unsigned}</ds:Object><ds:Object>")),
    );
    assert!(matches!(refused(&inside), VerifyError::Profile(_)));
}

#[test]
fn content_hidden_in_a_signature_is_refused() {
    // All signatures are subtracted, so unsigned data could hide in a second one.
    let (xml, signature) = pieces();
    let fake = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><mandato>999</mandato></ds:Signature>";
    assert!(matches!(refused(&replaced(&xml, &signature, &format!("{fake}{signature}"))), VerifyError::Profile(_)));
    let nested = replaced(&xml, "<testata_flusso/>", &format!("<testata_flusso>{fake}</testata_flusso>"));
    assert!(matches!(refused(&nested), VerifyError::Profile(_)));
}

#[test]
fn duplicate_ids_are_refused() {
    let (xml, _) = pieces();
    let id =
        between(&xml, "SignedProperties Id=\"", "-properties\"").replace("SignedProperties Id=\"", "").replace('"', "");
    for attribute in ["Id", "ID", "id", "xml:id"] {
        let twice = replaced(&xml, "<testata_flusso/>", &format!("<testata_flusso {attribute}=\"{id}\"/>"));
        assert!(matches!(refused(&twice), VerifyError::Profile(_)), "{attribute}");
    }
    // Even if the document's digest still fits, as for an id within another signature.
    let (_, signature) = pieces();
    let doubled = replaced(&xml, &signature, &format!("{signature}{signature}"));
    assert!(refused(&doubled).to_string().contains("occurs 2 times"));
}

#[test]
fn extra_qualifying_properties_are_refused() {
    let (xml, _) = pieces();
    let own = between(&xml, "<xades:QualifyingProperties", "</xades:QualifyingProperties>");
    let forged = own.replace("2026-11-24", "1999-01-01").replace("-properties\"", "-forged\"");
    let (before, after) = (format!("{forged}{own}"), format!("{own}{forged}"));
    let other_object = format!("{own}</ds:Object><ds:Object>{forged}");
    for (name, with) in [("before", before), ("after", after), ("in another object", other_object)] {
        assert!(matches!(refused(&replaced(&xml, &own, &with)), VerifyError::Profile(_)), "{name}");
    }
    let in_content = replaced(&xml, "<testata_flusso/>", &forged.replace("ds:", ""));
    assert!(matches!(refused(&in_content), VerifyError::Profile(_)));
    assert!(matches!(refused(&replaced(&xml, "2026-11-24T", "2026-11-25T")), VerifyError::Digest { .. }));
    let two_times = replaced(
        &xml,
        "<xades:SigningTime>",
        "<xades:SigningTime>1999-01-01T00:00:00Z</xades:SigningTime><xades:SigningTime>",
    );
    assert!(matches!(refused(&two_times), VerifyError::Profile(_)));
    let comment = replaced(&xml, "2026-11-24T", "2026<!-- -->-11-24T");
    assert!(matches!(refused(&comment), VerifyError::Profile(_)));
}

#[test]
fn other_references_and_transforms_are_refused() {
    let (xml, _) = pieces();
    let reference = between(&xml, "<ds:Reference ", "</ds:Reference>");
    let profile = |from: &str, to: &str| {
        let error = refused(&replaced(&xml, from, to));
        assert!(matches!(error, VerifyError::Profile(_)), "{from} -> {to}: {error}");
    };
    profile(&reference, &format!("{reference}{reference}"));
    profile(&reference, "");
    profile("URI=\"\"", "URI=\"#x\"");
    profile("URI=\"\"", "URI=\"http://localhost:1/\"");
    profile("/descendant::ds:Signature", "/descendant::mandato");
    profile("Filter=\"subtract\"", "Filter=\"intersect\"");
    profile("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1");
    profile("http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/2006/12/xml-c14n11#WithComments");
    profile("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#hmac-sha1");
    let transform =
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform></ds:Transforms>";
    profile("</ds:Transforms>", transform);
    profile("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName>x</ds:KeyName>");
    profile(
        "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" Id=",
        "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" foo=\"1\" Id=",
    );
    // The prefix in the filter means what it is bound to there.
    profile("<dsig-xpath:XPath ", "<dsig-xpath:XPath xmlns:ds=\"urn:other\" ");
}

#[test]
fn methods_of_the_right_shape_but_other_meaning_fail_by_value() {
    let (xml, _) = pieces();
    let other = replaced(&xml, "xmldsig-more#rsa-sha256", "xmldsig-more#ecdsa-sha256");
    assert!(matches!(refused(&other), VerifyError::Certificate(_)));
    let other = replaced(&xml, "http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/2001/10/xml-exc-c14n#");
    assert!(matches!(refused(&other), VerifyError::Value));
}

#[test]
fn unsigned_documents_and_limits_are_refused() {
    assert!(matches!(refused("<a/>"), VerifyError::Count { found: 0, .. }));
    assert!(matches!(refused("<!DOCTYPE a><a/>"), VerifyError::Unreadable(p) if p.code == "xml.doctype"));
    let (xml, signature) = pieces();
    assert!(matches!(refused(&replaced(&xml, &signature, "")), VerifyError::Count { found: 0, .. }));
    let small = Limits::default().with_bytes_max(100);
    assert!(matches!(verify(xml.as_bytes(), &small).unwrap_err(), VerifyError::Unreadable(p) if p.code == "xml.size"));
}

/// Others sign with the enveloped-signature transform: accepted, and then a second signature beside it is content.
#[test]
fn data_beside_an_honest_signature_is_not_lost() {
    let (xml, signature) = pieces();
    let added = replaced(&xml, &signature, &format!("{signature}<mandato>999</mandato>"));
    assert!(matches!(refused(&added), VerifyError::Digest { what: "the document" }));
}
