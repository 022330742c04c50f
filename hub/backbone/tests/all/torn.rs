//! Torn files: a write-ahead log that ends anywhere or has garbage at its end, a main file that is cut, empty or gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hub_backbone::{Backbone, Embedded, EmbeddedSettings};

use crate::known::{Content, Fate, Random, beside, copy, fate, filled, quick_folder, read, seed_and_times};
use crate::{PARTITIONS, inbox, one};

const FRAME: u64 = 24 + 4_096;
const HEADER: u64 = 32;

fn cut(path: &Path, bytes: u64) {
    File::options().write(true).open(path).and_then(|file| file.set_len(bytes)).expect("cut");
}

/// A killed store and, after each of its transactions: how long the log was, what the mark said, and the content.
struct History {
    killed: PathBuf,
    steps: Vec<Step>,
}

struct Step {
    wal: u64,
    mark: Vec<u8>,
    content: Content,
}

async fn history(folder: &Path) -> History {
    let (path, killed) = (folder.join("alive.db"), folder.join("killed.db"));
    let store = Embedded::open(EmbeddedSettings::new(&path, PARTITIONS)).expect("open");
    let mut steps = Vec::new();
    for n in 0..24u64 {
        let mut step = one(inbox((n % 2) as u16), &format!("k{n}"), &vec![n as u8; 9_000 * (n % 4) as usize]);
        step.put(inbox(0), "s", "last", n.to_string());
        store.commit(step).await.expect("done");
        let wal = fs::metadata(beside(&path, "-wal")).expect("log").len();
        let mark = fs::read(beside(&path, ".mark")).expect("mark");
        steps.push(Step { wal, mark, content: read(&store).await.expect("good") });
    }
    copy(&path, &killed);
    store.close().await;
    History { killed, steps }
}

/// Where a log of this length may be cut: at every frame, around it, inside it.
fn places(from: u64, to: u64, random: &mut Random) -> Vec<u64> {
    let frames = (from.saturating_sub(HEADER) / FRAME)..=(to.saturating_sub(HEADER) / FRAME);
    let mut places: Vec<u64> = frames
        .flat_map(|frame| {
            let start = HEADER + frame * FRAME;
            let inside = start + random.below(FRAME as usize) as u64;
            [start - 1, start, start + 1, start + 8, start + 23, start + 24, start + 25, inside, start + FRAME - 1]
        })
        .filter(|at| (from..to).contains(at))
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The kernel or the power went away in the middle of a transaction whose caller was never answered: it is not there, and
/// everything before it is.
#[tokio::test]
async fn a_log_torn_in_what_nobody_was_told_goes_on() {
    let folder = quick_folder();
    let History { killed, steps } = history(folder.path()).await;
    let (bad, mut random, mut torn) = (folder.path().join("bad.db"), Random(seed_and_times(1).0), 0);
    for pair in steps.windows(2) {
        for at in places(pair[0].wal, pair[1].wal, &mut random) {
            copy(&killed, &bad);
            cut(&beside(&bad, "-wal"), at);
            fs::write(beside(&bad, ".mark"), &pair[0].mark).expect("write");
            assert_eq!(fate(&bad, &pair[0].content, &format!("cut at {at}")).await, Fate::Same);
            torn += 1;
        }
    }
    println!("{torn} logs torn in an unacknowledged transaction: all opened with everything that was acknowledged");
}

/// The same cuts, but in what was acknowledged.
#[tokio::test]
async fn a_log_torn_in_what_was_acknowledged_is_refused() {
    let folder = quick_folder();
    let History { killed, steps } = history(folder.path()).await;
    let (bad, mut random, mut torn) = (folder.path().join("bad.db"), Random(seed_and_times(1).0), 0);
    let last = steps.last().expect("steps");
    for at in places(0, last.wal, &mut random) {
        copy(&killed, &bad);
        cut(&beside(&bad, "-wal"), at);
        match fate(&bad, &last.content, &format!("cut at {at}")).await {
            Fate::Refused(text) => assert!(text.contains("acknowledged") || text.contains("damaged"), "{text}"),
            Fate::Same => panic!("cut at {at} of {}: nothing can be the same", last.wal),
        }
        torn += 1;
    }
    println!("{torn} logs torn in acknowledged transactions: all refused, with partition and offset");
}

#[tokio::test]
async fn garbage_at_the_end_of_the_log_is_ignored() {
    let folder = quick_folder();
    let History { killed, steps } = history(folder.path()).await;
    let (bad, mut random) = (folder.path().join("bad.db"), Random(seed_and_times(1).0));
    let good = fs::read(beside(&killed, "-wal")).expect("log");
    let truth = &steps.last().expect("steps").content;
    for n in 0..120 {
        let length = 1 + random.below(3 * FRAME as usize);
        let garbage: Vec<u8> = match n % 3 {
            0 => (0..length).map(|_| random.below(256) as u8).collect(),
            1 => vec![0; length],
            // Old frames, as after a log that began again.
            _ => good[HEADER as usize..].iter().copied().take(length).collect(),
        };
        copy(&killed, &bad);
        fs::write(beside(&bad, "-wal"), [&good[..], &garbage].concat()).expect("write");
        assert_eq!(fate(&bad, truth, &format!("garbage {n}")).await, Fate::Same);
    }
    println!("120 logs with garbage at their end: all opened with everything");
}

/// With pages of it in the log, and without.
#[tokio::test]
async fn a_truncated_main_file_is_refused_or_whole() {
    let folder = quick_folder();
    let (mut refused, mut all) = (0, 0);
    for in_wal in [false, true] {
        let (killed, truth) = filled(&folder.path().join(in_wal.to_string()), in_wal).await;
        let (bad, mut random) = (folder.path().join("bad.db"), Random(seed_and_times(1).0));
        let length = fs::metadata(&killed).expect("file").len();
        let pages = (0..=length / 4_096).map(|page| page * 4_096);
        let at: Vec<u64> = pages.flat_map(|at| [at, at + 1, at + 100, at + random.below(4_096) as u64]).collect();
        for at in at.into_iter().filter(|at| *at < length) {
            copy(&killed, &bad);
            cut(&bad, at);
            all += 1;
            refused += usize::from(fate(&bad, &truth, &format!("cut at {at} of {length}")).await != Fate::Same);
        }
    }
    println!("{all} main files cut: {refused} refused, the others whole (their pages stood in the log)");
    assert!(refused > all / 2);
}

#[tokio::test]
async fn a_missing_main_file_is_not_a_new_store() {
    let folder = quick_folder();
    let (killed, truth) = filled(folder.path(), true).await;
    let bad = folder.path().join("bad.db");
    let refuses = async |what: &str| match fate(&bad, &truth, what).await {
        Fate::Refused(text) => assert!(text.contains("missing or empty"), "{what}: {text}"),
        Fate::Same => panic!("{what}"),
    };
    copy(&killed, &bad);
    fs::remove_file(&bad).expect("remove");
    refuses("gone").await;
    assert!(!bad.exists(), "nothing new is made");
    copy(&killed, &bad);
    cut(&bad, 0);
    refuses("empty").await;
    fs::remove_file(beside(&bad, ".mark")).expect("remove");
    refuses("empty, without a mark").await;
    // What a person removes on purpose is a new store.
    fs::remove_file(beside(&bad, "-wal")).expect("remove");
    let store = Embedded::open(EmbeddedSettings::new(&bad, PARTITIONS)).expect("a new store");
    assert_eq!(read(&store).await.expect("read").records_of(inbox(0)), 0);
}

/// An older copy under the same name is found, too; somebody who means it says so.
#[tokio::test]
async fn an_older_file_is_refused() {
    let folder = quick_folder();
    let (killed, truth) = filled(folder.path(), false).await;
    let (now, old) = (folder.path().join("alive.db"), folder.path().join("old.db"));
    copy(&killed, &old);
    let store = Embedded::open(EmbeddedSettings::new(&now, PARTITIONS)).expect("open");
    store.write(|_| Ok(())).await.expect("one transaction more");
    store.close().await;
    fs::copy(beside(&now, ".mark"), beside(&old, ".mark")).expect("copy");
    match fate(&old, &truth, "an older file").await {
        Fate::Refused(text) => assert!(text.contains("1 acknowledged") && text.contains("older file"), "{text}"),
        Fate::Same => panic!("it is older"),
    }
    fs::remove_file(beside(&old, ".mark")).expect("remove");
    assert_eq!(fate(&old, &truth, "on purpose").await, Fate::Same);
}
