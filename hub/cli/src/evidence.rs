//! `raccordo evidence CASE`: one zip with everything about a case, and how to check it without this program.
//!
//! - `records`: the events of the case from archive and log, each with the chain before it;
//! - `papers`: the documents that they name;
//! - `signatures`: the parts of each signature that openssl can judge;
//! - `package`: the zip, and the lists of hashes in it;
//! - `guide.md`, `guida.md`: what the reader is told.
//!
//! It is read beside a running hub, from what was committed when it looked.

mod package;
mod papers;
mod records;
mod signatures;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use hub_backbone::{Archive, FileBlobs, Look};

use crate::settings::Config;

use package::Package;
use papers::Papers;
use records::{Found, Records};

/// How to check, in English.
const GUIDE: &str = include_str!("evidence/guide.md");
/// How to check, in Italian.
const GUIDA: &str = include_str!("evidence/guida.md");

/// `raccordo evidence`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The case, for example UFAAAA/2026/123
    case: String,
    /// The configuration
    #[arg(long, default_value = "config/hub.yaml")]
    config: PathBuf,
    /// The file to write; it must not be there yet
    #[arg(long)]
    to: PathBuf,
}

/// Writes the evidence; exit code 1 if something that belongs into it is missing or damaged, which the zip tells too.
pub(crate) fn write(options: &Options) -> anyhow::Result<ExitCode> {
    if options.to.exists() {
        bail!("{} is there already: name another file", options.to.display());
    }
    let config = Config::load_names(&options.config)?;
    let look = Look::open(config.store()?)?;
    let records = Records::open(&look, Archive::look(config.archive())?)?;
    let found = records.of_case(&options.case)?;
    if found.events.is_empty() {
        bail!("there is no case `{}` in {}", options.case, look.path().display());
    }
    let mut package = Package::create(&options.to)?;
    package.text("README.md", &GUIDE.replace("{case}", &options.case))?;
    package.text("LEGGIMI.md", &GUIDA.replace("{case}", &options.case))?;
    write_events(&mut package, &found)?;
    let missing = Papers::of(&found).write(&mut package, &FileBlobs::look(config.blobs()))?;
    if !missing.is_empty() {
        package.text("MISSING.txt", &(missing.join("\n") + "\n"))?;
    }
    let files = package.finish()?;
    println!("{} events, {files} files in {}", found.events.len(), options.to.display());
    missing.iter().for_each(|line| println!("missing: {line}"));
    Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The events as lines, and what each chain value is the hash of.
fn write_events(package: &mut Package, found: &Found) -> anyhow::Result<()> {
    let (mut lines, mut sums) = (String::new(), String::new());
    for event in &found.events {
        let file = event.file();
        package.bytes(&file, &event.chained())?;
        sums.push_str(&format!("{}  {file}\n", hex::encode(event.record.chain)));
        lines.push_str(&serde_json::to_string(&event.line()?)?);
        lines.push('\n');
    }
    package.text("events.jsonl", &lines)?;
    package.text("CHAIN.sha256", &sums)?;
    let index: Vec<String> = found.segments.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    if !index.is_empty() {
        package.text("archive-segments.jsonl", &(index.join("\n") + "\n"))?;
    }
    Ok(())
}
