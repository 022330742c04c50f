//! The events on disk: one JSON line each, synced before anybody is told.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use super::world::Event;

/// An append-only file of events, owned by this process alone.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Opens `siope.jsonl` in `folder` and hands every event of it to `each`. A last line that a crash cut short was
    /// never acknowledged and is removed; any other unreadable line is an error, as is a second process.
    pub(crate) fn open(folder: &Path, mut each: impl FnMut(Event)) -> Result<Self, String> {
        let fail = |e: std::io::Error| e.to_string();
        std::fs::create_dir_all(folder).map_err(fail)?;
        let path = folder.join("siope.jsonl");
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(fail)?;
        file.try_lock().map_err(|e| format!("another process uses it: {e}"))?;
        let whole = replay(&file, &mut each)?;
        file.set_len(whole).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
        Ok(Self { file })
    }

    /// Appends events and waits until the disk has them. After an error the file must not be used again.
    pub(crate) fn append(&mut self, events: &[Event]) -> Result<(), String> {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event).map_err(|e| e.to_string())?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines).map_err(|e| e.to_string())?;
        self.file.sync_data().map_err(|e| e.to_string())
    }
}

/// Reads all whole lines; the result is their length in bytes.
fn replay(file: &File, each: &mut impl FnMut(Event)) -> Result<u64, String> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    let (mut whole, mut number) = (0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        if line.last() != Some(&b'\n') {
            return Ok(whole);
        }
        number += 1;
        each(serde_json::from_slice(&line).map_err(|e| format!("line {number} is damaged: {e}"))?);
        whole += u64::try_from(read).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::siope::world::Document;

    fn fetched(folder: &Path) -> Result<Vec<u64>, String> {
        let mut seen = Vec::new();
        let journal = Journal::open(folder, |event| match event {
            Event::Fetched(Document::Ack(n)) => seen.push(n),
            other => panic!("unexpected {other:?}"),
        });
        journal.map(|_| seen)
    }

    #[test]
    fn a_torn_last_line_is_removed_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("siope.jsonl");
        let mut journal = Journal::open(folder.path(), |_| {}).unwrap();
        journal.append(&[Event::Fetched(Document::Ack(1)), Event::Fetched(Document::Ack(2))]).unwrap();
        assert!(fetched(folder.path()).unwrap_err().contains("another process"));
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(fetched(folder.path()).unwrap(), [1], "cut at {cut}");
        }
        std::fs::write(&path, [b"{}\n", whole.as_slice()].concat()).unwrap();
        assert!(fetched(folder.path()).unwrap_err().contains("line 1"));
    }
}
