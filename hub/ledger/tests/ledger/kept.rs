//! What retention asks before it takes something away.

use hub_core::journal::{Event, What};

use crate::events::{case, event, one_of_each};
use crate::filled::{Filled, Kind};

/// A message is over when nothing of its case is open; a document is needed until its time.
pub(crate) async fn what_is_over_and_what_is_needed(kind: Kind) {
    let mut filled = Filled::new(kind).await;
    let mut happen = async |message: &str, what: What| {
        let event = Event { message: message.into(), ..event(case("A", "UFAAAA", "1.00"), 0, what) };
        filled.add(&[event]).await;
        let asked = ["m1", "child"].map(|message| (message.to_string(), "A".to_string()));
        let over = filled.ledger.are_over(asked.to_vec()).await.unwrap();
        (over[0], over[1])
    };
    let received = || What::Received { source: "http".into(), sender: "x".into(), sha256: "s".into(), bytes: 1 };
    assert_eq!(happen("m1", received()).await, (false, false));
    assert_eq!(happen("m1", What::Finished).await, (true, false), "a child that nothing is known of is not over");
    assert_eq!(happen("child", What::Finished).await, (true, true));
    let task = one_of_each().into_iter().find(|what| matches!(what, What::TaskOpened(_))).unwrap();
    assert_eq!(happen("child", task.clone()).await, (false, false), "a task is open");
    let What::TaskOpened(opened) = &task else { unreachable!("it is one") };
    let closed = What::TaskClosed { task: opened.id.clone(), outcome: "done".into() };
    assert_eq!(happen("child", closed).await, (true, true));
    assert_eq!(happen("m2", received()).await, (false, false), "another message of the case is at work");
    assert_eq!(happen("m2", What::Dropped { reason: "enough".into() }).await, (true, true));
    let archived = one_of_each().into_iter().find(|what| matches!(what, What::Archived(_))).unwrap();
    let _ = happen("m2", archived.clone()).await;
    let What::Archived(document) = &archived else { unreachable!("it is one") };
    let second = std::time::Duration::from_secs(1);
    let needed = async |sha256: &str, now, since| {
        filled.ledger.are_needed(vec![sha256.to_string()], now, since).await.unwrap()[0]
    };
    let (until, later) = (document.retain_until, document.retain_until + second);
    assert!(needed(&document.sha256, until - second, later).await && !needed(&document.sha256, until, later).await);
    let opened_at = event(case("A", "UFAAAA", "1.00"), 0, task.clone()).at;
    if opened.sha256 != document.sha256 {
        assert!(
            needed(&opened.sha256, later, opened_at).await && !needed(&opened.sha256, later, opened_at + second).await
        );
    }
    assert!(!needed("nobody's", opened_at, opened_at).await);
}
