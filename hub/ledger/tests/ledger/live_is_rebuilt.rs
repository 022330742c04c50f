//! Events applied live, in whatever batches, give the same content as a rebuild; a replay changes nothing.

use hub_core::journal::{Event, What};
use hub_ledger::sqlite::{self, digest};
use hub_ledger::{Error, JournalRecord};
use proptest::prelude::*;

use crate::events::{apply, case, empty, event, one_of_each, renamed};

/// A journal of four partitions: each case lives on one of them.
fn journals() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let kinds = one_of_each();
    let one = (0..6usize, 0..kinds.len(), 0..3usize, 0..4usize, 0..40_000_000i64);
    proptest::collection::vec(one, 1..120).prop_map(move |picks| {
        let mut partitions = vec![Vec::new(); 4];
        for (which, kind, entity, amount, second) in picks {
            let entity = ["", "UFAAAA", "UFBBBB"][entity];
            let amount = ["", "0.01", "1234567.89", "1.005"][amount];
            let mut event =
                event(case(&format!("c{which}"), entity, amount), second, renamed(&kinds[kind], &which.to_string()));
            event.message = format!("m{which}");
            partitions[which % 4].push(event);
        }
        partitions
    })
}

fn finished() -> Event {
    event(case("A", "E", ""), 0, What::Finished)
}

fn bytes_of(partitions: &[Vec<Event>]) -> Vec<(u16, u64, Vec<u8>)> {
    let mut records = Vec::new();
    for (partition, events) in (0..).zip(partitions) {
        records.extend((0..).zip(events).map(|(offset, e)| (partition, offset, serde_json::to_vec(e).unwrap())));
    }
    records
}

fn apply_all(conn: &rusqlite::Connection, records: &[(u16, u64, Vec<u8>)]) -> Result<(), Error> {
    let records = records.iter().map(|(partition, offset, bytes)| JournalRecord {
        partition: *partition,
        offset: *offset,
        bytes,
    });
    sqlite::apply(conn, records)
}

/// The records in another order that keeps each partition's own.
fn interleaved(records: &[(u16, u64, Vec<u8>)], order: &[u8]) -> Vec<(u16, u64, Vec<u8>)> {
    let mut queues: Vec<Vec<_>> =
        (0..4).map(|p| records.iter().filter(|r| r.0 == p).cloned().rev().collect()).collect();
    let mut out = Vec::new();
    for pick in order.iter().cycle().take(records.len() * 8) {
        out.extend(queues[usize::from(pick % 4)].pop());
    }
    queues.into_iter().for_each(|queue| out.extend(queue.into_iter().rev()));
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn live_in_any_batches_equals_rebuilt(
        partitions in journals(),
        sizes in proptest::collection::vec(1..9usize, 1..20),
        order in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let records = bytes_of(&partitions);
        let (rebuilt, live) = (empty(), empty());
        apply_all(&rebuilt, &records).unwrap();

        let mixed = interleaved(&records, &order);
        let mut rest = mixed.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break }
            let (batch, tail) = rest.split_at((*size).min(rest.len()));
            apply_all(&live, batch).unwrap();
            // a replay of what was just applied, as after a lost answer, changes nothing
            apply_all(&live, batch).unwrap();
            rest = tail;
        }
        prop_assert_eq!(digest(&live).unwrap(), digest(&rebuilt).unwrap());

        sqlite::clear(&live).unwrap();
        prop_assert_ne!(digest(&live).unwrap(), digest(&rebuilt).unwrap());
        apply_all(&live, &records).unwrap();
        prop_assert_eq!(digest(&live).unwrap(), digest(&rebuilt).unwrap());
    }
}

#[test]
fn a_gap_is_refused_and_says_what_to_do() {
    let conn = empty();
    let events = [finished()];
    apply(&conn, 0, &events).unwrap();
    let error = apply(&conn, 2, &events).unwrap_err();
    assert!(matches!(error, Error::Gap { partition: 0, seen: 1, given: 2 }), "{error}");
    assert!(error.to_string().contains("raccordo ledger rebuild"));
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let conn = empty();
    let bad = JournalRecord { partition: 3, offset: 0, bytes: b"{\"v\":1" };
    let error = sqlite::apply(&conn, [bad]).unwrap_err().to_string();
    assert!(error.contains("journal/3 offset 0"), "{error}");

    let mut newer = finished();
    newer.v = 9;
    let bytes = serde_json::to_vec(&newer).unwrap();
    let error = sqlite::apply(&conn, [JournalRecord { partition: 0, offset: 0, bytes: &bytes }]).unwrap_err();
    assert!(error.to_string().contains("event format 9"), "{error}");
}

#[test]
fn tables_of_another_shape_are_made_again() {
    let conn = empty();
    apply(&conn, 0, &[finished()]).unwrap();
    sqlite::prepare(&conn).unwrap();
    assert_eq!(sqlite::position(&conn, 0).unwrap(), 1);
    conn.execute("UPDATE ledger_shape SET shape = 0", []).unwrap();
    sqlite::prepare(&conn).unwrap();
    assert_eq!(sqlite::position(&conn, 0).unwrap(), 0);
    assert_eq!(digest(&conn).unwrap(), digest(&empty()).unwrap());
}
