//! The ledger inside the real embedded store.

use hub_backbone::{Archive, Backbone, Commit, Embedded, EmbeddedSettings, Place, Topic};
use hub_core::journal::Event;
use hub_ledger::{CaseFilter, Error, Ledger, LedgerView, Visible};
use std::sync::Arc;

use crate::events::{case, event, one_of_each, renamed};

fn events(id: &str) -> Vec<Event> {
    let whats = (0..).zip(one_of_each());
    whats.map(|(second, what)| event(case(id, "UFAAAA", "10.00"), second, renamed(&what, id))).collect()
}

#[tokio::test]
async fn rows_change_with_the_journal_and_a_rebuild_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings::new(folder.path().join("hub.db"), 4).with_view(LedgerView);
    let store = Arc::new(Embedded::open(settings).unwrap());
    let ledger = Ledger::new(store.clone());
    for id in ["A", "B", "C", "D", "E"] {
        let mut commit = Commit::new();
        for event in events(id) {
            commit.append(Place::of_key(Topic::JOURNAL, id, 4), id, serde_json::to_vec(&event).unwrap());
        }
        let _ = store.commit(commit).await.unwrap();
    }
    assert_eq!(ledger.cases(CaseFilter::of(Visible::All)).await.unwrap().items.len(), 5);
    let live = ledger.digest().await.unwrap();
    let archive = Arc::new(Archive::open(folder.path().join("archive")).unwrap());
    assert_eq!(hub_ledger::catch_up(&store, &archive).await.unwrap(), 0);
    let all = 5 * one_of_each().len() as u64;
    assert_eq!(hub_ledger::rebuild(&store, &archive).await.unwrap(), all);
    assert_eq!(ledger.digest().await.unwrap(), live);

    // A part of the journal leaves the log; what is rebuilt from both is the same.
    for partition in 0..4 {
        let place = Place::new(Topic::JOURNAL, partition);
        let half = usize::try_from(store.end(place).await.unwrap() / 2).unwrap();
        for (from, to) in [(0, half / 2), (half / 2, half)] {
            if to > from {
                let records = store.read(place, from as u64, to - from, usize::MAX).await.unwrap();
                let _ = archive.seal(place, &records, "then").unwrap();
            }
        }
        store.trim(place, half as u64).await.unwrap();
    }
    assert_eq!(hub_ledger::rebuild(&store, &archive).await.unwrap(), all);
    assert_eq!(ledger.digest().await.unwrap(), live);
    let empty = Arc::new(Archive::open(folder.path().join("other")).unwrap());
    let error = hub_ledger::rebuild(&store, &empty).await.unwrap_err();
    assert!(matches!(error, Error::Store(_) | Error::Gap { .. }), "what is missing is told: {error}");
    assert_eq!(hub_ledger::rebuild(&store, &archive).await.unwrap(), all, "and made up for");
    assert_eq!(ledger.digest().await.unwrap(), live);
    store.close().await;
}

#[tokio::test]
async fn a_store_that_began_without_a_ledger_is_caught_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let store = Embedded::open(EmbeddedSettings::new(&path, 2)).unwrap();
    let mut commit = Commit::new();
    for event in events("A") {
        commit.append(Place::of_key(Topic::JOURNAL, "A", 2), "A", serde_json::to_vec(&event).unwrap());
    }
    let _ = store.commit(commit).await.unwrap();
    store.close().await;

    let store = Arc::new(Embedded::open(EmbeddedSettings::new(&path, 2).with_view(LedgerView)).unwrap());
    let archive = Arc::new(Archive::open(folder.path().join("archive")).unwrap());
    assert_eq!(hub_ledger::catch_up(&store, &archive).await.unwrap(), one_of_each().len() as u64);
    let detail = Ledger::new(store.clone()).case("A", Visible::All).await.unwrap().unwrap();
    assert_eq!(detail.case.events, one_of_each().len() as u64);
    store.close().await;
}
