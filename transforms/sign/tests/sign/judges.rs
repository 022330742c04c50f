//! `xmlsec1` (libxml2, OpenSSL) on what we sign: an implementation that shares nothing with ours.

use transform_sign::key::DemoKind;
use transform_sign::verify::verify_all;
use transform_xml::Limits;

use crate::support::{flow, has, owner, rsa, signed, xmlsec1};

fn documents() -> Vec<(&'static str, String)> {
    vec![
        ("plain flow", flow(3)),
        ("accented text across buffers", format!("<a>{}</a>", "àèìòù€ñ".repeat(3_000))),
        ("200 kB", flow(900)),
        (
            "namespaces and attributes",
            "<r xmlns='urn:d' xmlns:b='urn:b' xmlns:a='urn:a' z='1' a:y='2' b:x='3' c=\"&lt;&#9;&#10;&#13;&quot;'&gt;\">\
             <b:e xmlns:b='urn:b2' xmlns='' q='&amp;'><f xmlns='urn:d'/></b:e><a:g/></r>"
                .into(),
        ),
        ("xml attributes on the root", "<r xml:lang='it' xml:space='preserve' xml:id='r1'><e xml:lang='de'> </e></r>".into()),
        (
            "comments, instructions, CDATA",
            "<?xml version=\"1.0\"?><!-- a --><?pi  x y ?><r><!-- b --><?q?><![CDATA[<&]]>]]&gt;</r><!-- c --><?end z?>\n".into(),
        ),
        ("carriage returns", "<?xml version='1.0'?>\r\n<r a='1\r\n2'>\r\nx&#13;y\rz&#xD;&#xA;\r\n</r>\r\n".into()),
        ("empty root", "<r/>".into()),
        ("byte order mark", "\u{FEFF}<r>è</r>".into()),
        ("supplementary characters", "<r>𝔸 😀 &#x1F600;</r>".into()),
    ]
}

#[test]
fn an_independent_judge_accepts_rsa_and_ecdsa() {
    if !has("xmlsec1") {
        return;
    }
    let owners = [owner(DemoKind::EcdsaP256), owner(DemoKind::EcdsaP384)];
    for owner in owners.iter().chain([rsa()]) {
        for (name, xml) in documents() {
            let signed = signed(&xml, &owner.key);
            let verdict = xmlsec1(signed.as_bytes(), &owner.cert_pem, 1);
            assert_eq!(verdict, Ok(()), "{name}: {owner:?}\n{signed:.3000}");
        }
    }
}

#[test]
fn an_independent_judge_accepts_parallel_signatures() {
    if !has("xmlsec1") {
        return;
    }
    let second = owner(DemoKind::EcdsaP256);
    for (name, xml) in documents() {
        let twice = signed(&signed(&xml, &rsa().key), &second.key);
        assert_eq!(xmlsec1(twice.as_bytes(), &rsa().cert_pem, 1), Ok(()), "{name}");
        assert_eq!(xmlsec1(twice.as_bytes(), &second.cert_pem, 2), Ok(()), "{name}");
        assert_eq!(verify_all(twice.as_bytes(), &Limits::default()).unwrap().len(), 2, "{name}");
    }
}

#[test]
fn both_judges_refuse_changed_content() {
    if !has("xmlsec1") {
        return;
    }
    let signed = signed(&flow(1), &rsa().key);
    let content = signed.find("<mandato>").unwrap()..signed.find("<ds:Signature ").unwrap();
    let letters = content.filter(|at| signed.as_bytes()[*at].is_ascii_alphanumeric());
    for at in letters.step_by(9) {
        let mut bytes = signed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'7' } else { b'1' };
        assert!(verify_all(&bytes, &Limits::default()).is_err(), "byte {at}");
        assert!(xmlsec1(&bytes, &rsa().cert_pem, 1).is_err(), "byte {at}");
    }
}

#[test]
fn the_other_judge_trusts_only_the_given_certificate() {
    if !has("xmlsec1") {
        return;
    }
    let other = owner(DemoKind::Rsa2048);
    assert!(xmlsec1(signed(&flow(1), &rsa().key).as_bytes(), &other.cert_pem, 1).is_err());
}

/// The official OPI schema, where the machine has it, takes the flow with our signature in it.
#[test]
fn the_official_schema_accepts_a_signed_flow() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let schema = folder.join("standards/siope/OPI_FLUSSO_ORDINATIVI_V_1_7_1.xsd");
    let Ok(sample) = std::fs::read_to_string(folder.join("samples/siope/flusso_ordinativi.xml")) else {
        println!("skipped: official schemas are not on this machine");
        return;
    };
    let schema = transform_xml::Schema::open(&schema, schema.parent().unwrap()).unwrap();
    let (from, to) = (sample.find("<ds:Signature"), sample.rfind("</ds:Signature>"));
    let unsigned = match (from, to) {
        (Some(from), Some(to)) => format!("{}{}", &sample[..from], &sample[to + "</ds:Signature>".len()..]),
        _ => sample,
    };
    let once = signed(&unsigned, &rsa().key);
    let twice = signed(&once, &owner(DemoKind::EcdsaP256).key);
    for xml in [once, twice] {
        assert_eq!(schema.validate(xml.as_bytes()), Ok(()));
    }
}
