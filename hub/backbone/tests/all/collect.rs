//! Taking blobs away: only old ones, by way of the trash, and back again when somebody asks.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hub_backbone::{Blobs, Collect, FileBlobs};
use tempfile::TempDir;

use crate::folder;

/// Blobs under a clock that is turned by hand, in hours.
struct World {
    folder: TempDir,
    hours: Arc<AtomicU64>,
    blobs: FileBlobs,
}

impl World {
    fn new() -> Self {
        let (folder, hours) = (folder(), Arc::new(AtomicU64::new(1_000)));
        let clock = hours.clone();
        let now = move || at(clock.load(Ordering::SeqCst));
        let blobs = FileBlobs::with_clock(folder.path(), Arc::new(now)).expect("open");
        Self { folder, hours, blobs }
    }

    fn pass(&self, hours: u64) -> u64 {
        self.hours.fetch_add(hours, Ordering::SeqCst) + hours
    }

    async fn old(&self, before: u64) -> Vec<String> {
        let mut all = Vec::new();
        for shard in 0..=u8::MAX {
            all.extend(self.blobs.old(shard, at(before), None, 100).await.expect("listed"));
        }
        all
    }

    async fn discard(&self, name: &str, before: u64) -> bool {
        let now = self.hours.load(Ordering::SeqCst);
        self.blobs.discard(name, at(before), at(now)).await.expect("no trouble")
    }

    async fn empty(&self, before: u64) -> u64 {
        let mut count = 0;
        for shard in 0..=u8::MAX {
            count += self.blobs.empty_trash(shard, at(before)).await.expect("emptied").0;
        }
        count
    }
}

fn at(hours: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600)
}

#[tokio::test]
async fn only_old_blobs_are_offered_and_a_put_makes_one_young() {
    let world = World::new();
    let (a, b) = (world.blobs.put(b"a").await.expect("put"), world.blobs.put(b"b").await.expect("put"));
    let now = world.pass(10);
    assert_eq!(world.old(now).await.len(), 2);
    let _ = world.blobs.put(b"a").await.expect("put again");
    assert_eq!(world.old(now).await, std::slice::from_ref(&b));
    assert!(!world.discard(&a, now).await, "it was put meanwhile");
    assert!(world.discard(&b, now).await);
    assert!(!world.discard(&b, now).await, "it is gone already");
    assert!(!world.discard("../../etc/passwd", now).await);
}

#[tokio::test]
async fn pages_go_on_where_they_ended() {
    let world = World::new();
    for n in 0..2_000u32 {
        let name = world.blobs.put(&n.to_be_bytes()).await.expect("put");
        if !name.starts_with("00") {
            fs::remove_file(world.folder.path().join(&name[..2]).join(&name)).expect("one shard is enough");
        }
    }
    let now = at(world.pass(1));
    let all = world.blobs.old(0, now, None, 1_000).await.expect("listed");
    assert!(all.len() > 3 && all.is_sorted(), "{all:?}");
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = world.blobs.old(0, now, after.as_deref(), 2).await.expect("listed");
        after = page.last().cloned();
        match page.is_empty() {
            true => break,
            false => paged.extend(page),
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn the_trash_gives_back_what_is_asked_for_and_deletes_what_nobody_wants() {
    let world = World::new();
    let (a, b) = (world.blobs.put(b"a").await.expect("put"), world.blobs.put(b"b").await.expect("put"));
    let discarded = world.pass(10);
    assert!(world.discard(&a, discarded).await && world.discard(&b, discarded).await);
    assert_eq!(world.old(discarded + 100).await, Vec::<String>::new());
    assert!(world.blobs.has(&a), "the trash counts");
    assert_eq!(world.empty(discarded).await, 0, "its days in the trash began when it came there");

    assert_eq!(world.blobs.get(&a).await.expect("get").as_deref(), Some(&b"a"[..]), "asked for: back");
    let now = world.pass(10);
    assert_eq!(world.old(now).await, std::slice::from_ref(&a), "and in its place");
    assert_eq!(world.empty(now).await, 1);
    assert!(!world.blobs.has(&b));
    assert_eq!(world.blobs.get(&b).await.expect("get"), None);
    assert_eq!(world.blobs.get(&a).await.expect("get").as_deref(), Some(&b"a"[..]));
}

/// Cut off after the time was set and before the move: the blob is only younger. Opened again, everything goes on.
#[tokio::test]
async fn a_crash_in_the_middle_of_a_discard_loses_nothing() {
    let world = World::new();
    let a = world.blobs.put(b"a").await.expect("put");
    let file = world.folder.path().join(&a[..2]).join(&a);
    fs::File::options().write(true).open(&file).expect("open").set_modified(at(2_000)).expect("touched");
    assert!(!world.discard(&a, 1_500).await);
    let later = FileBlobs::open(world.folder.path()).expect("another life");
    assert_eq!(later.get(&a).await.expect("get").as_deref(), Some(&b"a"[..]));
    // Cut off after the move: it is in the trash, and comes back when it is put or asked for.
    assert!(later.discard(&a, at(2_001), at(2_001)).await.expect("moved"));
    let later = FileBlobs::open(world.folder.path()).expect("another life");
    let _ = later.put(b"a").await.expect("put");
    assert!(file.is_file());
    assert_eq!(later.get(&a).await.expect("get").as_deref(), Some(&b"a"[..]));
}
