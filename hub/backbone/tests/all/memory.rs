//! What only the memory backbone does: faults on demand, lives that fence each other.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hub_backbone::{Backbone, Error, Fault, Memory};
use tokio::time::Instant;

use crate::{inbox, one, read_all};

#[tokio::test(start_paused = true)]
async fn faults_do_what_they_say() {
    let count = AtomicU32::new(0);
    let store = Memory::new(1).with_faults(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Fault::Delay(Duration::from_secs(3_600)),
        1 => Fault::Refuse(Error::Io("refused".to_owned())),
        2 => Fault::Lose(Error::Io("lost".to_owned())),
        _ => Fault::None,
    });
    let begin = Instant::now();
    assert_eq!(store.commit(one(inbox(0), "slow", b"")).await.expect("done"), [0]);
    assert_eq!(begin.elapsed(), Duration::from_secs(3_600));
    assert!(matches!(store.commit(one(inbox(0), "no", b"")).await, Err(Error::Io(text)) if text == "refused"));
    assert!(matches!(store.commit(one(inbox(0), "yes", b"")).await, Err(Error::Io(text)) if text == "lost"));
    assert_eq!(store.commit(one(inbox(0), "last", b"")).await.expect("done"), [2]);
    let keys: Vec<_> = read_all(&store, inbox(0)).await.expect("read").into_iter().map(|record| record.key).collect();
    assert_eq!(keys, ["slow", "yes", "last"]);
}

#[tokio::test]
async fn an_earlier_life_is_fenced() {
    let first = Memory::new(2);
    first.commit(one(inbox(0), "a", b"")).await.expect("done");
    let second = first.reopen();
    assert!(matches!(first.commit(one(inbox(0), "b", b"")).await, Err(Error::Fenced(_))));
    assert!(matches!(first.trim(inbox(0), 1).await, Err(Error::Fenced(_))));
    assert!(matches!(first.changed(inbox(0), 7).await, Err(Error::Fenced(_))), "who waits must end");
    assert!(!first.is_over(second.epoch()), "an earlier life knows nothing of later ones");
    assert_eq!(second.commit(one(inbox(0), "b", b"")).await.expect("done"), [1]);
}

#[tokio::test]
async fn who_waits_learns_of_the_next_life() {
    let first = Memory::new(1);
    let waiting = first.changed(inbox(0), 0);
    let reopen = async { first.reopen() };
    let (waited, _second) = tokio::join!(waiting, reopen);
    assert!(matches!(waited, Err(Error::Fenced(_))));
}
