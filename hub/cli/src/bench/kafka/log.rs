//! The log alone: records are read, as many as a worker of the hub reads, another is written for each, and the position moves
//! with them; no route, no case.

use std::sync::Arc;
use std::time::Instant;

use hub_backbone::{Backbone, Commit, Offset, Place, Topic};
use hub_kafka::Kafka;
use hub_runtime::{READ_BYTES_MAX, READ_RECORDS_MAX};
use tokio::task::JoinSet;

use super::load::BYTES;
use super::store::Store;

/// Records a second that go through the log exactly once; each partition has one commit under way.
///
/// # Errors
/// When the store cannot be opened, read or written.
pub(super) async fn per_s(store: &Store, records: u32) -> anyhow::Result<f64> {
    let kafka = Arc::new(Kafka::open(store.settings("log")?).await?);
    let mut all = JoinSet::new();
    for partition in 0..store.partitions {
        let (kafka, share) = (kafka.clone(), records / u32::from(store.partitions));
        let _handle = all.spawn(async move { fill(&kafka, partition, share).await });
    }
    let (mut offered, mut done_with) = (0, 0);
    while let Some(done) = all.join_next().await {
        offered += done??;
    }
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for partition in 0..store.partitions {
        let kafka = kafka.clone();
        let _handle = all.spawn(async move { through(&kafka, partition).await });
    }
    while let Some(done) = all.join_next().await {
        done_with += done??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(offered == done_with, "{done_with} of {offered} records went through the log");
    kafka.close().await;
    Ok(offered as f64 / seconds)
}

async fn fill(kafka: &Kafka, partition: u16, records: u32) -> anyhow::Result<i64> {
    let place = Place::new(Topic::INBOX, partition);
    for first in (0..records).step_by(500) {
        let mut commit = Commit::new();
        for number in first..records.min(first + 500) {
            commit.append(place, number.to_string(), vec![b'x'; BYTES]);
        }
        let _offsets = kafka.commit(commit).await?;
    }
    Ok(i64::from(records))
}

async fn through(kafka: &Kafka, partition: u16) -> anyhow::Result<i64> {
    let (from, to) = (Place::new(Topic::INBOX, partition), Place::new(Topic::JOURNAL, partition));
    let (mut position, mut count): (Offset, i64) = (0, 0);
    loop {
        let records = kafka.read(from, position, READ_RECORDS_MAX, READ_BYTES_MAX).await?;
        let Some(last) = records.last().map(|record| record.offset) else { return Ok(count) };
        position = last + 1;
        let mut commit = Commit::new();
        for record in records {
            count += 1;
            commit.append(to, record.key, record.bytes);
        }
        commit.done(from, position);
        let _offsets = kafka.commit(commit).await?;
    }
}
