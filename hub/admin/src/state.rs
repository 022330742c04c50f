//! What the admin API stands on.

use std::fmt;
use std::sync::Arc;

use hub_ledger::Ledger;
use hub_runtime::Operate;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

use crate::AlarmWatch;
use crate::problem::Problem;
use crate::staff::Staff;

/// The hub as the admin API sees it. Cheap to clone.
#[derive(Clone)]
pub struct AdminState {
    pub(crate) ledger: Ledger,
    pub(crate) operate: Arc<dyn Operate>,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) watch: AlarmWatch,
}

impl AdminState {
    /// Reads come from `ledger`, writes go to `operate`, alarms from `watch`.
    #[must_use]
    pub fn new(ledger: Ledger, operate: Arc<dyn Operate>, watch: AlarmWatch) -> Self {
        Self { ledger, operate, metrics: None, watch }
    }

    /// `/metrics` also shows what the process's recorder has counted. The recorder is installed by the binary, once
    /// (`PrometheusBuilder::new().install_recorder()`); [`crate::serve`] keeps it tidy from then on.
    #[must_use]
    pub fn with_metrics(self, handle: PrometheusHandle) -> Self {
        Self { metrics: Some(handle), ..self }
    }
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// What every handler gets.
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    pub(crate) operate: Arc<dyn Operate>,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) watch: AlarmWatch,
    pub(crate) staff: Staff,
    pub(crate) metrics_open: bool,
    /// Places for those who watch a stream of events.
    pub(crate) watchers: Arc<Semaphore>,
    /// Changes (or closes) when the API stops.
    pub(crate) stopped: watch::Receiver<()>,
}

impl Desk {
    /// Waits until the ledger has seen a position that a write returned.
    pub(crate) async fn seen(&self, after: Option<&str>) -> Result<(), Problem> {
        match after {
            Some(position) => Ok(self.operate.wait_until_seen(position).await?),
            None => Ok(()),
        }
    }
}
