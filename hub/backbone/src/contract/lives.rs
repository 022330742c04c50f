//! What survives the end of a life, and how lives are told apart.

use crate::contract::{Harness, append, commit, inbox, read_all, within};
use crate::{Commit, Place, Topic};

/// Records, positions and state are the same in the next life, and the log goes on where it ended.
pub async fn everything_survives_a_new_life(harness: &mut dyn Harness) {
    let mut lives = Vec::new();
    for life in 0..4u64 {
        let backbone = harness.backbone();
        assert_eq!(within(backbone.position(inbox(0))).await.expect("position"), life * 2);
        let kept = within(backbone.scan(Place::new(Topic::WAITS, 1), "s", None, 100)).await.expect("scan");
        assert_eq!(kept.len() as u64, life);
        let before = read_all(&*backbone, inbox(0), 0).await;
        assert_eq!(before, lives, "nothing is changed by a new life");
        let mut step = Commit::new();
        step.append(inbox(0), format!("{life}a"), "one");
        step.append(inbox(0), format!("{life}b"), "two");
        step.put(Place::new(Topic::WAITS, 1), "s", life.to_string(), "v");
        step.done(inbox(0), (life + 1) * 2);
        assert_eq!(commit(&*backbone, step).await, [life * 2, life * 2 + 1]);
        lives = read_all(&*backbone, inbox(0), 0).await;
        drop(backbone);
        harness.reopen().await;
    }
}

/// Each life has a name of its own; only lives that were, and are not this one, are over.
pub async fn epochs_are_told_apart(harness: &mut dyn Harness) {
    let mut past: Vec<String> = Vec::new();
    for _ in 0..4 {
        let backbone = harness.backbone();
        let epoch = backbone.epoch().to_owned();
        assert!(!epoch.is_empty() && !past.contains(&epoch), "{epoch} is new");
        assert!(!backbone.is_over(&epoch), "this life is not over");
        assert!(!backbone.is_over("never-seen") && !backbone.is_over(""), "nothing is known of others");
        assert!(past.iter().all(|earlier| backbone.is_over(earlier)), "earlier lives are over");
        append(&*backbone, inbox(0), "k", b"").await;
        assert_eq!(backbone.epoch(), epoch, "it stays the same for the whole life");
        past.push(epoch);
        drop(backbone);
        harness.reopen().await;
    }
}
