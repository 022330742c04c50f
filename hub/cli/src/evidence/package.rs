//! The zip: written beside its place, then renamed; with the SHA-256 of every file in it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Longest name of a file in the package.
const NAME_CHARS_MAX: usize = 100;
/// Base 64 digits of one line of PEM.
const PEM_CHARS: usize = 64;

/// The file beside its place; a package that was not finished leaves nothing behind.
struct Tmp(PathBuf);

impl Drop for Tmp {
    fn drop(&mut self) {
        // After `finish` it has its own name, and nothing is there.
        let _gone = std::fs::remove_file(&self.0).is_err();
    }
}

/// A package in the making.
pub(super) struct Package {
    zip: ZipWriter<BufWriter<File>>,
    tmp: Tmp,
    to: PathBuf,
    sums: String,
    files: usize,
}

impl Package {
    /// Begins a package.
    pub(super) fn create(to: &Path) -> anyhow::Result<Self> {
        let mut tmp = to.as_os_str().to_owned();
        tmp.push(".tmp");
        let tmp = Tmp(tmp.into());
        let file = File::create(&tmp.0).with_context(|| format!("cannot write {}", tmp.0.display()))?;
        let zip = ZipWriter::new(BufWriter::new(file));
        Ok(Self { zip, tmp, to: to.to_path_buf(), sums: String::new(), files: 0 })
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        self.bytes(name, text.as_bytes())
    }

    /// Adds a file.
    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.entry(name, bytes)?;
        self.sums.push_str(&format!("{}  {name}\n", hub_core::sha256_hex(bytes)));
        Ok(())
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        // Without times: the same case gives the same package.
        let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
        self.zip.start_file(name, options).with_context(|| format!("cannot add {name}"))?;
        self.zip.write_all(bytes).with_context(|| format!("cannot write {}", self.tmp.0.display()))?;
        self.files += 1;
        Ok(())
    }

    /// Ends the package with the list of its hashes; gives how many files it has.
    pub(super) fn finish(mut self) -> anyhow::Result<usize> {
        let sums = std::mem::take(&mut self.sums);
        self.entry("SHA256SUMS", sums.as_bytes())?;
        let failed = || format!("cannot write {}", self.to.display());
        let mut out = self.zip.finish().with_context(failed)?;
        out.flush().with_context(failed)?;
        out.get_ref().sync_all().with_context(failed)?;
        std::fs::rename(&self.tmp.0, &self.to).with_context(failed)?;
        Ok(self.files)
    }
}

/// A name that is one plain word wherever it is unpacked.
pub(super) fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.chars().take(NAME_CHARS_MAX).map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// Bytes as PEM.
pub(super) fn pem(label: &str, bytes: &[u8]) -> String {
    let digits = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        (0..digits.len()).step_by(PEM_CHARS).map(|at| &digits[at..digits.len().min(at + PEM_CHARS)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
