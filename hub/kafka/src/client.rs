//! The C library's clients, set up the one way that we use them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hub_backbone::{Error, RECORD_BYTES_MAX};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext, ThreadedProducer};

use crate::KafkaSettings;

/// The largest record on the wire: content, key and headers.
pub(crate) const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX + (1 << 17);

/// How long one request may hold up our own thread before we look at it again.
pub(crate) const STEP: Duration = Duration::from_secs(5);

/// Sends what the library says to the hub's own log.
#[derive(Debug, Default)]
pub(crate) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", "{error}: {reason}");
    }
}

impl ConsumerContext for Logged {}

impl ProducerContext for Logged {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, _)) = result {
            tracing::debug!(target: "kafka", "a reply is not delivered: {error}");
        }
    }
}

pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "kafka", "{facility} {text}");
        }
        _ => tracing::debug!(target: "kafka", "{facility} {text}"),
    }
}

/// Where records ended up, by the number that each was sent with.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<Vec<(usize, i64)>>);

impl Deliveries {
    pub(crate) fn take(&self) -> Vec<(usize, i64)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", "{error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;
    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        // a record that failed makes its transaction fail, which is where it is dealt with
        if let Ok(message) = result
            && message.offset() >= 0
        {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((number, message.offset()));
        }
    }
}

fn common(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let _ = config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", &settings.transactional_id)
        .set("reconnect.backoff.max.ms", "1000")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    settings.security.apply(&mut config);
    config
}

/// For topics and their settings.
pub(crate) fn admin(settings: &KafkaSettings) -> ClientConfig {
    common(settings)
}

/// The one producer of a hub, by its transactional id.
pub(crate) fn producer(settings: &KafkaSettings, id: &str) -> Result<BaseProducer<Deliveries>, Error> {
    let transaction = settings.timeouts.transaction.0.as_millis().max(1_000).to_string();
    let mut config = common(settings);
    let _ = config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", transaction)
        .set("compression.type", "zstd")
        .set("linger.ms", "0")
        // the cluster refuses the next transaction while it marks the end of the last one: ask again soon
        .set("retry.backoff.ms", "5")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
    config.create_with_context(Deliveries::default()).map_err(|error| io("the producer cannot be made", &error))
}

/// A producer for what nobody relies on.
pub(crate) fn messenger(settings: &KafkaSettings) -> Result<ThreadedProducer<Logged>, Error> {
    let mut config = common(settings);
    let _ = config
        .set("linger.ms", "0")
        .set("message.timeout.ms", "10000")
        .set("queue.buffering.max.messages", "10000")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
    config.create_with_context(Logged).map_err(|error| io("the producer of replies cannot be made", &error))
}

/// A member of the group that shares out the slots. Its thread polls every 100 ms.
pub(crate) fn member<C: ConsumerContext>(settings: &KafkaSettings, context: C) -> Result<BaseConsumer<C>, Error> {
    let session = settings.timeouts.session.0.as_millis().max(1_000);
    let mut config = common(settings);
    let _ = config
        .set("group.id", group(settings))
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", (session / 10).to_string())
        .set("max.poll.interval.ms", (5 * session).to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("fetch.wait.max.ms", "500")
        .set("queued.max.messages.kbytes", "1024");
    config.create_with_context(context).map_err(|error| io("the member of the group cannot be made", &error))
}

/// A reader of what is committed; `eof` says when a partition has no more.
pub(crate) fn consumer(settings: &KafkaSettings, isolation: &str, eof: bool) -> Result<BaseConsumer<Logged>, Error> {
    let mut config = common(settings);
    let _ = config
        .set("group.id", group(settings))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("check.crcs", "true")
        .set("enable.partition.eof", eof.to_string())
        // who waits for the end of a partition hears of it when an empty fetch returns
        .set("fetch.wait.max.ms", if eof { "10" } else { "100" })
        .set("fetch.message.max.bytes", (2 * MESSAGE_BYTES_MAX).to_string())
        .set("queued.max.messages.kbytes", "4096")
        .set("session.timeout.ms", settings.timeouts.session.0.as_millis().to_string());
    config.create_with_context(Logged).map_err(|error| io("a consumer cannot be made", &error))
}

/// The consumer group of a store: every hub of it is a member.
pub(crate) fn group(settings: &KafkaSettings) -> &str {
    &settings.prefix
}

pub(crate) fn io(what: &str, error: &KafkaError) -> Error {
    Error::Io(format!("Kafka: {what}: {error}"))
}
