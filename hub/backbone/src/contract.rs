//! The contract of [`Backbone`] as tests, for every implementation: each sentence of the trait's comment is
//! a function here. They panic when the contract is broken.
//!
//! An implementation writes a [`Harness`] and calls [`contract_tests!`](crate::contract_tests) in a test module:
//!
//! ```text
//! hub_backbone::contract_tests!(async || KafkaHarness::fresh(4).await);
//! ```

mod blobs;
mod lives;
mod log;
mod many;
mod state;
mod together;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use blobs::*;
pub use lives::*;
pub use log::*;
pub use many::*;
pub use state::*;
pub use together::*;

use crate::{Backbone, Commit, Offset, Place, Stored, Topic};

/// Partitions that a harness must give each topic.
pub const PARTITIONS: u16 = 4;

/// How long anything may take before a case counts as failed. Long, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A backbone under test: fresh and empty at first, with [`PARTITIONS`] partitions.
#[async_trait]
pub trait Harness: Send {
    /// The present life of the backbone.
    fn backbone(&self) -> Arc<dyn Backbone>;

    /// Ends this life and begins the next one over the same content. Callers have dropped what [`Self::backbone`] gave.
    async fn reopen(&mut self);

    /// Damages the content of a stored record, behind the back of the implementation, and begins a new life if it must.
    /// Says whether it can do so; the case is skipped if not.
    async fn damage(&mut self, place: Place, offset: Offset) -> bool {
        let _ = (place, offset);
        false
    }
}

/// Makes one `#[tokio::test]` for each case of the contract. The argument is an async closure that makes a fresh
/// [`Harness`](crate::contract::Harness). With `maybe` before it, the closure gives `None` where there is no such backbone on
/// this machine, and says so itself; the case is skipped then. The caller's crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! contract_tests {
    (maybe $make:expr) => {
        $crate::contract_tests!(@cases $make;
            an_empty_commit_does_nothing, offsets_are_dense_from_zero, content_comes_back_as_it_was,
            reads_are_bounded, the_chain_links_every_record, a_damaged_record_is_found, trim_keeps_the_chain,
            trim_is_bounded, changed_completes_beyond_after, changed_may_be_dropped, positions_only_move_forward,
            values_are_put_and_deleted, spaces_and_partitions_are_apart, spaces_are_listed, scan_goes_in_key_order, scan_pages_are_complete,
            a_commit_is_seen_whole, what_is_too_large_is_refused_whole, unknown_partitions_are_refused,
            a_large_commit_is_one, concurrent_writers_keep_their_order, a_reader_never_sees_half,
            a_commit_given_up_is_whole_or_absent, everything_survives_a_new_life, epochs_are_told_apart,
            a_returned_commit_is_seen_by_all,
        );
    };
    (@cases $make:expr; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let make = $make;
                let Some(mut harness) = make().await else { return };
                $crate::contract::$case(&mut harness).await;
            }
        )*
    };
    ($make:expr) => {
        $crate::contract_tests!(maybe async || Some(($make)().await));
    };
}

/// Commits or panics; gives the offsets.
async fn commit(backbone: &dyn Backbone, commit: Commit) -> Vec<Offset> {
    within(backbone.commit(commit)).await.expect("a commit must succeed")
}

/// Appends one record.
async fn append(backbone: &dyn Backbone, place: Place, key: &str, bytes: &[u8]) -> Offset {
    let mut one = Commit::new();
    one.append(place, key, bytes.to_vec());
    let offsets = commit(backbone, one).await;
    assert_eq!(offsets.len(), 1, "one output has one offset");
    offsets[0]
}

/// Everything from an offset on, page by page.
async fn read_all(backbone: &dyn Backbone, place: Place, from: Offset) -> Vec<Stored> {
    let (mut all, mut next): (Vec<Stored>, _) = (Vec::new(), from);
    loop {
        let page = within(backbone.read(place, next, 97, 1 << 20)).await.expect("a read must succeed");
        let Some(last) = page.last() else { return all };
        next = last.offset + 1;
        all.extend(page);
    }
}

fn keys(records: &[Stored]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

fn inbox(partition: u16) -> Place {
    Place::new(Topic::INBOX, partition)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it must not take so long")
}
