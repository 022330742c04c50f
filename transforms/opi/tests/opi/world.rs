//! What all tests share: the repository's configuration and examples, a fixed time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hub_core::{Problem, Value, read_json};
use jiff::Timestamp;
use transform_opi::{Context, Ente, Ordine, build, check, flow_id};

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// 24 November 2026, 10:30 in Italy.
pub(crate) fn now() -> Timestamp {
    "2026-11-24T09:30:00.250Z".parse().unwrap()
}

/// `config/entities.yaml`.
pub(crate) fn entities() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(root().join("config/entities.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The body with this code.
pub(crate) fn ente(code: &str) -> Ente {
    Ente::read(&entities()[code]).unwrap()
}

/// All files of a folder of examples, by name.
pub(crate) fn examples(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("examples/mandati").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()));
    let mut all: Vec<_> = named.filter(|(name, _)| name != "EXPECTED.json").collect();
    all.sort();
    all
}

/// One example, as JSON.
pub(crate) fn example(folder: &str, name: &str) -> Value {
    let bytes = std::fs::read(root().join("examples/mandati").join(folder).join(name)).unwrap();
    read_json(&bytes, 1 << 20).unwrap()
}

/// The body that an order is of; any, if it is of nobody known.
fn ente_of(body: &Value) -> Ente {
    let first = if body.is_array() { &body[0] } else { body };
    ente(first["ente"].as_str().filter(|code| entities().contains_key(*code)).unwrap_or("UFBBBB"))
}

/// Judges a body as its own entity would be.
pub(crate) fn judge(body: &Value) -> Result<Vec<Ordine>, Vec<Problem>> {
    check(body, &Context::new(&ente_of(body), None, now()))
}

/// The codes and fields of what is wrong with a body.
pub(crate) fn problems(body: &Value) -> Vec<(String, String)> {
    judge(body).err().unwrap_or_default().into_iter().map(|p| (p.code, p.field)).collect()
}

/// The flow of a good body.
pub(crate) fn flow(body: &Value) -> String {
    let orders = judge(body).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let bytes = build(&orders, &ente_of(body), &flow_id(&orders), now()).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A flow with something in the place of its signature, as the schema asks for one.
pub(crate) fn signed(flow: &str) -> String {
    let signature = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
        <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"/>\
        <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/>\
        <ds:Reference URI=\"\"><ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>\
        <ds:DigestValue>AA==</ds:DigestValue></ds:Reference></ds:SignedInfo>\
        <ds:SignatureValue>AA==</ds:SignatureValue></ds:Signature></flusso_ordinativi>";
    flow.replace("</flusso_ordinativi>", signature)
}
