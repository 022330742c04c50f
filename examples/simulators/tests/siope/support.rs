//! A simulator under test, its client and flows to send.

use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use simulators::siope::{Certificates, Running, Settings, certificates, start};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

pub(crate) const A2A: &str = "A2A-00000001";
pub(crate) const ENTE: &str = "UFAAAA";

/// Fast, and with the permissive schema of the tests.
pub(crate) fn settings() -> Settings {
    let fast = Duration::from_millis(5);
    let xsd = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/siope/permissive.xsd");
    Settings {
        xsd: Some(xsd),
        ack_after: fast,
        esito_flusso_after: fast,
        esiti_after: fast,
        late_by: Duration::from_millis(50),
        ..Settings::default()
    }
}

/// A simulator behind mutual TLS and a client that it knows.
pub(crate) struct Bench {
    pub(crate) sim: Running,
    pub(crate) client: Client,
    pub(crate) certs: Certificates,
    _folder: TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = certificates(folder.path(), &[A2A, "A2A-00000002"]).unwrap();
        let sim = start(Settings { tls: Some(certs.server()), ..settings }).await.unwrap();
        let client = client(&certs, Some(A2A));
        Self { sim, client, certs, _folder: folder }
    }

    /// The address of a call of our body.
    pub(crate) fn url(&self, call: &str) -> String {
        format!("https://localhost:{}/v1/{A2A}/PA/{ENTE}/{call}", self.sim.addr.port())
    }

    /// A well-formed POST of a zip.
    pub(crate) fn post(&self, zip: Vec<u8>) -> RequestBuilder {
        self.client
            .post(self.url("flusso"))
            .header("content-type", "application/zip")
            .header("accept", "application/json")
            .body(zip)
    }

    /// Sends a flow that must be taken; gives its progFlusso.
    pub(crate) async fn send(&self, flow: &Flow) -> String {
        let reply = self.post(pack(flow.xml().as_bytes())).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::CREATED);
        let body: Value = reply.json().await.unwrap();
        body["progFlusso"].as_str().unwrap().to_owned()
    }

    /// GET with `Accept: application/json`.
    pub(crate) async fn list(&self, call: &str) -> Value {
        let reply = self.get(call, "application/json").await;
        assert_eq!(reply.status(), StatusCode::OK, "{call}");
        reply.json().await.unwrap()
    }

    pub(crate) async fn get(&self, call: &str, accept: &str) -> Response {
        self.client.get(self.url(call)).header("accept", accept).send().await.unwrap()
    }

    /// The XML in the zip at an absolute address.
    pub(crate) async fn download(&self, location: &Value) -> String {
        let location = location.as_str().unwrap();
        let reply = self.client.get(location).header("accept", "application/zip").send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{location}");
        assert_eq!(reply.headers()["content-type"], "application/zip");
        unpack(&reply.bytes().await.unwrap())
    }

    /// A call of the control plane that must succeed.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("http://{}/_sim/{path}", self.sim.control_addr);
        let reply = Client::new().request(method, url).body(body.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        reply.json().await.unwrap()
    }

    pub(crate) async fn faults(&self, rules: Value) {
        let _ = self.control(Method::POST, "faults", rules).await;
    }

    pub(crate) async fn flows(&self) -> Vec<Value> {
        self.control(Method::GET, "flows", Value::Null).await.as_array().unwrap().clone()
    }

    pub(crate) async fn orders(&self) -> Vec<Value> {
        self.control(Method::GET, "orders", Value::Null).await.as_array().unwrap().clone()
    }

    /// Waits, boundedly, until nothing is pending any more.
    pub(crate) async fn settled(&self) {
        for _ in 0..1000 {
            if self.control(Method::GET, "health", Value::Null).await["pending"] == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the simulator still has something to do");
    }

    /// Waits, boundedly, until the upload log has this many entries.
    pub(crate) async fn uploads(&self, count: usize) -> Vec<Value> {
        for _ in 0..1000 {
            let flows = self.flows().await;
            if flows.len() >= count {
                return flows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {count} uploads were seen");
    }
}

/// A client that trusts the demo authority and shows the certificate of `name`, if any.
pub(crate) fn client(certs: &Certificates, name: Option<&str>) -> Client {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(certs.ca()).unwrap()).unwrap();
    let mut builder = Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(20));
    if let Some(name) = name {
        let (cert, key) = certs.client(name);
        let pem = [std::fs::read(cert).unwrap(), std::fs::read(key).unwrap()].concat();
        builder = builder.identity(reqwest::Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

/// A flow to send, by its parts.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) id: String,
    pub(crate) ente: &'static str,
    pub(crate) istat: &'static str,
    pub(crate) abi: &'static str,
    pub(crate) orders: Vec<String>,
    pub(crate) signed: bool,
}

impl Flow {
    pub(crate) fn new(id: &str, orders: Vec<String>) -> Self {
        let (ente, istat, abi) = (ENTE, "000123456", "01234");
        Self { id: id.to_owned(), ente, istat, abi, orders, signed: true }
    }

    /// One INSERIMENTO of one mandato of 100.00.
    pub(crate) fn of(numero: u32) -> Self {
        Self::new(
            &format!("F-{numero}"),
            vec![mandato("INSERIMENTO", numero, "100.00", &[("60.00", "3101"), ("40.00", "3102")])],
        )
    }

    pub(crate) fn xml(&self) -> String {
        let Self { id, ente, istat, abi, .. } = self;
        let orders = self.orders.concat();
        let signature =
            if self.signed { r#"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>"# } else { "" };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><flusso_ordinativi><testata_flusso>\
             <codice_ABI_BT>{abi}</codice_ABI_BT><identificativo_flusso>{id}</identificativo_flusso>\
             <data_ora_creazione_flusso>2026-11-24T10:00:00</data_ora_creazione_flusso>\
             <codice_ente>{ente}</codice_ente><descrizione_ente>Azienda sanitaria &amp; à</descrizione_ente>\
             <codice_istat_ente>{istat}</codice_istat_ente><codice_fiscale_ente>12345678901</codice_fiscale_ente>\
             <codice_tramite_ente>{A2A}</codice_tramite_ente><codice_tramite_BT>A2A-00000009</codice_tramite_BT>\
             <codice_ente_BT>0000001</codice_ente_BT></testata_flusso><esercizio>2026</esercizio>{orders}{signature}\
             </flusso_ordinativi>"
        )
    }
}

/// A mandato with one beneficiary for the whole amount and these SIOPE lines.
pub(crate) fn mandato(operazione: &str, numero: u32, importo: &str, lines: &[(&str, &str)]) -> String {
    let lines = lines.iter().map(|(importo, codice)| {
        format!("<classificazione><codice_cgu>{codice}</codice_cgu><importo>{importo}</importo></classificazione>")
    });
    format!(
        "<mandato><tipo_operazione>{operazione}</tipo_operazione><numero_mandato>{numero}</numero_mandato>\
         <data_mandato>2026-11-24</data_mandato><importo_mandato>{importo}</importo_mandato>\
         <informazioni_beneficiario><progressivo_beneficiario>1</progressivo_beneficiario>\
         <importo_beneficiario>{importo}</importo_beneficiario>{}</informazioni_beneficiario></mandato>",
        lines.collect::<String>()
    )
}

/// A reversale with one payer.
pub(crate) fn reversale(operazione: &str, numero: u32, importo: &str) -> String {
    format!(
        "<reversale><tipo_operazione>{operazione}</tipo_operazione><numero_reversale>{numero}</numero_reversale>\
         <data_reversale>2026-11-24</data_reversale><importo_reversale>{importo}</importo_reversale>\
         <informazioni_versante><progressivo_versante>1</progressivo_versante><importo_versante>{importo}</importo_versante>\
         <classificazione><codice_cge>9102</codice_cge><importo>{importo}</importo></classificazione>\
         </informazioni_versante></reversale>"
    )
}

/// A zip of one entry.
pub(crate) fn pack(document: &[u8]) -> Vec<u8> {
    archive(&[("flusso.xml", document)])
}

/// A zip of any entries.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The only entry of a zip.
pub(crate) fn unpack(zip: &[u8]) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut text = String::new();
    let _ = archive.by_index(0).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The text between the first `<name>` and its end tag.
pub(crate) fn value<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, after) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    after.split_once(&format!("</{name}>")).unwrap().0
}
