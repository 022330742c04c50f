//! The JSON shape of an order. `config/schemas/mandato.json` and `reversale.json` describe the same shape.

use hub_core::Value;
use serde_json::Map;

use super::fields::{Fields, Sign};
use super::read_debt::classification;
use super::report::Report;
use super::{
    Anagrafica, AvvisoPagoPa, Beneficiario, Bilancio, Bollo, Contenuto, Mandato, MandatoAssociato, Ordine, Parte,
    Ritenuta, Sospeso, Spese, Versante,
};
use crate::words::{Tipo, Word};

/// Largest number of an order or of one of its parts.
pub(crate) const NUMBER_MAX: u32 = 9_999_999;
/// Parts of one order; the flow's size is the real bound.
const PARTS_MAX: usize = 1_000;
/// Texts that the standard does not bound.
const TEXT_MAX: usize = 140;
/// The standard does not bound a causale; longer ones are cut by banks. SEPA's own bound is a rule.
const CAUSALE_MAX: usize = 370;

/// Reads an order, noting every problem.
pub(crate) fn read(value: &Value, path: &str, report: &mut Report) -> Option<Ordine> {
    let Value::Object(map) = value else {
        report.add("opi.campo-tipo", path, "an order must be an object in braces");
        return None;
    };
    let tipo = kind(map, path, report)?;
    Some(Fields::object_at(map, path.to_string(), report, |f| order(f, tipo)))
}

/// The kind decides which fields are known, so that without it nothing else can be judged.
fn kind(map: &Map<String, Value>, path: &str, report: &mut Report) -> Option<Tipo> {
    let tipo = map.get("tipo").and_then(Value::as_str).and_then(Tipo::find);
    if tipo.is_none() {
        report.add("opi.valore", format!("{path}/tipo"), "`tipo` must be \"mandato\" or \"reversale\"");
    }
    tipo
}

fn order(f: &mut Fields<'_, '_>, tipo: Tipo) -> Ordine {
    let _: Tipo = f.word("tipo");
    Ordine {
        tipo_operazione: f.word("tipo_operazione"),
        revisione: f.number_u32("revisione", 1..=9_999),
        ente: f.text("ente", 6),
        esercizio: f.number_u16("esercizio", 1999..=2099),
        numero: f.number_u32("numero", 1..=NUMBER_MAX),
        data: f.date("data"),
        importo: f.amount("importo", Sign::Positive),
        richiedente: f.opt_text("richiedente", TEXT_MAX),
        conto_evidenza: f.opt_text("conto_evidenza", 25),
        bilancio: f.list("bilancio", 0..=10, budget_line),
        contenuto: match tipo {
            Tipo::Mandato => Contenuto::Mandato(mandato(f)),
            Tipo::Reversale => Contenuto::Reversale(f.list("versanti", 1..=PARTS_MAX, payer)),
        },
    }
}

fn mandato(f: &mut Fields<'_, '_>) -> Mandato {
    Mandato {
        estremi_provvedimento: f.opt_text("estremi_provvedimento", TEXT_MAX),
        responsabile_provvedimento: f.opt_text("responsabile_provvedimento", TEXT_MAX),
        ufficio_responsabile: f.opt_text("ufficio_responsabile", TEXT_MAX),
        beneficiari: f.list("beneficiari", 1..=PARTS_MAX, beneficiary),
    }
}

fn part(f: &mut Fields<'_, '_>) -> Parte {
    Parte {
        progressivo: f.number_u32("progressivo", 1..=NUMBER_MAX),
        importo: f.amount("importo", Sign::Positive),
        destinazione: f.opt_word("destinazione"),
        classificazioni: f.list("classificazioni", 0..=100, classification),
        anagrafica: f.object("anagrafica", party),
        causale: f.text("causale", CAUSALE_MAX),
        sospesi: f.list("sospesi", 0..=1_000, outstanding),
        lingua: f.opt_word("lingua"),
        riferimento_documento_esterno: f.opt_text("riferimento_documento_esterno", TEXT_MAX),
    }
}

fn beneficiary(f: &mut Fields<'_, '_>) -> Beneficiario {
    Beneficiario {
        parte: part(f),
        tipo_pagamento: f.word("tipo_pagamento"),
        impignorabili: f.flag("impignorabili", false),
        frazionabile: f.flag("frazionabile", true),
        gestione_provvisoria: f.flag("gestione_provvisoria", false),
        data_esecuzione_pagamento: f.opt_date("data_esecuzione_pagamento"),
        data_scadenza_pagamento: f.opt_date("data_scadenza_pagamento"),
        tipo_contabilita_ente_ricevente: f.opt_word("tipo_contabilita_ente_ricevente"),
        tipo_postalizzazione: f.opt_word("tipo_postalizzazione"),
        bollo: f.object("bollo", stamp_duty),
        spese: f.opt_object("spese", charges),
        delegati: f.list("delegati", 0..=20, party),
        creditore_effettivo: f.opt_object("creditore_effettivo", party),
        conto_corrente_postale: f.opt_text("conto_corrente_postale", 12),
        iban: f.opt_text("iban", 34),
        bic: f.opt_text("bic", 11),
        end_to_end: f.opt_text("end_to_end", 35),
        category_purpose: f.opt_text("category_purpose", 35),
        codice_versante: f.opt_text("codice_versante", 10),
        ritenute: f.list("ritenute", 0..=30, withheld),
        avviso_pagopa: f.opt_object("avviso_pagopa", notice),
    }
}

fn payer(f: &mut Fields<'_, '_>) -> Versante {
    Versante {
        parte: part(f),
        tipo_riscossione: f.word("tipo_riscossione"),
        numero_ccp: f.opt_integer("numero_ccp", 0..=999_999_999_999),
        tipo_entrata: f.opt_word("tipo_entrata"),
        bollo: f.object("bollo", stamp_duty),
        mandati_associati: f.list("mandati_associati", 0..=100, linked),
    }
}

fn party(f: &mut Fields<'_, '_>) -> Anagrafica {
    Anagrafica {
        denominazione: f.text("denominazione", TEXT_MAX),
        indirizzo: f.opt_text("indirizzo", TEXT_MAX),
        cap: f.opt_text("cap", 16),
        localita: f.opt_text("localita", TEXT_MAX),
        provincia: f.opt_text("provincia", 35),
        stato: f.opt_text("stato", 2),
        partita_iva: f.opt_text("partita_iva", 35),
        codice_fiscale: f.opt_text("codice_fiscale", 35),
    }
}

fn budget_line(f: &mut Fields<'_, '_>) -> Bilancio {
    Bilancio {
        codifica: f.number_u32("codifica", 1..=NUMBER_MAX),
        descrizione: f.opt_text("descrizione", TEXT_MAX),
        gestione: f.word("gestione"),
        anno_residuo: f.opt_number_u16("anno_residuo", 1980..=2099),
        numero_articolo: f.opt_number_u16("numero_articolo", 0..=999),
        voce_economica: f.opt_number_u16("voce_economica", 0..=999),
        importo: f.amount("importo", Sign::Positive),
    }
}

fn stamp_duty<W: Word>(f: &mut Fields<'_, '_>) -> Bollo<W> {
    Bollo { assoggettamento: f.word("assoggettamento"), causale_esenzione: f.opt_text("causale_esenzione", TEXT_MAX) }
}

fn charges(f: &mut Fields<'_, '_>) -> Spese {
    Spese {
        soggetto: f.word("soggetto"),
        natura_pagamento: f.opt_text("natura_pagamento", TEXT_MAX),
        causale_esenzione: f.opt_text("causale_esenzione", TEXT_MAX),
    }
}

fn outstanding(f: &mut Fields<'_, '_>) -> Sospeso {
    Sospeso { numero: f.integer("numero", 1..=999_999_999_999_999_999), importo: f.amount("importo", Sign::Positive) }
}

fn withheld(f: &mut Fields<'_, '_>) -> Ritenuta {
    Ritenuta {
        importo: f.amount("importo", Sign::Positive),
        numero_reversale: f.number_u32("numero_reversale", 1..=NUMBER_MAX),
        progressivo_versante: f.number_u32("progressivo_versante", 1..=NUMBER_MAX),
    }
}

fn notice(f: &mut Fields<'_, '_>) -> AvvisoPagoPa {
    AvvisoPagoPa {
        codice_identificativo_ente: f.text("codice_identificativo_ente", 11),
        numero_avviso: f.text("numero_avviso", 18),
    }
}

fn linked(f: &mut Fields<'_, '_>) -> MandatoAssociato {
    MandatoAssociato {
        numero: f.number_u32("numero", 1..=NUMBER_MAX),
        progressivo_beneficiario: f.opt_number_u32("progressivo_beneficiario", 1..=NUMBER_MAX),
    }
}
