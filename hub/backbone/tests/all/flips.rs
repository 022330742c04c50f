//! Flipped bits: in the main file, in the write-ahead log, in the mark and in blobs. Each has no effect, or is found on opening
//! or on reading.

use std::fs;
use std::path::Path;

use hub_backbone::{Blobs, Error, FileBlobs};

use crate::known::{Content, FILES, Fate, Random, beside, copy, fate, filled, quick_folder, seed_and_times};

/// Flips one bit at a time in a file of a store; counts those that mattered.
async fn flip(path: &Path, ending: &str, truth: &Content, seed: u64, times: usize) -> (usize, usize) {
    let folder = quick_folder();
    let (bad, mut random) = (folder.path().join("bad.db"), Random(seed));
    let good = fs::read(beside(path, ending)).expect("read");
    let (mut same, mut refused) = (0, 0);
    for n in 0..times {
        // Half of them where the structure is: SQLite's headers of file, frames and pages, and the cells near them.
        let at = match (n % 2, ending) {
            (0, _) => random.below(good.len()),
            (_, "-wal") => (32 + random.below(good.len() / 4_120) * 4_120 + random.below(256)).min(good.len() - 1),
            _ => (random.below(good.len() / 4_096 + 1) * 4_096 + random.below(256)).min(good.len() - 1),
        };
        let bit = random.below(8);
        copy(path, &bad);
        let mut bytes = good.clone();
        bytes[at] ^= 1 << bit;
        fs::write(beside(&bad, ending), bytes).expect("write");
        match fate(&bad, truth, &format!("seed {seed}, flip {n}: bit {bit} of byte {at} of hub.db{ending}")).await {
            Fate::Same => same += 1,
            Fate::Refused(_) => refused += 1,
        }
    }
    println!("hub.db{ending}: {times} bits flipped in {} bytes: {refused} found, {same} without effect", good.len());
    (same, refused)
}

#[tokio::test]
async fn no_flipped_bit_of_the_main_file_gives_other_content() {
    let folder = quick_folder();
    let (path, truth) = filled(folder.path(), false).await;
    let (seed, times) = seed_and_times(3_000);
    let (_, refused) = flip(&path, "", &truth, seed, times).await;
    assert!(refused > times / 4, "most bytes hold content");
}

#[tokio::test]
async fn no_flipped_bit_of_the_write_ahead_log_loses_what_was_acknowledged() {
    let folder = quick_folder();
    let (path, truth) = filled(folder.path(), true).await;
    let (seed, times) = seed_and_times(2_000);
    let (_, refused) = flip(&path, "-wal", &truth, seed, times).await;
    assert!(refused > times / 2, "the log ends at the first frame that does not fit");
}

#[tokio::test]
async fn no_flipped_bit_of_the_mark_does_harm() {
    let folder = quick_folder();
    let (path, truth) = filled(folder.path(), true).await;
    let (seed, times) = seed_and_times(300);
    let (same, _) = flip(&path, ".mark", &truth, seed, times).await;
    assert_eq!(same, times, "the store is whole, and says so");
}

#[tokio::test]
async fn no_flipped_bit_of_a_blob_gives_other_bytes() {
    let folder = quick_folder();
    let blobs = FileBlobs::open(folder.path()).expect("open");
    let (seed, times) = seed_and_times(2_000);
    let mut random = Random(seed);
    for n in 0..times {
        let bytes: Vec<u8> = (0..1 + random.below(5_000)).map(|n| (n * 31) as u8).collect();
        let name = blobs.put(&bytes).await.expect("put");
        let path = folder.path().join(&name[..2]).join(&name);
        let mut bad = bytes.clone();
        let at = random.below(bad.len());
        bad[at] ^= 1 << random.below(8);
        fs::write(&path, &bad).expect("write");
        match blobs.get(&name).await {
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, path.display().to_string()),
            other => panic!("flip {n} at byte {at} is not found: {other:?}"),
        }
        fs::remove_file(&path).expect("remove");
        assert_eq!(blobs.get(&name).await.expect("no error"), None, "a missing blob is missing, and nothing else");
    }
    println!("blobs: {times} bits flipped, all found");
}

/// The files are what the tests above believe.
#[tokio::test]
async fn a_killed_copy_is_whole() {
    let folder = quick_folder();
    let (path, truth) = filled(folder.path(), true).await;
    let sizes = FILES.map(|ending| fs::metadata(beside(&path, ending)).expect("there").len());
    assert!(sizes[0] > 200_000 && sizes[1] > 1_000_000 && sizes[2] == 128, "{sizes:?}");
    assert_eq!(fate(&path, &truth, "a good copy").await, Fate::Same);
}
