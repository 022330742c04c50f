//! Schemas from a folder, judging documents: verdicts, paths, places, and what a schema may not read.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use transform_xml::{Limits, PROBLEMS_MAX, Schema, SchemaError};

const ORDERS: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:include schemaLocation="parts/types.xsd"/>
  <xs:element name="orders"><xs:complexType><xs:sequence>
    <xs:element name="order" type="order" maxOccurs="unbounded"/>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"#;
const TYPES: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:simpleType name="amount"><xs:restriction base="xs:decimal">
    <xs:fractionDigits value="2"/><xs:maxInclusive value="999999999999999.99"/>
  </xs:restriction></xs:simpleType>
  <xs:complexType name="order"><xs:sequence>
    <xs:element name="amount" type="amount"/>
    <xs:element name="note" type="xs:string" minOccurs="0"/>
  </xs:sequence><xs:attribute name="id" type="xs:positiveInteger" use="required"/></xs:complexType>
</xs:schema>"#;

/// A configuration folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn open(folder: &TempDir, name: &str) -> Result<Schema, SchemaError> {
    Schema::open(&folder.path().join(name), folder.path())
}

fn orders() -> Schema {
    open(&folder(&[("orders.xsd", ORDERS), ("parts/types.xsd", TYPES)]), "orders.xsd").unwrap()
}

#[test]
fn valid_documents_pass_on_many_threads() {
    let schema = orders();
    let xml = "<?xml version=\"1.0\"?><orders><order id=\"1\"><amount>12.50</amount></order></orders>";
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let _ = scope.spawn(|| schema.validate(xml.as_bytes()).unwrap());
        }
    });
    assert_eq!(schema.files().len(), 2);
}

#[test]
fn problems_name_path_line_and_column() {
    let xml = "<orders>\n <order id=\"1\"><amount>1</amount></order>\n <order id=\"x\"><amount>12.505</amount></order>\n</orders>";
    let problems = orders().validate(xml.as_bytes()).unwrap_err();
    let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["/orders/order[2]/@id", "/orders/order[2]/amount"], "{problems:#?}");
    assert!(problems.iter().all(|p| p.code == "xsd"));
    assert!(problems[0].detail.contains("line 3, column 2"), "{problems:#?}");
    assert!(problems[1].detail.contains("line 3, column"), "{problems:#?}");
}

#[test]
fn amounts_are_judged_exactly() {
    let amount = |text: &str| {
        orders().validate(format!("<orders><order id='1'><amount>{text}</amount></order></orders>").as_bytes()).is_ok()
    };
    assert!(amount("999999999999999.99"));
    assert!(!amount("1000000000000000.00"));
    assert!(!amount("0.001"));
    assert!(amount("0.10"));
}

#[test]
fn missing_and_unknown_elements_are_found() {
    let problems = orders().validate(b"<orders><order id='1'/></orders>").unwrap_err();
    assert_eq!(problems[0].field, "/orders/order");
    let problems = orders().validate(b"<other/>").unwrap_err();
    assert_eq!(problems[0].field, "/other");
}

#[test]
fn problems_are_bounded() {
    let many = "<order id='0'><amount>x</amount></order>".repeat(500);
    let problems = orders().validate(format!("<orders>{many}</orders>").as_bytes()).unwrap_err();
    assert_eq!(problems.len(), PROBLEMS_MAX);
}

#[test]
fn limits_come_first() {
    let schema = orders();
    let refused = |xml: &[u8]| schema.validate(xml).unwrap_err()[0].code.clone();
    assert_eq!(refused(b"<!DOCTYPE orders><orders/>"), "xml.doctype");
    assert_eq!(refused(b"<orders>"), "xml.malformed");
    assert_eq!(refused(b"<orders xmlns:a=''/>"), "xml.malformed");
    let small = orders().with_limits(Limits::default().with_bytes_max(10));
    assert_eq!(small.validate(b"<orders></orders>").unwrap_err()[0].code, "xml.size");
}

#[test]
fn a_missing_include_is_an_error() {
    let error = open(&folder(&[("orders.xsd", ORDERS)]), "orders.xsd").unwrap_err();
    assert!(matches!(error, SchemaError::Missing { .. } | SchemaError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("types.xsd"), "{error}");
    let unused = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
      <xs:import namespace="urn:x" schemaLocation="http://localhost:1/x.xsd"/><xs:element name="a"/></xs:schema>"#;
    let error = open(&folder(&[("a.xsd", unused)]), "a.xsd").unwrap_err();
    assert!(matches!(error, SchemaError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("not allowed"), "{error}");
}

#[test]
fn a_remote_import_is_read_from_its_copy() {
    let main = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:x="urn:x">
      <xs:import namespace="urn:x" schemaLocation="http://example.org/a/b/x.xsd"/>
      <xs:element name="a"><xs:complexType><xs:sequence><xs:element ref="x:b"/></xs:sequence></xs:complexType></xs:element>
    </xs:schema>"#;
    let copy = "\u{FEFF}<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema' targetNamespace='urn:x'><xs:element name='b' type='xs:int'/></xs:schema>";
    let schema = open(&folder(&[("a.xsd", main), ("x.xsd", copy)]), "a.xsd").unwrap();
    assert!(schema.validate(b"<a><b xmlns='urn:x'>1</b></a>").is_ok());
    assert!(schema.validate(b"<a><b xmlns='urn:x'>one</b></a>").is_err());
}

#[test]
fn nothing_outside_the_folder_is_read() {
    let outer = folder(&[("secret.xsd", TYPES), ("config/orders.xsd", &ORDERS.replace("parts/types", "../secret"))]);
    let config = outer.path().join("config");
    let error = Schema::open(&config.join("orders.xsd"), &config).unwrap_err();
    assert!(error.to_string().contains("secret.xsd"), "{error}");
    let error = Schema::open(&outer.path().join("secret.xsd"), &config).unwrap_err();
    assert!(matches!(error, SchemaError::Outside { .. }), "{error}");
    let error = Schema::open(&config.join("none.xsd"), &config).unwrap_err();
    assert!(matches!(error, SchemaError::Unreadable { .. }), "{error}");
}

#[test]
fn a_wrong_schema_is_named() {
    let error = open(&folder(&[("a.xsd", "<xs:schema xmlns:xs='urn:no'/>")]), "a.xsd").unwrap_err();
    assert!(error.to_string().contains("a.xsd"), "{error}");
    let error = open(&folder(&[("a.xsd", "not xml")]), "a.xsd").unwrap_err();
    assert!(matches!(error, SchemaError::Invalid { .. }), "{error}");
}

/// The official OPI flow schema and a sample of it, where the machine has them.
#[test]
fn the_official_flow_schema_judges_its_sample() {
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let schema = shared.join("standards/siope/OPI_FLUSSO_ORDINATIVI_V_1_7_1.xsd");
    let sample = shared.join("samples/siope/flusso_ordinativi.xml");
    let (true, Ok(sample)) = (schema.is_file(), std::fs::read(sample)) else {
        println!("skipped: official schemas are not on this machine");
        return;
    };
    let schema = Schema::open(&schema, Path::new(schema.parent().unwrap())).unwrap();
    schema.validate(&sample).unwrap();
    let broken = String::from_utf8(sample).unwrap().replacen("<codice_ABI_BT>", "<codice_ABI_BT>x", 1);
    let problems = schema.validate(broken.as_bytes()).unwrap_err();
    assert!(problems[0].field.ends_with("/codice_ABI_BT"), "{problems:#?}");
}
