//! The archive: what is sealed comes back, damage is named, and a crash between any two steps leaves everything somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use hub_backbone::chain::{genesis, link};
use hub_backbone::{Archive, Error, Place, Segment, Stored, Topic};
use tempfile::TempDir;

use crate::{folder, journal};

const AT: &str = "2026-11-25T00:00:00Z";

/// Records `from..to` of a partition, chained from the first; some are not text.
fn records(place: Place, from: u64, to: u64) -> Vec<Stored> {
    let (mut chain, mut all) = (genesis(place), Vec::new());
    for offset in 0..to {
        let (key, bytes) = (format!("case/{offset} è"), content(offset));
        chain = link(&chain, offset, &key, &bytes);
        all.push(Stored { offset, key, bytes: bytes.into(), chain });
    }
    all.drain(..usize::try_from(from).expect("small"));
    all
}

fn content(offset: u64) -> Vec<u8> {
    match offset % 3 {
        0 => vec![0xff, u8::try_from(offset % 250).expect("small"), b'\n'],
        _ => format!("{{\"n\":{offset},\"perché\":\"€ \\n\"}}").into_bytes(),
    }
}

fn open(folder: &TempDir) -> Archive {
    Archive::open(folder.path()).expect("the archive opens")
}

/// Two partitions, three segments.
fn filled(folder: &TempDir) -> Vec<Segment> {
    let archive = open(folder);
    let seal = |place, from, to| archive.seal(place, &records(place, from, to), AT).expect("sealed");
    vec![seal(journal(0), 0, 10), seal(journal(1), 0, 5), seal(journal(0), 10, 12)]
}

fn path(folder: &TempDir, segment: &Segment) -> PathBuf {
    folder.path().join(&segment.file)
}

#[test]
fn what_is_sealed_comes_back_in_a_later_life() {
    let folder = folder();
    let segments = filled(&folder);
    let archive = open(&folder);
    assert_eq!(archive.segments(), segments);
    assert_eq!(archive.end(journal(0)), (12, records(journal(0), 0, 12)[11].chain));
    assert_eq!(archive.end(journal(2)), (0, genesis(journal(2))));
    assert_eq!(archive.read(journal(0), 0).expect("read"), records(journal(0), 0, 10));
    assert_eq!(archive.read(journal(0), 7).expect("read"), records(journal(0), 7, 10), "from the middle");
    assert_eq!(archive.read(journal(0), 11).expect("read"), records(journal(0), 11, 12));
    assert_eq!(archive.read(journal(0), 12).expect("read"), [], "not sealed yet");
    assert_eq!(archive.judge().expect("in order"), Vec::<String>::new());
}

#[test]
fn only_what_follows_is_sealed() {
    let folder = folder();
    drop(filled(&folder));
    let archive = open(&folder);
    let all = records(journal(0), 0, 20);
    let mut changed = all[12..15].to_vec();
    changed[1].bytes = "other".into();
    for (records, offset) in [(&all[13..15], 12), (&all[11..13], 12), (&changed[..], 13), (&[], 12)] {
        match archive.seal(journal(0), records, AT) {
            Err(Error::Corrupt { offset: found, .. }) => assert_eq!(found, offset),
            other => panic!("it must be refused: {other:?}"),
        }
    }
    assert_eq!(open(&folder).segments().len(), 3, "nothing of it counts");
    let other_place = records(journal(1), 0, 5);
    assert!(matches!(archive.seal(journal(3), &other_place, AT), Err(Error::Corrupt { .. })), "another partition's");
}

/// Every byte of a segment's file, and every byte of the index.
#[test]
fn every_flipped_byte_is_found() {
    let folder = folder();
    let segments = filled(&folder);
    let file = path(&folder, &segments[1]);
    let whole = fs::read(&file).expect("read");
    for at in 0..whole.len() {
        flip(&file, &whole, at);
        let found = open(&folder).check(&segments[1]);
        assert!(matches!(found, Err(Error::Corrupt { .. })), "byte {at}: {found:?}");
        assert!(open(&folder).check(&segments[0]).is_ok(), "its neighbour is read");
    }
    fs::write(&file, &whole).expect("write");
    let index = folder.path().join("index.jsonl");
    let whole = fs::read(&index).expect("read");
    // The last byte is the end of the last line: without it the line was cut off, which is no damage.
    for at in 0..whole.len() - 1 {
        flip(&index, &whole, at);
        let found = Archive::look(folder.path());
        assert!(matches!(found, Err(Error::Corrupt { .. })), "byte {at}: {found:?}");
    }
    flip(&index, &whole, whole.len() - 1);
    assert_eq!(Archive::look(folder.path()).expect("a cut line").segments().len(), 2);
}

fn flip(file: &Path, whole: &[u8], at: usize) {
    let mut bytes = whole.to_vec();
    bytes[at] ^= 0x04;
    fs::write(file, bytes).expect("write");
}

#[test]
fn a_missing_segment_and_a_cut_one_are_named() {
    let folder = folder();
    let segments = filled(&folder);
    let file = path(&folder, &segments[2]);
    let whole = fs::read(&file).expect("read");
    fs::write(&file, &whole[..whole.len() / 2]).expect("write");
    assert!(matches!(open(&folder).check(&segments[2]), Err(Error::Corrupt { .. })));
    fs::remove_file(&file).expect("remove");
    match open(&folder).check(&segments[2]) {
        Err(Error::Corrupt { place, offset: 10, detail, .. }) => {
            assert!(place.contains(&segments[2].file) && place.contains("journal/0"), "{place}");
            assert!(detail.contains("missing"), "{detail}");
        }
        other => panic!("it must be named: {other:?}"),
    }
    let archive = open(&folder);
    archive.write_again(journal(0), &segments[2], &records(journal(0), 10, 12)).expect("the log still has them");
    assert_eq!(fs::read(&file).expect("read"), whole, "the same bytes");
    assert!(archive.check(&segments[2]).is_ok());
    let other = archive.write_again(journal(0), &segments[2], &records(journal(0), 10, 11));
    assert!(matches!(other, Err(Error::Corrupt { .. })), "other records do not take its place");
}

/// A crash after the file and before its line; one in the middle of the line; and a line without its end.
#[test]
fn a_crash_between_any_two_steps_is_made_up_for() {
    let folder = folder();
    drop(filled(&folder));
    let (index, next) = (folder.path().join("index.jsonl"), records(journal(0), 12, 15));
    let before = fs::read(&index).expect("read");
    let segment = open(&folder).seal(journal(0), &next, AT).expect("sealed");
    let after = fs::read(&index).expect("read");
    let file = fs::read(path(&folder, &segment)).expect("read");
    for cut in [before.len(), before.len() + 1, (before.len() + after.len()) / 2, after.len() - 1] {
        fs::write(&index, &after[..cut]).expect("write");
        assert_eq!(Archive::look(folder.path()).expect("looks").end(journal(0)).0, 12, "it does not count yet");
        let archive = open(&folder);
        assert_eq!(archive.end(journal(0)).0, 12);
        assert_eq!(
            archive.judge().expect("in order"),
            std::slice::from_ref(&segment.file),
            "left over, which is no damage"
        );
        // More has become due meanwhile: the file that was left over is not in the way.
        let longer = archive.seal(journal(0), &records(journal(0), 12, 16), AT).expect("sealed");
        assert!(!path(&folder, &segment).exists() && path(&folder, &longer).exists());
        assert_eq!(archive.judge().expect("in order"), Vec::<String>::new());
        fs::remove_file(path(&folder, &longer)).expect("remove");
        fs::write(&index, &before).expect("write");
        assert_eq!(open(&folder).seal(journal(0), &next, AT).expect("sealed again"), segment);
        assert_eq!(fs::read(&index).expect("read"), after, "the same line");
        assert_eq!(fs::read(path(&folder, &segment)).expect("read"), file, "the same file");
    }
}

/// The chain of the index by hand, as the manual says.
#[test]
fn the_index_can_be_checked_with_sha256sum() {
    use sha2::{Digest, Sha256};
    let folder = folder();
    drop(filled(&folder));
    let text = fs::read_to_string(folder.path().join("index.jsonl")).expect("read");
    let mut previous = hex::encode(Sha256::digest(b"raccordo archive"));
    for line in text.lines() {
        let (chain, json) = line.split_once(' ').expect("chain and text");
        assert_eq!(chain, hex::encode(Sha256::digest(format!("{previous} {json}"))));
        previous = chain.to_owned();
        let segment: Segment = serde_json::from_str(json).expect("a segment");
        let bytes = fs::read(folder.path().join(&segment.file)).expect("read");
        assert_eq!(hex::encode(Sha256::digest(&bytes)), segment.sha256);
    }
    assert_eq!(Place::new(Topic::JOURNAL, 0).to_string(), "journal/0");
}
