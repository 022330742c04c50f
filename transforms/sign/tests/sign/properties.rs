//! Arbitrary documents and arbitrary bytes.

use proptest::prelude::*;
use transform_sign::verify::{verify, verify_all};
use transform_xml::Limits;

use crate::support::{has, rsa, signed, try_sign};

/// Canonical form of a text by libxml2, which shares nothing with our parser and our serialiser. Its tool keeps comments,
/// so they are taken out before.
fn canonical(xml: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.xml");
    std::fs::write(&file, xml.replace(COMMENT, "").replace(HEAD_COMMENT, "")).unwrap();
    let output = std::process::Command::new("xmllint").args(["--nonet", "--c14n"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{xml}");
    output.stdout
}

const COMMENT: &str = "<!-- </r> -->";
const HEAD_COMMENT: &str = "<!-- x -->";

/// A few attributes, each at most once.
fn attributes() -> impl Strategy<Value = String> {
    let all = [
        " a='1'",
        " b=\"&lt;&#10;è\"",
        " xmlns='urn:d'",
        " xmlns:p='urn:p' p:c='2'",
        " xml:lang='it'",
        "  d = 'x  y\t&#9;\r\nz\r\n' ",
        " xmlns:z='urn:z'",
    ];
    proptest::sample::subsequence(all.to_vec(), 0..4).prop_shuffle().prop_map(|some| some.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zà-ü€ ]{0,8}",
        Just("&amp;&lt;&#13;\r\n\t".to_string()),
        Just(COMMENT.to_string()),
        Just("<?pi <x>\r\n?>".to_string()),
        Just("<![CDATA[<&\r\n\ry]]>".to_string()),
    ]
}

/// Elements, with the namespace prefix `q` bound on the root.
fn tree() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![text(), attributes().prop_map(|a| format!("<e{a}/>"))];
    leaf.prop_recursive(3, 12, 4, |inner| {
        (prop_oneof![Just("e"), Just("q:f")], attributes(), proptest::collection::vec(inner, 0..4))
            .prop_map(|(name, a, children)| format!("<{name}{a}>{}</{name}>", children.concat()))
    })
}

fn document() -> impl Strategy<Value = String> {
    (
        prop_oneof![Just(""), Just("<?xml version='1.0'?>\n<!-- x -->\r\n")],
        attributes(),
        tree(),
        prop_oneof![Just(""), Just("\n<?z?>")],
    )
        .prop_map(|(head, a, inner, tail)| format!("{head}<r xmlns:q='urn:q'{a}>{inner}</r>{tail}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What is hashed is the canonical form of the document as it was before, whatever it is; and the signature taken
    /// out of the result leaves the document.
    #[test]
    fn what_is_hashed_is_the_document(xml in document()) {
        if !has("xmllint") {
            return Ok(());
        }
        let once = signed(&xml, &rsa().key);
        let expected = canonical(&xml);
        let verified = verify(once.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(String::from_utf8(verified.content).unwrap(), String::from_utf8(expected.clone()).unwrap());
        let twice = signed(&once, &rsa().key);
        let all = verify_all(twice.as_bytes(), &Limits::default()).unwrap();
        prop_assert!(all.len() == 2 && all.iter().all(|one| one.content == expected));
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify_all(&bytes, &Limits::default()).is_err());
        if let Ok(made) = try_sign(&bytes, &rsa().key) {
            prop_assert!(verify(&made.xml, &Limits::default()).is_ok());
        }
    }

    #[test]
    fn any_markup_gives_an_answer(text in "[<>/?!&;=\"' a-dxmlns:\\[\\]CDATA-]{0,80}") {
        prop_assert!(verify_all(text.as_bytes(), &Limits::default()).is_err());
        if let Ok(made) = try_sign(text.as_bytes(), &rsa().key) {
            prop_assert!(verify(&made.xml, &Limits::default()).is_ok());
        }
    }

    /// Pieces of a signed document, cut and joined anywhere.
    #[test]
    fn any_splice_is_refused_or_unchanged(from in 0usize..4000, length in 0usize..600, to in 0usize..4000) {
        let xml = spliced();
        let at = |at: usize| xml.floor_char_boundary(at % xml.len());
        let (start, end) = (at(from), at(from).max(at((from + length).min(xml.len() - 1))));
        let piece = &xml[start..end];
        let place = at(to);
        let text = format!("{}{piece}{}", &xml[..place], &xml[place..]);
        if let Ok(all) = verify_all(text.as_bytes(), &Limits::default()) {
            prop_assert_eq!(&all[0].content, &verify(xml.as_bytes(), &Limits::default()).unwrap().content);
        }
    }
}

fn spliced() -> &'static str {
    static XML: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    XML.get_or_init(|| signed("<r><importo>10.00</importo><iban>IT60X0542811101000000123456</iban></r>", &rsa().key))
}
