//! What the runtime relies on in a plan.

use hub_core::Repeat;
use hub_route::plan::{End, OnTimeout, OpKind, Plan};

use crate::world::{checked, checked_text, file};

fn plan(steps: &str) -> Plan {
    let text = format!(
        "route: x\nfrom: {{ http: {{ path: /in, auth: mtls }} }}\ncase: {{ kind: mandato, id: body.id, entity: body.ente }}\nsteps:\n{steps}"
    );
    let mut checked = checked_text(&text);
    let errors: Vec<_> = checked.problems.iter().filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    checked.plans.remove(0)
}

#[test]
fn leading_judges_are_counted_and_only_leading_ones() {
    let steps =
        "  - validate: { json_schema: schemas/mandato.json }\n  - opi.check:\n  - log: \"'x'\"\n  - opi.check: {}\n";
    assert_eq!(plan(steps).judges, 2);
    assert_eq!(plan("  - log: \"'x'\"\n  - opi.check: {}\n").judges, 0);
}

#[test]
fn every_segment_that_is_named_is_there() {
    let steps = "  - approve: { role: approvatore, within: 1h, on_reject: [ { task: { role: operatore, within: 1d } } ] }
  - choice:
      - when: body.a == 1
        steps:
          - to: { file: { folder: out, name: case.id } }
          - split: { each: body.righe, as: r, steps: [ { await: { name: n, keys: [case.id], within: 1h, on_timeout: { steps: [ { log: case.id } ] } } } ] }
      - when: body.a == 2
        steps: [ { log: case.id } ]
  - task: { role: operatore, within: 1d }\n";
    let plan = plan(steps);
    for (id, segment) in &plan.segments {
        assert_eq!(id, &segment.id);
        let next: Vec<&String> = match &segment.end {
            End::Finish => vec![],
            End::Goto(next) => vec![next],
            End::Choice { branches, next } => branches.iter().map(|branch| &branch.then).chain([next]).collect(),
            End::Split { item, next, .. } => vec![item, next],
            End::To(send) => vec![&send.next],
            End::Await { on_timeout: OnTimeout::Segment(late), next, .. } => vec![late, next],
            End::Await { next, .. } => vec![next],
            End::Approve(task) => task.on_reject.iter().chain([&task.next]).collect(),
        };
        for next in next {
            assert!(plan.segments.contains_key(next), "{id} leads to {next}, which is not there");
        }
    }
    let ids: Vec<&str> = plan.segments.keys().map(String::as_str).collect();
    let wanted = [
        "",
        "0.reject.0",
        "0.reject.1",
        "1",
        "1.0.0",
        "1.0.1",
        "1.0.1.0",
        "1.0.1.0.timeout.0",
        "1.0.1.1",
        "1.1.0",
        "2",
        "3",
    ];
    assert_eq!(ids, wanted);
    assert!(matches!(&plan.segments["1.1.0"].end, End::Goto(next) if next == "2"));
    assert!(matches!(&plan.segments["1.0.1"].end, End::Split { next, .. } if next == "2"));
    assert!(matches!(plan.segments["3"].end, End::Finish));
}

fn send(plan: &Plan, id: &str) -> (Repeat, Option<(String, Vec<String>)>) {
    let End::To(send) = &plan.segments[id].end else { panic!("segment {id} ends otherwise") };
    let texts = |keys: &Vec<hub_route::expression::Program>| keys.iter().map(|key| key.text.clone()).collect();
    (send.repeat, send.witnesses.as_ref().map(|(name, keys)| (name.clone(), texts(keys))))
}

#[test]
fn an_await_behind_a_send_is_its_witness_by_keys_known_before() {
    let to = "  - to: { siope.flusso: { connection: siope, entity: case.entity }, as: invio }\n";
    let wait = "  - await: { name: siope-ack, keys: [case.id, invio.prog], within: 1h }\n";
    let known = Some(("siope-ack".to_string(), vec!["case.id".to_string()]));
    assert_eq!(send(&plan(&format!("{to}{wait}")), ""), (Repeat::Askable, known.clone()));
    assert_eq!(send(&plan(&format!("{to}  - state: trasmesso\n{wait}")), "").1, known, "a state may stand between");
    assert_eq!(
        send(&plan(&format!("{to}  - filter: body.x == 1\n{wait}")), "").1,
        None,
        "a filter may drop the message"
    );
    assert_eq!(send(&plan(&format!("{to}{to}")[..].replacen("invio", "a", 1)), "").1, None);
    let receipt_only = wait.replace("case.id, ", "");
    assert_eq!(send(&plan(&format!("{to}{receipt_only}")), "").1, None);
}

#[test]
fn a_choice_without_effects_stays_in_its_segment() {
    let plan = plan("  - choice: [ { when: body.a == 1, steps: [ { state: firmato } ] } ]\n  - log: case.id\n");
    let segment = &plan.segments[""];
    assert!(matches!(segment.ops[0].what, OpKind::Choice(_)) && segment.ops.len() == 2);
    assert_eq!((segment.ops[0].place.as_str(), segment.ops[0].line), ("0", 5));
    assert!(matches!(segment.end, End::Finish));
}

#[test]
fn expression_fields_of_plugins_are_params_and_numbers_count_as_expressions() {
    let plan = plan("  - sign.xades: { key: opi, reason: body.x }\n  - to: { file: { folder: out, name: 12 } }\n");
    let OpKind::Step { params, .. } = &plan.segments[""].ops[0].what else { panic!("no step") };
    assert_eq!(
        params.iter().map(|(name, p)| (name.as_str(), p.text.as_str())).collect::<Vec<_>>(),
        [("reason", "body.x")]
    );
    let End::To(send) = &plan.segments[""].end else { panic!("no send") };
    assert_eq!(send.params[0].1.text, "12");
}

#[test]
fn the_version_covers_text_and_named_files_but_not_line_ends() {
    let text =
        "route: x\nfrom: { timer: { every: 1h } }\nsteps:\n  - validate: { json_schema: schemas/mandato.json }\n";
    let version = |text: &str| checked(&[file("a.yaml", text)]).plans.remove(0).version;
    assert_eq!(version(text).len(), 16);
    assert_eq!(version(text), version(&text.replace('\n', "\r\n")));
    assert_ne!(version(text), version(&text.replace("1h", "2h")));
    assert_ne!(version(text), version(&text.replace("mandato.json", "reversale.json")));
}
