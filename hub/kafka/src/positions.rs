//! Sends the positions of consumers to the coordinator of the group, as part of a transaction.
//!
//! The call may not come back, whatever time it is given: librdkafka (2.12 to 2.14, issues 5456 and 5511) waits for a
//! coordinator that has died until any other broker's connection changes, and looks at no clock. So a thread of its own makes
//! the call; when that is silent for too long, it is left alone, with the producer that it holds. The next producer fences it:
//! whatever it may still send then is refused.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer};

use crate::client::{Deliveries, STEP};
use crate::transact::Consumed;

/// How much longer than it was told to the library may take.
const GRACE: Duration = Duration::from_secs(1);

/// The positions as the library takes them.
pub(crate) fn list(consumed: &[Consumed]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for one in consumed {
        let mut element = list.add_partition(&one.topic, one.partition);
        element.set_offset(rdkafka::Offset::Offset(one.at))?;
        element.set_metadata(format!("raccordo {}", one.position));
    }
    Ok(list)
}

/// Sends them.
///
/// # Errors
/// What the library says; [`KafkaError::Canceled`] when it says nothing: then the producer must not be used any more.
pub(crate) fn send(
    producer: &Arc<BaseProducer<Deliveries>>,
    list: &TopicPartitionList,
    group: &Arc<ConsumerGroupMetadata>,
) -> KafkaResult<()> {
    let (producer, list, group) = (Arc::clone(producer), list.clone(), Arc::clone(group));
    let (tell, told) = sync_channel(1);
    let call = move || {
        // nobody listens to an answer that comes too late
        drop(tell.send(producer.send_offsets_to_transaction(&list, &group, STEP)));
    };
    let began = Builder::new().name("kafka-positions".to_owned()).spawn(call);
    let answer = began.ok().and_then(|_thread| told.recv_timeout(STEP + GRACE).ok());
    answer.unwrap_or_else(|| {
        tracing::warn!(target: "kafka", "the library does not come back from sending positions; its producer is given up");
        Err(KafkaError::Canceled)
    })
}
