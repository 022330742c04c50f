//! What a hub stands on, whichever backbone its configuration names.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use hub_backbone::embedded::AlarmKind;
use hub_backbone::{Backbone, Embedded, EmbeddedSettings};
use hub_kafka::{Kafka, KafkaSettings};
use hub_ledger::LedgerView;
use hub_runtime::{Alarm, Recovery, StoreFigures};

use crate::settings::{BackboneSettings, Config};
use crate::watch::store_figures;

/// The log of a hub. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Store {
    /// One SQLite file on this machine, with the ledger in it.
    Embedded(Arc<Embedded>),
    /// A Kafka cluster.
    Kafka(Arc<Kafka>),
}

impl Store {
    /// Opens what the configuration names.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let data = config.data();
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make the folder {}", data.display()))?;
        let store = match &config.settings.backbone {
            BackboneSettings::Embedded(_) => Self::Embedded(open_embedded(config)?),
            BackboneSettings::Kafka(settings) => Self::Kafka(Arc::new(Kafka::open(located(settings, config)).await?)),
        };
        tracing::info!(epoch = store.backbone().epoch(), "store open");
        Ok(store)
    }

    pub(crate) fn backbone(&self) -> Arc<dyn Backbone> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Kafka(store) => store.clone(),
        }
    }

    /// Whether nobody else works on the same log.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// What the opening has found about the store's age, for the runtime.
    pub(crate) fn recovery(&self) -> Option<Recovery> {
        match self {
            Self::Embedded(store) => store.recovery().map(found),
            Self::Kafka(_) => None,
        }
    }

    /// People have released everything.
    pub(crate) async fn end_recovery(&self) -> Result<(), hub_backbone::Error> {
        match self {
            Self::Embedded(store) => store.end_recovery().await,
            Self::Kafka(_) => Ok(()),
        }
    }

    /// What the store itself complains about.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        match self {
            Self::Embedded(store) => {
                let path = store.path().display().to_string();
                store.alarms().into_iter().map(|alarm| alarm_of(&path, alarm)).collect()
            }
            Self::Kafka(_) => Vec::new(),
        }
    }

    /// Sizes of the store's files; `None`: they are not on this machine.
    pub(crate) async fn figures(&self) -> Option<StoreFigures> {
        let Self::Embedded(store) = self else { return None };
        let (path, counts) = (store.path().to_path_buf(), store.counts());
        tokio::task::spawn_blocking(move || store_figures(&path, counts)).await.ok()
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Kafka(store) => store.close().await,
        }
    }
}

/// Opens the embedded store with the ledger as its view.
pub(crate) fn open_embedded(config: &Config) -> anyhow::Result<Arc<Embedded>> {
    let path = config.store()?;
    let settings = EmbeddedSettings::new(path, config.embedded()?.partitions);
    Ok(Arc::new(Embedded::open(settings.with_view(LedgerView).with_anchor(config.anchor()?))?))
}

/// The settings with files found from the configuration's folder.
pub(crate) fn located(settings: &KafkaSettings, config: &Config) -> KafkaSettings {
    let mut settings = settings.clone();
    // With it the next start knows that the life before is over.
    let lock = settings
        .lock
        .map_or_else(|| config.data().join(format!("{}.lock", settings.transactional_id)), |lock| config.path(&lock));
    settings.lock = Some(lock);
    let find = |path: &mut Option<PathBuf>| *path = path.as_ref().map(|path| config.path(path));
    if let Some(tls) = &mut settings.security.tls {
        [&mut tls.ca, &mut tls.certificate, &mut tls.key].into_iter().for_each(find);
    }
    settings
}

fn found(recovery: hub_backbone::Recovery) -> Recovery {
    let gap = |gap: &hub_backbone::Gap| {
        format!(
            "{}: the store has records up to {}, the anchor saw {}: {}",
            gap.place, gap.has, gap.anchored, gap.detail
        )
    };
    let gaps = recovery.gaps.iter().map(gap).collect();
    Recovery { id: recovery.id, reason: recovery.reason, gaps }
}

/// An alarm of something at `path`.
pub(crate) fn alarm_of(path: &str, alarm: hub_backbone::Alarm) -> Alarm {
    let name = match alarm.kind {
        AlarmKind::DiskFull => "disk-full",
        AlarmKind::Busy => "store-busy",
        AlarmKind::Failed => "store-failed",
        AlarmKind::Anchor => "anchor",
    };
    Alarm { name: name.into(), subject: path.into(), detail: alarm.text }
}
