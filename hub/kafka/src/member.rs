//! This hub as a member of the group that shares out the slots.
//!
//! A slot is a partition of the topic `PREFIX.slots`: one topic, so that the group shares out each slot once. Rebalancing is
//! eager: everybody lets go and gets what is new. The thread here does nothing but poll; what an assignment means is judged
//! by the keeper.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_backbone::Error;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::client::{self, Logged, io};
use crate::shared::Shared;
use crate::terms::TermTable;

const LOOK: Duration = Duration::from_millis(100);

/// Hears of rebalancing, on the thread that polls.
pub(crate) struct Seat {
    terms: Arc<TermTable>,
    logged: Logged,
}

impl ClientContext for Seat {
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

impl ConsumerContext for Seat {
    /// Before the library takes the assignment over: until then it does not join again, so that the generation which is
    /// captured here is that of these slots.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => match consumer.group_metadata() {
                Some(group) if !consumer.assignment_lost() => self.terms.assigned(slots(list), group),
                _ => self.terms.lost(),
            },
            Rebalance::Revoke(_) if !consumer.assignment_lost() => {
                tracing::debug!(target: "kafka", "the group shares out its slots anew");
            }
            Rebalance::Revoke(_) | Rebalance::Error(_) => {
                tracing::warn!(target: "kafka", "this hub is not a member of the group any more, and joins again");
                self.terms.lost();
            }
        }
    }
}

fn slots(list: &TopicPartitionList) -> BTreeSet<u16> {
    list.elements().iter().filter_map(|one| u16::try_from(one.partition()).ok()).collect()
}

/// Polls until the hub stops, and leaves the group then.
pub(crate) fn run(shared: &Shared) {
    while !shared.left() {
        if let Err(error) = sit(shared) {
            tracing::warn!(target: "kafka", "the group is joined anew: {error}");
            std::thread::sleep(LOOK);
        }
        shared.terms.lost();
    }
}

fn sit(shared: &Shared) -> Result<(), Error> {
    let seat = Seat { terms: Arc::clone(&shared.terms), logged: Logged::new(&shared.settings.security) };
    let consumer = client::member(&shared.settings, seat)?;
    subscribe(&consumer, shared)?;
    let mut looked = Instant::now();
    while !shared.left() {
        match consumer.poll(LOOK) {
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(io("the group", &error)),
            Some(Err(error)) => tracing::debug!(target: "kafka", "the group: {error}"),
            // claims of slots; they are read where they count
            Some(Ok(_)) | None => {}
        }
        // who was frozen for so long has lost its slots: better to know it before the cluster says so
        let frozen = looked.elapsed() > shared.settings.timeouts.session.0;
        if frozen || shared.terms.take_rejoin() {
            consumer.unsubscribe();
            shared.terms.lost();
            subscribe(&consumer, shared)?;
        }
        looked = Instant::now();
    }
    Ok(())
}

fn subscribe(consumer: &BaseConsumer<Seat>, shared: &Shared) -> Result<(), Error> {
    consumer.subscribe(&[&shared.names.slots()]).map_err(|error| io("the group cannot be joined", &error))
}
