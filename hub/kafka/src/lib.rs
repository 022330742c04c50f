//! The backbone on Apache Kafka.
