//! Every committed example does what it is there for.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{Value, read_json};
use transform_opi::{Context, check};

use crate::judges::{has_xmllint, official_path, our_path, ours, xmllint_refuses};
use crate::world::{ente, entities, examples, flow, judge, now, root, signed};

fn schema(name: &str) -> jsonschema::Validator {
    let bytes = std::fs::read(root().join(format!("config/schemas/{name}.json"))).unwrap();
    let schema: Value = serde_json::from_slice(&bytes).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "{name}.json is not a JSON schema");
    jsonschema::validator_for(&schema).unwrap()
}

fn good() -> Vec<(String, Value)> {
    let read = |(name, bytes): (String, Vec<u8>)| (name, read_json(&bytes, 1 << 20).unwrap());
    examples("buoni").into_iter().map(read).collect()
}

/// The way of an order through a route: JSON, schema, body, rules. The code of the first problem.
fn first_problem(bytes: &[u8]) -> Option<String> {
    let Ok(order) = read_json(bytes, 1 << 20) else { return Some("json".into()) };
    if !schema(order["tipo"].as_str().unwrap_or("mandato")).is_valid(&order) {
        return Some("json-schema".into());
    }
    let code = order["ente"].as_str().unwrap();
    if !entities().contains_key(code) {
        return Some("admission.entity".into());
    }
    let problems = check(&order, &Context::new(&ente(code), Some(code), now())).err()?;
    let codes: Vec<_> = problems.iter().map(|problem| problem.code.clone()).collect();
    assert!(codes.iter().all(|code| *code == codes[0]), "an example is wrong in one way only: {problems:#?}");
    let name = format!("{}/{}/{}", code, order["esercizio"], order["numero"]);
    assert!(problems.iter().all(|p| p.detail.contains(&name)), "a problem does not name the order: {problems:#?}");
    Some(codes[0].clone())
}

#[test]
fn there_are_enough_of_six_bodies() {
    let orders = good();
    let bodies: BTreeSet<_> = orders.iter().map(|(_, order)| order["ente"].to_string()).collect();
    let payments = orders.iter().filter(|(_, order)| order["tipo"] == "mandato").count();
    assert_eq!(bodies.len(), 6);
    assert!(orders.len() >= 64 && payments >= 64, "{} orders, {payments} payments", orders.len());
    assert!(orders.iter().any(|(_, order)| order["tipo_operazione"] == "ANNULLO"));
}

#[test]
fn every_way_of_paying_and_collecting_occurs() {
    let all: String = good().iter().map(|(_, order)| order.to_string()).collect();
    let missing: Vec<_> = <transform_opi::words::TipoPagamento as transform_opi::words::Word>::ALL
        .iter()
        .map(|word| transform_opi::words::Word::text(*word))
        .filter(|text| !all.contains(&format!("\"tipo_pagamento\":\"{text}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for text in ["ACCREDITO BANCA D'ITALIA", "CASSA", "COMPENSAZIONE", "PRELIEVO DA CC POSTALE", "REGOLARIZZAZIONE"] {
        assert!(all.contains(&format!("\"tipo_riscossione\":\"{text}\"")), "{text}");
    }
}

#[test]
fn no_order_stands_twice_and_a_cancelled_one_was_inserted() {
    let orders = good();
    let key = |order: &Value| format!("{} {} {} {}", order["tipo"], order["ente"], order["esercizio"], order["numero"]);
    let mut seen = BTreeSet::new();
    for (name, order) in &orders {
        let insertion = format!("{} INSERIMENTO", key(order));
        assert!(order["tipo_operazione"] != "ANNULLO" || seen.contains(&insertion), "{name}");
        assert!(seen.insert(format!("{} {}", key(order), order["tipo_operazione"].as_str().unwrap())), "{name}");
    }
}

#[test]
fn good_examples_pass_schema_and_rules() {
    let schemas = BTreeMap::from([("mandato", schema("mandato")), ("reversale", schema("reversale"))]);
    for (name, order) in good() {
        let schema = &schemas[order["tipo"].as_str().unwrap()];
        let errors: Vec<_> = schema.iter_errors(&order).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        assert!(judge(&order).is_ok(), "{name}: {:#?}", judge(&order).err());
    }
}

#[test]
fn flows_of_good_examples_are_valid_for_every_judge() {
    let flows: Vec<_> = good().iter().map(|(name, order)| (name.clone(), signed(&flow(order)))).collect();
    for (name, xml) in &flows {
        let verdict = ours().validate(xml.as_bytes());
        assert!(verdict.is_ok(), "{name}: {verdict:#?}");
    }
    if has_xmllint() {
        assert_eq!(xmllint_refuses(&our_path(), &flows), Vec::<String>::new());
        if let Some(official) = official_path() {
            assert_eq!(xmllint_refuses(&official, &flows), Vec::<String>::new());
        }
    }
}

#[test]
fn each_wrong_example_is_refused_for_its_own_reason() {
    let text = std::fs::read(root().join("examples/mandati/errati/EXPECTED.json")).unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap();
    let found: BTreeMap<_, _> = examples("errati")
        .into_iter()
        .map(|(name, bytes)| (name, first_problem(&bytes).unwrap_or("none".into())))
        .collect();
    assert!(expected.len() >= 24);
    assert_eq!(found, expected);
}

#[test]
fn bodies_have_good_rows_and_fiscal_codes() {
    let rows = entities();
    assert_eq!(rows.len(), 6);
    for code in rows.keys() {
        let fiscal = ente(code).codice_fiscale;
        let digits: Vec<u32> = fiscal.chars().map(|c| c.to_digit(10).unwrap()).collect();
        let weight = |(at, d): (usize, &u32)| if at % 2 == 0 { *d } else { (d * 2) / 10 + (d * 2) % 10 };
        assert_eq!(digits.iter().enumerate().map(weight).sum::<u32>() % 10, 0, "{code}: {fiscal}");
    }
}
