//! Orders become the unsigned `flusso_ordinativi`.

mod debt;
mod mandato;
mod reversale;
mod writer;

use hub_core::{Problem, sha256_hex};
use jiff::Timestamp;

use crate::entity::Ente;
use crate::order::{Bilancio, Contenuto, Ordine, Parte, Sospeso};
use crate::rules::rome;
use crate::words::{Tipo, TipoOperazione, Word};
use writer::Writer;

/// Size that a flow may have before it is signed. A known client stops where unsigned size and 7 KiB for the signature
/// exceed 200 KiB; the platform's own limit is not public.
pub const FLOW_BYTES_MAX: usize = 193 * 1024;

/// The name of the flow that holds these orders: year, body, then kind, number, operation and revision of the first.
///
/// `2026-UFAAAA-M0000123-I1` for one order; for several, also how many and a hash over all their names:
/// `2026-UFAAAA-M0000123-I1-3-8c1f0a2b9d4e`. The same orders always give the same name, and two flows of one order differ
/// by its revision. Fits `[a-zA-Z0-9#_\-\.]{1,70}`; empty for no order.
#[must_use]
pub fn flow_id(orders: &[Ordine]) -> String {
    match orders {
        [] => String::new(),
        [one] => format!("{}-{}-{}", one.esercizio, one.ente, order_id(one)),
        [first, ..] => {
            let names: Vec<_> = orders.iter().map(order_id).collect();
            let hash = sha256_hex(names.join(",").as_bytes());
            format!("{}-{}-{}-{}-{}", first.esercizio, first.ente, names[0], orders.len(), &hash[..12])
        }
    }
}

fn order_id(order: &Ordine) -> String {
    let kind = match order.tipo() {
        Tipo::Mandato => 'M',
        Tipo::Reversale => 'R',
    };
    let operation = match order.tipo_operazione {
        TipoOperazione::Inserimento => 'I',
        TipoOperazione::Annullo => 'A',
    };
    format!("{kind}{:07}-{operation}{}", order.numero, order.revisione)
}

/// Builds the flow of orders that [`crate::check`] has passed: UTF-8, no white space between elements, deterministic.
///
/// Collections stand before payments, as the payments' `ritenute` name them; otherwise orders keep their places.
/// `created_at` is written in Italian time, to the second, without zone, as the interface has all its times.
///
/// # Errors
/// `opi.flusso` without orders, `opi.dimensione` above [`FLOW_BYTES_MAX`].
pub fn build(orders: &[Ordine], ente: &Ente, id: &str, created_at: Timestamp) -> Result<Vec<u8>, Problem> {
    let Some(first) = orders.first() else {
        return Err(Problem::at("opi.flusso", "", "a flow needs at least one order"));
    };
    let mut w = Writer::new();
    w.inside("flusso_ordinativi", |w| {
        header(w, first, ente, id, created_at);
        w.text("esercizio", &first.esercizio.to_string());
        for tipo in [Tipo::Reversale, Tipo::Mandato] {
            orders.iter().filter(|order| order.tipo() == tipo).for_each(|order| write(w, order));
        }
    });
    let bytes = w.finish();
    if bytes.len() > FLOW_BYTES_MAX {
        let (is, count) = (bytes.len(), orders.len());
        let detail =
            format!("flow {id} has {is} bytes with {count} orders, at most {FLOW_BYTES_MAX} are allowed; split it");
        return Err(Problem::at("opi.dimensione", "", detail));
    }
    Ok(bytes)
}

fn header(w: &mut Writer, first: &Ordine, ente: &Ente, id: &str, created_at: Timestamp) {
    let created = created_at.to_zoned(rome()).datetime().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    w.inside("testata_flusso", |w| {
        w.text("codice_ABI_BT", &ente.codice_abi_bt);
        w.text("identificativo_flusso", id);
        w.text("data_ora_creazione_flusso", &created);
        w.text("codice_ente", &first.ente);
        w.text("descrizione_ente", &ente.denominazione);
        w.text("codice_istat_ente", &ente.codice_istat);
        w.text("codice_fiscale_ente", &ente.codice_fiscale);
        w.text("codice_tramite_ente", &ente.codice_tramite_ente);
        w.text("codice_tramite_BT", &ente.codice_tramite_bt);
        w.text("codice_ente_BT", &ente.codice_ente_bt);
        w.opt_text("riferimento_ente", ente.riferimento.as_deref());
    });
}

fn write(w: &mut Writer, order: &Ordine) {
    let kind = order.tipo().text();
    w.inside(kind, |w| {
        w.text("tipo_operazione", order.tipo_operazione.text());
        w.text(&format!("numero_{kind}"), &order.numero.to_string());
        w.text(&format!("data_{kind}"), &order.data.to_string());
        w.amount(&format!("importo_{kind}"), order.importo);
        w.opt_text("conto_evidenza", order.conto_evidenza.as_deref());
        match &order.contenuto {
            Contenuto::Mandato(mandato) => mandato::write(w, order, mandato),
            Contenuto::Reversale(payers) => reversale::write(w, order, payers),
        }
    });
}

fn budget(w: &mut Writer, lines: &[Bilancio]) {
    for line in lines {
        w.inside("bilancio", |w| {
            w.text("codifica_bilancio", &line.codifica.to_string());
            w.opt_text("descrizione_codifica", line.descrizione.as_deref());
            w.text("gestione", line.gestione.text());
            w.opt_value("anno_residuo", line.anno_residuo);
            w.opt_value("numero_articolo", line.numero_articolo);
            w.opt_value("voce_economica", line.voce_economica);
            w.amount("importo_bilancio", line.importo);
        });
    }
}

fn outstanding(w: &mut Writer, items: &[Sospeso]) {
    for item in items {
        w.inside("sospeso", |w| {
            w.text("numero_provvisorio", &item.numero.to_string());
            w.amount("importo_provvisorio", item.importo);
        });
    }
}

/// The elements that both kinds of additional information begin with.
fn additional(w: &mut Writer, part: &Parte) {
    w.opt_text("lingua", part.lingua.map(Word::text));
    w.opt_text("riferimento_documento_esterno", part.riferimento_documento_esterno.as_deref());
}
