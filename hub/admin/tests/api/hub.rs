//! A hub that is played: it notes what it is asked and answers what the test wants.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Blobs, MemoryBlobs};
use hub_life::task::{Refusal, Word};
use hub_runtime::{Alarm, Decided, Operate, OperateError, Release, Released, RouteStatus};

/// What the played hub remembers and answers.
#[derive(Default)]
pub(crate) struct PlayedHub {
    pub(crate) words: Mutex<Vec<(String, Word)>>,
    pub(crate) releases: Mutex<Vec<Release>>,
    pub(crate) waited_for: Mutex<Vec<String>>,
    pub(crate) refusal: Mutex<Option<Refusal>>,
    /// Why nothing is released.
    pub(crate) not_released: Mutex<Option<String>>,
    pub(crate) late: AtomicBool,
    pub(crate) not_ready: AtomicBool,
    pub(crate) blobs: Arc<MemoryBlobs>,
}

impl PlayedHub {
    fn verdict_in_time(&self) -> Result<(), OperateError> {
        if self.late.load(Ordering::SeqCst) { Err(OperateError::Late(Duration::from_secs(5))) } else { Ok(()) }
    }
}

#[async_trait]
impl Operate for PlayedHub {
    async fn decide(&self, task: &str, word: Word) -> Result<Decided, OperateError> {
        self.words.lock().unwrap().push((task.to_string(), word));
        self.verdict_in_time()?;
        let refused = *self.refusal.lock().unwrap();
        Ok(Decided { refused, approvals: 1, people: 2, outcome: None, position: "cases/1:7".into() })
    }

    async fn release(&self, release: Release) -> Result<Released, OperateError> {
        self.releases.lock().unwrap().push(release);
        self.verdict_in_time()?;
        let reason = self.not_released.lock().unwrap().clone();
        Ok(Released { done: reason.is_none(), reason: reason.unwrap_or_default(), position: "cases/1:8".into() })
    }

    fn routes(&self) -> Vec<RouteStatus> {
        let route = |name: &str, state: &str, error: Option<&str>| RouteStatus {
            name: name.into(),
            description: "Payment orders".into(),
            version: "abc".into(),
            source: "http".into(),
            state: state.into(),
            error: error.map(String::from),
        };
        vec![route("mandati-siope", "running", None), route("siope-esiti", "waiting", Some("connection refused"))]
    }

    fn alarms(&self) -> Vec<Alarm> {
        vec![Alarm { name: "disk-full".into(), subject: "hub.db".into(), detail: "no room; make some".into() }]
    }

    fn is_ready(&self) -> bool {
        !self.not_ready.load(Ordering::SeqCst)
    }

    async fn wait_until_seen(&self, position: &str) -> Result<(), OperateError> {
        self.waited_for.lock().unwrap().push(position.to_string());
        self.verdict_in_time()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.blobs.clone()
    }
}
