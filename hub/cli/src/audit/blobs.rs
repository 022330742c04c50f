//! Blobs against their names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hub_backbone::Error;
use sha2::{Digest, Sha256};

use super::report::Finding;
use super::{Audit, Counts};

/// How much of a file is in memory at a time.
const CHUNK: usize = 256 * 1024;

impl Audit {
    /// Reads all blobs of one shard and compares each with its name.
    pub(super) fn shard(&self, shard: u8) -> Result<(), Error> {
        for name in self.blobs.names(shard)? {
            // Between listing and reading, a running hub may have emptied its trash.
            let Some(file) = self.blobs.file_of(&name) else { continue };
            match hash(&file) {
                Ok((found, bytes)) => {
                    Counts::add(&self.counts.blobs, 1);
                    Counts::add(&self.counts.blob_bytes, bytes);
                    if found != name {
                        let detail = format!("its {bytes} bytes have the SHA-256 {found}");
                        self.found(Finding::blob(&name, file.display().to_string(), detail));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.found(Finding::blob(&name, file.display().to_string(), format!("cannot be read: {error}")));
                }
            }
        }
        Ok(())
    }

    /// A blob that something names.
    pub(super) fn must_be_there(&self, name: &str, about: &str) {
        Counts::add(&self.counts.named, 1);
        if !self.blobs.has(name) {
            self.found(Finding::blob(name, about.to_owned(), format!("it is missing; named by {about}")));
        }
    }
}

fn hash(path: &Path) -> std::io::Result<(String, u64)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok((hex::encode(hash.finalize()), bytes));
        }
        hash.update(&chunk[..count]);
        bytes += count as u64;
    }
}
