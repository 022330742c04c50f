//! The queries, over a ledger that is written while it is read: each body runs on every database (`databases.rs`).

use hub_core::journal::{Event, ParkedKind, SendOutcome, What};
use hub_ledger::rows::CaseRow;
use hub_ledger::{CaseFilter, Error, MessageFilter, PageRequest, ParkedFilter, StatisticsFilter, TaskFilter, Visible};

use crate::events::{case, event, instant, moved, one_of_each, parked, received, task};
use crate::filled::{Filled, Kind};

fn only(entities: &[&str]) -> Visible {
    Visible::Only(entities.iter().map(ToString::to_string).collect())
}

fn ids(rows: &[CaseRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

/// A message that opened a case.
fn opened(id: &str, entity: &str, amount: &str, second: i64) -> Event {
    let mut event = event(case(id, entity, amount), second, received());
    event.message = format!("m-{id}");
    event
}

pub(crate) async fn pages_are_complete_and_do_not_repeat_while_cases_are_added(kind: Kind) {
    let entities = ["UFAAAA", "UFBBBB", "UFCCCC"];
    // many cases of the same instant: the id orders them
    let old: Vec<Event> =
        (0..57).map(|i| opened(&format!("c{i:02}"), entities[i % 3], "1.00", (i / 10) as i64)).collect();
    for visible in [Visible::All, only(&["UFAAAA", "UFCCCC"])] {
        let mut filled = Filled::with(kind.clone(), &old).await;
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let page = PageRequest { cursor, limit: Some(7) };
            let page = filled.ledger.cases(CaseFilter { page, ..CaseFilter::of(visible.clone()) }).await.unwrap();
            seen.extend(page.items.into_iter().map(|row| row.id));
            filled.add(&[opened(&format!("new{}", filled.next), "UFAAAA", "1.00", 1_000 + filled.next as i64)]).await;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected: Vec<&Event> =
            old.iter().filter(|e| visible.allows(e.case.entity.as_deref().unwrap_or_default())).collect();
        expected.sort_by_key(|e| std::cmp::Reverse((e.at, e.case.id.clone())));
        assert_eq!(seen, expected.iter().map(|e| e.case.id.clone()).collect::<Vec<_>>());
    }
}

pub(crate) async fn cases_are_found_by_each_filter(kind: Kind) {
    let filled = Filled::with(
        kind.clone(),
        &[
            opened("UFAAAA/2026/1", "UFAAAA", "10.00", 0),
            opened("UFAAAA/2026/2", "UFAAAA", "20.55", 10),
            opened("UFBBBB/2026/1", "UFBBBB", "30.00", 20),
            event(case("UFBBBB/2026/1", "UFBBBB", "30.00"), 30, moved("pagato")),
        ],
    )
    .await;
    let all = CaseFilter::of(Visible::All);
    let questions = [
        (CaseFilter { state: Some("pagato".into()), ..all.clone() }, vec!["UFBBBB/2026/1"]),
        (CaseFilter { entity: Some("UFAAAA".into()), ..all.clone() }, vec!["UFAAAA/2026/2", "UFAAAA/2026/1"]),
        (CaseFilter { text: Some("bbb/2026".into()), ..all.clone() }, vec!["UFBBBB/2026/1"]),
        (CaseFilter { from: Some(instant(10)), to: Some(instant(20)), ..all.clone() }, vec!["UFAAAA/2026/2"]),
        (
            CaseFilter { amount_min: "20.55".parse().ok(), amount_max: "29.99".parse().ok(), ..all.clone() },
            vec!["UFAAAA/2026/2"],
        ),
        (CaseFilter { kind: Some("fattura".into()), ..all.clone() }, vec![]),
        (CaseFilter { entity: Some("UFBBBB".into()), ..CaseFilter::of(only(&["UFAAAA"])) }, vec![]),
    ];
    for (question, expected) in questions {
        let page = filled.ledger.cases(question.clone()).await.unwrap();
        assert_eq!(ids(&page.items), expected, "{question:?}");
    }
    let text = "%' OR 1=1 --".to_string();
    assert_eq!(filled.ledger.cases(CaseFilter { text: Some(text), ..all }).await.unwrap().items, []);
}

pub(crate) async fn bad_questions_are_refused(kind: Kind) {
    let all = CaseFilter::of(Visible::All);
    let page = |cursor: &str| PageRequest { cursor: Some(cursor.into()), limit: None };
    let filled = Filled::new(kind.clone()).await;
    let bad_cursor = filled.ledger.cases(CaseFilter { page: page("nonsense"), ..all.clone() }).await;
    assert!(matches!(bad_cursor, Err(Error::BadCursor)), "{bad_cursor:?}");
    let thirds = filled.ledger.cases(CaseFilter { amount_min: "0.001".parse().ok(), ..all }).await;
    assert!(matches!(thirds, Err(Error::BadFilter(_))), "{thirds:?}");
}

pub(crate) async fn a_case_shows_all_that_belongs_to_it(kind: Kind) {
    let whats = one_of_each();
    let events: Vec<Event> = (0..)
        .zip(whats)
        .map(|(second, what)| event(case("UFAAAA/2026/1", "UFAAAA", "1234.50"), second, what))
        .collect();
    let filled = Filled::with(kind.clone(), &events).await;
    let id = "UFAAAA/2026/1";
    assert_eq!(filled.ledger.case(id, only(&["UFBBBB"])).await.unwrap(), None);
    let detail = filled.ledger.case(id, only(&["UFAAAA"])).await.unwrap().unwrap();
    assert_eq!((detail.case.state.as_str(), detail.case.events), ("approvato", events.len() as u64));
    assert_eq!(detail.case.amount.unwrap().to_string(), "1234.50");
    assert_eq!(detail.timeline.len(), events.len());
    assert_eq!(detail.documents[0].name, "flusso.xml");
    let task = &detail.tasks[0];
    assert_eq!((task.approvals, task.outcome.as_str(), task.escalated_role.as_str()), (1, "approved", "controllore"));
    let send = &detail.sends[0];
    assert_eq!((send.state.as_str(), send.remote_id.as_str(), send.sha256.as_str()), ("delivered", "77", "ff"));
    assert_eq!((detail.waits[0].state.as_str(), detail.waits[0].keys.len()), ("answered", 2));
    let parked = &detail.parked[0];
    assert_eq!((parked.state.as_str(), parked.by.as_str(), parked.actions.len()), ("released", "bruno", 0));
    assert_eq!(parked.evidence["importo"], "12.10");

    let first = PageRequest { cursor: None, limit: Some(10) };
    let first = filled.ledger.timeline(id, Visible::All, first).await.unwrap().unwrap();
    let second = PageRequest { cursor: first.next.clone(), limit: Some(10) };
    let second = filled.ledger.timeline(id, Visible::All, second).await.unwrap().unwrap();
    let kinds: Vec<_> = first.items.iter().chain(&second.items).map(|event| event.kind.clone()).collect();
    assert_eq!(kinds, events.iter().map(|e| hub_ledger::kind_of(&e.what)).collect::<Vec<_>>());
    assert_eq!(second.next, None);

    let seen = filled.ledger.document("dd", only(&["UFAAAA"])).await.unwrap();
    assert_eq!(seen.unwrap().case, id);
    assert_eq!(filled.ledger.document("dd", only(&["UFBBBB"])).await.unwrap(), None);
    assert_eq!(filled.ledger.document("dd", only(&[])).await.unwrap(), None);
}

pub(crate) async fn a_case_stays_with_its_first_entity_and_gets_one_later_if_it_had_none(kind: Kind) {
    let filled = Filled::with(
        kind.clone(),
        &[
            event(case("A", "", ""), 0, What::TaskOpened(task("t"))),
            event(case("A", "UFAAAA", "5.00"), 1, moved("x")),
            event(case("A", "UFBBBB", ""), 2, moved("y")),
        ],
    )
    .await;
    let detail = filled.ledger.case("A", only(&["UFAAAA"])).await.unwrap().unwrap();
    assert_eq!((detail.case.entity.as_str(), detail.tasks[0].entity.as_str()), ("UFAAAA", "UFAAAA"));
    assert_eq!(detail.case.amount.unwrap().to_string(), "5.00");
    assert_eq!(filled.ledger.case("A", only(&["UFBBBB"])).await.unwrap(), None);
}

pub(crate) async fn what_has_no_entity_is_for_those_who_see_all(kind: Kind) {
    let filled =
        Filled::with(kind.clone(), &[event(case("A", "", ""), 0, What::Parked(parked("p", ParkedKind::Refused)))])
            .await;
    let counts = filled.ledger.counts(Visible::All).await.unwrap();
    assert_eq!(counts.parked, 1);
    for visible in [only(&["UFAAAA"]), only(&[""]), only(&[])] {
        assert_eq!(filled.ledger.case("A", visible.clone()).await.unwrap(), None);
        assert_eq!(filled.ledger.parked("p", visible.clone()).await.unwrap(), None);
        assert_eq!(filled.ledger.counts(visible.clone()).await.unwrap().parked, 0);
        assert_eq!(filled.ledger.parked_list(ParkedFilter::of(visible)).await.unwrap().items, []);
    }
}

pub(crate) async fn tasks_are_found_by_role_entity_and_state(kind: Kind) {
    let filled = Filled::with(
        kind.clone(),
        &[
            event(case("A", "UFAAAA", ""), 0, What::TaskOpened(task("t1"))),
            event(case("B", "UFBBBB", ""), 1, What::TaskOpened(task("t2"))),
            event(case("B", "UFBBBB", ""), 2, What::TaskEscalated { task: "t2".into(), to: "controllore".into() }),
            event(case("A", "UFAAAA", ""), 3, What::TaskClosed { task: "t1".into(), outcome: "expired".into() }),
        ],
    )
    .await;
    let roles = |role: &str| Some(vec![role.to_string()]);
    let all = TaskFilter::of(Visible::All);
    for (filter, expected) in [
        (TaskFilter { roles: roles("approvatore"), ..all.clone() }, vec!["t2", "t1"]),
        (TaskFilter { roles: roles("controllore"), ..all.clone() }, vec!["t2"]),
        (TaskFilter { roles: roles("revisore"), ..all.clone() }, vec![]),
        (TaskFilter { open: Some(true), ..all.clone() }, vec!["t2"]),
        (TaskFilter { open: Some(false), ..all.clone() }, vec!["t1"]),
        (TaskFilter { case: Some("A".into()), ..all.clone() }, vec!["t1"]),
        (TaskFilter::of(only(&["UFAAAA"])), vec!["t1"]),
    ] {
        let page = filled.ledger.tasks(filter.clone()).await.unwrap();
        assert_eq!(page.items.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    assert_eq!(filled.ledger.counts(only(&["UFBBBB"])).await.unwrap().open_tasks, 1);
}

pub(crate) async fn a_parked_message_says_what_may_be_done_and_moves_its_message(kind: Kind) {
    let release = |action: &str| What::Released {
        parked: "p".into(),
        action: action.into(),
        by: "bruno".into(),
        note: String::new(),
    };
    let mut filled = Filled::with(kind.clone(), &[opened("A", "UFAAAA", "", 0)]).await;
    let on_a = |second, what| {
        let mut event = event(case("A", "UFAAAA", ""), second, what);
        event.message = "m-A".into();
        event
    };
    filled.add(&[on_a(1, What::Parked(parked("p", ParkedKind::InDoubt)))]).await;
    let row = filled.ledger.parked("p", Visible::All).await.unwrap().unwrap();
    assert_eq!(row.actions, ["delivered", "not_delivered", "give_up"]);
    let state = async |filled: &Filled| filled.ledger.message("m-A", Visible::All).await.unwrap().unwrap().state;
    assert_eq!(state(&filled).await, "parked");
    filled.add(&[on_a(2, release("not_delivered"))]).await;
    assert_eq!(state(&filled).await, "working");
    filled.add(&[on_a(3, What::Parked(parked("p", ParkedKind::Step)))]).await;
    let again = filled.ledger.parked("p", Visible::All).await.unwrap().unwrap();
    assert_eq!((again.state.as_str(), again.action.as_str(), again.released_at), ("open", "", None));
    filled.add(&[on_a(4, release("give_up"))]).await;
    assert_eq!(state(&filled).await, "given_up");
    let open = ParkedFilter { open: Some(true), ..ParkedFilter::of(Visible::All) };
    assert_eq!(filled.ledger.parked_list(open).await.unwrap().items, []);
    let of_route = MessageFilter { route: Some("mandati-siope".into()), ..MessageFilter::of(Visible::All) };
    assert_eq!(filled.ledger.messages(of_route).await.unwrap().items.len(), 1);
}

pub(crate) async fn sums_are_exact(kind: Kind) {
    let amounts = ["0.10", "0.20", "99999999999.99", "0.005", "", "100000000000.01"];
    let mut filled = Filled::new(kind.clone()).await;
    for (i, amount) in (0..).zip(amounts) {
        let id = format!("c{i}");
        filled.add(&[opened(&id, "UFAAAA", amount, 0), event(case(&id, "UFAAAA", amount), 1, moved("pagato"))]).await;
    }
    let rows = filled.ledger.statistics(StatisticsFilter::of(Visible::All)).await.unwrap();
    let states: Vec<_> = rows.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["", "pagato"]);
    for row in &rows {
        assert_eq!((row.count, row.amount.to_string().as_str(), row.without_amount), (6, "100000000000.29", 3));
        assert_eq!(row.month, "2026-03");
    }
    let other = StatisticsFilter { from: Some("2026-04".into()), ..StatisticsFilter::of(Visible::All) };
    assert_eq!(filled.ledger.statistics(other).await.unwrap(), []);
    assert_eq!(filled.ledger.statistics(StatisticsFilter::of(only(&["UFBBBB"]))).await.unwrap(), []);
}

pub(crate) async fn lists_of_many_cases_come_in_bounded_pages(kind: Kind) {
    let cases = kind.many();
    let mut filled = Filled::new(kind.clone()).await;
    for first in (0..cases).step_by(5_000) {
        let one = |n: i64| opened(&format!("C{n:06}"), ["UFAAAA", "UFBBBB"][usize::from(n % 2 == 1)], "1.00", n);
        filled.add(&(first..first + 5_000).map(one).collect::<Vec<_>>()).await;
    }
    let most = PageRequest { cursor: None, limit: Some(200) };
    for visible in [Visible::All, only(&["UFAAAA"]), only(&["UFAAAA", "UFBBBB"])] {
        let mut filter = CaseFilter::of(visible.clone());
        filter.page = most.clone();
        let page = filled.ledger.cases(filter.clone()).await.unwrap();
        assert_eq!(page.items.len(), 200);
        assert!(serde_json::to_vec(&page.items).unwrap().len() < 100_000, "an answer of 200 rows stays small");
        // The last page is as cheap as the first: a page is read from its place on, not counted from the beginning.
        filter.to = Some(instant(5));
        assert!(filled.ledger.cases(filter).await.unwrap().items.len() <= 5);
        let messages = MessageFilter { page: most.clone(), ..MessageFilter::of(visible.clone()) };
        assert_eq!(filled.ledger.messages(messages).await.unwrap().items.len(), 200);
    }
    let (mut seen, mut cursor) = (0, None);
    loop {
        let page = PageRequest { cursor, limit: Some(200) };
        let page = filled.ledger.cases(CaseFilter { page, ..CaseFilter::of(Visible::All) }).await.unwrap();
        seen += page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, usize::try_from(cases).unwrap());
    assert_eq!(filled.ledger.statistics(StatisticsFilter::of(Visible::All)).await.unwrap().len(), 2);
}

pub(crate) async fn what_needs_attention_is_counted_with_its_oldest_and_its_next(kind: Kind) {
    let doubt = |outgoing: &str, outcome| What::SendSettled {
        outgoing: outgoing.into(),
        sink: "siope.flusso".into(),
        attempt: 1,
        outcome,
        remote_id: String::new(),
        evidence: serde_json::Value::Null,
    };
    let wait = What::WaitOpened { wait: "w".into(), name: "ack".into(), keys: vec![], deadline: instant(500) };
    let mut filled = Filled::with(
        kind.clone(),
        &[
            event(case("A", "UFAAAA", ""), 0, What::TaskOpened(task("t1"))),
            event(case("A", "UFAAAA", ""), 1, doubt("o1", SendOutcome::InDoubt)),
            event(case("A", "UFAAAA", ""), 2, doubt("o2", SendOutcome::InDoubt)),
            event(case("A", "UFAAAA", ""), 3, What::Parked(parked("o1", ParkedKind::InDoubt))),
            event(case("A", "UFAAAA", ""), 4, wait),
        ],
    )
    .await;
    let seen = filled.ledger.attention(instant(501)).await.unwrap();
    assert_eq!((seen.in_doubt, seen.oldest_in_doubt), (2, Some(instant(1))));
    assert_eq!((seen.parked, seen.oldest_parked), (1, Some(instant(3))));
    assert_eq!((seen.open_tasks, seen.waiting), (1, 1));
    assert_eq!((seen.deadline_near, seen.next_deadline), (1, Some(instant(500))));
    let release = |parked: &str, action: &str| What::Released {
        parked: parked.into(),
        action: action.into(),
        by: "anna".into(),
        note: "asked by telephone".into(),
    };
    // Whatever a person says about a doubt ends it; a late proof settles the other one.
    filled
        .add(&[
            event(case("A", "UFAAAA", ""), 5, release("o1", "give_up")),
            event(case("A", "UFAAAA", ""), 6, doubt("o2", SendOutcome::Delivered)),
            event(
                case("A", "UFAAAA", ""),
                7,
                What::WaitAnswered { wait: "w".into(), name: "ack".into(), by: "m".into() },
            ),
        ])
        .await;
    let seen = filled.ledger.attention(instant(0)).await.unwrap();
    assert_eq!((seen.in_doubt, seen.parked, seen.waiting, seen.deadline_near), (0, 0, 0, 0));
    let detail = filled.ledger.case("A", Visible::All).await.unwrap().unwrap();
    let states: Vec<_> = detail.sends.iter().map(|send| send.state.as_str()).collect();
    assert_eq!(states, ["given_up", "delivered"]);
}

pub(crate) async fn a_text_with_a_nul_is_found_again(kind: Kind) {
    let mut odd = opened("A\0B", "UFAAAA", "1.00", 0);
    odd.message = "m\0".into();
    let filled = Filled::with(kind, &[odd]).await;
    let found = filled.ledger.case("A\0B", Visible::All).await.unwrap().unwrap();
    assert_eq!((found.case.id.as_str(), found.timeline[0].message.as_str()), ("A\u{FFFD}B", "m\u{FFFD}"));
}
