//! The loop that every partition runs: read, compute, commit, carry out.

mod ahead;

use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Offset, Place, Stored};
use hub_failpoint::{Point, at as failpoint};
use tokio::sync::mpsc;

use crate::Error;
use crate::batch::{Batch, Written};
use crate::hub::Shared;
use crate::tenure::Tenure;
use crate::timers::Timers;
use ahead::Ahead;
pub use ahead::{READ_BYTES_MAX, READ_RECORDS_MAX};

/// How long one commit goes on taking records: what it costs is shared by as many as that, and its neighbours do not wait
/// for long.
const TAKES: Duration = Duration::from_millis(50);
/// Timers and signals that one commit takes.
const EVENTS_MAX: usize = 128;

/// What a partition does with its records.
#[async_trait]
pub(crate) trait Worker: Send {
    /// What tasks of this worker tell it (a send has ended).
    type Signal: Send;

    /// Where a test lets the hub die: before and after its commits.
    const FAILPOINTS: [Point; 2];

    /// The partition.
    fn place(&self) -> Place;

    /// Its timers.
    fn timers(&mut self) -> &mut Timers;

    /// Reads keyed state after the store was opened, and judges what an earlier life left behind.
    async fn restore(&mut self, batch: &mut Batch<'_>) -> Result<(), Error>;

    /// Works on a record.
    async fn record(&mut self, batch: &mut Batch<'_>, record: Stored) -> Result<(), Error>;

    /// Comes back to something.
    async fn due(&mut self, batch: &mut Batch<'_>, key: String) -> Result<(), Error>;

    /// Hears from one of its tasks.
    async fn signal(&mut self, _batch: &mut Batch<'_>, _signal: Self::Signal) -> Result<(), Error> {
        Ok(())
    }

    /// Carries out what the commit has made true.
    async fn committed(&mut self, written: Written) -> Result<(), Error>;

    /// Whether it can take more records; if not, they stay in the log.
    fn has_room(&self) -> bool {
        true
    }

    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        true
    }
}

/// Runs a worker until the hub stops and nothing is under way.
pub(crate) async fn run<W: Worker>(
    worker: W,
    shared: &Shared,
    tenure: &Tenure,
    signals: mpsc::Receiver<W::Signal>,
) -> Result<(), Error> {
    let place = worker.place().to_string();
    work(worker, shared, tenure, signals).await.map_err(|error| error.met_by(&place))
}

async fn work<W: Worker>(
    mut worker: W,
    shared: &Shared,
    tenure: &Tenure,
    mut signals: mpsc::Receiver<W::Signal>,
) -> Result<(), Error> {
    let place = worker.place();
    let mut ahead = Ahead::new(place, shared.backbone.position(place).await?);
    let mut batch = Batch::of(shared.claims(), tenure);
    worker.restore(&mut batch).await?;
    settle(&mut worker, batch, [Point::RestoreCommit, Point::RestoreCommitted]).await?;
    loop {
        let stopping = shared.stopping();
        if stopping && worker.is_idle() {
            return Ok(());
        }
        let mut batch = Batch::of(shared.claims(), tenure);
        let mut worked = take_events(&mut worker, shared, &mut batch, &mut signals).await?;
        if !stopping && worker.has_room() {
            worked |= take_records(&mut worker, shared, &mut batch, &mut ahead).await?;
        }
        if worked {
            settle(&mut worker, batch, W::FAILPOINTS).await?;
        } else if let Some(signal) = rest(&mut worker, shared, &mut signals, (ahead.position(), stopping)).await? {
            let mut batch = Batch::of(shared.claims(), tenure);
            worker.signal(&mut batch, signal).await?;
            settle(&mut worker, batch, W::FAILPOINTS).await?;
        }
    }
}

async fn settle<W: Worker>(worker: &mut W, batch: Batch<'_>, [before, after]: [Point; 2]) -> Result<(), Error> {
    failpoint(before);
    let written = batch.commit().await?;
    failpoint(after);
    worker.committed(written).await
}

async fn take_events<W: Worker>(
    worker: &mut W,
    shared: &Shared,
    batch: &mut Batch<'_>,
    signals: &mut mpsc::Receiver<W::Signal>,
) -> Result<bool, Error> {
    let mut worked = false;
    if shared.clock_agrees() {
        for key in worker.timers().due(shared.clock.now(), EVENTS_MAX) {
            worker.due(batch, key).await?;
            worked = true;
        }
    }
    for _ in 0..EVENTS_MAX {
        let Ok(signal) = signals.try_recv() else { break };
        worker.signal(batch, signal).await?;
        worked = true;
    }
    Ok(worked)
}

async fn take_records<W: Worker>(
    worker: &mut W,
    shared: &Shared,
    batch: &mut Batch<'_>,
    ahead: &mut Ahead,
) -> Result<bool, Error> {
    let (place, begun) = (worker.place(), shared.clock.now());
    if !ahead.fill(shared.backbone.as_ref()).await? {
        return Ok(false);
    }
    while let Some(record) = ahead.next() {
        let what = format!("{place} offset {}", record.offset);
        take_record(worker, shared, batch, record).await.map_err(|error| error.met_by(&what))?;
        if !worker.has_room() || shared.clock.now().duration_since(begun).unsigned_abs() >= TAKES {
            break;
        }
    }
    batch.done(place, ahead.position());
    Ok(true)
}

async fn take_record<W: Worker>(
    worker: &mut W,
    shared: &Shared,
    batch: &mut Batch<'_>,
    mut record: Stored,
) -> Result<(), Error> {
    record.bytes = shared.claims().whole(record.bytes).await?;
    worker.record(batch, record).await
}

/// Sleeps until there is something to do; gives the signal that woke it, if one did.
async fn rest<W: Worker>(
    worker: &mut W,
    shared: &Shared,
    signals: &mut mpsc::Receiver<W::Signal>,
    (position, stopping): (Offset, bool),
) -> Result<Option<W::Signal>, Error> {
    let (place, next) = (worker.place(), worker.timers().next());
    // As the loop saw it: a stop that came meanwhile wakes at once.
    let room = worker.has_room() && !stopping;
    tokio::select! {
        biased;
        Some(signal) = signals.recv() => return Ok(Some(signal)),
        () = shared.stopped(), if !stopping => {}
        () = shared.until(next) => {}
        changed = shared.backbone.changed(place, position), if room => changed?,
    }
    Ok(None)
}
