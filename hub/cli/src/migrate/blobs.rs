//! Carries blobs to the target's store, if it is another one.

use anyhow::{Context, bail};
use hub_backbone::blobs::SHARDS;
use hub_backbone::{Blobs, FileBlobs};

use crate::blobs::BlobStore;
use crate::settings::{BlobSettings, Config};

/// What became of the blobs.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Both configurations name the same store.
    pub(super) shared: bool,
    /// How many were sent.
    pub(super) copied: u64,
    /// How many were there already; their content was read and fits its hash.
    pub(super) there: u64,
}

/// Sends what the target does not have. Every blob is read with its hash checked, on both sides.
pub(super) async fn carry(from: &Config, to: &Config) -> anyhow::Result<Carried> {
    if are_same(from, to)? {
        return Ok(Carried { shared: true, ..Carried::default() });
    }
    if from.settings.blobs.is_some() {
        bail!(
            "the source keeps them in an object store, and the target elsewhere: objects cannot be listed here. Write the same `blobs:` for the target"
        );
    }
    let (source, target) = (FileBlobs::open(from.blobs())?, BlobStore::open(to).await?);
    let mut carried = Carried::default();
    for shard in 0..SHARDS {
        let names = source.names(u8::try_from(shard)?)?;
        for name in names {
            carry_one(&source, &target, &name, &mut carried).await?;
        }
    }
    Ok(carried)
}

fn are_same(from: &Config, to: &Config) -> anyhow::Result<bool> {
    Ok(match (&from.settings.blobs, &to.settings.blobs) {
        (None, None) => std::path::absolute(from.blobs())? == std::path::absolute(to.blobs())?,
        (Some(BlobSettings::S3(one)), Some(BlobSettings::S3(other))) => {
            (&one.endpoint, &one.bucket, &one.prefix) == (&other.endpoint, &other.bucket, &other.prefix)
        }
        _ => false,
    })
}

async fn carry_one(source: &FileBlobs, target: &BlobStore, name: &str, carried: &mut Carried) -> anyhow::Result<()> {
    if target.get(name).await?.is_some() {
        carried.there += 1;
        return Ok(());
    }
    let bytes = source.get(name).await?.with_context(|| format!("{name} was there a moment ago: stop the hub"))?;
    let put = target.put(&bytes).await?;
    match put == name {
        true => carried.copied += 1,
        false => bail!("{name} became {put} at the target"),
    }
    Ok(())
}
