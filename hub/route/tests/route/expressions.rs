//! Expressions: exact numbers, what they see, what they say when something is missing, and the cel crate as a judge.

use hub_core::{Body, Case, Lane, Media, Message, MessageId, Value};
use hub_route::expression::{Program, Roots};
use proptest::prelude::*;
use serde_json::json;

fn message(media: Media, body: &str) -> Message {
    let id = MessageId::derive(&["test"]);
    let amount = Some("12.50".parse().unwrap());
    Message {
        lane: Lane("l".into()),
        case: Case { kind: "mandato".into(), id: "A/1".into(), entity: Some("UFAAAA".into()), amount },
        headers: [("sender".to_string(), "erp".to_string()), ("file-name".to_string(), "a.json".to_string())].into(),
        body: Body::new(media, body.as_bytes().to_vec()),
        id,
    }
}

fn roots(media: Media, body: &str) -> Roots {
    let bound = json!({ "ack": { "stato": "OK", "n": 7 }, "vars": { "x": "uno" } });
    Roots::new(
        &message(media, body),
        &json!({ "denominazione": "ASL" }),
        &bound,
        "2026-03-01T23:30:00Z".parse().unwrap(),
    )
}

const ORDER: &str = r#"{"ente":"UFAAAA","esercizio":2026,"importo":12.50,"righe":[{"n":1,"i":"0.10"},{"n":2,"i":"0.20"}],"nota":null,"enorme":1e400}"#;

fn eval(text: &str) -> Result<Value, String> {
    let program = Program::compile(text).map_err(|e| e.to_string())?;
    program.eval(&roots(Media::Json, ORDER)).map_err(|e| e.detail)
}

fn gives(text: &str, wanted: &str) {
    match eval(text) {
        Ok(value) => assert_eq!(value.to_string(), wanted, "{text}"),
        Err(e) => panic!("{text}: {e}"),
    }
}

fn fails(text: &str, part: &str) {
    let error = eval(text).expect_err(text);
    assert!(error.contains(part), "{text}: {error}");
}

#[test]
fn numbers_are_exact_and_keep_their_text() {
    gives("body.importo", "12.50");
    gives("string(body.importo)", "\"12.50\"");
    gives("string(body.esercizio)", "\"2026\"");
    gives("sum(body.righe.map(r, decimal(r.i)))", "0.30");
    gives("decimal('0.1') + decimal('0.2') == decimal('0.3')", "true");
    gives("5 < body.importo && body.importo < 13", "true");
    gives("13 - body.importo", "0.50");
    gives("body.importo * 2", "25.00");
    gives("body.esercizio / 4", "506.5");
    gives("round(decimal('2.345'), 2)", "2.35");
    gives("round(decimal('-2.345'), 2)", "-2.35");
    gives("-body.importo", "-12.50");
    gives("7 % 4", "3");
    gives("int('12.90')", "12");
    gives("body.enorme", "1e+400");
    fails("body.enorme + 1", "not an exact decimal");
    fails("1 / 0", "division by zero");
    fails("decimal('79228162514264337593543950335') * 10", "28 digits");
}

#[test]
fn roots_and_bindings_are_seen() {
    gives("body.ente + '/' + string(body.esercizio) + '/' + case.id", "\"UFAAAA/2026/A/1\"");
    gives("headers.sender + headers['file-name']", "\"erpa.json\"");
    gives("case.amount + 1", "13.50");
    gives("entity.denominazione + vars.x + ack.stato", "\"ASLunoOK\"");
    gives("now", "\"2026-03-01T23:30:00Z\"");
    gives("date(now)", "\"2026-03-02\"");
    gives("now + duration('4h') > now", "true");
    gives("format(now, '%d/%m/%Y')", "\"02/03/2026\"");
    gives("year(date('2026-01-31')) + month('2026-01-31') + day('2026-01-31')", "2058");
    gives(
        "{'a': body.ente, 'b': [1, 12.50 > 1]}".replace("12.50 > 1", "true").as_str(),
        r#"{"a":"UFAAAA","b":[1,true]}"#,
    );
    gives("sha256('')", "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"");
}

#[test]
fn texts_and_lists() {
    gives("'  aB '.trim().upper() + lower('X')", "\"ABx\"");
    gives("'a,b'.split(',').join('-')", "\"a-b\"");
    gives("'abc'.substring(1) + 'abc'.substring(0, 1)", "\"bca\"");
    gives("'7'.padLeft(3, '0')", "\"007\"");
    gives("'UFAAAA'.matches('^UF[A-Z]{4}$') && !'x'.matches('y')", "true");
    gives("'abc'.replace('b', 'xx')", "\"axxc\"");
    gives("size(body.righe) + size('èa')", "4");
    gives("first(body.righe).n + last(body.righe).n", "3");
    gives("distinct(['a', 'b', 'a'])", r#"["a","b"]"#);
    gives("max(1, 3, 2) - min([4, 5])", "-1");
    gives("body.righe.filter(r, r.n > 1).map(r, r.n)", "[2]");
    gives("body.righe.exists(r, r.n == 2) && body.righe.all(r, r.n > 0)", "true");
    gives("body.righe.exists_one(r, r.n == 2)", "true");
    gives("2 in [1, 2] && 'ente' in body && !('x' in ['y'])", "true");
    gives("body.righe[1].n + body['esercizio']", "2028");
    gives("r'\\d' + \"\\u00e8\" + '''a'b'''", "\"\\\\dèa'b\"");
}

#[test]
fn what_may_be_missing() {
    gives("has(body.x) || has(body.x.y)", "false");
    gives("has(body.ente)", "true");
    gives("body.?x.orValue('-') + body.?ente.orValue('-')", "\"-UFAAAA\"");
    gives("body.?x.?y.or(body.?ente).value()", "\"UFAAAA\"");
    gives("body.?x.hasValue()", "false");
    gives("body.righe[?5].hasValue()", "false");
    gives("body.nota == null ? 'none' : 'some'", "\"none\"");
    gives("all(body.ente)", r#"["UFAAAA"]"#);
    gives("all(body.nix)", "[]");
    gives("size(all(body.righe))", "2");
    gives("body.x.y == 1 || true", "true");
    gives("false && body.x.y == 1", "false");
}

#[test]
fn errors_name_the_field_and_what_is_there_never_values() {
    fails("body.entee", "`body` has no field `entee`; it has: ente, esercizio, importo");
    fails("body.ente.x", "`body.ente` is text, it has no field `x`");
    fails("body.nota.x", "`body.nota` is null");
    fails("body.righe[9]", "2 items");
    fails("body.righe.n", "a list, it has no field `n`");
    fails("body.ente == 1", "text and a number cannot be compared");
    fails("body.ente + 1", "string(...)");
    fails("body.ente.map(x, x)", "not a list");
    fails("upper(body.esercizio)", "`upper` needs text, but `body.esercizio` is a number");
    fails("sum(body.righe)", "one item is an object");
    fails("body.esercizio ? 1 : 2", "not true or false");
    for text in ["body.ente.x", "upper(body.righe)", "body.ente + 1", "decimal(body.ente)"] {
        assert!(!eval(text).unwrap_err().contains("UFAAAA"), "{text} shows a value");
    }
}

const FLOW: &str = r#"<?xml version="1.0"?><f:flusso xmlns:f="urn:x" versione="1.7.1"><testata><ente>A&amp;B</ente></testata>
  <mandato n="1"><importo valuta="EUR">10.00</importo></mandato><mandato n="2"><importo valuta="EUR">0.50</importo></mandato>
  <nota><![CDATA[<x>]]></nota></f:flusso>"#;

fn xml(text: &str) -> Result<String, String> {
    let program = Program::compile(text).map_err(|e| e.to_string())?;
    program.eval(&roots(Media::Xml, FLOW)).map(|value| value.to_string()).map_err(|e| e.detail)
}

#[test]
fn xml_is_seen_by_the_conventions_of_the_language() {
    assert_eq!(xml("body.flusso.testata.ente").unwrap(), "\"A&B\"");
    assert_eq!(xml("body.flusso['@versione']").unwrap(), "\"1.7.1\"");
    assert_eq!(xml("body.flusso.`@versione`").unwrap(), "\"1.7.1\"");
    assert_eq!(xml("body.flusso.nota").unwrap(), "\"<x>\"");
    assert!(xml("body.flusso.mandato").unwrap_err().contains("`body.flusso.mandato` is there 2 times"));
    assert!(xml("body.flusso.mandato").unwrap_err().contains("all(body.flusso.mandato)"));
    assert_eq!(xml("sum(all(body.flusso.mandato).map(m, decimal(m.importo)))").unwrap(), "10.50");
    assert_eq!(xml("all(body.flusso.mandato).map(m, m['@n'])").unwrap(), r#"["1","2"]"#);
    assert_eq!(xml("all(body.flusso.testata)[0].ente").unwrap(), "\"A&B\"");
    assert_eq!(xml("has(body.flusso.mandato) && !has(body.flusso.reversale)").unwrap(), "true");
    assert_eq!(xml("all(body.flusso.reversale)").unwrap(), "[]");
    assert!(xml("body.testata").unwrap_err().contains("it has: flusso"));
}

#[test]
fn hostile_xml_is_refused() {
    let read = |text: &str| Program::compile("body.a").unwrap().eval(&roots(Media::Xml, text)).unwrap_err().detail;
    assert!(read("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>").contains("DOCTYPE"));
    assert!(read("<a>&nbsp;</a>").contains("entity"));
    assert!(read(&"<a>".repeat(100)).contains("levels"));
    assert!(read("<a></b>").contains("not XML"));
    assert!(read("<a/><b/>").contains("one root"));
    assert!(read("").contains("one root"));
}

#[test]
fn bodies_that_cannot_be_read_only_fail_expressions_that_read_them() {
    let bad = roots(Media::Json, "{\"a\":1,\"a\":2}");
    assert!(Program::compile("body.a").unwrap().eval(&bad).unwrap_err().detail.contains("duplicate key"));
    assert_eq!(Program::compile("case.id").unwrap().eval(&bad).unwrap(), json!("A/1"));
    assert!(Program::compile("has(body.a)").unwrap().eval(&bad).is_err(), "unreadable is not missing");
    assert!(Program::compile("body.a").unwrap().eval(&roots(Media::Bytes, "x")).unwrap_err().detail.contains("binary"));
    assert_eq!(Program::compile("body.trim()").unwrap().eval(&roots(Media::Text, " t ")).unwrap(), json!("t"));
}

#[test]
fn work_is_bounded() {
    let body = format!("{{\"l\":[{}1]}}", "1,".repeat(5000));
    let big = roots(Media::Json, &body);
    let detail = |text: &str| Program::compile(text).unwrap().eval(&big).unwrap_err().detail;
    assert!(detail("body.l.map(x, body.l.map(y, x + y))").contains("steps of work"));
    assert!(detail("body.l.map(x, sum(body.l))").contains("steps of work"));
    assert!(detail("body.l.map(x, body.l == body.l)").contains("steps of work"));
    assert!(Program::compile("[1].map(a, [1].map(b, [1].map(c, c)))").is_err());
    assert!(Program::compile(&"(".repeat(2000)).is_err());
    assert!(Program::compile(&"!".repeat(2000)).is_err());
    assert!(Program::compile(&"a.b".repeat(3000)).is_err());
    assert!(Program::compile(&vec!["a"; 90].join("+")).is_ok());
    assert!(Program::compile(&vec!["a"; 400].join("+")).is_err());
}

fn threads<T: Send + Sync + Clone + 'static>() {}

#[test]
fn programs_can_be_shared() {
    threads::<Program>();
}

/// Expressions that both engines understand alike: whole numbers without division, texts, lists, truth.
fn number() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![(-9i64..100).prop_map(|n| format!("({n})")), Just("n".to_string()), Just("size(l)".to_string())];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop_oneof![Just("+"), Just("-"), Just("*")])
                .prop_map(|((a, b), sign)| format!("({a} {sign} {b})")),
            (two, inner.clone()).prop_map(|((a, b), c)| format!("({a} < {b} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.prop_map(|a| format!("l.map(x, x + {a})[1]")),
        ]
    })
}

fn truth() -> impl Strategy<Value = String> {
    let sign = prop_oneof![Just("<"), Just("<="), Just("=="), Just("!="), Just(">"), Just(">=")];
    let leaf = prop_oneof![
        (number(), sign, number()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        number().prop_map(|a| format!("l.exists(x, x > {a})")),
        number().prop_map(|a| format!("l.all(x, x != {a})")),
        number().prop_map(|a| format!("l.filter(x, x < {a}).size() == 1")),
        number().prop_map(|a| format!("({a} in l)")),
        Just("s.startsWith('a') && s.contains('b' + 'c')".to_string()),
        Just("has(m.k)".to_string()),
        Just("m.nope == 1".to_string()),
        Just("true".to_string()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn ours(text: &str) -> Result<Value, String> {
    let bound = json!({ "n": 3, "l": [1, 5, 9], "s": "abc", "m": { "k": 1 } });
    let roots = Roots::new(&message(Media::Json, "{}"), &Value::Null, &bound, "2026-03-01T00:00:00Z".parse().unwrap());
    Program::compile(text).map_err(|e| e.to_string())?.eval(&roots).map_err(|e| e.detail)
}

fn theirs(text: &str) -> Result<Value, String> {
    let mut context = cel::Context::default();
    context.add_variable_from_value("n", 3i64);
    context.add_variable_from_value("l", vec![1i64, 5, 9]);
    context.add_variable_from_value("s", "abc");
    context.add_variable_from_value("m", std::collections::HashMap::from([("k", 1i64)]));
    let program = cel::Program::compile(text).map_err(|e| e.to_string())?;
    match program.execute(&context).map_err(|e| e.to_string())? {
        cel::Value::Int(n) => Ok(json!(n)),
        cel::Value::Bool(b) => Ok(json!(b)),
        other => Err(format!("{other:?}")),
    }
}

proptest! {
    #[test]
    fn the_cel_crate_agrees(text in prop_oneof![number(), truth()]) {
        match (ours(&text), theirs(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs, "{}", text),
            (Err(_), Err(_)) => {}
            (Err(ours), Ok(_)) if ours.contains("are nested") || ours.contains("nested too deeply") => {}
            (ours, theirs) => prop_assert!(false, "{}: ours {:?}, theirs {:?}", text, ours, theirs),
        }
    }

    #[test]
    fn compiling_never_panics(text in "\\PC{0,80}") {
        drop(Program::compile(&text));
    }

    #[test]
    fn near_expressions_never_panic(parts in prop::collection::vec(prop::sample::select(vec![
        "body", ".", "x", "(", ")", "[", "]", "{", "}", "'a'", "\"", "'", "1", "1.5", "+", "-", "!", "?", ":", ",", "has", "all",
        "map", " ", "in", "==", "&&", "||", "\\", "é", ".?", "[?", "`", "//", "0x", "r'", "decimal", "null",
    ]), 0..30)) {
        let text = parts.concat();
        if let Ok(program) = Program::compile(&text) {
            drop(program.eval(&roots(Media::Json, ORDER)));
        }
    }

    #[test]
    fn money_adds_up_as_whole_cents(cents in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 1..30)) {
        let texts: Vec<String> = cents.iter().map(|c| rust_decimal::Decimal::new(*c, 2).to_string()).collect();
        let body = json!({ "l": texts }).to_string();
        let total = Program::compile("sum(body.l.map(x, decimal(x)))").unwrap().eval(&roots(Media::Json, &body)).unwrap();
        let wanted = rust_decimal::Decimal::new(cents.iter().sum(), 2);
        prop_assert_eq!(hub_core::decimal_of(&total).unwrap(), wanted);
    }
}

#[test]
fn zero_has_no_sign() {
    gives("-(1 - 1)", "0");
    gives("-0 + 0 * -1", "0");
    gives("round(decimal('-0.001'), 2)", "0.00");
    gives("int('-0.5')", "0");
}
