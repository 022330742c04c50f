//! Zip archives of one document, both ways, within limits.

use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Name of the entry that is sent; it carries no meaning.
const ENTRY: &str = "flusso.xml";

/// Packs a flow. The same document gives the same bytes: no clock, no file of the system takes part.
///
/// # Errors
/// What the packer says; in memory it has nothing to say.
pub(crate) fn pack(document: &[u8]) -> Result<Bytes, String> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let packed = || {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(ENTRY, options)?;
        writer.write_all(document)?;
        Ok::<_, ZipError>(writer.finish()?.into_inner())
    };
    packed().map(Bytes::from).map_err(|e| format!("the flow cannot be packed: {e}"))
}

/// The first document of an archive, as SIOPE+'s own clients read it.
///
/// # Errors
/// If it is no zip, holds no document, or the document is larger than `bytes_max` (whatever the archive claims).
pub(crate) fn unpack(zip: &[u8], bytes_max: usize) -> Result<Bytes, String> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|e| format!("the download is not a zip: {e}"))?;
    if archive.len() > 1 {
        tracing::warn!(entries = archive.len(), "an archive of SIOPE+ holds more than one entry, the first is read");
    }
    let entry = archive.by_index(0).map_err(|e| format!("the download holds no document: {e}"))?;
    let (mut document, limit) = (Vec::new(), u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1));
    let _ = entry.take(limit).read_to_end(&mut document).map_err(|e| format!("the download is damaged: {e}"))?;
    if document.len() > bytes_max {
        return Err(format!("the download is larger than {bytes_max} bytes when unpacked"));
    }
    Ok(document.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_deterministic_and_reads_back() {
        let document = "<a>à</a>".repeat(1000).into_bytes();
        let zip = pack(&document).unwrap();
        assert_eq!(zip, pack(&document).unwrap());
        assert!(zip.len() < document.len() / 10);
        assert_eq!(unpack(&zip, document.len()).unwrap(), document);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zip = pack(&vec![b' '; 20 << 20]).unwrap();
        assert!(zip.len() < 100_000);
        assert!(unpack(&zip, 1 << 20).unwrap_err().contains("larger than 1048576"));
    }

    #[test]
    fn damage_is_told() {
        assert!(unpack(b"<html>", 10).unwrap_err().contains("not a zip"));
        let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
        assert!(unpack(&empty, 10).unwrap_err().contains("no document"));
        let mut zip = pack(b"<a>some text that is long enough</a>").unwrap().to_vec();
        zip[45] ^= 0x55;
        assert!(unpack(&zip, 1000).is_err());
    }
}
