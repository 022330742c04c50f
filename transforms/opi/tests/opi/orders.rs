//! Rules: one change to a good order, one problem, at its field.

use hub_core::Value;
use proptest::prelude::*;
use serde_json::json;

use crate::judges::ours;
use crate::world::{example, flow, judge, problems, signed};

/// A payment order that passes: one beneficiary, one commercial line, one electronic invoice.
fn payment() -> Value {
    json!({
        "tipo": "mandato", "tipo_operazione": "INSERIMENTO", "revisione": 1, "ente": "UFBBBB", "esercizio": 2026,
        "numero": 7, "data": "2026-11-24", "importo": 100.50,
        "beneficiari": [{
            "progressivo": 1, "importo": "100.50", "tipo_pagamento": "SEPA CREDIT TRANSFER",
            "classificazioni": [{ "codice_siope": "2112", "importo": 100.5, "debito": { "tipo": "COMMERCIALE",
                "cig": "Z1234567AB", "fatture": [{ "codice_ipa": "UFBBBB", "lotto_sdi": 42, "numero": "1/PA",
                    "importo": 100.50, "scadenza": "2026-12-31", "natura_spesa": "CORRENTE" }] } }],
            "bollo": { "assoggettamento": "ESENTE BOLLO" },
            "anagrafica": { "denominazione": "Protesi Cantù", "indirizzo": "Via Ariberto 3", "cap": "22063",
                "localita": "Cantù", "provincia": "CO", "stato": "IT", "partita_iva": "01234567897" },
            "causale": "Fattura 1/PA", "iban": "IT60X0542811101000000123456"
        }]
    })
}

/// A collection order that passes.
fn collection() -> Value {
    json!({
        "tipo": "reversale", "tipo_operazione": "INSERIMENTO", "revisione": 1, "ente": "UFBBBB", "esercizio": 2026,
        "numero": 3, "data": "2026-11-24", "importo": 10,
        "versanti": [{
            "progressivo": 1, "importo": 10, "tipo_riscossione": "CASSA",
            "classificazioni": [{ "codice_siope": "1301", "importo": 10, "debito": { "tipo": "NON_COMMERCIALE" } }],
            "bollo": { "assoggettamento": "ESENTE BOLLO" }, "anagrafica": { "denominazione": "Utenti" }, "causale": "Ticket"
        }]
    })
}

/// Sets what a pointer names, making the last key if need be; `null` removes it.
fn set(order: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    let _ = if value.is_null() { parent.shift_remove(key) } else { parent.insert(key.into(), value) };
}

fn changed(mut order: Value, changes: &[(&str, Value)]) -> Value {
    changes.iter().for_each(|(pointer, value)| set(&mut order, pointer, value.clone()));
    order
}

const B: &str = "/beneficiari/0";

/// Applies changes (pointers below the first beneficiary) and expects exactly these problems (fields below it, too).
#[track_caller]
fn expect_paid(changes: &[(&str, Value)], expected: &[(&str, &str)]) {
    let changes: Vec<_> = changes.iter().map(|(pointer, value)| (format!("{B}{pointer}"), value.clone())).collect();
    let changes: Vec<_> = changes.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
    let expected: Vec<_> = expected.iter().map(|(code, field)| (code.to_string(), format!("{B}{field}"))).collect();
    assert_eq!(problems(&changed(payment(), &changes)), expected);
}

/// Applies changes to an order and expects exactly these problems.
#[track_caller]
fn expect(order: Value, changes: &[(&str, Value)], expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(code, field)| (code.to_string(), field.to_string())).collect();
    assert_eq!(problems(&changed(order, changes)), expected);
}

#[test]
fn the_good_ones_are_good() {
    expect(payment(), &[], &[]);
    expect(collection(), &[], &[]);
}

#[test]
fn shape() {
    expect(payment(), &[("/data", Value::Null)], &[("opi.campo-mancante", "/data")]);
    expect(payment(), &[("/data", json!("24/11/2026"))], &[("opi.data", "/data")]);
    expect(payment(), &[("/data", json!("2026-02-30"))], &[("opi.data", "/data")]);
    expect(payment(), &[("/data", json!("0000-01-01"))], &[("opi.data", "/data")]);
    expect(payment(), &[("/numero", json!("7"))], &[("opi.numero", "/numero")]);
    expect(payment(), &[("/numero", json!(10_000_000))], &[("opi.numero", "/numero")]);
    expect(payment(), &[("/esercizio", json!(1998))], &[("opi.numero", "/esercizio")]);
    expect(payment(), &[("/revisione", json!(0))], &[("opi.numero", "/revisione")]);
    expect(payment(), &[("/tipo", json!("fattura"))], &[("opi.valore", "/tipo")]);
    expect(payment(), &[("/tipo_operazione", json!("VARIAZIONE"))], &[("opi.valore", "/tipo_operazione")]);
    expect(payment(), &[("/ente", json!("ufbbbb"))], &[("opi.ente", "/ente")]);
    expect(payment(), &[("/sconto", json!(1))], &[("opi.campo-sconosciuto", "/sconto")]);
    expect(payment(), &[("/a~b", json!(1))], &[("opi.campo-sconosciuto", "/a~0b")]);
    expect(payment(), &[("/beneficiari", json!([]))], &[("opi.elenco", "/beneficiari")]);
    expect(payment(), &[("/beneficiari", json!({}))], &[("opi.campo-tipo", "/beneficiari")]);
    expect(json!(7), &[], &[("opi.campo-tipo", "")]);
    expect_paid(&[("/causale", json!(7))], &[("opi.campo-tipo", "/causale")]);
    expect_paid(&[("/causale", json!("a\tb"))], &[("opi.caratteri", "/causale")]);
    expect_paid(&[("/causale", json!("  "))], &[("opi.testo", "/causale")]);
    expect_paid(&[("/causale", json!("à".repeat(141)))], &[("opi.testo", "/causale")]);
    expect_paid(&[("/causale", json!("à".repeat(140)))], &[]);
    expect_paid(&[("/bollo", Value::Null)], &[("opi.campo-mancante", "/bollo")]);
    expect_paid(&[("/impignorabili", json!("SI"))], &[("opi.campo-tipo", "/impignorabili")]);
}

#[test]
fn amounts() {
    for bad in
        [json!(0), json!("-1"), json!("1.005"), json!("1,50"), json!("10000000000000"), json!(true), json!("1e2")]
    {
        expect_paid(&[("/importo", bad)], &[("opi.importo", "/importo")]);
    }
    let exponent: Value = serde_json::from_str("1.005e2").unwrap();
    expect_paid(&[("/importo", exponent)], &[("opi.importo", "/importo")]);
    expect(payment(), &[("/importo", json!("100.51"))], &[("opi.importo-ordine", "/importo")]);
    let lower =
        [("/classificazioni/0/importo", json!(100)), ("/classificazioni/0/debito/fatture/0/importo", json!(100))];
    expect_paid(&lower, &[("opi.importo-parte", "/importo")]);
    let invoice = [("/classificazioni/0/debito/fatture/0/importo", json!("100.49"))];
    expect_paid(&invoice, &[("opi.importo-fatture", "/classificazioni/0/importo")]);
}

#[test]
fn sums_are_exact_where_binary_floats_are_not() {
    let line =
        |cents: &str| json!({ "codice_siope": "2112", "importo": cents, "debito": { "tipo": "NON_COMMERCIALE" } });
    let lines = json!([line("0.10"), line("0.20")]);
    let order = changed(payment(), &[("/importo", json!("0.30")), ("/beneficiari/0/importo", json!("0.3"))]);
    expect(order, &[("/beneficiari/0/classificazioni", lines)], &[]);
}

#[test]
fn classification() {
    let line = "/classificazioni/0";
    expect_paid(&[("/classificazioni", Value::Null)], &[("opi.classificazione", "/classificazioni")]);
    for bad in ["211", "21120", "21A2"] {
        expect_paid(
            &[("/classificazioni/0/codice_siope", json!(bad))],
            &[("opi.codice-siope", &format!("{line}/codice_siope"))],
        );
    }
    expect_paid(&[("/classificazioni/0/codice_siope", json!("1030105001"))], &[]);
    expect_paid(&[("/classificazioni/0/cup", json!("short"))], &[("opi.cup", "/classificazioni/0/cup")]);
    expect_paid(&[("/classificazioni/0/cpv", json!("33600000"))], &[("opi.cpv", "/classificazioni/0/cpv")]);
    let listed = changed(
        payment(),
        &[("/ente", json!("UFAAAA")), ("/beneficiari/0/classificazioni/0/codice_siope", json!("7777"))],
    );
    expect(listed, &[], &[("opi.codice-siope", "/beneficiari/0/classificazioni/0/codice_siope")]);
    let cancelled = changed(payment(), &[("/tipo_operazione", json!("ANNULLO"))]);
    expect(cancelled, &[("/beneficiari/0/classificazioni", Value::Null)], &[]);
}

#[test]
fn tender_codes() {
    let (cig, reason) = ("/classificazioni/0/debito/cig", "/classificazioni/0/debito/motivo_esclusione_cig");
    let debt = "/classificazioni/0/debito";
    let (kind, invoices) = ("/classificazioni/0/debito/tipo", "/classificazioni/0/debito/fatture");
    expect_paid(&[(cig, json!("z1234567ab"))], &[("opi.cig", cig)]);
    expect_paid(&[(cig, Value::Null)], &[("opi.cig-mancante", debt)]);
    expect_paid(&[(reason, json!("ARBITRATO"))], &[("opi.cig-motivo", reason)]);
    expect_paid(&[(cig, Value::Null), (reason, json!("ARBITRATO"))], &[]);
    expect_paid(&[(cig, Value::Null), (reason, json!("PERCHE_SI"))], &[("opi.valore", reason)]);
    expect_paid(&[(cig, Value::Null), (reason, json!("AMMINISTRAZIONE DIRETTA"))], &[]);
    expect_paid(&[(invoices, Value::Null)], &[("opi.fatture", invoices)]);
    expect_paid(&[(kind, json!("NON_COMMERCIALE")), (invoices, Value::Null)], &[("opi.fatture", invoices)]);
    expect_paid(&[(kind, json!("NON_COMMERCIALE")), (cig, Value::Null)], &[("opi.cig-mancante", debt)]);
    expect_paid(&[(kind, json!("IVA")), (cig, Value::Null), (invoices, Value::Null)], &[]);
    let debt = json!({ "tipo": "NON_COMMERCIALE", "cig": "Z1234567AB" });
    let field = "/versanti/0/classificazioni/0/debito";
    expect(collection(), &[(field, debt)], &[("opi.cig-reversale", field)]);
}

#[test]
fn invoices() {
    let invoice = "/classificazioni/0/debito/fatture/0";
    let paper = json!({ "tipo": "FATT_ANALOGICA", "codice_fiscale_emittente": "01234567897", "anno": 2026 });
    let (lot, paper_field) = (format!("{invoice}/lotto_sdi"), format!("{invoice}/analogica"));
    expect_paid(&[(&lot, Value::Null)], &[("opi.lotto-sdi", &lot)]);
    expect_paid(&[(&paper_field, paper.clone())], &[("opi.lotto-sdi", &lot)]);
    expect_paid(&[(&lot, Value::Null), (&paper_field, paper)], &[]);
    expect_paid(&[(&format!("{invoice}/codice_ipa"), json!("uf"))], &[("opi.ipa", &format!("{invoice}/codice_ipa"))]);
    let abroad = [("/anagrafica/stato", json!("SM")), ("/anagrafica/partita_iva", json!("SM12345"))];
    expect_paid(&abroad, &[("opi.debito-estero", "/classificazioni/0/debito/tipo")]);
    expect_paid(&[("/anagrafica/stato", json!("DE"))], &[]);
}

#[test]
fn accounts() {
    let to = |tipo: &str| ("/tipo_pagamento", json!(tipo));
    let turkish = ("/iban", json!("TR330006100519786457841326"));
    expect_paid(&[("/iban", Value::Null)], &[("opi.iban-mancante", "/iban")]);
    expect_paid(&[("/iban", json!("IT61X0542811101000000123456"))], &[("opi.iban", "/iban")]);
    expect_paid(std::slice::from_ref(&turkish), &[("opi.iban-sepa", "/iban")]);
    expect_paid(&[to("BONIFICO ESTERO EURO"), turkish.clone()], &[("opi.bic-mancante", "/bic")]);
    expect_paid(&[to("BONIFICO ESTERO EURO"), turkish, ("/bic", json!("TCZBTR2A"))], &[]);
    expect_paid(&[("/bic", json!("tczbtr2a"))], &[("opi.bic", "/bic")]);
    let cash = [to("CASSA"), ("/iban", Value::Null)];
    expect_paid(&cash, &[]);
    expect_paid(&[to("CASSA")], &[("opi.coordinate", "/iban")]);
    expect_paid(
        &[to("CASSA"), ("/iban", Value::Null), ("/end_to_end", json!("x"))],
        &[("opi.coordinate", "/end_to_end")],
    );
    let postal = [to("ACCREDITO CONTO CORRENTE POSTALE"), ("/iban", Value::Null)];
    expect_paid(&postal, &[("opi.conto-postale", "/conto_corrente_postale")]);
    expect_paid(&[postal[0].clone(), postal[1].clone(), ("/conto_corrente_postale", json!("12345678"))], &[]);
    expect_paid(&[("/conto_corrente_postale", json!("123"))], &[("opi.conto-postale", "/conto_corrente_postale")]);
    expect_paid(&[("/codice_versante", json!("è23456789"))], &[("opi.codice-versante", "/codice_versante")]);
}

#[test]
fn ways_of_paying() {
    let by = |tipo: &str| [("/tipo_pagamento", json!(tipo)), ("/iban", Value::Null)];
    let with = |tipo: &str, more: (&'static str, Value)| [by(tipo)[0].clone(), by(tipo)[1].clone(), more];
    expect_paid(&with("CASSA", ("/anagrafica/cap", Value::Null)), &[("opi.indirizzo", "/anagrafica")]);
    expect_paid(&with("COMPENSAZIONE", ("/anagrafica/provincia", Value::Null)), &[("opi.indirizzo", "/anagrafica")]);
    expect_paid(&with("CASSA", ("/anagrafica/stato", json!("Italia"))), &[("opi.testo", "/anagrafica/stato")]);
    expect_paid(&with("CASSA", ("/anagrafica/stato", json!("it"))), &[("opi.stato", "/anagrafica/stato")]);
    expect_paid(&by("ASSEGNO CIRCOLARE"), &[("opi.postalizzazione", "/tipo_postalizzazione")]);
    expect_paid(&with("ASSEGNO CIRCOLARE", ("/tipo_postalizzazione", json!("ASSICURATA"))), &[]);
    expect_paid(&by("DISPOSIZIONE DOCUMENTO ESTERNO"), &[("opi.documento-esterno", "/riferimento_documento_esterno")]);
    expect_paid(&by("AVVISO PAGOPA"), &[("opi.avviso-pagopa", "/avviso_pagopa")]);
    let notice = json!({ "codice_identificativo_ente": "00000000000", "numero_avviso": "300000000000000001" });
    expect_paid(&with("AVVISO PAGOPA", ("/avviso_pagopa", notice)), &[("opi.avviso-pagopa", "/avviso_pagopa")]);
    expect_paid(&by("REGOLARIZZAZIONE"), &[("opi.sospesi", "/sospesi")]);
    let item = |n: u64, importo: &str| json!({ "numero": n, "importo": importo });
    expect_paid(&with("REGOLARIZZAZIONE", ("/sospesi", json!([item(5, "100.50")]))), &[]);
    expect_paid(&with("REGOLARIZZAZIONE", ("/sospesi", json!([item(5, "100.51")]))), &[("opi.sospesi", "/sospesi")]);
    let twice = json!([item(5, "1.00"), item(5, "2.00")]);
    expect_paid(&with("REGOLARIZZAZIONE", ("/sospesi", twice)), &[("opi.sospesi", "/sospesi/1/numero")]);
}

#[test]
fn dates_of_payment() {
    let (execution, due) = ("/data_esecuzione_pagamento", "/data_scadenza_pagamento");
    expect_paid(&[(execution, json!("2026-11-25"))], &[]);
    expect_paid(&[(execution, json!("2026-11-24"))], &[("opi.data-esecuzione", execution)]);
    expect_paid(&[(due, json!("2026-01-01"))], &[]);
    expect_paid(&[(execution, json!("2098-01-01")), (due, json!("2098-01-01"))], &[("opi.date-esclusive", execution)]);
    expect_paid(&[("/tipo_pagamento", json!("F24EP")), ("/iban", Value::Null)], &[("opi.f24ep", execution)]);
    let late = changed(payment(), &[("/tipo_operazione", json!("ANNULLO"))]);
    expect(late, &[("/beneficiari/0/data_esecuzione_pagamento", json!("2026-11-01"))], &[]);
}

#[test]
fn money_kept_back_budget_and_delegates() {
    let kept = json!([{ "importo": "100.51", "numero_reversale": 1, "progressivo_versante": 1 }]);
    expect_paid(&[("/ritenute", kept)], &[("opi.ritenute", "/ritenute")]);
    expect_paid(&[("/delegati", json!([{ "denominazione": "X" }]))], &[("opi.delegato", "/delegati/0/codice_fiscale")]);
    let budget = |year: Option<u16>, gestione: &str| json!([{ "codifica": 1, "gestione": gestione, "anno_residuo": year, "importo": 1 }]);
    let field = "/bilancio/0/anno_residuo";
    expect(payment(), &[("/bilancio", budget(Some(2025), "RESIDUO"))], &[]);
    expect(payment(), &[("/bilancio", budget(Some(2025), "COMPETENZA"))], &[("opi.bilancio", field)]);
    let without = json!([{ "codifica": 1, "gestione": "RESIDUO", "importo": 1 }]);
    expect(payment(), &[("/bilancio", without)], &[("opi.bilancio", field)]);
}

#[test]
fn harmonised_accounts() {
    let line = "/classificazioni/0/arconet";
    let arconet = json!({ "missione": "13", "programma": "1", "economico": "2020104002", "importo": 100.50,
        "codice_ue": "8", "cofog": { "codice": "07.3", "importo": 100.50 } });
    expect_paid(&[(line, arconet.clone())], &[]);
    expect_paid(
        &[(line, changed(arconet.clone(), &[("/cofog/importo", json!(1))]))],
        &[("opi.arconet", &format!("{line}/cofog/importo"))],
    );
    expect_paid(&[(line, changed(arconet.clone(), &[("/cofog", Value::Null)]))], &[("opi.arconet", line)]);
    expect_paid(
        &[(line, changed(arconet, &[("/economico", json!("x"))]))],
        &[("opi.arconet", &format!("{line}/economico"))],
    );
}

#[test]
fn collections() {
    let (tipo, account) = ("/versanti/0/tipo_riscossione", "/versanti/0/numero_ccp");
    expect(collection(), &[(tipo, json!("PRELIEVO DA CC POSTALE"))], &[("opi.ccp", account)]);
    expect(collection(), &[(tipo, json!("PRELIEVO DA CC POSTALE")), (account, json!(123))], &[]);
    expect(collection(), &[(account, json!(123))], &[("opi.ccp", account)]);
    expect(collection(), &[(tipo, json!("REGOLARIZZAZIONE"))], &[("opi.sospesi", "/versanti/0/sospesi")]);
    expect(collection(), &[(tipo, json!("SOSTITUZIONE"))], &[("opi.valore", tipo)]);
    expect(collection(), &[("/beneficiari", json!([]))], &[("opi.campo-sconosciuto", "/beneficiari")]);
}

#[test]
fn orders_that_share_a_flow() {
    let (one, other) = (payment(), changed(payment(), &[("/numero", json!(8))]));
    assert_eq!(judge(&json!([one, other, collection()])).unwrap().len(), 3);
    expect(json!([one, one]), &[], &[("opi.numero-duplicato", "/1/numero")]);
    let foreign = changed(payment(), &[("/ente", json!("UFCCCC")), ("/numero", json!(9))]);
    expect(json!([one, foreign]), &[], &[("opi.flusso", "/1")]);
    expect(json!([]), &[], &[("opi.flusso", "")]);
    let wrong =
        changed(payment(), &[("/numero", json!(9)), ("/beneficiari/0/iban", json!("IT61X0542811101000000123456"))]);
    expect(json!([one, wrong]), &[], &[("opi.iban", "/1/beneficiari/0/iban")]);
}

#[test]
fn all_problems_come_at_once() {
    let order = changed(
        payment(),
        &[
            ("/importo", json!(7)),
            ("/beneficiari/0/iban", json!("IT61X0542811101000000123456")),
            ("/beneficiari/0/classificazioni/0/debito/cig", json!("bad")),
        ],
    );
    let codes: Vec<_> = problems(&order).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["opi.importo-ordine", "opi.cig", "opi.iban"]);
    let unreadable = changed(order, &[("/beneficiari/0/importo", json!("much"))]);
    let codes: Vec<_> = problems(&unreadable).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["opi.importo", "opi.cig", "opi.iban"], "a sum over an unreadable amount says nothing");
}

#[test]
fn problems_are_bounded_and_show_little_of_the_sender() {
    let parts: Vec<_> = (0..500).map(|_| json!({ "x".repeat(500): "\u{1}".repeat(500) })).collect();
    let found = judge(&changed(payment(), &[("/beneficiari", json!(parts))])).unwrap_err();
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|p| p.detail.len() < 1_000 && !p.detail.contains('\u{1}')));
    let iban =
        judge(&changed(payment(), &[("/beneficiari/0/iban", json!("IT61X0542811101000000123456"))])).unwrap_err();
    assert!(!iban[0].detail.contains("0542811101"), "accounts stay out of logs");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-z_]{1,12}", inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Pointers to everything inside a value.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut go = |key: String, inner: &Value| {
        let path = format!("{at}/{key}");
        out.push(path.clone());
        pointers(inner, &path, out);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| go(key.clone(), inner)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, inner)| go(at.to_string(), inner)),
        _ => {}
    }
}

/// A value that has a chance to pass where it is put.
fn any_likely() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[A-Z0-9]{1,12}".prop_map(Value::from),
        "\\PC{1,20}".prop_map(Value::from),
        "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])".prop_map(Value::from),
        (0u64..2_200).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any_json(),
    ]
}

proptest! {
    #[test]
    fn arbitrary_json_gives_problems_and_no_panic(body in any_json()) {
        prop_assert!(judge(&body).is_err());
    }

    #[test]
    fn a_good_order_with_anything_anywhere_is_refused_or_makes_a_valid_flow(at in any::<prop::sample::Index>(), value in any_likely(), which in 0usize..3) {
        let mut order = [payment(), collection(), example("buoni", "003-dispositivi-split-payment.json")][which].clone();
        let mut places = Vec::new();
        pointers(&order, "", &mut places);
        let place: &String = at.get(&places);
        *order.pointer_mut(place).unwrap() = value;
        if judge(&order).is_ok() {
            let verdict = ours().validate(signed(&flow(&order)).as_bytes());
            prop_assert!(verdict.is_ok(), "the rules let pass what the schema refuses: {verdict:#?}");
        }
    }
}
