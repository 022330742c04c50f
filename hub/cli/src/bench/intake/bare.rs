//! The bare loop: writers hand records to one thread, which appends all that wait and syncs once. Nothing else is done with
//! them; a hub can hardly be faster than this.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::super::percentiles::Times;
use super::Options;

/// A record and who waits for it.
type Job = (Vec<u8>, oneshot::Sender<()>);

/// The file and its writers.
#[derive(Debug)]
pub(super) struct Bare {
    file: File,
    writers: u16,
    record: Vec<u8>,
}

impl Bare {
    pub(super) fn open(folder: &Path, options: &Options) -> anyhow::Result<Self> {
        let path = folder.join("log");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let bytes = usize::try_from(options.bytes).unwrap_or(usize::MAX);
        Ok(Self { file, writers: options.clients, record: vec![b'x'; bytes] })
    }

    /// All writers write for a while; gives the time of each acknowledgement and how long it took in all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) async fn run(&self, turn: Duration) -> anyhow::Result<(Times, Duration)> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(self.writers.into());
        let file = self.file.try_clone()?;
        let thread = std::thread::spawn(move || append_all(file, &queue));
        let begun = Instant::now();
        let mut writers = JoinSet::new();
        for _ in 0..self.writers {
            let _handle = writers.spawn(write(jobs.clone(), self.record.clone(), begun + turn));
        }
        drop(jobs);
        let mut all = Times::default();
        while let Some(times) = writers.join_next().await {
            all.merge(times?);
        }
        let took = begun.elapsed();
        let appended = tokio::task::spawn_blocking(move || thread.join()).await?;
        appended.map_err(|_| anyhow::anyhow!("the bare loop panicked"))?.context("the bare loop cannot write")?;
        Ok((all, took))
    }
}

async fn write(jobs: mpsc::SyncSender<Job>, record: Vec<u8>, until: Instant) -> Times {
    let mut times = Times::default();
    loop {
        let begun = Instant::now();
        let (ack, durable) = oneshot::channel();
        // The queue holds one record of each writer: it is never full.
        if begun >= until || jobs.try_send((record.clone(), ack)).is_err() || durable.await.is_err() {
            return times;
        }
        times.add(begun.elapsed());
    }
}

fn append_all(mut file: File, queue: &mpsc::Receiver<Job>) -> std::io::Result<()> {
    let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
    while let Ok(first) = queue.recv() {
        for (record, ack) in std::iter::once(first).chain(queue.try_iter()) {
            bytes.extend_from_slice(&record);
            waiting.push(ack);
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        bytes.clear();
        for ack in waiting.drain(..) {
            // A writer whose time is over does not listen.
            let _gone = ack.send(());
        }
    }
    Ok(())
}
