//! Tests of the backbones from outside: the contract, damage, crashes, full disks.

mod anchor;
mod archive;
mod backup;
mod blobs;
mod collect;
mod compare;
mod contract;
mod crash;
mod damage;
mod disk;
mod embedded;
mod flips;
mod known;
mod memory;
mod migrate;
mod mounts;
mod torn;
mod views;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hub_backbone::{Backbone, Commit, Embedded, EmbeddedSettings, Error, Offset, Place, Stored, Topic};
use tempfile::TempDir;

const PARTITIONS: u16 = 4;

fn inbox(partition: u16) -> Place {
    Place::new(Topic::INBOX, partition)
}

fn journal(partition: u16) -> Place {
    Place::new(Topic::JOURNAL, partition)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("hub.db")
}

/// Settings that try again quickly when the disk is full.
fn settings(folder: &TempDir) -> EmbeddedSettings {
    let mut settings = EmbeddedSettings::new(file(folder), PARTITIONS);
    settings.disk_retry = (Duration::from_millis(5), Duration::from_millis(20));
    settings
}

fn open(folder: &TempDir) -> Embedded {
    Embedded::open(settings(folder)).expect("the store opens")
}

fn one(place: Place, key: &str, bytes: &[u8]) -> Commit {
    let mut commit = Commit::new();
    commit.append(place, key, bytes.to_vec());
    commit
}

async fn append(store: &Embedded, place: Place, key: &str, bytes: &[u8]) -> Offset {
    store.commit(one(place, key, bytes)).await.expect("the commit succeeds")[0]
}

async fn read_all(store: &dyn Backbone, place: Place) -> Result<Vec<Stored>, Error> {
    store.read(place, 0, usize::MAX, usize::MAX).await
}

/// Long, since the machine may be busy; short enough for a hanging test to be a failed one.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it must not take so long")
}

type Pending<'a> = Pin<Box<dyn Future<Output = Result<Vec<Offset>, Error>> + Send + 'a>>;

/// Hands commits over to the writer, in their order, without waiting for them. The writer must be held.
fn hand_over<'a>(store: &'a Embedded, commits: impl IntoIterator<Item = Commit>) -> Vec<Pending<'a>> {
    let start = |commit| {
        // polled by hand, tokio's budget for one task would stop the hundredth
        let mut future: Pending<'_> = Box::pin(tokio::task::unconstrained(store.commit(commit)));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "the writer is held");
        future
    };
    commits.into_iter().map(start).collect()
}

/// Holds the writer in a transaction until `release` is used or dropped.
fn hold<'a>(store: &'a Embedded) -> (impl Future<Output = Result<(), Error>> + 'a, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel();
    let mut work = Box::pin(store.write(move |_| {
        held.recv().unwrap_or(());
        Ok(())
    }));
    assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    (work, release)
}
