//! One of the two stores, open for moving.

use anyhow::bail;
use hub_backbone::{Embedded, EmbeddedSettings, Movable};
use hub_kafka::{Kafka, KafkaSettings};

use crate::settings::{BackboneSettings, Config};
use crate::store::located;

/// A store that is open for moving, and what people call it.
pub(super) struct Side {
    pub(super) name: String,
    store: Open,
}

enum Open {
    Embedded(Embedded),
    Kafka(Kafka),
}

impl Side {
    /// Opens the store of a hub that is stopped. On Kafka, no other hub can commit any more on return, and what hubs have sent
    /// to each other is in the logs.
    pub(super) async fn source(config: &Config) -> anyhow::Result<Self> {
        if matches!(config.settings.backbone, BackboneSettings::Embedded(_)) && !config.store()?.is_file() {
            bail!(
                "there is no store {}: `--config` is the configuration that the hub has run with",
                config.store()?.display()
            );
        }
        let side = Self::open(config).await?;
        if let Open::Kafka(store) = &side.store {
            store.fence_others().await?;
            return side.reopen(config).await;
        }
        Ok(side)
    }

    /// Opens a store that is to be filled.
    pub(super) async fn target(config: &Config) -> anyhow::Result<Self> {
        if matches!(config.settings.backbone, BackboneSettings::Embedded(_)) {
            let (file, anchor) = (config.store()?, config.anchor()?);
            if !file.exists() && anchor.exists() {
                bail!(
                    "{} is the anchor of an earlier store: move it aside, or name another `anchor`",
                    anchor.display()
                );
            }
        }
        Self::open(config).await
    }

    async fn open(config: &Config) -> anyhow::Result<Self> {
        let data = config.data();
        std::fs::create_dir_all(&data)?;
        Ok(match &config.settings.backbone {
            BackboneSettings::Embedded(_) => {
                let (name, store) = (std::path::absolute(config.store()?)?, open_embedded(config)?);
                Self { name: name.display().to_string(), store: Open::Embedded(store) }
            }
            BackboneSettings::Kafka(settings) => {
                let name = format!("Kafka, prefix {}", settings.prefix);
                Self { name, store: Open::Kafka(open_kafka(settings, config).await?) }
            }
        })
    }

    pub(super) fn store(&self) -> &dyn Movable {
        match &self.store {
            Open::Embedded(store) => store,
            Open::Kafka(store) => store,
        }
    }

    /// Closes and opens it, so that what it says next comes from where it is kept. The lock is free in between.
    pub(super) async fn reopen(self, config: &Config) -> anyhow::Result<Self> {
        self.close().await;
        drop(self);
        Self::open(config).await
    }

    pub(super) async fn close(&self) {
        match &self.store {
            Open::Embedded(store) => store.close().await,
            Open::Kafka(store) => store.close().await,
        }
    }
}

/// A store in recovery is refused: what it waits for belongs to a disk that is about to be left.
fn open_embedded(config: &Config) -> anyhow::Result<Embedded> {
    let settings = EmbeddedSettings::new(config.store()?, config.embedded()?.partitions).with_anchor(config.anchor()?);
    let store = Embedded::open(settings.for_moving())?;
    match store.recovery() {
        None => Ok(store),
        Some(recovery) => bail!(
            "the store {} is in recovery ({}): start the hub, release its lanes (`raccordo recover`), then move it",
            store.path().display(),
            recovery.reason
        ),
    }
}

async fn open_kafka(settings: &KafkaSettings, config: &Config) -> anyhow::Result<Kafka> {
    let store = Kafka::open(KafkaSettings { moving: true, ..located(settings, config) }).await?;
    match store.own_all().await {
        Ok(()) => Ok(store),
        Err(error) => {
            store.close().await;
            Err(error.into())
        }
    }
}
