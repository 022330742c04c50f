//! The checks behind an ACK, as a pure function.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::flow::{Classificazione, Flow, Operazione, Ordine, Parte, Tipo};

/// One reason for a KO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errore {
    pub(crate) codice: u32,
    pub(crate) descrizione: String,
    pub(crate) elemento: String,
}

/// What the platform knows beside the flow itself.
pub(crate) trait Known {
    /// Whether a flow of this id was already accepted for this body and year.
    fn flow_accepted(&self, ente: &str, esercizio: &str, identificativo: &str) -> bool;
    /// The ISTAT code on record for a body.
    fn istat(&self, ente: &str) -> Option<&str>;
    /// Whether the order is in force (inserted, not annulled).
    fn in_force(&self, ente: &str, esercizio: &str, tipo: Tipo, numero: u64) -> bool;
}

/// All errors of a flow, in the order of the document; none means OK.
///
/// 101 id used, 106 sums, 109 classification, 112 ISTAT code; ours: 120 order inserted twice, 121 change of an order
/// that is not in force.
pub(crate) fn check(flow: &Flow, known: &impl Known, codes: Option<&BTreeSet<String>>) -> Vec<Errore> {
    let mut errors = Vec::new();
    check_header(flow, known, &mut errors);
    let mut in_force = BTreeMap::new();
    for ordine in &flow.ordini {
        check_existence(flow, ordine, known, &mut in_force, &mut errors);
        check_sums(ordine, &mut errors);
        if ordine.operazione != Operazione::Annullo {
            check_lines(ordine, codes, &mut errors);
        }
    }
    errors
}

fn check_header(flow: &Flow, known: &impl Known, errors: &mut Vec<Errore>) {
    let ente = &flow.header.ente;
    if known.flow_accepted(ente, &flow.esercizio, &flow.identificativo) {
        let what = format!("identificativo flusso {} già utilizzato", flow.identificativo);
        errors.push(error(101, what, "/flusso_ordinativi/testata_flusso/identificativo_flusso"));
    }
    let istat = flow.header.istat.as_str();
    if known.istat(ente).is_some_and(|on_record| on_record != istat) {
        let what = format!("codice ente ISTAT {istat} non coerente con l'ente {ente}");
        errors.push(error(112, what, "/flusso_ordinativi/testata_flusso/codice_istat_ente"));
    }
}

fn check_existence(
    flow: &Flow,
    ordine: &Ordine,
    known: &impl Known,
    in_force: &mut BTreeMap<(Tipo, u64), bool>,
    errors: &mut Vec<Errore>,
) {
    let (tipo, numero) = (ordine.tipo, ordine.numero);
    let exists = in_force
        .entry((tipo, numero))
        .or_insert_with(|| known.in_force(&flow.header.ente, &flow.esercizio, tipo, numero));
    let inserts = ordine.operazione.inserts();
    if inserts && *exists {
        errors.push(error(120, format!("{} {numero} già inserito", tipo.word()), path(ordine)));
    } else if !inserts && !*exists {
        errors.push(error(121, format!("{} {numero} non presente", tipo.word()), path(ordine)));
    }
    *exists |= inserts;
}

fn check_sums(ordine: &Ordine, errors: &mut Vec<Errore>) {
    let parts: Decimal = ordine.parti.iter().map(|p| p.importo).sum();
    if parts != ordine.importo {
        let what = format!("importo {} diverso dalla somma delle parti {parts}", ordine.importo);
        errors.push(error(106, what, path(ordine)));
    }
    for parte in &ordine.parti {
        let lines: Decimal = parte.classificazioni.iter().map(|c| c.importo).sum();
        if !parte.classificazioni.is_empty() && lines != parte.importo {
            let what = format!("importo {} diverso dalla somma delle classificazioni {lines}", parte.importo);
            errors.push(error(106, what, part_path(ordine, parte)));
        }
    }
}

fn check_lines(ordine: &Ordine, codes: Option<&BTreeSet<String>>, errors: &mut Vec<Errore>) {
    for parte in &ordine.parti {
        let at = || format!("{}/classificazione", part_path(ordine, parte));
        if parte.classificazioni.is_empty() {
            errors.push(error(109, "classificazione SIOPE assente".to_owned(), at()));
        }
        for line in parte.classificazioni.iter().filter(|line| !valid(line, codes)) {
            errors.push(error(109, format!("codice SIOPE {} non valido", line.codice), at()));
        }
    }
}

fn valid(line: &Classificazione, codes: Option<&BTreeSet<String>>) -> bool {
    let shaped = (4..=10).contains(&line.codice.len()) && line.codice.bytes().all(|b| b.is_ascii_digit());
    shaped && codes.is_none_or(|codes| codes.contains(&line.codice))
}

fn path(ordine: &Ordine) -> String {
    let word = ordine.tipo.word();
    format!("/flusso_ordinativi/{word}[numero_{word}={}]", ordine.numero)
}

fn part_path(ordine: &Ordine, parte: &Parte) -> String {
    let word = ordine.tipo.part();
    format!("{}/informazioni_{word}[progressivo_{word}={}]", path(ordine), parte.progressivo)
}

fn error(codice: u32, descrizione: String, elemento: impl Into<String>) -> Errore {
    Errore { codice, descrizione, elemento: elemento.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::siope::flow::Header;

    /// Body UFAAAA with ISTAT code 1, flow F-0 accepted, mandato 1 in force.
    struct Platform;

    impl Known for Platform {
        fn flow_accepted(&self, _: &str, esercizio: &str, identificativo: &str) -> bool {
            (esercizio, identificativo) == ("2026", "F-0")
        }
        fn istat(&self, ente: &str) -> Option<&str> {
            (ente == "UFAAAA").then_some("000000001")
        }
        fn in_force(&self, _: &str, _: &str, tipo: Tipo, numero: u64) -> bool {
            (tipo, numero) == (Tipo::Mandato, 1)
        }
    }

    fn ordine(operazione: Operazione, numero: u64) -> Ordine {
        let line = |cents| Classificazione { codice: "3101".to_owned(), importo: Decimal::new(cents, 2) };
        let parte = |progressivo, cents, lines: [i64; 2]| Parte {
            progressivo,
            importo: Decimal::new(cents, 2),
            classificazioni: lines.map(line).into(),
        };
        let parti = vec![parte(1, 30, [10, 20]), parte(2, 70, [1, 69])];
        let data = "2026-11-24".to_owned();
        Ordine { tipo: Tipo::Mandato, operazione, numero, data, importo: Decimal::new(100, 2), parti }
    }

    fn flow(ordini: Vec<Ordine>) -> Flow {
        let text = || "x".to_owned();
        let header = Header {
            abi: text(),
            ente: "UFAAAA".to_owned(),
            descrizione: text(),
            istat: "000000001".to_owned(),
            codice_fiscale: text(),
            tramite_ente: text(),
            tramite_bt: text(),
            ente_bt: text(),
        };
        Flow { header, identificativo: "F-1".to_owned(), esercizio: "2026".to_owned(), ordini }
    }

    fn codes(flow: &Flow) -> Vec<u32> {
        let allowed = BTreeSet::from(["3101".to_owned()]);
        check(flow, &Platform, Some(&allowed)).into_iter().map(|e| e.codice).collect()
    }

    #[test]
    fn a_right_flow_has_no_errors() {
        use Operazione::{Annullo, Inserimento, Variazione};
        assert!(codes(&flow(vec![ordine(Inserimento, 2), ordine(Annullo, 1), ordine(Variazione, 1)])).is_empty());
    }

    #[test]
    fn each_wrong_thing_has_its_code() {
        let inserted = || flow(vec![ordine(Operazione::Inserimento, 2)]);
        let with = |change: &dyn Fn(&mut Flow)| {
            let mut wrong = inserted();
            change(&mut wrong);
            codes(&wrong)
        };
        assert_eq!(with(&|f| f.identificativo = "F-0".to_owned()), [101]);
        assert_eq!(with(&|f| f.header.istat = "000000002".to_owned()), [112]);
        assert_eq!(with(&|f| f.ordini[0].importo = Decimal::new(101, 2)), [106]);
        assert_eq!(with(&|f| f.ordini[0].parti[1].classificazioni[0].importo = Decimal::new(2, 2)), [106]);
        assert_eq!(with(&|f| f.ordini[0].parti[1].classificazioni.clear()), [109]);
        assert_eq!(with(&|f| f.ordini[0].parti[0].classificazioni[1].codice = "9999".to_owned()), [109]);
        assert_eq!(with(&|f| f.ordini[0].numero = 1), [120]);
        assert_eq!(with(&|f| f.ordini[0].operazione = Operazione::Annullo), [121]);
        assert_eq!(with(&|f| f.ordini.push(ordine(Operazione::Sostituzione, 2))), [120]);
    }

    #[test]
    fn an_annulment_needs_no_classification() {
        let mut annulment = ordine(Operazione::Annullo, 1);
        annulment.parti[0].classificazioni.clear();
        assert!(codes(&flow(vec![annulment])).is_empty());
    }
}
