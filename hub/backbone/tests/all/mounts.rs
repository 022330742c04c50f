//! Real file systems that fill up, become read-only, vanish or fail: small ones in memory and on loop devices, made and
//! taken away by the tests. Where mounting is not permitted, the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hub_backbone::{AlarmKind, Backbone, Blobs, Embedded, EmbeddedSettings, Error, FileBlobs};
use tempfile::TempDir;

use crate::known::read;
use crate::{PARTITIONS, inbox, one, within};

/// Runs a command of the system; whether it succeeded.
fn run(command: &str, arguments: &[&str]) -> bool {
    let run = Command::new(command).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// A mounted file system; taken away when dropped.
struct Mount {
    folder: TempDir,
}

impl Mount {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// In memory.
    fn memory(size: &str) -> Option<Self> {
        let folder = crate::folder();
        let at = folder.path().display().to_string();
        mounted(run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &at]), folder)
    }

    /// ext4 in a file of `backing`.
    fn of_image(image: &Path) -> Option<Self> {
        let folder = crate::folder();
        let (image, at) = (image.display().to_string(), folder.path().display().to_string());
        mounted(run("mount", &["-o", "loop,errors=remount-ro", &image, &at]), folder)
    }

    fn again(&self, options: &str) {
        assert!(run("mount", &["-o", &format!("remount,{options}"), &self.path().display().to_string()]), "{options}");
    }

    /// Takes it out of the tree; it goes on for those who have files of it open.
    fn vanish(&self) -> bool {
        run("umount", &["-l", &self.path().display().to_string()])
    }
}

fn mounted(done: bool, folder: TempDir) -> Option<Mount> {
    if !done {
        println!("skipped: mounting is not permitted here");
    }
    done.then(|| Mount { folder })
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _unmounted = self.vanish();
    }
}

/// A file with an empty ext4 in it.
fn image(folder: &Path, size: &str) -> PathBuf {
    let image = folder.join("disk.img");
    assert!(run("truncate", &["-s", size, &image.display().to_string()]));
    // Written when it is used: the test decides how much room there is.
    let quick = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
    assert!(run("mkfs.ext4", &["-q", "-F", "-E", quick, &image.display().to_string()]), "mkfs.ext4");
    image
}

fn open(folder: &Path) -> Result<Embedded, Error> {
    let mut settings = EmbeddedSettings::new(folder.join("hub.db"), PARTITIONS);
    settings.disk_retry = (Duration::from_millis(5), Duration::from_millis(20));
    Embedded::open(settings)
}

/// Waits for what must happen.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(wait).await;
}

fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

async fn append(store: &Embedded, n: u64) -> Result<Vec<u64>, Error> {
    store.commit(one(inbox(0), &format!("k{n}"), &[9; 20_000])).await
}

async fn holds(folder: &Path, count: u64) {
    let store = open(folder).expect("it opens again");
    assert_eq!(read(&store).await.expect("whole").records_of(inbox(0)) as u64, count, "nothing was lost");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_waited_for() {
    let Some(disk) = Mount::memory("3m") else { return };
    let store = Arc::new(open(disk.path()).expect("open"));
    let writers: Vec<_> = (0..300)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { append(&store, n).await })
        })
        .collect();
    until(|| store.alarms().iter().any(|alarm| alarm.kind == AlarmKind::DiskFull)).await;
    let done = read(&store).await.expect("reading goes on").records_of(inbox(0));
    assert!(done < 300 && store.alarms()[0].text.contains("make room"), "{:?}", store.alarms());
    disk.again("size=64m");
    for writer in writers {
        within(writer).await.expect("no panic").expect("none is lost");
    }
    assert!(store.alarms().is_empty(), "the alarm is over");
    store.close().await;
    holds(disk.path(), 300).await;
    println!("a disk of 3 MiB was full after {done} of 300 commits; all were done when there was room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_blobs_is_waited_for() {
    let Some(disk) = Mount::memory("1m") else { return };
    let blobs = FileBlobs::open(disk.path()).expect("open");
    let late = {
        let blobs = blobs.clone();
        tokio::spawn(async move { blobs.put(&vec![5; 2 << 20]).await })
    };
    until(|| !blobs.alarms().is_empty()).await;
    assert!(blobs.alarms()[0].text.contains(&disk.path().display().to_string()), "{:?}", blobs.alarms());
    assert!(!late.is_finished());
    disk.again("size=16m");
    let name = within(late).await.expect("no panic").expect("put");
    assert_eq!(blobs.get(&name).await.expect("get").map(|bytes| bytes.len()), Some(2 << 20));
    assert!(blobs.alarms().is_empty(), "the alarm is over");
}

#[tokio::test]
async fn a_read_only_disk_refuses_to_start() {
    let Some(disk) = Mount::memory("16m") else { return };
    let store = open(disk.path()).expect("open");
    append(&store, 0).await.expect("done");
    store.close().await;
    disk.again("ro");
    says(&open(disk.path()).expect_err("read-only"), &["hub.db.lock", "Read-only", "writable"]);
    let blobs = FileBlobs::open(disk.path()).expect_err("read-only");
    says(&blobs, &[&disk.path().display().to_string(), "Read-only"]);
    disk.again("rw");
    holds(disk.path(), 1).await;
}

/// The disk goes away under the running hub, as a mount that somebody takes out of the tree.
#[tokio::test]
async fn a_vanished_disk_stops_the_store() {
    let here = crate::folder();
    let Some(outer) = Mount::memory("64m") else { return };
    let image = image(outer.path(), "32m");
    let Some(disk) = Mount::of_image(&image) else { return };
    let store = open(disk.path()).expect("open");
    for n in 0..20 {
        append(&store, n).await.expect("done");
    }
    let blobs = FileBlobs::open(disk.path().join("blobs")).expect("open");
    assert!(disk.vanish(), "umount -l");
    says(&append(&store, 20).await.expect_err("gone"), &["hub.db", "not at its place", "mount"]);
    assert_eq!(store.alarms()[0].kind, AlarmKind::Failed);
    says(&blobs.put(b"late").await.expect_err("gone"), &["blobs", "mounted"]);
    drop(store);
    let again = within_reach(&image).expect("it can be mounted again");
    holds(again.path(), 20).await;
    drop(here);
}

/// The kernel lets go of a vanished file system a moment after the last file of it was closed.
fn within_reach(image: &Path) -> Option<Mount> {
    (0..100).find_map(|_| {
        let mount = Mount::of_image(image);
        if mount.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        mount
    })
}

#[tokio::test]
async fn a_folder_that_was_moved_or_removed_stops_the_store() {
    let folder = crate::folder();
    let (here, away) = (folder.path().join("data"), folder.path().join("moved"));
    fs::create_dir(&here).expect("folder");
    let store = open(&here).expect("open");
    append(&store, 0).await.expect("done");
    fs::rename(&here, &away).expect("moved");
    says(&append(&store, 1).await.expect_err("moved"), &["hub.db", "not at its place"]);
    drop(store);
    fs::rename(&away, &here).expect("moved back");
    holds(&here, 1).await;
    let store = open(&here).expect("open");
    fs::remove_file(here.join("hub.db")).expect("removed");
    says(&append(&store, 1).await.expect_err("removed"), &["hub.db", "not at its place"]);
    fs::write(here.join("hub.db"), "something else").expect("write");
    says(&append(&store, 1).await.expect_err("for good"), &["hub.db", "not at its place"]);
}

/// The disk takes writes and fails when they are to become durable: the fsync that fails is the last thing that the store does.
#[tokio::test]
async fn a_disk_that_fails_under_an_fsync_stops_the_store() {
    let Some(outer) = Mount::memory("14m") else { return };
    let image = image(outer.path(), "64m");
    let Some(disk) = Mount::of_image(&image) else { return };
    let store = open(disk.path()).expect("open");
    let mut done = 0;
    let error = loop {
        match append(&store, done).await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 2_000, "the image has no room for so much");
    };
    says(&error, &["hub.db", "fails", "start"]);
    says(&append(&store, done).await.expect_err("never again"), &["hub.db"]);
    assert_eq!(store.alarms()[0].kind, AlarmKind::Failed);
    drop(store);
    assert!(disk.vanish(), "umount");
    drop(disk);
    outer.again("size=128m");
    let again = within_reach(&image).expect("it can be mounted again");
    holds_at_least(again.path(), done).await;
    println!("the disk failed after {done} commits: {error}");
}

/// What was acknowledged, and perhaps the one whose fsync failed: its caller was told that nobody knows.
async fn holds_at_least(folder: &Path, done: u64) {
    let store = open(folder).expect("it opens again");
    let found = read(&store).await.expect("whole").records_of(inbox(0)) as u64;
    assert!((done..=done + 1).contains(&found), "{found} of {done}");
    store.close().await;
}
