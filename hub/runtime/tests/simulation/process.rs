//! One process of the hub: it can be killed or frozen at each of its points, and from then on does nothing that anybody sees.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::history::Fault;
use crate::world::World;

/// What a fault wants the driver to do with a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Start { down: u64 },
    Thaw { ms: u64, usurped: bool },
}

pub(crate) struct Process {
    pub(crate) number: u64,
    pub(crate) world: Arc<World>,
    dead: AtomicBool,
    frozen: AtomicBool,
    changed: Notify,
}

impl Process {
    pub(crate) fn new(number: u64, world: Arc<World>) -> Arc<Self> {
        let (dead, frozen, changed) = (AtomicBool::new(false), AtomicBool::new(false), Notify::new());
        Arc::new(Self { number, world, dead, frozen, changed })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }

    /// From this moment on the process does nothing; what it had given to the network is on its way all the same.
    pub(crate) fn kill(&self) {
        self.world.inner().sends.died(self.number);
        self.dead.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// Freezes for a while; `usurped`: another hub takes the store over meanwhile.
    pub(crate) fn freeze_for(&self, ms: u64, usurped: bool) {
        self.freeze();
        self.world.wish(self.number, Wish::Thaw { ms, usurped });
    }

    pub(crate) fn thaw(&self) {
        self.frozen.store(false, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Nothing passes here while the process is frozen, or ever after its death.
    pub(crate) async fn gate(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_dead() {
                pending::<()>().await;
            }
            if !self.is_frozen() {
                return;
            }
            changed.await;
        }
    }

    /// Completes when the process is dead.
    pub(crate) async fn died(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_dead() {
                return;
            }
            changed.await;
        }
    }

    /// A step of the process that the world can see: what is planned for it happens now. Gives what only a commit can suffer.
    pub(crate) async fn point(&self, name: &str) -> Option<Fault> {
        self.gate().await;
        let fault = self.world.reach(self.number, name)?;
        match fault {
            Fault::Kill { down } => {
                self.kill();
                self.world.wish(self.number, Wish::Start { down });
            }
            Fault::Freeze { ms, usurped } => self.freeze_for(ms, usurped),
            Fault::Delay { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Fault::Refuse | Fault::Lose => return Some(fault),
        }
        self.gate().await;
        None
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("number", &self.number).finish_non_exhaustive()
    }
}
