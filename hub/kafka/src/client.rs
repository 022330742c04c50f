//! The C library's clients, set up the one way that we use them.

mod context;
mod reach;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hub_backbone::{Error, RECORD_BYTES_MAX};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::admin::AdminClient;
use rdkafka::client::{Client, OAuthToken};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use crate::KafkaSettings;

pub(crate) use context::Logged;
pub(crate) use reach::reach;

/// The largest record on the wire: content, key and headers.
pub(crate) const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX + (1 << 17);

/// What a reader asks a broker for at a time, as it is stored: compressed. The library unpacks all of it at once, to twenty
/// times as much. (A batch that is larger comes whole, and alone.)
const FETCH_BYTES: usize = 128 << 10;

/// How long one request may hold up our own thread before we look at it again.
pub(crate) const STEP: Duration = Duration::from_secs(5);

/// Where records ended up, by the number that each was sent with.
#[derive(Debug)]
pub(crate) struct Deliveries {
    records: Mutex<Vec<(usize, i64)>>,
    logged: Logged,
}

impl Deliveries {
    pub(crate) fn take(&self) -> Vec<(usize, i64)> {
        std::mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.logged.log(level, facility, text);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.logged.error(error, reason);
    }
    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.logged.generate_oauth_token(config)
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;
    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        // a record that failed makes its transaction fail, which is where it is dealt with
        if let Ok(message) = result
            && message.offset() >= 0
        {
            self.records.lock().unwrap_or_else(PoisonError::into_inner).push((number, message.offset()));
        }
    }
}

fn common(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let _ = config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", &settings.transactional_id)
        .set("reconnect.backoff.max.ms", "1000")
        // Who led a partition when its broker died is believed until the next look: the library does not look because of a
        // broker that it never reached.
        .set("topic.metadata.refresh.interval.ms", "3000")
        .set("metadata.max.age.ms", "9000")
        .set("socket.timeout.ms", silence(settings).to_string())
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    settings.security.apply(&mut config);
    config
}

/// How long a broker may be silent until its connection is given up: one that is frozen keeps its connections.
fn silence(settings: &KafkaSettings) -> u128 {
    settings.timeouts.session.0.as_millis().max(1_000)
}

/// For topics and their settings. See [`awake`].
pub(crate) fn admin(settings: &KafkaSettings) -> Result<AdminClient<Logged>, Error> {
    let made = AdminClient::from_config_and_context(&common(settings), Logged::new(&settings.security));
    made.map_err(|error| io("no client can be made (`security`)", &error))
}

/// Call it before a client is used that nobody has polled for a while: its token may have expired meanwhile.
pub(crate) fn awake<C: ClientContext>(settings: &KafkaSettings, client: &Client<C>) -> Result<(), Error> {
    settings.security.hand_over(client)
}

/// The one producer of a hub, by its transactional id.
pub(crate) fn producer(settings: &KafkaSettings, id: &str) -> Result<BaseProducer<Deliveries>, Error> {
    let transaction = settings.timeouts.transaction.0.as_millis().max(1_000);
    let mut config = common(settings);
    let _ = config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", transaction.to_string())
        // the library wants a tenth of a second between the two
        .set("socket.timeout.ms", silence(settings).min(transaction - 100).to_string())
        // zstd packs a quarter smaller, and costs the hub an eighth more of its CPU
        .set("compression.type", "lz4")
        .set("linger.ms", "0")
        // the cluster refuses the next transaction while it marks the end of the last one: ask again soon
        .set("retry.backoff.ms", "5")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
    let context = Deliveries { records: Mutex::default(), logged: Logged::new(&settings.security) };
    let producer: BaseProducer<Deliveries> =
        config.create_with_context(context).map_err(|error| io("the producer cannot be made", &error))?;
    awake(settings, producer.client())?;
    Ok(producer)
}

/// A producer for what nobody relies on.
pub(crate) fn messenger(settings: &KafkaSettings) -> Result<ThreadedProducer<Logged>, Error> {
    let mut config = common(settings);
    let _ = config
        .set("linger.ms", "0")
        .set("message.timeout.ms", "10000")
        .set("queue.buffering.max.messages", "10000")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
    let made = config.create_with_context(Logged::new(&settings.security));
    let producer: ThreadedProducer<Logged> =
        made.map_err(|error| io("the producer of replies cannot be made", &error))?;
    awake(settings, producer.client())?;
    Ok(producer)
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
    let made = config.create_with_context(context);
    let member: BaseConsumer<C> = made.map_err(|error| io("the member of the group cannot be made", &error))?;
    awake(settings, member.client())?;
    Ok(member)
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
        .set("fetch.message.max.bytes", FETCH_BYTES.to_string())
        .set("queued.max.messages.kbytes", "4096")
        .set("session.timeout.ms", settings.timeouts.session.0.as_millis().to_string());
    let context = Logged::new(&settings.security);
    let consumer: BaseConsumer<Logged> =
        config.create_with_context(context).map_err(|error| io("a consumer cannot be made", &error))?;
    awake(settings, consumer.client())?;
    Ok(consumer)
}

/// The consumer group of a store: every hub of it is a member.
pub(crate) fn group(settings: &KafkaSettings) -> &str {
    &settings.prefix
}

pub(crate) fn io(what: &str, error: &KafkaError) -> Error {
    Error::Io(format!("Kafka: {what}: {error}"))
}
