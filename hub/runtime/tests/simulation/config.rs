//! What the hub of the simulation is told: routes with every kind of receiver, and the states of cases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use hub_core::Entities;
use hub_route::plan::Plan;
use hub_route::{CaseModel, RouteFile, World as Names, check, render};

use crate::mutants::Mutant;
use crate::outside::REGISTRY;

const ORDERS: &str = r#"
route: ordini
from: { sim: { name: ordini } }
case: { kind: pratica, id: "'c' + string(body.n)" }
lane: body.corsia
idempotent: { key: "'op' + string(body.n)", remember: 400d }
steps:
  - sim.step: {}
  - choice:
      - when: body.approva
        steps:
          - approve: { role: approvatore, people: 2, within: 1h, escalate: { after: 30m, to: controllore } }
  - state: approvata
  - choice:
      - when: body.via == "innocuo"
        steps:
          - to: { sim.sink: { to: "'innocuo'", repeat: harmless } }
      - when: body.via == "chiave"
        steps:
          - to: { sim.sink: { to: "'chiave'", repeat: keyed } }
      - when: body.via == "vietato"
        steps:
          - to: { sim.sink: { to: "'vietato'", repeat: forbidden } }
          - await: { name: esito, keys: ["'e' + string(body.n)"], within: 2h }
      - otherwise:
          - to: { sim.sink: { to: "'ente'", repeat: askable, lane: ente, holds: true }, as: invio }
          - await: { name: esito, keys: ["'x' + string(body.n)", "'e' + string(body.n)"], within: 2h, on_timeout: { task: controllore } }
  - state: inviata
  - to: { sim.sink: { to: "'registro'", repeat: harmless } }
  - state: approvata
  - state: chiusa
on_failure: { retry: { times: 2, min: 1s, max: 5s }, then: park }
"#;

const ANSWERS: &str = r#"
route: esiti
from: { sim: { name: esiti } }
steps:
  - resume: { name: esito, key: body.chiave, answer: body }
"#;

const CASES: &str = "
pratica:
  initial: [ricevuta]
  states:
    ricevuta: [approvata, respinto]
    approvata: [inviata]
    inviata: [chiusa]
    chiusa: []
    respinto: []
  final: [chiusa, respinto]
";

/// Checked once, and shared by all histories.
static PLANS: LazyLock<Vec<Arc<Plan>>> = LazyLock::new(|| plans(ORDERS));
/// The same with a door at every hub.
static OF_MANY: LazyLock<Vec<Arc<Plan>>> =
    LazyLock::new(|| plans(&ORDERS.replace("{ sim: { name: ordini } }", "{ sim.door: { name: ordini } }")));

pub(crate) fn routes(many: bool) -> Vec<Arc<Plan>> {
    if many { OF_MANY.clone() } else { PLANS.clone() }
}

pub(crate) fn cases(mutant: Option<Mutant>) -> CaseModel {
    let text = match mutant {
        Some(Mutant::MovesAsItLikes) => CASES.replace("inviata: [chiusa]", "inviata: [chiusa, approvata]"),
        _ => CASES.to_string(),
    };
    CaseModel::parse("cases.yaml", &text).expect("the cases are right")
}

fn plans(orders: &str) -> Vec<Arc<Plan>> {
    let file = |(path, text): (&str, &str)| RouteFile { path: path.into(), text: text.into() };
    let files: Vec<RouteFile> = [("ordini.yaml", orders), ("esiti.yaml", ANSWERS)].map(file).into();
    let names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (entities, cases) = (Entities::default(), cases(None));
    let world = Names { registry: REGISTRY, entities: &entities, cases: &cases, names: &names, read: &|_| None };
    let checked = check(&files, &world);
    let wrong = checked.problems.iter().any(hub_route::Problem::is_error);
    assert!(!wrong, "{}", render(&checked.problems, &files));
    checked.plans.into_iter().map(Arc::new).collect()
}
