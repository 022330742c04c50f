//! `raccordo migrate`: moves everything from the embedded store to Kafka, or back. The engine is [`hub_backbone::migrate`].

mod blobs;
mod side;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use hub_backbone::migrate::{Moving, Sheet, Stage};
use serde_json::{Value, json};

use crate::bundle::BUNDLES;
use crate::settings::{BackboneSettings, Config};

use blobs::Carried;
use side::Side;

/// `raccordo migrate`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The kind of store to move to
    #[arg(long, value_enum)]
    to: Kind,
    /// The configuration with which the hub has run until now
    #[arg(long, default_value = "config/hub.yaml")]
    config: PathBuf,
    /// The configuration with which it will run afterwards
    #[arg(long)]
    target: PathBuf,
    /// Takes a moving back that is not at its end: the target is spoilt, the source is as before
    #[arg(long)]
    abandon: bool,
}

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A Kafka cluster
    Kafka,
    /// One SQLite file
    Embedded,
}

impl Kind {
    const fn of(config: &Config) -> Self {
        match &config.settings.backbone {
            BackboneSettings::Embedded(_) => Self::Embedded,
            BackboneSettings::Kafka(_) => Self::Kafka,
        }
    }
}

/// Moves a store, or takes the moving back. Prints what both have as JSON, and how it goes to standard error.
pub(crate) async fn migrate(options: Options) -> anyhow::Result<()> {
    let (from, to) = (Config::load(&options.config)?, Config::load(&options.target)?);
    if Kind::of(&to) != options.to {
        bail!("`--target {}` names another kind of store than `--to` says", options.target.display());
    }
    if Kind::of(&from) == options.to {
        bail!("`--config {}` names the kind of store that `--to` says: nothing to move", options.config.display());
    }
    same_archive(&from, &to)?;
    let source = Side::source(&from).await?;
    let target = Side::target(&to).await?;
    let moved =
        if options.abandon { abandon(&source, &target).await } else { carry(&source, target, (&from, &to)).await };
    source.close().await;
    println!("{}", moved?);
    Ok(())
}

/// Sealed segments of the journal stay where they are, so both configurations must name the same folder.
fn same_archive(from: &Config, to: &Config) -> anyhow::Result<()> {
    let (here, there) = (std::path::absolute(from.archive())?, std::path::absolute(to.archive())?);
    let has_any = std::fs::read_dir(&here).is_ok_and(|mut entries| entries.next().is_some());
    if has_any && here != there {
        bail!(
            "sealed segments of the journal stay where they are: write `retention: {{ journal: {{ archive: {} }} }}` into the target's configuration",
            here.display()
        );
    }
    Ok(())
}

fn moving<'a>(source: &'a Side, target: &'a Side) -> Moving<'a> {
    Moving {
        source: source.store(),
        target: target.store(),
        source_name: &source.name,
        target_name: &target.name,
        facts: &[BUNDLES],
    }
}

async fn abandon(source: &Side, target: &Side) -> anyhow::Result<Value> {
    let done = moving(source, target).abandon().await;
    target.close().await;
    done?;
    eprintln!("taken back: a hub may start on {} again; {} cannot be used any more", source.name, target.name);
    Ok(json!({ "abandoned": target.name, "source": source.name }))
}

/// Whatever is left to do. The target is opened anew before it is compared, and closed on return.
async fn carry(source: &Side, target: Side, configs: (&Config, &Config)) -> anyhow::Result<Value> {
    let stage = match copied(source, &target).await {
        Ok(stage) => stage,
        Err(error) => {
            target.close().await;
            return Err(error);
        }
    };
    let target = if matches!(stage, Stage::Copy(_)) { target.reopen(configs.1).await? } else { target };
    let done = finish(source, &target, &stage, configs).await;
    target.close().await;
    done
}

/// Copies what is to be copied; says where that has begun.
async fn copied(source: &Side, target: &Side) -> anyhow::Result<Stage> {
    let stage = moving(source, target).stage(&uuid::Uuid::now_v7().simple().to_string()).await?;
    if let Stage::Copy(id) = &stage {
        eprintln!("moving {} to {} ({id}); killed at any time, the same command goes on", source.name, target.name);
        moving(source, target).copy(id, &progress()).await?;
    }
    Ok(stage)
}

async fn finish(source: &Side, target: &Side, stage: &Stage, (from, to): (&Config, &Config)) -> anyhow::Result<Value> {
    let id = match stage {
        Stage::Copy(id) | Stage::Release(id) => id,
        Stage::Done(id) => {
            eprintln!("{} was moved to {} before ({id}): nothing to do", source.name, target.name);
            return Ok(json!({ "id": id, "from": source.name, "to": target.name, "already": true }));
        }
    };
    let carried = blobs::carry(from, to).await.context("blobs")?;
    let sheet = moving(source, target).release(id).await?;
    told(&sheet, &source.name, &target.name);
    Ok(report(id, (&source.name, &target.name), &sheet, &carried))
}

/// Says each tenth of the way once.
fn progress() -> impl Fn(u64, u64) + Sync {
    let said = AtomicU64::new(0);
    move |done, total| {
        let tenth = (10 * done).checked_div(total).unwrap_or(10);
        if said.fetch_max(tenth, Ordering::Relaxed) < tenth {
            eprintln!("{done} of {total} records");
        }
    }
}

fn open_lives(sheet: &Sheet) -> Vec<&str> {
    sheet.lives.iter().filter(|life| life.over.is_none()).map(|life| life.epoch.as_str()).collect()
}

fn told(sheet: &Sheet, source: &str, target: &str) {
    for epoch in open_lives(sheet) {
        eprintln!("the life {epoch} is not known to be over: its open attempts are resolved, never repeated");
    }
    eprintln!(
        "{target} has what {source} has: {} records, {} values; it counts from now on",
        sheet.records(),
        sheet.values()
    );
}

fn report(id: &str, (from, to): (&str, &str), sheet: &Sheet, blobs: &Carried) -> Value {
    json!({
        "id": id, "from": from, "to": to, "already": false,
        "records": sheet.records(), "values": sheet.values(), "facts": sheet.facts.count,
        "lives": sheet.lives.len(), "open_lives": open_lives(sheet), "digest": sheet.digest(),
        "blobs": { "shared": blobs.shared, "copied": blobs.copied, "there": blobs.there },
    })
}
