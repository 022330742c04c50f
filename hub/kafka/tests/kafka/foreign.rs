//! Records that no hub wrote, in every topic: they are skipped and reported, and nothing ends.

use hub_backbone::{Backbone, Commit, Place, RECORD_BYTES_MAX, Topic};

use crate::broker::{broker, settings};
use crate::raw::{self, Raw};
use crate::{open, reopen};

const INBOX: Place = Place::new(Topic::INBOX, 0);

fn raw(header: Option<Vec<u8>>, bytes: usize) -> Raw {
    Raw { key: b"k".to_vec(), value: vec![1; bytes], header }
}

/// Wrong in every way that we could think of. `copy` is a record of ours from another place of the log.
fn wrong(copy: &Raw) -> Vec<Raw> {
    let mut header = vec![1];
    header.extend_from_slice(&99u64.to_be_bytes());
    header.extend_from_slice(&[0; 32]);
    let no_text = Raw { key: vec![0xff], ..raw(Some(header.clone()), 1) };
    vec![
        raw(None, 10),
        raw(Some(Vec::new()), 10),
        raw(Some(vec![9; 41]), 10),
        raw(Some(vec![1; 7]), 10),
        raw(Some(header), RECORD_BYTES_MAX + 1),
        no_text,
        copy.clone(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_records_are_skipped_and_reported() {
    let Some(broker) = broker() else { return };
    let settings = settings(broker, 1);
    let mut store = open(&settings).await;
    for round in 0..3u64 {
        let mut step = Commit::new();
        step.append(INBOX, format!("{round}"), "ours");
        step.put(INBOX, "s", round.to_string(), "ours");
        assert_eq!(store.commit(step).await.expect("a commit"), [round], "ours go on without a gap");
        let topic = raw::topic(&settings, INBOX);
        let copy = raw::read(&settings, &topic, 0)[0].clone();
        raw::write(&settings, &topic, 0, &wrong(&copy));
        raw::write(&settings, &format!("{topic}.state"), 0, &wrong(&copy));
        raw::write(&settings, &format!("{}.epochs", settings.prefix), 0, &wrong(&copy));
        store = reopen(store, &settings).await;
        let all = store.read(INBOX, 0, 100, 100_000).await.expect("read");
        assert_eq!(all.len() as u64, round + 1);
        assert!(all.iter().all(|record| &record.bytes[..] == b"ours"));
        assert_eq!(store.scan(INBOX, "s", None, 10).await.expect("scan").len() as u64, round + 1);
    }
    let (count, met) = store.quarantined();
    assert!(count >= 3 * 7 * 2, "{count} of three rounds in three topics");
    let reasons: Vec<&str> = met.iter().map(|one| one.reason.as_str()).collect();
    for part in ["another program", "empty", "version 9", "instead of 41", "at most", "no text", "was there before"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:?}");
    }
    store.close().await;
}
