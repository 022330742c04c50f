//! A simulator under test, an opening context and flows to send.

use std::future::Future;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connector_siope::PLUGIN;
use hub_core::plugin::OpenCx;
use hub_core::{Attempt, Body, Clock, Crossing, Entities, Intake, Media, Outgoing, Sink, Source, Value};
use hub_testkit::bench;
use jiff::Timestamp;
use serde_json::json;
use simulators::siope::{Running, Settings, certificates, start};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

pub(crate) const A2A: &str = "A2A-00000001";
pub(crate) const OTHER: &str = "A2A-00000002";

/// The wall clock: the simulator runs on it, and dates must fit.
#[derive(Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a real peer runs on real time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let left = Duration::try_from(until.duration_since(self.now())).unwrap_or_default();
        Box::pin(tokio::time::sleep(left))
    }
}

/// A simulator behind mutual TLS.
pub(crate) struct Bench {
    pub(crate) sim: Running,
    folder: TempDir,
}

/// Answers come only when they are asked for ([`Bench::tick`]).
pub(crate) fn patient() -> Settings {
    let never = Duration::from_secs(3600);
    Settings {
        ack_after: never,
        esito_flusso_after: never,
        esiti_after: never,
        xsd: Some(xsd()),
        ..Settings::default()
    }
}

fn xsd() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/schemas/opi/flusso_ordinativi-1.7.1.xsd")
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(patient()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = certificates(folder.path(), &[A2A, OTHER]).unwrap();
        let sim = start(Settings { tls: Some(certs.server()), ..settings }).await.unwrap();
        Self { sim, folder }
    }

    /// A context whose connection `siope` leads to the simulator, with these settings changed.
    pub(crate) fn cx(&self, change: Value) -> OpenCx {
        let mut settings = json!({
            "base_url": format!("https://127.0.0.1:{}/v1", self.sim.addr.port()),
            "ca": "ca.pem", "client_cert": format!("{A2A}.pem"), "client_key": format!("{A2A}.key"), "every": "100ms",
        });
        for (name, value) in change.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let cx = bench::open_cx(Arc::new(WallClock), self.folder.path());
        let cx = bench::with_settings(cx, "connections", "siope", settings);
        OpenCx { entities: entities(&[("UFAAAA", A2A), ("UFBBBB", A2A)]), ..cx }
    }

    pub(crate) async fn sink(&self, change: Value) -> Arc<dyn Sink> {
        sink(&self.cx(change)).await
    }

    pub(crate) async fn control(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("http://{}/_sim/{path}", self.sim.control_addr);
        let reply = reqwest::Client::new().request(method, url).body(body.to_string()).send().await.unwrap();
        assert!(reply.status().is_success(), "{path}");
        reply.json().await.unwrap()
    }

    pub(crate) async fn faults(&self, rules: Value) {
        let _ = self.control(reqwest::Method::POST, "faults", rules).await;
    }

    /// Every upload that the simulator saw.
    pub(crate) async fn flows(&self) -> Vec<Value> {
        self.control(reqwest::Method::GET, "flows", Value::Null).await.as_array().unwrap().clone()
    }

    /// Produces everything that is pending.
    pub(crate) async fn tick(&self) {
        let _ = self.control(reqwest::Method::POST, "tick", Value::Null).await;
    }
}

pub(crate) fn entities(rows: &[(&str, &str)]) -> Arc<Entities> {
    let rows = rows.iter().map(|(code, id)| ((*code).to_string(), json!({ "codice_tramite_ente": id })));
    Arc::new(Entities(rows.collect()))
}

pub(crate) async fn sink(cx: &OpenCx) -> Arc<dyn Sink> {
    let parsed = (PLUGIN.sinks[0].parse)(&json!({ "entity": "case.entity" })).unwrap();
    assert_eq!(parsed.problems, []);
    parsed.opens.open(cx).await.unwrap()
}

pub(crate) async fn source(cx: &OpenCx, kind: &str, config: Value) -> Box<dyn Source> {
    let def = PLUGIN.sources.iter().find(|def| def.kind == kind).unwrap();
    let parsed = (def.parse)(&config).unwrap();
    assert_eq!(parsed.problems, []);
    parsed.opens.open(cx).await.unwrap()
}

/// The next batch with messages; batches that only fix the position are settled on the way.
pub(crate) async fn next(source: &mut Box<dyn Source>) -> Intake {
    loop {
        let within = Duration::from_secs(30);
        let intake = tokio::time::timeout(within, source.next()).await.expect("a batch in time").unwrap().unwrap();
        if !intake.messages.is_empty() {
            return intake;
        }
        source.settle(Vec::new()).await.unwrap();
    }
}

pub(crate) fn attempt() -> Attempt {
    bench::attempt(&WallClock, Crossing::unfenced())
}

pub(crate) fn outgoing(ente: &str, flow: &str) -> Outgoing {
    bench::outgoing(Body::new(Media::Xml, flow.to_string()), json!({ "entity": ente }))
}

/// A flow of one mandato that the schema accepts, with a placeholder for its signature.
pub(crate) fn flow(id: &str, ente: &str, numero: u32) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<flusso_ordinativi><testata_flusso>\
         <codice_ABI_BT>09991</codice_ABI_BT><identificativo_flusso>{id}</identificativo_flusso>\
         <data_ora_creazione_flusso>2026-11-24T10:00:00</data_ora_creazione_flusso><codice_ente>{ente}</codice_ente>\
         <descrizione_ente>Città &amp; Sanità</descrizione_ente><codice_istat_ente>000700101</codice_istat_ente>\
         <codice_fiscale_ente>90123450018</codice_fiscale_ente><codice_tramite_ente>{A2A}</codice_tramite_ente>\
         <codice_tramite_BT>A2A-50000001</codice_tramite_BT><codice_ente_BT>0004101</codice_ente_BT></testata_flusso>\
         <esercizio>2026</esercizio><mandato><tipo_operazione>INSERIMENTO</tipo_operazione>\
         <numero_mandato>{numero}</numero_mandato><data_mandato>2026-11-24</data_mandato>\
         <importo_mandato>10.50</importo_mandato><informazioni_beneficiario>\
         <progressivo_beneficiario>1</progressivo_beneficiario><importo_beneficiario>10.50</importo_beneficiario>\
         <tipo_pagamento>CASSA</tipo_pagamento><classificazione><codice_cgu>1103</codice_cgu><importo>10.50</importo>\
         <classificazione_dati_siope_uscite><tipo_debito_siope_nc>NON_COMMERCIALE</tipo_debito_siope_nc>\
         </classificazione_dati_siope_uscite></classificazione><bollo>\
         <assoggettamento_bollo>ESENTE BOLLO</assoggettamento_bollo></bollo><beneficiario>\
         <anagrafica_beneficiario>Ditta di prova</anagrafica_beneficiario></beneficiario><causale>fattura 1</causale>\
         </informazioni_beneficiario></mandato><ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/>\
         </flusso_ordinativi>"
    )
}

/// A zip of one entry, made without the code under test.
pub(crate) fn zip(document: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("x.xml", SimpleFileOptions::default()).unwrap();
    writer.write_all(document).unwrap();
    writer.finish().unwrap().into_inner()
}
