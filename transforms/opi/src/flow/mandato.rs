//! The parts of a payment order, in the order of the schema.

use super::writer::Writer;
use super::{additional, budget, debt, outstanding};
use crate::order::{Anagrafica, Beneficiario, Mandato, Ordine};
use crate::words::{Tipo, Word};

pub(super) fn write(w: &mut Writer, order: &Ordine, mandato: &Mandato) {
    w.opt_text("estremi_provvedimento_autorizzativo", mandato.estremi_provvedimento.as_deref());
    w.opt_text("responsabile_provvedimento", mandato.responsabile_provvedimento.as_deref());
    w.opt_text("ufficio_responsabile", mandato.ufficio_responsabile.as_deref());
    budget(w, &order.bilancio);
    mandato.beneficiari.iter().for_each(|paid| beneficiary(w, paid));
}

fn beneficiary(w: &mut Writer, paid: &Beneficiario) {
    w.inside("informazioni_beneficiario", |w| {
        conditions(w, paid);
        debt::write(w, &paid.parte.classificazioni, Tipo::Mandato);
        duties(w, paid);
        party(w, &paid.parte.anagrafica, "beneficiario");
        paid.delegati.iter().for_each(|delegate| party(w, delegate, "delegato"));
        if let Some(creditor) = &paid.creditore_effettivo {
            party(w, creditor, "creditore_effettivo");
        }
        coordinates(w, paid);
        w.text("causale", &paid.parte.causale);
        outstanding(w, &paid.parte.sospesi);
        withheld(w, paid);
        more(w, paid);
    });
}

fn conditions(w: &mut Writer, paid: &Beneficiario) {
    w.text("progressivo_beneficiario", &paid.parte.progressivo.to_string());
    w.amount("importo_beneficiario", paid.parte.importo);
    w.text("tipo_pagamento", paid.tipo_pagamento.text());
    w.opt_text("impignorabili", paid.impignorabili.then_some("SI"));
    w.opt_text("frazionabile", (!paid.frazionabile).then_some("NO"));
    w.opt_text("gestione_provvisoria", paid.gestione_provvisoria.then_some("SI"));
    w.opt_value("data_esecuzione_pagamento", paid.data_esecuzione_pagamento);
    w.opt_value("data_scadenza_pagamento", paid.data_scadenza_pagamento);
    w.opt_text("destinazione", paid.parte.destinazione.map(Word::text));
    w.opt_text("tipo_contabilita_ente_ricevente", paid.tipo_contabilita_ente_ricevente.map(Word::text));
    w.opt_text("tipo_postalizzazione", paid.tipo_postalizzazione.map(Word::text));
}

fn duties(w: &mut Writer, paid: &Beneficiario) {
    w.inside("bollo", |w| {
        w.text("assoggettamento_bollo", paid.bollo.assoggettamento.text());
        w.opt_text("causale_esenzione_bollo", paid.bollo.causale_esenzione.as_deref());
    });
    let Some(charges) = &paid.spese else { return };
    w.inside("spese", |w| {
        w.text("soggetto_destinatario_delle_spese", charges.soggetto.text());
        w.opt_text("natura_pagamento", charges.natura_pagamento.as_deref());
        w.opt_text("causale_esenzione_spese", charges.causale_esenzione.as_deref());
    });
}

/// A person or company in a role; the role is part of every element's name. A delegate has no VAT number in the schema.
pub(super) fn party(w: &mut Writer, party: &Anagrafica, role: &str) {
    let vat = party.partita_iva.as_deref().filter(|_| role != "delegato");
    w.inside(role, |w| {
        w.text(&format!("anagrafica_{role}"), &party.denominazione);
        let fields = [
            ("indirizzo", party.indirizzo.as_deref()),
            ("cap", party.cap.as_deref()),
            ("localita", party.localita.as_deref()),
            ("provincia", party.provincia.as_deref()),
            ("stato", party.stato.as_deref()),
            ("partita_iva", vat),
            ("codice_fiscale", party.codice_fiscale.as_deref()),
        ];
        fields.into_iter().for_each(|(name, value)| w.opt_text(&format!("{name}_{role}"), value));
    });
}

fn coordinates(w: &mut Writer, paid: &Beneficiario) {
    if let Some(number) = &paid.conto_corrente_postale {
        w.inside("piazzatura", |w| w.text("numero_conto_corrente_beneficiario", number));
    }
    if let Some(iban) = &paid.iban {
        w.inside("sepa_credit_transfer", |w| {
            w.text("iban", iban);
            w.opt_text("bic", paid.bic.as_deref());
            w.opt_text("identificativo_end_to_end", paid.end_to_end.as_deref());
            if let Some(purpose) = &paid.category_purpose {
                let name = if matches!(purpose.as_str(), "SALA" | "PENS") { "code" } else { "proprietary" };
                w.inside("identificativo_category_purpose", |w| w.text(name, purpose));
            }
        });
    }
    w.opt_text("codice_versante", paid.codice_versante.as_deref());
}

fn withheld(w: &mut Writer, paid: &Beneficiario) {
    for item in &paid.ritenute {
        w.inside("ritenute", |w| {
            w.amount("importo_ritenute", item.importo);
            w.text("numero_reversale", &item.numero_reversale.to_string());
            w.text("progressivo_versante", &item.progressivo_versante.to_string());
        });
    }
}

fn more(w: &mut Writer, paid: &Beneficiario) {
    let part = &paid.parte;
    if part.lingua.is_none() && part.riferimento_documento_esterno.is_none() && paid.avviso_pagopa.is_none() {
        return;
    }
    w.inside("informazioni_aggiuntive", |w| {
        additional(w, part);
        if let Some(notice) = &paid.avviso_pagopa {
            w.inside("avviso_pagoPA", |w| {
                w.text("codice_identificativo_ente", &notice.codice_identificativo_ente);
                w.text("numero_avviso", &notice.numero_avviso);
            });
        }
    });
}
