//! The parts of a collection order, in the order of the schema.

use super::mandato::party;
use super::writer::Writer;
use super::{additional, budget, debt, outstanding};
use crate::order::{Ordine, Versante};
use crate::words::{Tipo, Word};

pub(super) fn write(w: &mut Writer, order: &Ordine, payers: &[Versante]) {
    budget(w, &order.bilancio);
    payers.iter().for_each(|each| payer(w, each));
}

fn payer(w: &mut Writer, payer: &Versante) {
    let part = &payer.parte;
    w.inside("informazioni_versante", |w| {
        w.text("progressivo_versante", &part.progressivo.to_string());
        w.amount("importo_versante", part.importo);
        w.text("tipo_riscossione", payer.tipo_riscossione.text());
        w.opt_value("numero_ccp", payer.numero_ccp);
        w.opt_text("tipo_entrata", payer.tipo_entrata.map(Word::text));
        w.opt_text("destinazione", part.destinazione.map(Word::text));
        debt::write(w, &part.classificazioni, Tipo::Reversale);
        w.inside("bollo", |w| {
            w.text("assoggettamento_bollo", payer.bollo.assoggettamento.text());
            w.opt_text("causale_esenzione_bollo", payer.bollo.causale_esenzione.as_deref());
        });
        party(w, &part.anagrafica, "versante");
        w.text("causale", &part.causale);
        outstanding(w, &part.sospesi);
        linked(w, payer);
        if part.lingua.is_some() || part.riferimento_documento_esterno.is_some() {
            w.inside("informazioni_aggiuntive", |w| additional(w, part));
        }
    });
}

fn linked(w: &mut Writer, payer: &Versante) {
    for order in &payer.mandati_associati {
        w.inside("mandato_associato", |w| {
            w.text("numero_mandato", &order.numero.to_string());
            w.opt_value("progressivo_beneficiario", order.progressivo_beneficiario);
        });
    }
}
