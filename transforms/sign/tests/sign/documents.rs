//! What is inserted where, what stays, and which documents are refused.

use transform_sign::key::{DemoKind, Signer};
use transform_sign::verify::{verify, verify_all};
use transform_sign::xades::SignError;
use transform_xml::Limits;

use crate::support::{flow, now, owner, rsa, signed, try_sign};

#[test]
fn every_other_byte_stays() {
    for xml in [
        "<a>x</a>",
        "\u{FEFF}<?xml version='1.0'?>\r\n<!-- </a> -->\r\n<a b = '1' >è<!-- </a> --></a >\r\n<?p </a>?><!-- </a> -->\n",
    ] {
        let signed = signed(xml, &rsa().key);
        let from = signed.find("<ds:Signature ").unwrap();
        let to = signed.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        assert_eq!(format!("{}{}", &signed[..from], &signed[to..]), xml);
        assert!(signed[to..].starts_with("</a"), "{}", &signed[to..]);
    }
}

#[test]
fn an_empty_root_is_unfolded() {
    let signed = signed("<?xml version='1.0'?><p:a xmlns:p='urn:p' b='/>' />\n", &rsa().key);
    assert!(signed.starts_with("<?xml version='1.0'?><p:a xmlns:p='urn:p' b='/>' ><ds:Signature "), "{signed}");
    assert!(signed.ends_with("</ds:Signature></p:a>\n"), "{signed}");
    let content = verify(signed.as_bytes(), &Limits::default()).unwrap().content;
    assert_eq!(String::from_utf8(content).unwrap(), r#"<p:a xmlns:p="urn:p" b="/>"></p:a>"#);
}

#[test]
fn a_signature_says_who_when_and_how() {
    let made = try_sign(flow(2).as_bytes(), &rsa().key).unwrap();
    let verified = verify(&made.xml, &Limits::default()).unwrap();
    assert_eq!(verified.signing_time.to_string(), "2026-11-24T09:30:15Z");
    assert_eq!(verified.signing_time, made.signed_at);
    assert_eq!(&verified.certificate, rsa().key.certificate());
    assert_eq!((made.algorithm.name(), made.algorithm), ("rsa-sha256", verified.algorithm));
    assert_eq!(made.subject, "CN=Azienda Sanitaria di Prova");
    assert_eq!(made.certificate_sha256, verified.certificate.sha256());
    let content = String::from_utf8(verified.content).unwrap();
    assert!(content.starts_with("<flusso_ordinativi>") && !content.contains("Signature"));
    assert!(content.contains("perché urgente è già così €"));
}

#[test]
fn rsa_signs_the_same_twice_and_ecdsa_does_not() {
    let xml = flow(1);
    assert_eq!(signed(&xml, &rsa().key), signed(&xml, &rsa().key));
    let ecdsa = owner(DemoKind::EcdsaP256);
    let (one, two) = (signed(&xml, &ecdsa.key), signed(&xml, &ecdsa.key));
    assert_ne!(one, two);
    let id = |text: &str| verify(text.as_bytes(), &Limits::default()).unwrap().id;
    assert_eq!(id(&one), id(&two));
}

#[test]
fn signatures_stand_side_by_side() {
    let mut xml = flow(2);
    for n in 1..=8 {
        xml = signed(&xml, &rsa().key);
        let all = verify_all(xml.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(all.len(), n);
        assert!(all.iter().all(|one| one.content == all[0].content));
        let mut ids: Vec<_> = all.iter().map(|one| one.id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), n);
    }
    assert!(verify(xml.as_bytes(), &Limits::default()).unwrap_err().to_string().contains("8 signatures"));
    assert!(matches!(try_sign(xml.as_bytes(), &rsa().key), Err(SignError::Document(p)) if p.code == "sign.signatures"));
}

#[test]
fn documents_that_cannot_carry_it_are_refused() {
    let code = |xml: &[u8]| match try_sign(xml, &rsa().key) {
        Err(SignError::Document(problem)) => problem.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(b"<!DOCTYPE a><a/>"), "xml.doctype");
    assert_eq!(code(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE8</a>"), "xml.encoding");
    assert_eq!(code(b"<a>\xE8</a>"), "xml.encoding");
    assert_eq!(code(b"<a/><b/>"), "xml.malformed");
    assert_eq!(code(b"<a><p:b/></a>"), "xml.malformed");
    assert_eq!(code(b""), "xml.malformed");
    assert_eq!(code(b"<a xmlns:ds='urn:x'/>"), "sign.prefix");
    assert_eq!(code(b"<a xmlns:xades='urn:x'/>"), "sign.prefix");
    assert_eq!(code(b"<a xmlns:dsig-xpath='urn:x'/>"), "sign.prefix");
    assert_eq!(code(b"<a xml:base='urn:x'/>"), "xml.canonical");
    assert_eq!(code(b"<ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'/>"), "sign.signatures");
    assert!(try_sign(b"<a xmlns:ds='http://www.w3.org/2000/09/xmldsig#'/>", &rsa().key).is_ok());
    assert!(try_sign(b"<a><b xmlns:ds='urn:x'><ds:c/></b></a>", &rsa().key).is_ok());
}

#[test]
fn a_certificate_out_of_its_time_does_not_sign() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let late = "2050-01-02T00:00:00Z".parse().unwrap();
    let result = runtime.block_on(transform_sign::xades::sign(b"<a/>", "m", late, &rsa().key, &Limits::default()));
    assert!(matches!(result, Err(SignError::Expired { .. })), "{result:?}");
    assert!(now() < late);
}
