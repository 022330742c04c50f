//! Keys, documents and judges that the tests share.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use jiff::Timestamp;
use transform_sign::key::{DemoKind, LocalKey, demo_key_of};
use transform_sign::xades::{SignError, Signed, sign};
use transform_xml::Limits;

/// A key with its certificate in PEM.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) key_pem: String,
    pub(crate) cert_pem: String,
    pub(crate) key: LocalKey,
}

pub(crate) fn owner(kind: DemoKind) -> Owner {
    let (key_pem, cert_pem) = demo_key_of("Azienda Sanitaria di Prova", kind).unwrap();
    let key = LocalKey::from_pem(key_pem.as_bytes(), cert_pem.as_bytes()).unwrap();
    Owner { key_pem, cert_pem, key }
}

/// The RSA key of most tests; making one takes a while.
pub(crate) fn rsa() -> &'static Owner {
    static OWNER: OnceLock<Owner> = OnceLock::new();
    OWNER.get_or_init(|| owner(DemoKind::Rsa2048))
}

pub(crate) fn now() -> Timestamp {
    "2026-11-24T09:30:15.5Z".parse().unwrap()
}

pub(crate) fn try_sign(xml: &[u8], key: &LocalKey) -> Result<Signed, SignError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(sign(xml, "0123456789abcdef", now(), key, &Limits::default()))
}

pub(crate) fn signed(xml: &str, key: &LocalKey) -> String {
    String::from_utf8(try_sign(xml.as_bytes(), key).unwrap().xml).unwrap()
}

/// A flow of so many orders.
pub(crate) fn flow(orders: usize) -> String {
    let order = |n: usize| {
        format!(
            "\n  <mandato><numero_mandato>{n}</numero_mandato><importo_mandato>{n}.10</importo_mandato>\
             <causale>Fornitura di reagenti &amp; materiale – lotto n° {n}, perché urgente è già così €</causale></mandato>"
        )
    };
    let orders: String = (1..=orders).map(order).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<flusso_ordinativi>\n  <testata_flusso/>{orders}\n</flusso_ordinativi>\n"
    )
}

/// Whether this machine has a tool; a machine that must have it fails instead.
pub(crate) fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {tool} not installed");
        assert!(std::env::var("RACCORDO_REQUIRE_TOOLS").as_deref() != Ok("1"), "{tool} is required but not installed");
    }
    found
}

/// What `xmlsec1` says of the n-th signature (from 1) of a document.
pub(crate) fn xmlsec1(xml: &[u8], cert_pem: &str, signature: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (file, cert) = (write("signed.xml", xml), write("cert.pem", cert_pem.as_bytes()));
    run_xmlsec1(&file, &cert, signature)
}

fn run_xmlsec1(file: &Path, cert: &Path, signature: usize) -> Result<(), String> {
    let output = Command::new("xmlsec1")
        .args(["--verify", "--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--trusted-pem"])
        .arg(cert)
        .arg("--node-xpath")
        .arg(format!("(//*[local-name()='Signature'])[{signature}]"))
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    if output.status.success() && text.contains("SignedInfo References (ok/all): 2/2") { Ok(()) } else { Err(text) }
}
