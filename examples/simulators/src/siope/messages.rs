//! Writers of the answers: `messaggio_ack_siope`, `messaggio_ricezione_flusso`, `messaggio_rifiuto_flusso`,
//! `messaggi_esito_applicativo`. None is signed: see the module page of [`super`].

use std::fmt::Write;

use quick_xml::escape::escape;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::checks::Errore;
use super::flow::{Flow, Header, Tipo};

/// What happened to one order, or to one part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) tipo: Tipo,
    pub(crate) identificativo: String,
    pub(crate) esercizio: String,
    pub(crate) numero: u64,
    pub(crate) progressivo: Option<u64>,
    pub(crate) data: String,
    #[serde(with = "rust_decimal::serde::str")]
    pub(crate) importo: Decimal,
    pub(crate) esito: String,
    /// Why not, for the `NON ...` outcomes.
    pub(crate) motivo: Option<String>,
}

/// A document being written: elements nest by closures, so that every start tag has its end.
#[derive(Debug, Default)]
struct Writer {
    xml: String,
}

impl Writer {
    fn document(root: &str, content: impl FnOnce(&mut Self)) -> String {
        let mut writer = Self { xml: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() };
        writer.element(root, content);
        writer.xml
    }

    fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        write!(self.xml, "<{name}>").expect("invariant: a String takes every write");
        content(self);
        write!(self.xml, "</{name}>").expect("invariant: a String takes every write");
    }

    fn value(&mut self, name: &str, value: impl ToString) {
        self.element(name, |w| w.xml.push_str(&escape(value.to_string())));
    }

    fn header(&mut self, header: &Header, created: &str) {
        self.element("testata_messaggio", |w| {
            w.value("codice_ABI_BT", &header.abi);
            w.value("data_ora_creazione_flusso", created);
            w.value("codice_ente", &header.ente);
            w.value("descrizione_ente", &header.descrizione);
            w.value("codice_istat_ente", &header.istat);
            w.value("codice_fiscale_ente", &header.codice_fiscale);
            w.value("codice_tramite_ente", &header.tramite_ente);
            w.value("codice_tramite_BT", &header.tramite_bt);
            w.value("codice_ente_BT", &header.ente_bt);
        });
    }
}

/// The platform's verdict on a flow. `created` is local time in Rome, to the second.
pub(crate) fn ack(flow: &Flow, errors: &[Errore], created: &str) -> String {
    Writer::document("messaggio_ack_siope", |w| {
        w.header(&flow.header, created);
        w.value("identificativo_flusso", &flow.identificativo);
        w.value("esercizio", &flow.esercizio);
        w.value("stato_flusso", if errors.is_empty() { "OK" } else { "KO" });
        for error in errors {
            w.element("errore", |w| {
                w.value("codice", error.codice);
                w.value("descrizione", &error.descrizione);
                w.value("elemento", &error.elemento);
            });
        }
    })
}

/// The bank's answer to a flow: taken, or refused for the reason given.
pub(crate) fn bank_answer(flow: &Flow, id_bt: &str, refusal: Option<&str>, created: &str) -> String {
    let root = if refusal.is_some() { "messaggio_rifiuto_flusso" } else { "messaggio_ricezione_flusso" };
    Writer::document(root, |w| {
        w.header(&flow.header, created);
        w.value("identificativo_flusso", &flow.identificativo);
        w.value("identificativo_flusso_BT", id_bt);
        w.value("esercizio", &flow.esercizio);
        if let Some(reason) = refusal {
            w.element("errore", |w| {
                w.value("codice", 1);
                w.value("descrizione", reason);
            });
        }
    })
}

/// What the bank did with the orders, one line each.
pub(crate) fn outcomes(header: &Header, id_bt: &str, lines: &[Line], created: &str) -> String {
    Writer::document("messaggi_esito_applicativo", |w| {
        w.header(header, created);
        w.value("identificativo_flusso_BT", id_bt);
        for line in lines {
            w.line(line, created);
        }
    })
}

impl Writer {
    fn line(&mut self, line: &Line, created: &str) {
        let (word, part) = (line.tipo.word(), line.tipo.part());
        let root = match line.tipo {
            Tipo::Mandato => "esito_mandati",
            Tipo::Reversale => "esito_reversali",
        };
        self.element(root, |w| {
            w.value("identificativo_flusso", &line.identificativo);
            w.value("esercizio", &line.esercizio);
            w.value(&format!("numero_{word}"), line.numero);
            if let Some(progressivo) = line.progressivo {
                w.value(&format!("progressivo_{part}"), progressivo);
            }
            w.value(&format!("data_{word}"), &line.data);
            w.value("importo", format!("{:.2}", line.importo));
            w.value("esito_operazione", &line.esito);
            w.value("data_ora_esito_operazione", created);
            if let Some(reason) = &line.motivo {
                w.element("lista_errori", |w| w.value("descrizione", reason));
            }
        });
    }
}
