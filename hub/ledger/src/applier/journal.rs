//! Records of the journal, from wherever they are.

use std::sync::Arc;

use hub_backbone::{Archive, Backbone, Offset, Place, Stored};

use crate::Error;

/// How many records one transaction of the ledger takes.
pub(crate) const RECORDS_MAX: usize = 500;
/// How many bytes, about.
const BYTES_MAX: usize = 8 << 20;

/// Records from `next` on. The log first: near its end, which is the usual case, the archive is not asked at all.
pub(crate) async fn read(
    backbone: &dyn Backbone,
    archive: Option<&Arc<Archive>>,
    place: Place,
    next: Offset,
) -> Result<Vec<Stored>, Error> {
    let records = backbone.read(place, next, RECORDS_MAX, BYTES_MAX).await?;
    let (Some(archive), false) = (archive, records.first().is_none_or(|first| first.offset == next)) else {
        return Ok(records);
    };
    let archive = archive.clone();
    let sealed = tokio::task::spawn_blocking(move || archive.read(place, next));
    let sealed = sealed.await.map_err(|e| Error::Store(format!("reading the archive stopped: {e}")))??;
    // Without sealed records, those of the log come next: applying them tells of the gap.
    Ok(if sealed.is_empty() { records } else { sealed })
}
