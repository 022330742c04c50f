//! The documents that the events of a case name.

use std::collections::BTreeMap;

use hub_backbone::FileBlobs;
use hub_core::journal::What;

use super::package::{Package, plain};
use super::records::Found;
use super::signatures;

/// A document, and where in the package it goes.
struct Paper {
    file: String,
    sha256: String,
    /// Who names it, for the list of what is missing.
    named_by: String,
}

/// All documents of a case; each is there once, whoever names it again.
pub(super) struct Papers(Vec<Paper>);

impl Papers {
    /// What the events name: archived documents, what people were shown, what was parked.
    pub(super) fn of(found: &Found) -> Self {
        let mut papers: BTreeMap<String, Paper> = BTreeMap::new();
        for sealed in &found.events {
            let (folder, name, sha256) = match &sealed.event.what {
                What::Archived(document) => ("documents", document.name.clone(), &document.sha256),
                What::TaskOpened(task) => ("shown", format!("{}{}", task.id, extension(&task.mime)), &task.sha256),
                What::Parked(parked) => ("parked", format!("{}{}", parked.id, extension(&parked.mime)), &parked.sha256),
                _ => continue,
            };
            let number = papers.len() + 1;
            let named_by = format!("{} offset {}", sealed.place, sealed.record.offset);
            let file = format!("{folder}/{number:03}-{}", plain(&name));
            let _ = papers.entry(sha256.clone()).or_insert_with(|| Paper { file, sha256: sha256.clone(), named_by });
        }
        let mut papers: Vec<Paper> = papers.into_values().collect();
        papers.sort_by(|a, b| a.file.cmp(&b.file));
        Self(papers)
    }

    /// Puts them into the package, with what openssl needs to judge their signatures. Gives what is missing or damaged.
    pub(super) fn write(&self, package: &mut Package, blobs: &FileBlobs) -> anyhow::Result<Vec<String>> {
        let (mut sums, mut missing) = (String::new(), Vec::new());
        for paper in &self.0 {
            let Paper { file, sha256, named_by } = paper;
            match blobs.file_of(sha256).map(std::fs::read) {
                Some(Ok(bytes)) => {
                    if hub_core::sha256_hex(&bytes) != *sha256 {
                        missing
                            .push(format!("{file}: its bytes do not have the SHA-256 {sha256} that {named_by} names"));
                    }
                    package.bytes(file, &bytes)?;
                    signatures::write(package, file, &bytes)?;
                    sums.push_str(&format!("{sha256}  {file}\n"));
                }
                Some(Err(error)) => missing.push(format!("{file}: blob {sha256} cannot be read: {error}")),
                None => missing.push(format!("{file}: blob {sha256}, named by {named_by}, is not in the blob store")),
            }
        }
        if !sums.is_empty() {
            package.text("DOCUMENTS.sha256", &sums)?;
        }
        Ok(missing)
    }
}

fn extension(mime: &str) -> &'static str {
    match hub_core::Media::of_mime(mime) {
        hub_core::Media::Json => ".json",
        hub_core::Media::Xml => ".xml",
        hub_core::Media::Text => ".txt",
        hub_core::Media::Bytes => ".bin",
    }
}
