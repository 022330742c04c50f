//! The archive of the journal in a backup: the segments that the copied log continues, and no others.
//!
//! A hub that goes on while a backup is made may seal records that the copy of its log has not got. A restored log would go
//! another way there, and an archive that is ahead of its log is of no use to it. So copying ends at the first such segment;
//! its records, as far as the copy has them, are still in the log.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::files::{at, copy_through};
use super::names::{Name, of_bytes};
use super::sums::Sums;
use super::{ARCHIVE, Lies};
use crate::archive::INDEX;
use crate::{Archive, Error, Offset, Segment};

/// Copies the segments that lie before the ends of the copied log; adds the names that their records mention.
pub(super) fn copy(
    store: &Lies,
    to: &Path,
    ends: &HashMap<String, Offset>,
    names: &mut Vec<Name>,
    sums: &mut Sums,
) -> Result<u64, Error> {
    let archive = Archive::look(&store.archive)?;
    let holds = |segment: &Segment| ends.get(&segment.place).is_some_and(|end| segment.last < *end);
    let copied = archive.copy_to(&to.join(ARCHIVE), holds, |records| {
        records.iter().for_each(|record| of_bytes(&record.bytes, &mut |name| names.push(name)));
    })?;
    for segment in &copied {
        sums.add_known(&format!("{ARCHIVE}/{}", segment.file), segment.sha256.clone(), segment.bytes);
    }
    if !copied.is_empty() {
        sums.add_file(to, &format!("{ARCHIVE}/{INDEX}"))?;
    }
    Ok(copied.len() as u64)
}

/// Writes the archive of a backup into a new folder.
pub(super) fn put_back(from: &Path, sums: &Sums, fresh: &Path) -> Result<(), Error> {
    if fresh.exists() {
        // what an earlier try has left
        fs::remove_dir_all(fresh).map_err(|e| at(fresh, &e))?;
    }
    fs::create_dir_all(fresh).map_err(|e| at(fresh, &e))?;
    for (_, path) in sums.below(ARCHIVE) {
        let target = fresh.join(path);
        let folder = target.parent().unwrap_or(fresh);
        fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
        copy_through(&from.join(ARCHIVE).join(path), &target)?;
    }
    super::files::sync_folder(fresh)
}
