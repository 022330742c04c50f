//! A store with known content, and what a damaged copy of it gives: the same, or an error that says where. Never anything else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hub_backbone::{Backbone, Commit, Embedded, EmbeddedSettings, Error, Place, Stored, Topic};
use tempfile::TempDir;

use crate::{PARTITIONS, inbox, one};

const SPACE: &str = "s";
/// The files of a store, by their endings.
pub(crate) const FILES: [&str; 3] = ["", "-wal", ".mark"];

/// Everything that can be read from a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) records: BTreeMap<String, (u64, Vec<Stored>)>,
    values: BTreeMap<(String, String), Bytes>,
}

impl Content {
    pub(crate) fn records_of(&self, place: Place) -> usize {
        self.records.get(&place.to_string()).map_or(0, |(_, records)| records.len())
    }
}

impl Content {
    /// What of this is not in `other`, shortened.
    fn difference(&self, other: &Self) -> String {
        let records = self.records.iter().filter(|(place, mine)| other.records.get(*place) != Some(mine));
        let records = records.map(|(place, (position, records))| format!("{place} {position} {}", records.len()));
        let values = self.values.iter().filter(|(key, mine)| other.values.get(*key) != Some(mine));
        let values = values.map(|(key, _)| format!("{key:?}"));
        records.chain(values).take(8).collect::<Vec<_>>().join(", ")
    }
}

/// What became of a damaged copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Everything is there.
    Same,
    /// An error that says where.
    Refused(String),
}

/// A folder on a file system in memory, if there is one: thousands of stores are opened there, with all their fsyncs.
pub(crate) fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| crate::folder())
}

pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Copies the files of a store as SIGKILL leaves them.
pub(crate) fn copy(from: &Path, to: &Path) {
    for ending in FILES.iter().chain(&["-shm", ".lock"]) {
        drop(fs::remove_file(beside(to, ending)));
    }
    for ending in FILES.iter().filter(|ending| beside(from, ending).exists()) {
        fs::copy(beside(from, ending), beside(to, ending)).expect("copy");
    }
}

/// A store with content in the main file and, if `in_wal`, as much in the write-ahead log; in `<folder>/killed.db`, as a killed
/// process leaves it. Values and records of all sizes, some trimmed, some deleted, free pages among them.
pub(crate) async fn filled(folder: &Path, in_wal: bool) -> (PathBuf, Content) {
    fs::create_dir_all(folder).expect("folder");
    let path = folder.join("alive.db");
    let open = || Embedded::open(EmbeddedSettings::new(&path, PARTITIONS)).expect("open");
    let store = open();
    write_some(&store, 0).await;
    store.trim(inbox(1), 6).await.expect("trim");
    store.close().await;
    let store = open();
    if in_wal {
        write_some(&store, 1_000).await;
    }
    let killed = folder.join("killed.db");
    copy(&path, &killed);
    let content = read(&store).await.expect("a good store");
    store.close().await;
    (killed, content)
}

/// Commits as a hub makes them: outputs, state and position together.
pub(crate) async fn write_some(store: &Embedded, from: u64) {
    for n in from..from + 60 {
        let place = inbox((n % 3) as u16);
        let mut step =
            one(place, &format!("key-{n}"), format!("content-{n:05}-").repeat(1 + (n * 7 % 90) as usize).as_bytes());
        step.append(Place::new(Topic::JOURNAL, (n % 4) as u16), format!("case-{n}"), format!("event {n}"));
        step.put(place, SPACE, format!("k{n:05}"), vec![n as u8; (n * 131 % 40_000) as usize % 3_000]);
        step.done(place, n / 3);
        if n % 5 == 4 {
            let old = n - 3;
            step.delete(inbox((old % 3) as u16), SPACE, format!("k{old:05}"));
        }
        store.commit(step).await.expect("done");
    }
    store.commit(one(inbox(0), "large", &[7; 200_000])).await.expect("done");
}

/// Reads everything, in every way that there is.
pub(crate) async fn read(store: &Embedded) -> Result<Content, Error> {
    let mut content = Content::default();
    for topic in Topic::ALL {
        for partition in 0..PARTITIONS {
            let place = Place::new(topic, partition);
            let records = store.read(place, 0, usize::MAX, usize::MAX).await?;
            assert_eq!(store.end(place).await?, records.last().map_or(0, |record| record.offset + 1));
            let _ = content.records.insert(place.to_string(), (store.position(place).await?, records));
            for (key, value) in store.scan(place, SPACE, None, usize::MAX).await? {
                assert_eq!(store.get(place, SPACE, &key).await?.as_ref(), Some(&value));
                let _ = content.values.insert((place.to_string(), key), value);
            }
        }
    }
    Ok(content)
}

/// Opens a copy, reads everything, writes on, and reads again: with what was there before.
///
/// # Panics
/// If anything was lost or is not what was written, or if an error does not say where.
pub(crate) async fn fate(path: &Path, truth: &Content, what: &str) -> Fate {
    match live(path).await {
        Ok((before, after)) => {
            assert!(before == *truth, "{what}: lost or changed unnoticed: {}", truth.difference(&before));
            assert!(after == *truth, "{what}: destroyed unnoticed by writing on: {}", truth.difference(&after));
            Fate::Same
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()), "{what}: it does not name the file: {text}");
            let says_what_to_do = ["put no older copy", "remove", "name another file", "start the newer", "again"];
            assert!(says_what_to_do.iter().any(|word| text.contains(word)), "{what}: what to do? {text}");
            Fate::Refused(text)
        }
    }
}

async fn live(path: &Path) -> Result<(Content, Content), Error> {
    let store = Embedded::open(EmbeddedSettings::new(path, PARTITIONS))?;
    let before = read(&store).await?;
    let place = Place::new(Topic::OUTBOX, 3);
    let large = vec![3; 100_000];
    let end = store.commit(one(place, "new", &large)).await?[0];
    let mut value = Commit::new();
    value.put(place, "new", "k", large);
    store.commit(value).await?;
    let mut after = read(&store).await?;
    let outbox = after.records.get_mut(&place.to_string()).expect("it was read");
    let _new = outbox.1.split_off(usize::try_from(end).expect("small"));
    store.close().await;
    Ok((before, after))
}

/// A generator for tests: the same numbers for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}

/// The seed of this run, and how much to do: ten times as much with `RACCORDO_LONG`.
pub(crate) fn seed_and_times(times: usize) -> (u64, usize) {
    let seed = std::env::var("RACCORDO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125);
    (seed, if std::env::var_os("RACCORDO_LONG").is_some() { times * 10 } else { times })
}
