//! Commands that need no running hub.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use hub_backbone::Archive;

use crate::books::Shelf;
use crate::bundle::{Workshop, route_files};
use crate::command::Format;
use crate::registry::REGISTRY;
use crate::settings::{BackboneSettings, Config, Settings};
use crate::store::open_embedded;

/// `raccordo check`
pub(crate) fn check(config: &Path, paths: &[PathBuf], explain: bool, format: Format) -> anyhow::Result<ExitCode> {
    let config = load_or_default(config)?;
    let workshop = Workshop::new(&config)?;
    let mut files = Vec::new();
    let default = [config.path(&config.settings.routes)];
    for path in if paths.is_empty() { &default[..] } else { paths } {
        files.extend(route_files(path)?);
    }
    let checked = workshop.check(&files);
    match format {
        Format::Json => println!("{}", hub_route::to_json(&checked.problems)),
        Format::Sarif => println!("{}", hub_route::to_sarif(&checked.problems)),
        Format::Text => {
            print!("{}", hub_route::render(&checked.problems, &files));
            println!("{} of {} routes can run", checked.plans.len(), files.len());
        }
    }
    if explain {
        let plans: Vec<_> = checked.plans.iter().collect();
        println!("{}", hub_route::explain(&plans));
    }
    Ok(if checked.problems.iter().any(hub_route::Problem::is_error) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Routes can be checked without a `hub.yaml`: then nothing is known by name.
fn load_or_default(config: &Path) -> anyhow::Result<Config> {
    if config.exists() {
        return Config::load_names(config);
    }
    Ok(Config { root: config.parent().unwrap_or(Path::new(".")).to_path_buf(), settings: Settings::default() })
}

/// `raccordo schema`
pub(crate) fn schema() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&hub_route::schema(REGISTRY))?);
    Ok(())
}

/// `raccordo docs`
pub(crate) fn docs() {
    println!("{}", hub_route::manual(REGISTRY));
}

/// `raccordo ledger digest`
pub(crate) async fn digest(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    if let Some(shelf) = shelf(&config).await? {
        println!("{}", shelf.ledger().digest().await?);
        shelf.close().await;
        return Ok(());
    }
    let store = open_embedded(&config)?;
    println!("{}", hub_ledger::Ledger::new(store.clone()).digest().await?);
    store.close().await;
    Ok(())
}

/// `raccordo ledger rebuild`
pub(crate) async fn rebuild(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    if let Some(shelf) = shelf(&config).await? {
        hub_ledger::empty(&*shelf.store()).await?;
        println!("the ledger is empty now; hubs that run, or are started, fill it again from the journal");
        shelf.close().await;
        return Ok(());
    }
    let store = open_embedded(&config)?;
    let archive = Arc::new(Archive::open(config.archive())?);
    let events = hub_ledger::rebuild(&store, &archive).await?;
    let digest = hub_ledger::Ledger::new(store.clone()).digest().await?;
    println!("ledger rebuilt from {events} events, digest {digest}");
    store.close().await;
    Ok(())
}

/// The ledger in a store of its own, if it has one.
async fn shelf(config: &Config) -> anyhow::Result<Option<Shelf>> {
    match (&config.settings.backbone, config.ledger()) {
        (BackboneSettings::Embedded(_), None) => Ok(None),
        (_, settings) => Shelf::open(config, settings).await.map(Some),
    }
}
