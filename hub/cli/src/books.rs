//! The ledger that people are shown: in the embedded store, or in a store of its own that follows the journal.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use hub_backbone::{Archive, Offset};
use hub_ledger::{Applier, FileStore, Ledger, PostgresStore, Watermark};
use hub_runtime::{Alarm, Seen};

use crate::settings::{Config, LedgerSettings};
use crate::store::Store;

/// A ledger, and what keeps it up to date.
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    own: Option<Own>,
}

/// A ledger in a store of its own.
pub(crate) struct Own {
    shelf: Shelf,
    applier: Applier,
}

/// Where a ledger of its own stands.
pub(crate) enum Shelf {
    Sqlite(Arc<FileStore>),
    Postgres(PostgresStore),
}

impl Books {
    /// Opens the ledger, and begins to follow the journal if it stands in a store of its own. One in the embedded store is
    /// complete on return.
    pub(crate) async fn open(config: &Config, store: &Store, archive: &Arc<Archive>) -> anyhow::Result<Self> {
        if let Store::Embedded(embedded) = store {
            let _ = hub_ledger::catch_up(embedded, archive).await?;
        }
        match (store, config.ledger()) {
            (Store::Embedded(embedded), None) => Ok(Self { ledger: Ledger::new(embedded.clone()), own: None }),
            (_, settings) => {
                let shelf = Shelf::open(config, settings).await?;
                // A store that was moved to Kafka has its oldest journal there; hubs on Kafka seal nothing themselves.
                let applier = Applier::start(store.backbone(), shelf.store(), Some(archive.clone()));
                Ok(Self { ledger: shelf.ledger(), own: Some(Own { shelf, applier }) })
            }
        }
    }

    /// Who says how far the ledger has come; `None`: as far as the log, always.
    pub(crate) fn seen(&self) -> Option<Arc<dyn Seen>> {
        let own = self.own.as_ref()?;
        Some(Arc::new(Reached(own.applier.watermark())))
    }

    /// Who says why the ledger does not follow.
    pub(crate) fn watermark(&self) -> Option<Watermark> {
        self.own.as_ref().map(|own| own.applier.watermark())
    }

    /// Ends the following; what it writes just now is written.
    pub(crate) async fn close(self) {
        if let Some(Own { shelf, applier }) = self.own {
            drop(applier);
            shelf.close().await;
        }
    }
}

impl Shelf {
    /// Opens the store of its own that the configuration names; without a word, a file beside the other data.
    pub(crate) async fn open(config: &Config, settings: Option<&LedgerSettings>) -> anyhow::Result<Self> {
        match settings {
            Some(LedgerSettings::Postgres(settings)) => {
                let store = PostgresStore::new(settings, &config.root)?;
                match store.prepare().await {
                    // The hub works without its ledger, and fills it when the database is there.
                    Err(error @ hub_ledger::Error::Away { .. }) => tracing::warn!(%error, "started without the ledger"),
                    done => done?,
                }
                Ok(Self::Postgres(store))
            }
            sqlite => {
                let path = match sqlite {
                    Some(LedgerSettings::Sqlite(settings)) => settings.path.clone(),
                    _ => "ledger.db".into(),
                };
                let path = config.data().join(path);
                let store = FileStore::open(&path).with_context(|| format!("the ledger {}", path.display()))?;
                Ok(Self::Sqlite(Arc::new(store)))
            }
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn hub_ledger::Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        match self {
            Self::Sqlite(store) => Ledger::new(store.clone()),
            Self::Postgres(store) => Ledger::new(Arc::new(store.clone())),
        }
    }

    pub(crate) async fn close(&self) {
        if let Self::Postgres(store) = self {
            store.close().await;
        }
    }
}

/// An alarm for each reason why the ledger stays behind.
pub(crate) fn alarms(watermark: &Watermark) -> impl Iterator<Item = Alarm> {
    let alarm = |detail| Alarm { name: "ledger".into(), subject: "ledger".into(), detail };
    watermark.troubles().into_iter().map(alarm)
}

/// The ledger's own word, for the runtime.
struct Reached(Watermark);

#[async_trait]
impl Seen for Reached {
    async fn reaches(&self, slot: u16, offset: Offset) -> Result<(), String> {
        self.0.reaches(slot, offset).await.map_err(|error| error.to_string())
    }
}
