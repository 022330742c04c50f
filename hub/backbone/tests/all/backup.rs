//! Backups: made beside a store that works, checked, put back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hub_backbone::backup::{self, Lies};
use hub_backbone::{Archive, Backbone, Blobs, Commit, Embedded, EmbeddedSettings, Error, FileBlobs, Place, Topic};
use tempfile::TempDir;

use crate::{PARTITIONS, append, folder, inbox, journal, read_all};

/// A store in a folder of its own, and room for backups beside it.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        Self { folder: folder() }
    }
    fn lies(&self) -> Lies {
        let data = self.folder.path().join("data");
        std::fs::create_dir_all(&data).expect("a folder");
        let anchor = Some(self.folder.path().join("data.anchor"));
        Lies { database: data.join("hub.db"), archive: data.join("archive"), blobs: data.join("blobs"), anchor }
    }
    fn to(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn open(&self) -> Embedded {
        let lies = self.lies();
        let settings = EmbeddedSettings::new(lies.database, PARTITIONS);
        Embedded::open(settings.with_anchor(lies.anchor.expect("an anchor"))).expect("the store opens")
    }
    fn blobs(&self) -> FileBlobs {
        FileBlobs::open(self.lies().blobs).expect("the blobs open")
    }
    fn back_up(&self, name: &str, base: Option<&str>) -> Result<backup::About, Error> {
        let base = base.map(|base| self.to(base));
        backup::make(&self.lies(), &self.to(name), base.as_deref(), "2026-11-24T10:00:00Z")
    }
    fn put_back(&self, name: &str, replace: bool) -> Result<backup::PutBack, Error> {
        backup::put_back(&self.to(name), &self.lies(), replace, "2026-11-24T11:00:00Z")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_mid_traffic_is_one_moment_and_is_put_back_with_its_blobs() {
    let site = Site::new();
    let (store, blobs) = (Arc::new(site.open()), site.blobs());
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let (store, blobs, stop) = (store.clone(), blobs.clone(), stop.clone());
        async move {
            let mut n = 0_u64;
            while !stop.load(Ordering::SeqCst) || n < 50 {
                // a blob before the record that names it; the same count in two partitions and in keyed state
                let sha256 = blobs.put(format!("content {n}").as_bytes()).await.expect("a blob");
                let mut commit = Commit::new();
                for partition in [0, 1] {
                    commit.append(inbox(partition), "k", format!(r#"{{"blob":"{sha256}"}}"#).into_bytes());
                }
                commit.put(inbox(2), "count", "n", (n + 1).to_string().into_bytes());
                let _ = store.commit(commit).await.expect("the commit succeeds");
                n += 1;
            }
        }
    });
    while store.end(inbox(0)).await.expect("an end") < 20 {
        tokio::task::yield_now().await;
    }
    let about = tokio::task::block_in_place(|| site.back_up("one", None)).expect("a backup");
    stop.store(true, Ordering::SeqCst);
    traffic.await.expect("the traffic ends");
    let at_end = store.end(inbox(0)).await.expect("an end");
    store.close().await;

    assert!(about.blobs >= 20 && about.records >= 40, "{about:?}");
    assert!(matches!(site.put_back("one", false), Err(Error::Io(text)) if text.contains("--replace")));
    std::fs::remove_dir_all(site.lies().blobs).expect("the blobs are lost, too");
    let put_back = site.put_back("one", true).expect("it is put back");
    assert_eq!((put_back.blobs_written, put_back.moved_to.is_some()), (about.blobs, true));

    let store = site.open();
    let recovery = store.recovery().expect("a restored store is in recovery");
    assert!(recovery.reason.contains("restored from the backup of 2026-11-24T10:00:00Z"), "{recovery:?}");
    assert!(recovery.gaps.iter().any(|gap| gap.place == "inbox/0" && gap.anchored == at_end), "{recovery:?}");
    let ends = [store.end(inbox(0)).await.expect("an end"), store.end(inbox(1)).await.expect("an end")];
    let count = store.get(inbox(2), "count", "n").await.expect("a value").expect("it is there");
    assert_eq!((ends[0], ends[0].to_string().into_bytes()), (ends[1], count.to_vec()), "one moment");
    assert!(ends[0] < at_end && ends[0] * 2 == about.records);
    let blobs = site.blobs();
    for stored in read_all(&store, inbox(0)).await.expect("the chain holds") {
        let sha256 = String::from_utf8_lossy(&stored.bytes[9..73]).into_owned();
        assert!(blobs.get(&sha256).await.expect("a blob").is_some(), "blob {sha256} of offset {}", stored.offset);
    }
}

#[tokio::test]
async fn blobs_that_only_a_blob_names_are_in_it_and_what_nobody_names_is_not() {
    let site = Site::new();
    let (store, blobs) = (site.open(), site.blobs());
    let inner = blobs.put(b"the document").await.expect("a blob");
    let outer = blobs.put(format!(r#"{{"blob":["xml","{inner}"]}}"#).as_bytes()).await.expect("a blob");
    let stray = blobs.put(b"nobody names it").await.expect("a blob");
    let mut commit = Commit::new();
    commit.put(inbox(0), "held", "k", format!(r#"{{"blob":"{outer}"}}"#).into_bytes());
    let _ = store.commit(commit).await.expect("the commit succeeds");
    let about = site.back_up("one", None).expect("a backup");
    assert_eq!(about.blobs, 2);
    let there = |sha256: &str| site.to("one").join("blobs").join(&sha256[..2]).join(sha256).exists();
    assert_eq!([&inner, &outer, &stray].map(|sha256| there(sha256)), [true, true, false]);
    store.close().await;
}

#[tokio::test]
async fn a_later_backup_links_the_blobs_of_an_earlier_one() {
    use std::os::unix::fs::MetadataExt;
    let site = Site::new();
    let (store, blobs) = (site.open(), site.blobs());
    let old = blobs.put(b"old").await.expect("a blob");
    let _ = append(&store, inbox(0), "k", old.as_bytes()).await;
    site.back_up("one", None).expect("a backup");
    let new = blobs.put(b"new").await.expect("a blob");
    let _ = append(&store, inbox(0), "k", new.as_bytes()).await;
    assert_eq!(site.back_up("two", Some("one")).expect("a backup").blobs, 2);
    let names = |sha256: &str| {
        let path = site.to("two").join("blobs").join(&sha256[..2]).join(sha256);
        std::fs::metadata(path).expect("the blob").nlink()
    };
    assert_eq!((names(&old), names(&new)), (2, 1));
    assert!(matches!(site.back_up("two", None), Err(Error::Io(text)) if text.contains("not empty")));
    store.close().await;
}

#[tokio::test]
async fn a_damaged_blob_makes_no_backup() {
    let site = Site::new();
    let (store, blobs) = (site.open(), site.blobs());
    let sha256 = blobs.put(b"the document").await.expect("a blob");
    let _ = append(&store, inbox(0), "k", sha256.as_bytes()).await;
    let path = site.lies().blobs.join(&sha256[..2]).join(&sha256);
    std::fs::write(&path, b"another").expect("it is damaged");
    assert!(matches!(site.back_up("one", None), Err(Error::Corrupt { place, .. }) if place.contains(&sha256)));
    assert!(matches!(site.put_back("one", true), Err(Error::Io(text)) if text.contains("not a whole backup")));
    store.close().await;
}

#[tokio::test]
async fn whatever_is_changed_in_a_backup_it_is_not_put_back() {
    let site = Site::new();
    let (store, blobs) = (site.open(), site.blobs());
    let sha256 = blobs.put(b"the document").await.expect("a blob");
    let _ = append(&store, inbox(0), "k", sha256.as_bytes()).await;
    site.back_up("one", None).expect("a backup");
    let refused = site.put_back("one", true);
    assert!(matches!(refused, Err(Error::Fenced(_))), "a hub has it open: {refused:?}");
    store.close().await;
    let blob = format!("blobs/{}/{sha256}", &sha256[..2]);
    for name in ["raccordo.db", "anchor.json", "SHA256SUMS", "backup.json", &blob] {
        let path = site.to("one").join(name);
        let good = std::fs::read(&path).expect("the file");
        for at in [0, good.len() / 3, good.len() / 2] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("it is changed");
            assert!(site.put_back("one", true).is_err(), "{name} at {at}");
        }
        std::fs::remove_file(&path).expect("it is gone");
        assert!(site.put_back("one", true).is_err(), "{name} is gone");
        std::fs::write(&path, &good).expect("it is back");
    }
    assert_eq!(site.open().recovery(), None, "nothing was put back");
    site.put_back("one", true).expect("as it was made");
}

/// Seals the journal's records of an interval.
async fn seal(store: &Embedded, archive: &Archive, from: u64, to: u64) {
    let records = store.read(journal(0), from, usize::try_from(to - from).expect("few"), usize::MAX).await;
    let _segment = archive.seal(journal(0), &records.expect("records"), "today").expect("they are sealed");
}

#[tokio::test]
async fn the_archive_comes_along_as_far_as_the_copied_log_goes() {
    let site = Site::new();
    let (store, archive) = (site.open(), Archive::open(site.lies().archive).expect("the archive opens"));
    let document = site.blobs().put(b"only a sealed record names it").await.expect("a blob");
    for text in [document.as_str(), "two", "three"] {
        let _ = append(&store, journal(0), "k", text.as_bytes()).await;
    }
    seal(&store, &archive, 0, 2).await;
    store.trim(journal(0), 2).await.expect("it is trimmed");
    let about = site.back_up("one", None).expect("a backup");
    assert_eq!((about.segments, about.blobs), (1, 1));

    // the hub goes on, and seals what the copy has not got: a copy of the log is never behind its archive
    let _ = append(&store, journal(0), "k", b"four").await;
    seal(&store, &archive, 2, 4).await;
    let older = Lies { database: site.to("one/raccordo.db"), ..site.lies() };
    assert_eq!(backup::make(&older, &site.to("two"), None, "later").expect("a backup").segments, 1);
    store.close().await;

    site.put_back("one", true).expect("it is put back");
    let restored = Archive::open(site.lies().archive).expect("the archive opens");
    assert_eq!((restored.segments(), restored.end(journal(0)).0), (archive.segments()[..1].to_vec(), 2));
    assert_eq!(restored.judge().expect("it is in order"), Vec::<String>::new());
    assert_eq!(restored.read(journal(0), 0).expect("it can be read").len(), 2);
    let offsets: Vec<_> = read_all(&site.open(), journal(0)).await.expect("the chain holds");
    assert_eq!(offsets.iter().map(|stored| stored.offset).collect::<Vec<_>>(), [2]);
    let kept = std::fs::read_dir(site.to("data")).expect("the folder").filter_map(Result::ok);
    let kept = kept.filter(|entry| entry.file_name().to_string_lossy().contains(".before-")).count();
    assert!(kept >= 3, "database, mark and archive were moved aside");
}

/// The check that needs no program of ours.
#[tokio::test]
async fn sha256sum_understands_a_backup() {
    let site = Site::new();
    let store = site.open();
    let sha256 = site.blobs().put(b"the document").await.expect("a blob");
    let _ = append(&store, Place::new(Topic::JOURNAL, 0), "k", sha256.as_bytes()).await;
    site.back_up("one", None).expect("a backup");
    let mut check = std::process::Command::new("sha256sum");
    let _ = check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(site.to("one"));
    let output = check.output().expect("sha256sum runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    store.close().await;
}

#[tokio::test]
async fn a_log_that_was_left_behind_is_not_taken_for_that_of_the_restored_database() {
    let site = Site::new();
    let store = site.open();
    let _ = append(&store, inbox(0), "k", b"before").await;
    site.back_up("one", None).expect("a backup");
    let _ = append(&store, inbox(0), "k", b"after").await;
    let database = site.lies().database;
    let wal = database.with_file_name("hub.db-wal");
    let left = std::fs::read(&wal).expect("the log");
    store.close().await;
    std::fs::write(&wal, left).expect("it is left behind");
    std::fs::remove_file(&database).expect("the database is lost");
    assert!(site.put_back("one", false).is_err(), "something is there");
    site.put_back("one", true).expect("it is put back");
    let store = site.open();
    assert_eq!(read_all(&store, inbox(0)).await.expect("the chain holds").len(), 1);
}
