//! Zip archives of one entry: reading what was uploaded, writing what is downloaded.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Why an upload is not a zip of one document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// 415: the bytes are no zip, or one that cannot be read.
    #[error("the body is not a readable zip: {0}")]
    NotZip(String),
    /// 422: it is a zip, but not of exactly one file.
    #[error("the zip holds {0} entries, exactly one file is expected")]
    Entries(usize),
    /// 422: what is inside is bigger than allowed.
    #[error("the document in the zip is longer than {0} bytes")]
    TooLong(usize),
}

/// The only document of an archive. What an entry says about its own length is not believed.
pub(crate) fn unpack(zip: &[u8], bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let unreadable = |e: &dyn std::fmt::Display| Problem::NotZip(e.to_string());
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|e| unreadable(&e))?;
    if archive.len() != 1 {
        return Err(Problem::Entries(archive.len()));
    }
    let entry = archive.by_index(0).map_err(|e| unreadable(&e))?;
    if entry.is_dir() {
        return Err(Problem::Entries(0));
    }
    let mut document = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = entry.take(limit).read_to_end(&mut document).map_err(|e| unreadable(&e))?;
    if read > bytes_max { Err(Problem::TooLong(bytes_max)) } else { Ok(document) }
}

/// An archive of one document. The same document always gives the same bytes.
pub(crate) fn pack(name: &str, document: &[u8]) -> Result<Vec<u8>, Problem> {
    let unwritable = |e: &dyn std::fmt::Display| Problem::NotZip(e.to_string());
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, options).map_err(|e| unwritable(&e))?;
    writer.write_all(document).map_err(|e| unwritable(&e))?;
    Ok(writer.finish().map_err(|e| unwritable(&e))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let zip = pack("ack.xml", b"<a/>").unwrap();
        assert_eq!(unpack(&zip, 4).unwrap(), b"<a/>");
        assert_eq!(zip, pack("ack.xml", b"<a/>").unwrap());
        assert_eq!(unpack(&zip, 3), Err(Problem::TooLong(3)));
    }

    #[test]
    fn every_cut_of_a_zip_is_refused() {
        let zip = pack("flusso.xml", &b"<flusso_ordinativi/>".repeat(50)).unwrap();
        for cut in 0..zip.len() {
            assert!(unpack(&zip[..cut], 10_000).is_err(), "cut at {cut}");
        }
    }
}
