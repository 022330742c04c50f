//! The threads of a hub on Kafka, and the order in which they end.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use hub_backbone::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::follow::{Follower, From};
use crate::keeper::Keeper;
use crate::mailroom::Mailroom;
use crate::member;
use crate::shared::Shared;
use crate::topics::Admin;
use crate::transact::Transactor;
use crate::work::Job;
use crate::writer::Writer;

/// All threads of one hub.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// They end when the hub stops.
    work: Vec<JoinHandle<()>>,
    /// They end when those have: the hub leaves the group only when it writes no more.
    group: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts the writer.
    pub(crate) fn write(
        &mut self,
        shared: &Arc<Shared>,
        transactor: Transactor,
        queue: mpsc::Receiver<Job>,
    ) -> Result<(), Error> {
        let writer = Writer::new(Arc::clone(shared), transactor);
        self.work.push(start("kafka-writer", move || writer.run(queue))?);
        Ok(())
    }

    /// Starts all others. What it gives answers when the first slots are this hub's.
    pub(crate) fn join_group(
        &mut self,
        shared: &Arc<Shared>,
        jobs: &mpsc::Sender<Job>,
        admin: &Arc<Admin>,
        from: From,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (opened, assigned) = oneshot::channel();
        let follower = Follower::new(Arc::clone(shared), from);
        self.group.push(start("kafka-follow", move || follower.run())?);
        let keeper = Keeper::new(Arc::clone(shared), jobs.clone(), opened);
        self.work.push(start("kafka-keeper", move || keeper.run())?);
        let (shared_too, jobs, admin) = (Arc::clone(shared), jobs.clone(), Arc::clone(admin));
        let mailroom = Mailroom { shared: shared_too, jobs, admin, runtime: Handle::current() };
        self.work.push(start("kafka-mail", move || mailroom.run())?);
        let seat = Arc::clone(shared);
        self.group.push(start("kafka-member", move || member::run(&seat))?);
        Ok(assigned)
    }

    /// Ends all; the writer finishes what was handed over. Blocks.
    pub(crate) fn end(self, shared: &Shared) {
        shared.stop();
        self.work.into_iter().for_each(|thread| drop(thread.join()));
        shared.leave();
        self.group.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let started = Builder::new().name(name.to_owned()).spawn(run);
    started.map_err(|error| Error::Io(format!("Kafka: the thread {name} cannot be started: {error}")))
}
