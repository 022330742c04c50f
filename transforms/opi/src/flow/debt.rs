//! SIOPE lines and invoices in the flow.

use super::writer::Writer;
use crate::order::{Arconet, Classificazione, Debito, Documento, Fattura};
use crate::words::{Ricorrenza, Tipo, TipoDebito, Word};

/// The names that differ between payments and collections.
struct Names {
    code: &'static str,
    data: &'static str,
    recurrence: &'static str,
}

const OUT: Names =
    Names { code: "codice_cgu", data: "classificazione_dati_siope_uscite", recurrence: "codice_uscita_siope" };
const IN: Names =
    Names { code: "codice_cge", data: "classificazione_dati_siope_entrate", recurrence: "codice_entrata_siope" };

pub(super) fn write(w: &mut Writer, lines: &[Classificazione], tipo: Tipo) {
    let names = match tipo {
        Tipo::Mandato => OUT,
        Tipo::Reversale => IN,
    };
    for line in lines {
        w.inside("classificazione", |w| {
            w.text(names.code, &line.codice_siope);
            w.opt_text("codice_cup", line.cup.as_deref());
            w.opt_text("codice_cpv", line.cpv.as_deref());
            w.amount("importo", line.importo);
            w.inside(names.data, |w| {
                debt(w, &line.debito);
                if let Some(arconet) = &line.arconet {
                    harmonised(w, arconet, names.recurrence);
                }
            });
        });
    }
}

fn debt(w: &mut Writer, debt: &Debito) {
    match debt.tipo {
        TipoDebito::Commerciale => w.text("tipo_debito_siope_c", debt.tipo.text()),
        TipoDebito::NonCommerciale | TipoDebito::Iva => w.text("tipo_debito_siope_nc", debt.tipo.text()),
    }
    w.opt_text("codice_cig_siope", debt.cig.as_deref());
    w.opt_text("motivo_esclusione_cig_siope", debt.motivo_esclusione_cig.map(Word::text));
    debt.fatture.iter().for_each(|each| invoice(w, each));
}

fn invoice(w: &mut Writer, invoice: &Fattura) {
    w.inside("fattura_siope", |w| {
        w.text("codice_ipa_ente_siope", &invoice.codice_ipa);
        origin(w, invoice.documento.as_ref());
        w.inside("dati_fattura_siope", |w| {
            w.text("numero_fattura_siope", &invoice.numero);
            w.amount("importo_siope", invoice.importo);
            w.text("data_scadenza_pagam_siope", &invoice.scadenza.to_string());
            w.opt_text("motivo_scadenza_siope", invoice.motivo_scadenza.map(Word::text));
            w.text("natura_spesa_siope", invoice.natura_spesa.text());
            w.opt_text("utilizzo_nota_di_credito", invoice.nota_di_credito.map(Word::text));
        });
    });
}

fn origin(w: &mut Writer, document: Option<&Documento>) {
    match document {
        Some(Documento::Elettronico(lotto)) => {
            w.text("tipo_documento_siope_e", "ELETTRONICO");
            w.text("identificativo_lotto_sdi_siope", &lotto.to_string());
        }
        Some(Documento::Analogico(paper)) => {
            w.text("tipo_documento_siope_a", "ANALOGICO");
            w.text("tipo_documento_analogico_siope", paper.tipo.text());
            w.text("codice_fiscale_emittente_siope", &paper.codice_fiscale_emittente);
            w.text("anno_emissione_fattura_siope", &paper.anno.to_string());
        }
        // The rules refuse both; written without, the schema refuses them too.
        Some(Documento::Entrambi) | None => {}
    }
}

fn harmonised(w: &mut Writer, arconet: &Arconet, recurrence: &str) {
    w.inside("dati_ARCONET_siope", |w| {
        if let Some((mission, programme)) = &arconet.missione_programma {
            w.text("codice_missione_siope", mission);
            w.text("codice_programma_siope", programme);
        }
        w.text("codice_economico_siope", &arconet.economico);
        w.amount("importo_codice_economico_siope", arconet.importo);
        w.text("codice_UE_siope", &arconet.codice_ue);
        w.opt_text(recurrence, arconet.ricorrenza.map(Ricorrenza::text));
        if let Some(cofog) = &arconet.cofog {
            w.inside("cofog_siope", |w| {
                w.text("codice_cofog_siope", &cofog.codice);
                w.amount("importo_cofog_siope", cofog.importo);
            });
        }
    });
}
