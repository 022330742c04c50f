//! Flows: exact bytes for three orders, validity and exactness for all.

use expect_test::{Expect, expect};
use hub_core::Value;
use serde_json::{Map, json};
use transform_opi::{FLOW_BYTES_MAX, build, flow_id};

use crate::judges::{has_xmllint, official_path, our_path, ours, xmllint_refuses};
use crate::world::{ente, example, flow, judge, now, signed};

/// One element a line, for people; what is compared is still every character.
fn golden(body: &Value, expected: Expect) {
    expected.assert_eq(&flow(body).replace("><", ">\n<"));
}

#[test]
fn a_payment_with_invoice_and_withheld_vat() {
    golden(
        &example("buoni", "003-dispositivi-split-payment.json"),
        expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <flusso_ordinativi>
        <testata_flusso>
        <codice_ABI_BT>09991</codice_ABI_BT>
        <identificativo_flusso>2026-UFCCCC-M0000135-I1</identificativo_flusso>
        <data_ora_creazione_flusso>2026-11-24T10:30:00</data_ora_creazione_flusso>
        <codice_ente>UFCCCC</codice_ente>
        <descrizione_ente>Azienda Ospedaliero-Universitaria Colledoro</descrizione_ente>
        <codice_istat_ente>000700103</codice_istat_ente>
        <codice_fiscale_ente>90123450034</codice_fiscale_ente>
        <codice_tramite_ente>A2A-40000001</codice_tramite_ente>
        <codice_tramite_BT>A2A-50000001</codice_tramite_BT>
        <codice_ente_BT>0004103</codice_ente_BT>
        </testata_flusso>
        <esercizio>2026</esercizio>
        <mandato>
        <tipo_operazione>INSERIMENTO</tipo_operazione>
        <numero_mandato>135</numero_mandato>
        <data_mandato>2026-11-28</data_mandato>
        <importo_mandato>1172.43</importo_mandato>
        <informazioni_beneficiario>
        <progressivo_beneficiario>1</progressivo_beneficiario>
        <importo_beneficiario>1172.43</importo_beneficiario>
        <tipo_pagamento>SEPA CREDIT TRANSFER</tipo_pagamento>
        <destinazione>LIBERA</destinazione>
        <classificazione>
        <codice_cgu>2112</codice_cgu>
        <importo>961.01</importo>
        <classificazione_dati_siope_uscite>
        <tipo_debito_siope_c>COMMERCIALE</tipo_debito_siope_c>
        <codice_cig_siope>BCFCD6A653</codice_cig_siope>
        <fattura_siope>
        <codice_ipa_ente_siope>UFCCCC</codice_ipa_ente_siope>
        <tipo_documento_siope_e>ELETTRONICO</tipo_documento_siope_e>
        <identificativo_lotto_sdi_siope>14200116784</identificativo_lotto_sdi_siope>
        <dati_fattura_siope>
        <numero_fattura_siope>103/PA</numero_fattura_siope>
        <importo_siope>961.01</importo_siope>
        <data_scadenza_pagam_siope>2026-12-19</data_scadenza_pagam_siope>
        <natura_spesa_siope>CORRENTE</natura_spesa_siope>
        </dati_fattura_siope>
        </fattura_siope>
        </classificazione_dati_siope_uscite>
        </classificazione>
        <classificazione>
        <codice_cgu>2112</codice_cgu>
        <importo>211.42</importo>
        <classificazione_dati_siope_uscite>
        <tipo_debito_siope_nc>IVA</tipo_debito_siope_nc>
        </classificazione_dati_siope_uscite>
        </classificazione>
        <bollo>
        <assoggettamento_bollo>ESENTE BOLLO</assoggettamento_bollo>
        </bollo>
        <spese>
        <soggetto_destinatario_delle_spese>ESENTE</soggetto_destinatario_delle_spese>
        </spese>
        <beneficiario>
        <anagrafica_beneficiario>Pulizie La Libertà Soc. Coop. a r.l.</anagrafica_beneficiario>
        <indirizzo_beneficiario>Via Cesare Battisti 40</indirizzo_beneficiario>
        <cap_beneficiario>89125</cap_beneficiario>
        <localita_beneficiario>Reggio Calabria</localita_beneficiario>
        <provincia_beneficiario>RC</provincia_beneficiario>
        <stato_beneficiario>IT</stato_beneficiario>
        <partita_iva_beneficiario>43471462069</partita_iva_beneficiario>
        </beneficiario>
        <sepa_credit_transfer>
        <iban>IT66K0538765406436546716148</iban>
        </sepa_credit_transfer>
        <causale>Dispositivi medici, fattura 103/PA in regime di scissione dei pagamenti</causale>
        <ritenute>
        <importo_ritenute>211.42</importo_ritenute>
        <numero_reversale>17</numero_reversale>
        <progressivo_versante>1</progressivo_versante>
        </ritenute>
        </informazioni_beneficiario>
        </mandato>
        </flusso_ordinativi>"#]],
    );
}

#[test]
fn a_collection() {
    golden(
        &example("buoni", "004-reversale-iva-split.json"),
        expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <flusso_ordinativi>
        <testata_flusso>
        <codice_ABI_BT>09991</codice_ABI_BT>
        <identificativo_flusso>2026-UFCCCC-R0000017-I1</identificativo_flusso>
        <data_ora_creazione_flusso>2026-11-24T10:30:00</data_ora_creazione_flusso>
        <codice_ente>UFCCCC</codice_ente>
        <descrizione_ente>Azienda Ospedaliero-Universitaria Colledoro</descrizione_ente>
        <codice_istat_ente>000700103</codice_istat_ente>
        <codice_fiscale_ente>90123450034</codice_fiscale_ente>
        <codice_tramite_ente>A2A-40000001</codice_tramite_ente>
        <codice_tramite_BT>A2A-50000001</codice_tramite_BT>
        <codice_ente_BT>0004103</codice_ente_BT>
        </testata_flusso>
        <esercizio>2026</esercizio>
        <reversale>
        <tipo_operazione>INSERIMENTO</tipo_operazione>
        <numero_reversale>17</numero_reversale>
        <data_reversale>2026-11-20</data_reversale>
        <importo_reversale>211.42</importo_reversale>
        <informazioni_versante>
        <progressivo_versante>1</progressivo_versante>
        <importo_versante>211.42</importo_versante>
        <tipo_riscossione>COMPENSAZIONE</tipo_riscossione>
        <tipo_entrata>INFRUTTIFERO</tipo_entrata>
        <destinazione>LIBERA</destinazione>
        <classificazione>
        <codice_cge>9102</codice_cge>
        <importo>211.42</importo>
        <classificazione_dati_siope_entrate>
        <tipo_debito_siope_nc>IVA</tipo_debito_siope_nc>
        </classificazione_dati_siope_entrate>
        </classificazione>
        <bollo>
        <assoggettamento_bollo>ESENTE BOLLO</assoggettamento_bollo>
        </bollo>
        <versante>
        <anagrafica_versante>Pulizie La Libertà Soc. Coop. a r.l.</anagrafica_versante>
        <indirizzo_versante>Via Cesare Battisti 40</indirizzo_versante>
        <cap_versante>89125</cap_versante>
        <localita_versante>Reggio Calabria</localita_versante>
        <provincia_versante>RC</provincia_versante>
        <stato_versante>IT</stato_versante>
        <partita_iva_versante>43471462069</partita_iva_versante>
        </versante>
        <causale>IVA trattenuta su fattura 103/PA</causale>
        <mandato_associato>
        <numero_mandato>135</numero_mandato>
        <progressivo_beneficiario>1</progressivo_beneficiario>
        </mandato_associato>
        </informazioni_versante>
        </reversale>
        </flusso_ordinativi>"#]],
    );
}

#[test]
fn a_cheque_with_its_address() {
    golden(
        &example("buoni", "040-rimborso-assistito-assegno.json"),
        expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <flusso_ordinativi>
        <testata_flusso>
        <codice_ABI_BT>09992</codice_ABI_BT>
        <identificativo_flusso>2026-UFEEEE-M0000174-I1</identificativo_flusso>
        <data_ora_creazione_flusso>2026-11-24T10:30:00</data_ora_creazione_flusso>
        <codice_ente>UFEEEE</codice_ente>
        <descrizione_ente>Istituto di Ricovero e Cura Santa Elisabetta</descrizione_ente>
        <codice_istat_ente>000700105</codice_istat_ente>
        <codice_fiscale_ente>90123450059</codice_fiscale_ente>
        <codice_tramite_ente>A2A-40000001</codice_tramite_ente>
        <codice_tramite_BT>A2A-50000002</codice_tramite_BT>
        <codice_ente_BT>77121</codice_ente_BT>
        </testata_flusso>
        <esercizio>2026</esercizio>
        <mandato>
        <tipo_operazione>INSERIMENTO</tipo_operazione>
        <numero_mandato>174</numero_mandato>
        <data_mandato>2026-12-06</data_mandato>
        <importo_mandato>685.22</importo_mandato>
        <informazioni_beneficiario>
        <progressivo_beneficiario>1</progressivo_beneficiario>
        <importo_beneficiario>685.22</importo_beneficiario>
        <tipo_pagamento>ASSEGNO CIRCOLARE</tipo_pagamento>
        <frazionabile>NO</frazionabile>
        <destinazione>LIBERA</destinazione>
        <tipo_postalizzazione>ASSICURATA</tipo_postalizzazione>
        <classificazione>
        <codice_cgu>4198</codice_cgu>
        <importo>685.22</importo>
        <classificazione_dati_siope_uscite>
        <tipo_debito_siope_nc>NON_COMMERCIALE</tipo_debito_siope_nc>
        </classificazione_dati_siope_uscite>
        </classificazione>
        <bollo>
        <assoggettamento_bollo>ESENTE BOLLO</assoggettamento_bollo>
        <causale_esenzione_bollo>Importo di natura assistenziale</causale_esenzione_bollo>
        </bollo>
        <beneficiario>
        <anagrafica_beneficiario>Zoë Marchesin</anagrafica_beneficiario>
        <indirizzo_beneficiario>Via Garibaldi 12</indirizzo_beneficiario>
        <cap_beneficiario>83048</cap_beneficiario>
        <localita_beneficiario>Montella</localita_beneficiario>
        <provincia_beneficiario>AV</provincia_beneficiario>
        <stato_beneficiario>IT</stato_beneficiario>
        <codice_fiscale_beneficiario>MRCZOE90E57L219W</codice_fiscale_beneficiario>
        </beneficiario>
        <causale>Rimborso spese di viaggio assistito dializzato, Legge regionale 5/2026</causale>
        </informazioni_beneficiario>
        </mandato>
        </flusso_ordinativi>"#]],
    );
}

fn numbered(numero: u32, tipo_operazione: &str) -> Value {
    let mut order = example("buoni", "044-rimborso-trasferta.json");
    order["numero"] = json!(numero);
    order["tipo_operazione"] = json!(tipo_operazione);
    order
}

#[test]
fn flows_are_named_after_their_orders() {
    let id = |body: Value| flow_id(&judge(&body).unwrap());
    let body = numbered(1, "INSERIMENTO")["ente"].as_str().unwrap().to_string();
    assert_eq!(id(numbered(123, "INSERIMENTO")), format!("2026-{body}-M0000123-I1"));
    assert_eq!(id(numbered(123, "ANNULLO")), format!("2026-{body}-M0000123-A1"));
    let mut again = numbered(9_999_999, "INSERIMENTO");
    again["revisione"] = json!(9_999);
    assert_eq!(id(again.clone()), format!("2026-{body}-M9999999-I9999"));
    let several = id(json!([again, numbered(5, "ANNULLO"), numbered(6, "INSERIMENTO")]));
    assert!(several.starts_with(&format!("2026-{body}-M9999999-I9999-3-")) && several.len() <= 70, "{several}");
    assert_ne!(several, id(json!([again, numbered(5, "INSERIMENTO"), numbered(6, "INSERIMENTO")])));
    assert_eq!(flow_id(&[]), "");
}

#[test]
fn several_orders_share_a_flow_and_collections_come_first() {
    let (payment, collection) = ("003-dispositivi-split-payment.json", "004-reversale-iva-split.json");
    let xml = flow(&json!([example("buoni", payment), example("buoni", collection)]));
    assert!(xml.find("<reversale>").unwrap() < xml.find("<mandato>").unwrap());
    ours().validate(signed(&xml).as_bytes()).unwrap();
}

#[test]
fn the_time_is_italian_without_zone() {
    assert!(flow(&numbered(1, "INSERIMENTO")).contains("<data_ora_creazione_flusso>2026-11-24T10:30:00</"));
    let orders = judge(&numbered(1, "INSERIMENTO")).unwrap();
    let summer = build(&orders, &ente("UFAAAA"), "x", "2026-07-01T22:30:00Z".parse().unwrap()).unwrap();
    assert!(String::from_utf8(summer).unwrap().contains(">2026-07-02T00:30:00<"));
}

#[test]
fn a_flow_that_is_too_large_is_refused() {
    let mut order = numbered(77, "INSERIMENTO");
    let part = order["beneficiari"][0].clone();
    let parts = |n: usize| -> Vec<Value> {
        (1..=n)
            .map(|at| json!({"progressivo": at, "importo": 1}).as_object().cloned().unwrap())
            .map(|own| merged(&part, own))
            .collect()
    };
    order["beneficiari"] = json!(parts(400));
    order["importo"] = json!(400);
    for part in order["beneficiari"].as_array_mut().unwrap() {
        part["classificazioni"][0]["importo"] = json!(1);
    }
    let orders = judge(&order).unwrap();
    let problem = build(&orders, &ente("UFAAAA"), "F", now()).unwrap_err();
    assert_eq!(problem.code, "opi.dimensione");
    assert!(problem.detail.contains(&FLOW_BYTES_MAX.to_string()));
    assert_eq!(build(&[], &ente("UFAAAA"), "F", now()).unwrap_err().code, "opi.flusso");
}

/// An object with some fields set.
pub(crate) fn merged(part: &Value, own: Map<String, Value>) -> Value {
    let mut part = part.clone();
    own.into_iter().for_each(|(key, value)| part[key] = value);
    part
}

#[test]
fn both_schemas_refuse_the_same_broken_flows() {
    let good = signed(&flow(&example("buoni", "003-dispositivi-split-payment.json")));
    let broken = broken(&good);
    let accepted: Vec<_> = broken.iter().filter(|(_, xml)| ours().validate(xml.as_bytes()).is_ok()).collect();
    assert!(accepted.is_empty(), "our schema (xsd-schema) accepts {accepted:?}");
    if has_xmllint() {
        assert_eq!(xmllint_refuses(&our_path(), &broken).len(), broken.len());
        if let Some(official) = official_path() {
            assert_eq!(
                xmllint_refuses(&official, &broken).len(),
                broken.len(),
                "ours must not be narrower than this list says"
            );
        }
    }
}

/// Flows that the official schema refuses, each for one reason.
fn broken(good: &str) -> Vec<(String, String)> {
    let cut = |from: &str, to: &str| {
        let (start, end) = (good.find(from).unwrap(), good.find(to).unwrap() + to.len());
        format!("{}{}", &good[..start], &good[end..])
    };
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let mandato = &good[good.find("<mandato>").unwrap()..good.find("</mandato>").unwrap() + "</mandato>".len()];
    let inner = "</informazioni_beneficiario>";
    let part = &good[good.find("<informazioni_beneficiario>").unwrap()..good.find(inner).unwrap() + inner.len()];
    vec![
        ("no-signature".into(), cut("<ds:Signature", "</ds:Signature>")),
        (
            "signature-in-the-middle".into(),
            swap("<esercizio>", "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/><esercizio>"),
        ),
        ("no-order".into(), cut("<mandato>", "</mandato>")),
        ("order-twice".into(), swap(mandato, &mandato.repeat(2))),
        ("part-twice".into(), swap(part, &part.repeat(2))),
        ("year".into(), swap("<esercizio>2026", "<esercizio>1998")),
        ("abi".into(), swap("<codice_ABI_BT>0", "<codice_ABI_BT>")),
        ("a2a".into(), swap("<codice_tramite_ente>A2A-", "<codice_tramite_ente>")),
        ("ipa".into(), swap("<codice_ente>UF", "<codice_ente>uf")),
        ("flow-id".into(), swap("<identificativo_flusso>", "<identificativo_flusso>/")),
        ("operation".into(), swap(">INSERIMENTO<", ">INSERISCI<")),
        ("amount-zero".into(), replace_text(good, "importo_mandato", "0.00")),
        ("amount-decimals".into(), replace_text(good, "importo_mandato", "1.001")),
        ("amount-digits".into(), replace_text(good, "importo_mandato", "1000000000000000.00")),
        ("amount-comma".into(), replace_text(good, "importo_mandato", "1,00")),
        ("date".into(), replace_text(good, "data_mandato", "24/11/2026")),
        ("number".into(), replace_text(good, "numero_mandato", "10000000")),
        ("way-of-paying".into(), replace_text(good, "tipo_pagamento", "CONTANTI")),
        ("siope-code".into(), replace_text(good, "codice_cgu", "211")),
        ("cig".into(), replace_text(good, "codice_cig_siope", "z1234567ab")),
        ("lot".into(), replace_text(good, "identificativo_lotto_sdi_siope", "0")),
        ("nature".into(), replace_text(good, "natura_spesa_siope", "ALTRO")),
        ("iban".into(), replace_text(good, "iban", "it60")),
        ("country".into(), replace_text(good, "stato_beneficiario", "ITA")),
        ("text".into(), replace_text(good, "causale", "")),
        ("stamp".into(), replace_text(good, "assoggettamento_bollo", "NO")),
        ("no-stamp".into(), cut("<bollo>", "</bollo>")),
        ("no-due-date".into(), cut("<data_scadenza_pagam_siope>", "</data_scadenza_pagam_siope>")),
        ("unknown".into(), swap("<causale>", "<nota>x</nota><causale>")),
        (
            "both-cig".into(),
            swap(
                "<fattura_siope>",
                "<motivo_esclusione_cig_siope>ARBITRATO</motivo_esclusione_cig_siope><fattura_siope>",
            ),
        ),
        ("no-cig".into(), cut("<codice_cig_siope>", "</codice_cig_siope>")),
        ("wrong-order".into(), swap("<tipo_pagamento>", "<causale>x</causale><tipo_pagamento>")),
        ("withheld".into(), cut("<numero_reversale>", "</numero_reversale>")),
    ]
}

fn replace_text(xml: &str, element: &str, text: &str) -> String {
    let open = format!("<{element}>");
    let from = xml.find(&open).unwrap_or_else(|| panic!("no {element}")) + open.len();
    let to = from + xml[from..].find('<').unwrap();
    format!("{}{text}{}", &xml[..from], &xml[to..])
}
