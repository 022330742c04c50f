//! Any valid payment order makes a valid, exact flow.

use hub_core::Value;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use crate::flows::merged;
use crate::judges::ours;
use crate::world::{flow, judge, signed};

/// A text that a person may write: accents, markup, quotes, astral characters.
fn words(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-zA-Zàèéìòù0-9&<>'\"/€😀 .\\]-]{{0,{}}}[a-z]", max - 1)).unwrap()
}

fn cents() -> impl Strategy<Value = i64> {
    prop_oneof![1i64..=100_000, 1i64..=1_000_000_000_000]
}

fn euro(cents: i64) -> Value {
    Value::String(Decimal::new(cents, 2).to_string())
}

/// A SIOPE line; its amount is that of its invoices if it is commercial.
fn line() -> impl Strategy<Value = (i64, Value)> {
    let invoice = (cents(), words(20), 1u64..=9_223_372_036_854_775_807, any::<bool>());
    let commercial = (proptest::collection::vec(invoice, 1..4), any::<bool>()).prop_map(|(invoices, cig)| {
        let total = invoices.iter().map(|(cents, ..)| cents).sum();
        let one = |(cents, number, lot, paper): &(i64, String, u64, bool)| {
            let mut invoice = json!({ "codice_ipa": "UFAAAA", "numero": number, "importo": euro(*cents), "scadenza": "2026-12-31", "natura_spesa": "CORRENTE" });
            if *paper {
                invoice["analogica"] = json!({ "tipo": "DOC_EQUIVALENTE", "codice_fiscale_emittente": number, "anno": 2025 });
            } else {
                invoice["lotto_sdi"] = json!(lot);
            }
            invoice
        };
        let invoices: Vec<_> = invoices.iter().map(one).collect();
        let (key, value) = if cig { ("cig", "A0123456BC") } else { ("motivo_esclusione_cig", "AMMINISTRAZIONE DIRETTA") };
        let debt = json!({ "tipo": "COMMERCIALE", key: value, "fatture": invoices });
        (total, json!({ "codice_siope": "2112", "cup": "B84E21003020001", "importo": euro(total), "debito": debt }))
    });
    let other = (cents(), any::<bool>()).prop_map(|(cents, vat)| {
        let tipo = if vat { "IVA" } else { "NON_COMMERCIALE" };
        (cents, json!({ "codice_siope": "1103", "importo": euro(cents), "debito": { "tipo": tipo } }))
    });
    prop_oneof![commercial, other]
}

/// What a way of paying needs.
fn way() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({ "tipo_pagamento": "SEPA CREDIT TRANSFER", "iban": "IT60X0542811101000000123456", "category_purpose": "PENS", "end_to_end": "a-1" }),
        json!({ "tipo_pagamento": "SEPA CREDIT TRANSFER", "iban": "SM86U0322509800000000270100", "category_purpose": "OTHR" }),
        json!({ "tipo_pagamento": "BONIFICO ESTERO EURO", "iban": "TR330006100519786457841326", "bic": "TCZBTR2AXXX" }),
        json!({ "tipo_pagamento": "ACCREDITO CONTO CORRENTE POSTALE", "conto_corrente_postale": "12/34-5.6, 7" }),
        json!({ "tipo_pagamento": "ACCREDITO TESORERIA PROVINCIALE STATO", "tipo_contabilita_ente_ricevente": "FRUTTIFERA" }),
        json!({ "tipo_pagamento": "ADDEBITO PREAUTORIZZATO", "data_scadenza_pagamento": "2026-12-24" }),
        json!({ "tipo_pagamento": "ASSEGNO CIRCOLARE", "tipo_postalizzazione": "CONSEGNA ALL'ENTE", "frazionabile": false }),
        json!({ "tipo_pagamento": "AVVISO PAGOPA", "avviso_pagopa": { "codice_identificativo_ente": "00123456789", "numero_avviso": "001000000000000001" } }),
        json!({ "tipo_pagamento": "CASSA", "impignorabili": true, "gestione_provvisoria": true }),
        json!({ "tipo_pagamento": "COMPENSAZIONE", "lingua": "TEDESCO" }),
        json!({ "tipo_pagamento": "DISPOSIZIONE DOCUMENTO ESTERNO", "riferimento_documento_esterno": "MAV <1>" }),
        json!({ "tipo_pagamento": "F24EP", "data_esecuzione_pagamento": "2098-01-16" }),
        json!({ "tipo_pagamento": "REGOLARIZZAZIONE", "sospesi": [{ "numero": 999_999_999_999_999_999u64, "importo": "0.01" }] }),
    ])
}

fn part(number: usize) -> impl Strategy<Value = (i64, Value)> {
    (proptest::collection::vec(line(), 1..4), way(), words(140), words(140)).prop_map(move |(lines, way, name, causale)| {
        let total = lines.iter().map(|(cents, _)| cents).sum();
        let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
        let party = json!({ "denominazione": name, "indirizzo": "Via Roma 1", "cap": "00100", "localita": "Forlì",
            "provincia": "FC", "stato": "IT", "partita_iva": "01234567897", "codice_fiscale": "BNCNCL71D04F205X" });
        let mut delegate = party.clone();
        let _ = delegate.as_object_mut().unwrap().shift_remove("partita_iva");
        let part = json!({ "progressivo": number, "importo": euro(total), "classificazioni": lines, "causale": causale, "anagrafica": party,
            "bollo": { "assoggettamento": "ASSOGGETTATO BOLLO A CARICO ENTE", "causale_esenzione": "x" }, "creditore_effettivo": party,
            "delegati": [delegate], "spese": { "soggetto": "ESENTE" }, "codice_versante": "A123456789", "destinazione": "VINCOLATA" });
        (total, merged(&part, way.as_object().cloned().unwrap()))
    })
}

fn payment() -> impl Strategy<Value = Value> {
    (1..=9_999_999u32, (part(1), part(2), part(9_999_999)), 1usize..=3, any::<bool>()).prop_map(|(number, parts, count, cancel)| {
        let parts: Vec<_> = [parts.0, parts.1, parts.2].into_iter().take(count).collect();
        let total = parts.iter().map(|(cents, _)| cents).sum();
        let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
        json!({ "tipo": "mandato", "tipo_operazione": if cancel { "ANNULLO" } else { "INSERIMENTO" }, "revisione": 1, "ente": "UFBBBB",
            "esercizio": 2026, "numero": number, "data": "2026-12-01", "importo": euro(total), "beneficiari": parts,
            "conto_evidenza": "1", "bilancio": [{ "codifica": 1, "gestione": "RESIDUO", "anno_residuo": 1980, "numero_articolo": 0, "importo": 1 }] })
    })
}

/// The amounts of an element, as the flow writes them.
fn written<'a>(xml: &'a str, element: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_valid_order_makes_a_valid_exact_flow(order in payment()) {
        let judged = judge(&order);
        prop_assert!(judged.is_ok(), "{judged:#?}");
        let xml = flow(&order);
        let verdict = ours().validate(signed(&xml).as_bytes());
        prop_assert!(verdict.is_ok(), "{verdict:#?}");
        prop_assert_eq!(written(&xml, "importo_mandato"), [order["importo"].as_str().unwrap()]);
        let parts: Vec<_> = order["beneficiari"].as_array().unwrap().iter().map(|p| p["importo"].as_str().unwrap()).collect();
        prop_assert_eq!(written(&xml, "importo_beneficiario"), parts);
        prop_assert_eq!(xml, flow(&order), "the same order gives the same bytes");
    }
}
