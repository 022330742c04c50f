//! Answers: real shapes in, values out; bad bytes give one exact problem.

use expect_test::expect;
use hub_core::Value;
use proptest::prelude::*;
use transform_opi::{ANSWER_BYTES_MAX, Errore, TipoRisposta, read_answer};

use crate::world::root;

fn sample(name: &str) -> String {
    std::fs::read_to_string(root().join("transforms/opi/tests/samples").join(name)).unwrap()
}

fn json(name: &str) -> Value {
    read_answer(sample(name).as_bytes()).unwrap().to_json()
}

/// The one problem: its code and its words.
fn refused(xml: &[u8]) -> String {
    let mut problems = read_answer(xml).unwrap_err();
    assert_eq!(problems.len(), 1);
    problems.remove(0).to_string()
}

#[test]
fn an_ack_is_read() {
    let ok = read_answer(sample("ack_ok.xml").as_bytes()).unwrap();
    assert_eq!((ok.tipo, ok.ente.as_str(), ok.esercizio), (TipoRisposta::Ack, "UFAAAA", Some(2026)));
    assert_eq!(ok.identificativo_flusso.as_deref(), Some("2026-UFAAAA-M0000101-I1"));
    assert_eq!((ok.stato_flusso.as_deref(), ok.errori.len()), (Some("OK"), 0));
}

#[test]
fn a_refusing_ack_keeps_codes_words_and_places() {
    let ko = read_answer(sample("ack_ko.xml").as_bytes()).unwrap();
    let error = |codice, descrizione: &str, elemento: Option<&str>| Errore {
        codice: Some(codice),
        descrizione: descrizione.into(),
        elemento: elemento.map(str::to_string),
        progressivo: None,
    };
    let place = Some("/flusso_ordinativi/mandato[1]/importo_mandato");
    let words = "importo del mandato <> somma dei beneficiari & altro";
    assert_eq!(ko.errori, [error(106, words, place), error(109, "codice SIOPE <non> valido", None)]);
    assert_eq!(ko.avvisi, [error(7, "quantità sospetta", None)]);
}

#[test]
fn an_ack_may_lack_its_flow_and_have_new_fields() {
    let ack = json("ack_senza_flusso.xml");
    assert_eq!((&ack["identificativo_flusso"], &ack["stato_flusso"]), (&Value::Null, &"WARNING".into()));
}

#[test]
fn receipt_and_refusal_of_the_bank_are_told_apart() {
    let taken = json("ricezione.xml");
    assert_eq!((&taken["tipo"], &taken["identificativo_flusso_bt"]), (&"ricezione".into(), &"BT-2026-000871".into()));
    assert_eq!(
        taken["identificativo_flusso"], "2026-UFAAAA-M0000101-I1",
        "read from the message, not from its signature"
    );
    let refused = json("rifiuto.xml");
    assert_eq!(
        (&refused["tipo"], &refused["errori"][1]["descrizione"]),
        (&"rifiuto".into(), &"certificato scaduto".into())
    );
    assert_eq!((&refused["errori"][1]["codice"], &refused["stato_flusso"]), (&Value::Null, &Value::Null));
}

#[test]
fn outcomes_are_read_in_their_order() {
    let shown = serde_json::to_string_pretty(&json("esiti.xml")["esiti"]).unwrap();
    expect![[r#"
        [
          {
            "tipo": "mandato",
            "identificativo_flusso": "2026-UFAAAA-M0000101-I1",
            "esercizio": 2026,
            "numero": 101,
            "progressivo": 1,
            "data": "2026-11-24",
            "importo": 12345678.90,
            "esito": "PAGATO",
            "data_ora": "2026-11-25T11:00:00",
            "errori": []
          },
          {
            "tipo": "reversale",
            "identificativo_flusso": "2026-UFAAAA-R0000011-I1",
            "esercizio": 2026,
            "numero": 11,
            "progressivo": null,
            "data": null,
            "importo": null,
            "esito": "RISCOSSO",
            "data_ora": "2026-11-25T11:00:00.500+01:00",
            "errori": []
          },
          {
            "tipo": "mandato",
            "identificativo_flusso": "2026-UFAAAA-M0000102-I1",
            "esercizio": 2026,
            "numero": 102,
            "progressivo": null,
            "data": null,
            "importo": null,
            "esito": "NON ACQUISITO",
            "data_ora": "2026-11-25T10:00:00Z",
            "errori": [
              {
                "codice": 44,
                "descrizione": "conto estinto",
                "elemento": "iban",
                "progressivo": 2
              }
            ]
          }
        ]"#]]
    .assert_eq(&shown);
}

#[test]
fn other_encodings_are_decoded() {
    let latin = sample("ack_ko.xml").replace("UTF-8", "ISO-8859-1");
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(read_answer(&latin).unwrap().avvisi[0].descrizione, "quantità sospetta");
    let wrong = String::from_utf8_lossy(&latin).replace("ISO-8859-1", "EBCDIC-IT");
    assert!(refused(wrong.as_bytes()).contains("[xml.encoding]"));
    let lies =
        [b"<?xml version='1.0' encoding='UTF-8'?><messaggio_ack_siope>\xE0</messaggio_ack_siope>".as_slice()].concat();
    assert!(refused(&lies).contains("[xml.encoding]"));
}

#[test]
fn bad_documents_are_refused_with_the_reason() {
    let ok = sample("ack_ok.xml");
    let doctype = ok.replace(
        "<messaggio_ack_siope>",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><messaggio_ack_siope>",
    );
    assert!(refused(doctype.as_bytes()).contains("[xml.doctype]"));
    assert!(refused(&ok.as_bytes()[..ok.len() - 30]).contains("[xml.malformed]"));
    assert!(refused(b"").contains("[xml.malformed]"));
    assert!(refused(&vec![b' '; ANSWER_BYTES_MAX + 1]).contains("[xml.size]"));
    let deep = ok.replace("<stato_flusso>", &format!("{}{}<stato_flusso>", "<a>".repeat(70), "</a>".repeat(70)));
    assert!(refused(deep.as_bytes()).contains("[xml.depth]"));
    assert!(refused(ok.replace("OK<", "&eacute;<").as_bytes()).contains("[xml.entity]"));
}

#[test]
fn wrong_content_is_refused_with_its_path() {
    let (ok, outcomes) = (sample("ack_ok.xml"), sample("esiti.xml"));
    let cases = [
        (ok.replace("messaggio_ack_siope", "flusso_giornale_di_cassa"), "/flusso_giornale_di_cassa is not an answer"),
        (ok.replace("messaggio_ack_siope", "x:messaggio_ack_siope"), "no root element without prefix"),
        (ok.replace(">OK<", ">FORSE<"), "/messaggio_ack_siope/stato_flusso is neither OK nor KO"),
        (ok.replace("stato_flusso>", "stato>"), "/messaggio_ack_siope/stato_flusso is missing"),
        (ok.replace("codice_ente>", "codice>"), "/messaggio_ack_siope/testata_messaggio[1]/codice_ente is missing"),
        (ok.replace(">2026<", ">MMXXVI<"), "/messaggio_ack_siope/esercizio is not a whole number"),
        (ok.replace(">2026<", ">3026<"), "is not a year"),
        (ok.replace("<esercizio>", "<stato_flusso>KO</stato_flusso><esercizio>"), "stato_flusso stands twice"),
        (sample("ricezione.xml").replace("flusso_BT>", "flusso_X>"), "identificativo_flusso_BT is missing"),
        (
            outcomes.replace("12345678.9", "12,50"),
            "/messaggi_esito_applicativo/esito_mandati[1]/importo is not an amount",
        ),
        (outcomes.replace("12345678.9", "-1.00"), "is not an amount"),
        (outcomes.replace("2026-11-25T10:00:00Z", "ieri"), "/esito_mandati[2]/data_ora_esito_operazione is not a time"),
        (
            outcomes.replace("<numero_mandato>102", "<numero_mandato>10x"),
            "/esito_mandati[2]/numero_mandato is not a whole",
        ),
        (outcomes.replace("2026-11-24<", "2026-02-30<"), "data_mandato is not a date"),
        (outcomes.replace("esito_mandati", "a").replace("esito_reversali", "b"), "has neither esito_mandati nor"),
    ];
    for (xml, expected) in cases {
        let said = refused(xml.as_bytes());
        assert!(said.contains(expected) && said.contains("[opi.risposta]"), "expected {expected}, got {said}");
    }
}

#[test]
fn times_are_told_from_other_texts() {
    let with = |time: &str| read_answer(sample("esiti.xml").replace("2026-11-25T10:00:00Z", time).as_bytes());
    for good in ["2026-11-25T10:00:00", "2026-11-25T10:00:00.123456", "2026-11-25T10:00:00-14:00"] {
        assert_eq!(with(good).unwrap().esiti[2].data_ora, good);
    }
    for bad in
        ["2026-11-25", "2026-11-25T10", "2026-11-25T100000", "2026-11-25T10:00:00+1:000", "2026-11-25T10:00:00+è0:0"]
    {
        assert!(with(bad).is_err(), "{bad}");
    }
}

/// Synthetic messages that were written from the official schemas, where this machine has them.
#[test]
fn messages_written_by_others_are_read() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/samples/siope"));
    if !folder.exists() {
        eprintln!("skipped: no foreign samples on this machine");
        return;
    }
    let read = |name: &str| read_answer(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    assert_eq!(read("messaggio_ack_siope_ko.xml").errori[0].codice, Some(101));
    assert_eq!(read("messaggio_ack_siope_ok.xml").stato_flusso.as_deref(), Some("OK"));
    assert_eq!(read("messaggio_ricezione_flusso.xml").tipo, TipoRisposta::Ricezione);
    assert_eq!(read("messaggio_rifiuto_flusso.xml").errori.len(), 1);
    let esiti = read("messaggi_esito_applicativo.xml").esiti;
    assert_eq!(esiti.iter().map(|e| e.esito.as_str()).collect::<Vec<_>>(), ["PAGATO", "RISCOSSO"]);
}

#[test]
fn many_outcomes_are_read_and_too_many_elements_refused() {
    let one = "<esito_mandati><identificativo_flusso>F</identificativo_flusso><esercizio>2026</esercizio><numero_mandato>1</numero_mandato>\
        <esito_operazione>PAGATO</esito_operazione><data_ora_esito_operazione>2026-11-25T11:00:00</data_ora_esito_operazione></esito_mandati>";
    let message = |inside: String| {
        let all = sample("esiti.xml");
        let from = all.find("<esito_mandati>").unwrap();
        format!("{}{inside}</messaggi_esito_applicativo>", &all[..from])
    };
    assert_eq!(read_answer(message(one.repeat(10_000)).as_bytes()).unwrap().esiti.len(), 10_000);
    assert!(refused(message("<x/>".repeat(300_000)).as_bytes()).contains("more than 300000 elements"));
}

/// Either one problem, or an answer of somebody.
fn sane(xml: &[u8]) -> bool {
    read_answer(xml).map_or_else(|problems| problems.len() == 1, |answer| !answer.ente.is_empty())
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(sane(&bytes));
    }

    #[test]
    fn a_cut_or_changed_message_never_panics(at in 0usize..1800, byte in any::<u8>(), name in 0usize..3) {
        let mut xml = sample(["ack_ko.xml", "rifiuto.xml", "esiti.xml"][name]).into_bytes();
        let at = at % xml.len();
        prop_assert!(sane(&xml[..at]));
        xml[at] = byte;
        prop_assert!(sane(&xml));
    }
}
