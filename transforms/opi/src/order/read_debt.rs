//! The JSON shape of a SIOPE line and the debt behind it.

use super::fields::{Fields, Sign};
use super::{Analogica, Arconet, Classificazione, Cofog, Debito, Documento, Fattura};

/// Invoices of one SIOPE line.
const INVOICES_MAX: usize = 200;

pub(super) fn classification(f: &mut Fields<'_, '_>) -> Classificazione {
    Classificazione {
        codice_siope: f.text("codice_siope", 10),
        cup: f.opt_text("cup", 15),
        cpv: f.opt_text("cpv", 10),
        importo: f.amount("importo", Sign::Positive),
        debito: f.object("debito", debt),
        arconet: f.opt_object("arconet", arconet),
    }
}

fn debt(f: &mut Fields<'_, '_>) -> Debito {
    Debito {
        tipo: f.word("tipo"),
        cig: f.opt_text("cig", 10),
        motivo_esclusione_cig: f.opt_word("motivo_esclusione_cig"),
        fatture: f.list("fatture", 0..=INVOICES_MAX, invoice),
    }
}

fn invoice(f: &mut Fields<'_, '_>) -> Fattura {
    let lotto = f.opt_integer("lotto_sdi", 1..=u64::MAX / 2);
    let analogica = f.opt_object("analogica", paper);
    Fattura {
        codice_ipa: f.text("codice_ipa", 6),
        documento: match (lotto, analogica) {
            (Some(_), Some(_)) => Some(Documento::Entrambi),
            (Some(lotto), None) => Some(Documento::Elettronico(lotto)),
            (None, Some(analogica)) => Some(Documento::Analogico(analogica)),
            (None, None) => None,
        },
        numero: f.text("numero", 20),
        importo: f.amount("importo", Sign::Any),
        scadenza: f.date("scadenza"),
        motivo_scadenza: f.opt_word("motivo_scadenza"),
        natura_spesa: f.word("natura_spesa"),
        nota_di_credito: f.opt_word("nota_di_credito"),
    }
}

fn paper(f: &mut Fields<'_, '_>) -> Analogica {
    Analogica {
        tipo: f.word("tipo"),
        codice_fiscale_emittente: f.text("codice_fiscale_emittente", 30),
        anno: f.number_u16("anno", 1980..=2099),
    }
}

fn arconet(f: &mut Fields<'_, '_>) -> Arconet {
    let (missione, programma) = (f.opt_text("missione", 30), f.opt_text("programma", 30));
    Arconet {
        missione_programma: missione.zip(programma),
        economico: f.text("economico", 30),
        importo: f.amount("importo", Sign::Positive),
        codice_ue: f.text("codice_ue", 30),
        ricorrenza: f.opt_word("ricorrenza"),
        cofog: f.opt_object("cofog", cofog),
    }
}

fn cofog(f: &mut Fields<'_, '_>) -> Cofog {
    Cofog { codice: f.text("codice", 30), importo: f.amount("importo", Sign::Positive) }
}
