//! Tasks: every word of every person, in every order, against the rules written another way.

use hub_core::journal::{Decision, TaskKind};
use hub_life::task::{Command, Event, Outcome, Refusal, TaskState, Word, advance};

use crate::world::ts;

fn task(kind: TaskKind, people: u32) -> TaskState {
    TaskState {
        kind,
        role: "approvatore".into(),
        people,
        requester: "Anna".into(),
        entity: "UFAAAA".into(),
        sha256: "aa".into(),
        deadline: ts(10),
        escalate: Some((ts(5), "controllore".into())),
        escalated: false,
        approvals: Vec::new(),
        outcome: None,
    }
}

fn word(person: &str, role: &str, decision: Decision) -> Word {
    Word {
        person: person.into(),
        roles: vec!["operatore".into(), role.into()],
        entities: vec!["UFAAAA".into()],
        decision,
        comment: String::new(),
        sha256: "aa".into(),
    }
}

const DECISIONS: [Decision; 3] = [Decision::Approve, Decision::Reject, Decision::Done];

/// Every word that the small world knows: who, with which role, for which entity, about which document, saying what.
fn words() -> Vec<Word> {
    let mut words = Vec::new();
    for person in ["Anna", "Bruno", "Carla"] {
        for role in ["approvatore", "controllore", "amministratore"] {
            for (entity, sha256) in [("UFAAAA", "aa"), ("UFAAAA", "bb"), ("UFBBBB", "aa"), ("", "aa")] {
                let entities = if entity.is_empty() { vec![] } else { vec![entity.to_owned()] };
                words.extend(DECISIONS.map(|decision| Word {
                    entities: entities.clone(),
                    sha256: sha256.into(),
                    ..word(person, role, decision)
                }));
            }
        }
    }
    words
}

/// The rules as one condition, without an order of judging.
fn counts(task: &TaskState, word: &Word, now: u32) -> bool {
    let role = word.roles.contains(&task.role) || (task.escalated && word.roles.contains(&"controllore".to_owned()));
    let fits = (task.kind == TaskKind::Todo) == (word.decision == Decision::Done);
    let entity = word.entities.is_empty() || word.entities.contains(&task.entity);
    let fresh =
        word.decision != Decision::Approve || (word.person != task.requester && !task.approvals.contains(&word.person));
    task.outcome.is_none() && now < 10 && role && fits && entity && word.sha256 == task.sha256 && fresh
}

fn said(task: &TaskState, word: &Word, now: u32) -> TaskState {
    match advance(task, Event::Said(word.clone()), ts(now)) {
        Ok((next, commands)) => {
            assert!(counts(task, word, now), "{word:?} should not count for {task:?}");
            let closed = next.outcome.map(Command::Closed);
            assert_eq!(commands, std::iter::once(Command::Decided).chain(closed).collect::<Vec<_>>());
            next
        }
        Err(refusal) => {
            assert!(!counts(task, word, now), "{word:?} should count for {task:?}, was refused: {refusal:?}");
            task.clone()
        }
    }
}

/// What must hold for every task that anything led to.
fn check(task: &TaskState) {
    let mut people = task.approvals.clone();
    people.sort_unstable();
    people.dedup();
    assert_eq!(people.len(), task.approvals.len(), "one person approved twice: {task:?}");
    assert!(!people.contains(&task.requester), "the requester approved: {task:?}");
    let enough = people.len() >= task.people.max(1) as usize;
    assert_eq!(enough, task.outcome == Some(Outcome::Approved), "{task:?}");
}

#[test]
fn every_word_in_every_order_follows_the_rules() {
    let mut histories = 0_u64;
    for (kind, people) in [(TaskKind::Approve, 0), (TaskKind::Approve, 1), (TaskKind::Approve, 2), (TaskKind::Todo, 1)]
    {
        for (escalated, now) in [(false, 1), (true, 6), (true, 10)] {
            let start = TaskState { escalated, ..task(kind, people) };
            for first in words() {
                let one = said(&start, &first, now);
                check(&one);
                for second in words() {
                    let two = said(&one, &second, now);
                    check(&two);
                    histories += 1;
                }
            }
        }
    }
    println!("tasks: {histories} histories");
    assert_eq!(histories, 12 * 108 * 108);
}

#[test]
fn alarms_close_and_escalate_once_and_never_what_is_closed() {
    let start = task(TaskKind::Approve, 2);
    let alarm = |task: &TaskState, event, now| advance(task, event, ts(now)).unwrap();
    assert_eq!(alarm(&start, Event::EscalationDue, 4), (start.clone(), vec![]));
    let (escalated, commands) = alarm(&start, Event::EscalationDue, 5);
    assert_eq!(commands, [Command::Escalated("controllore".into())]);
    assert_eq!(alarm(&escalated, Event::EscalationDue, 6), (escalated.clone(), vec![]));
    assert_eq!(alarm(&start, Event::EscalationDue, 10), (start.clone(), vec![]), "its deadline has come as well");
    assert_eq!(alarm(&start, Event::DeadlineDue, 9), (start.clone(), vec![]));
    let (expired, commands) = alarm(&start, Event::DeadlineDue, 10);
    assert_eq!((expired.outcome, commands), (Some(Outcome::Expired), vec![Command::Closed(Outcome::Expired)]));
    let (withdrawn, commands) = alarm(&start, Event::Withdrawn, 1);
    assert_eq!((withdrawn.outcome, commands), (Some(Outcome::Withdrawn), vec![Command::Closed(Outcome::Withdrawn)]));
    for event in [Event::EscalationDue, Event::DeadlineDue, Event::Withdrawn] {
        assert_eq!(alarm(&expired, event.clone(), 20), (expired.clone(), vec![]));
        assert_eq!(alarm(&withdrawn, event, 20), (withdrawn.clone(), vec![]));
    }
}

/// Takes one reason after the other away; the next one in the order of judging must appear.
#[test]
fn the_first_reason_is_told() {
    let task = TaskState { approvals: vec!["Bruno".into()], ..task(TaskKind::Approve, 3) };
    let refused = |word: &Word, now| advance(&task, Event::Said(word.clone()), ts(now)).unwrap_err();
    let mut bad = word("Anna", "amministratore", Decision::Done);
    (bad.entities, bad.sha256) = (vec!["UFBBBB".into()], "bb".into());
    assert_eq!(refused(&bad, 10), Refusal::NotOpen);
    assert_eq!(refused(&bad, 1), Refusal::WrongRole);
    bad.roles.push("approvatore".into());
    assert_eq!(refused(&bad, 1), Refusal::WrongEntity);
    bad.entities.push("UFAAAA".into());
    assert_eq!(refused(&bad, 1), Refusal::WrongDecision);
    bad.decision = Decision::Approve;
    assert_eq!(refused(&bad, 1), Refusal::OtherDocument);
    bad.sha256 = "aa".into();
    assert_eq!(refused(&bad, 1), Refusal::Requester);
    bad.person = "Bruno".into();
    assert_eq!(refused(&bad, 1), Refusal::SamePerson);
    bad.person = "Carla".into();
    assert_eq!(advance(&task, Event::Said(bad), ts(1)).unwrap().1, [Command::Decided]);
}

#[test]
fn another_spelling_is_not_another_person() {
    let task = TaskState { approvals: vec!["Bruno".into()], ..task(TaskKind::Approve, 2) };
    let refused =
        |person| advance(&task, Event::Said(word(person, "approvatore", Decision::Approve)), ts(1)).unwrap_err();
    assert_eq!(refused("ANNA "), Refusal::Requester);
    assert_eq!(refused("bruno"), Refusal::SamePerson);
}

#[test]
fn an_unknown_requester_excludes_nobody_and_a_rejection_needs_one_person() {
    let task = TaskState { requester: String::new(), ..task(TaskKind::Approve, 2) };
    let (next, _) = advance(&task, Event::Said(word("Anna", "approvatore", Decision::Approve)), ts(1)).unwrap();
    assert_eq!(next.approvals, ["Anna"]);
    let (next, commands) = advance(&next, Event::Said(word("Anna", "approvatore", Decision::Reject)), ts(1)).unwrap();
    assert_eq!(next.outcome, Some(Outcome::Rejected));
    assert_eq!(commands, [Command::Decided, Command::Closed(Outcome::Rejected)]);
}
