//! Moving a file out of the drop folder once it is durable. Blocking; called from a blocking thread.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hub_failpoint::{Point, at as failpoint};

use crate::scan::Print;
use crate::source::Settling;

/// Where a finished file goes.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) folder: PathBuf,
    pub(crate) done: PathBuf,
    pub(crate) settling: Settling,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is out of the folder (now or before).
    Gone,
    /// Something else lies under its name now; that is a message of its own and stays.
    Replaced,
}

impl Exit {
    /// Takes the file with this name and fingerprint out of the folder; `mark` makes its name unique.
    ///
    /// It is renamed first and compared again afterwards, so that a file which took its place in between is put back
    /// and not lost.
    pub(crate) fn leave(&self, path: &Path, print: Print, mark: &str) -> io::Result<Left> {
        match Print::at(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Left::Gone),
            Err(e) => return Err(e),
            Ok(now) if now != print => return Ok(Left::Replaced),
            Ok(_) => {}
        }
        let target = self.target(path, mark);
        failpoint(Point::FileMove);
        fs::rename(path, &target)?;
        failpoint(Point::FileMoved);
        if Print::at(&target)? != print {
            fs::rename(&target, path)?;
            return Ok(Left::Replaced);
        }
        if self.settling == Settling::Remove {
            fs::remove_file(&target)?;
        }
        Ok(Left::Gone)
    }

    fn target(&self, path: &Path, mark: &str) -> PathBuf {
        let name = path.file_name().unwrap_or_default();
        let mut marked = name.to_os_string();
        marked.push(format!(".{mark}"));
        match self.settling {
            Settling::Remove => {
                let mut hidden = std::ffi::OsString::from(".");
                hidden.push(marked);
                self.folder.join(hidden)
            }
            // A second file of the same name must not replace the first one.
            Settling::Move if self.done.join(name).exists() => self.done.join(marked),
            Settling::Move => self.done.join(name),
        }
    }
}
