//! The topics of a store: made when they are missing, and refused when they cannot keep what the hub promises.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hub_backbone::{Error, Topic};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, ConfigResourceResult, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;

use crate::KafkaSettings;
use crate::client::{self, Logged, MESSAGE_BYTES_MAX, STEP, io};
use crate::names::Names;

/// One topic as it must be.
#[derive(Debug)]
struct Wanted {
    name: String,
    partitions: i32,
    kept: Kept,
}

/// What becomes of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The hub removes what is finished.
    ByTheHub,
    /// The newest of each key stays.
    Compacted,
    /// They go after a while: nobody relies on them.
    AWhile,
}

/// How long what hubs tell each other is kept: an hour.
const REPLIES_MS: &str = "3600000";

/// Makes what is missing and checks what is there.
pub(crate) async fn prepare(settings: &KafkaSettings, names: &Names) -> Result<Admin, Error> {
    let admin = Admin::open(settings)?;
    let wanted = wanted(settings, names);
    let known = admin.known()?;
    let missing: Vec<&Wanted> = wanted.iter().filter(|topic| !known.contains_key(&topic.name)).collect();
    if !missing.is_empty() {
        admin.make(settings, &missing).await?;
    }
    let known = admin.await_leaders(settings, &wanted).await?;
    let configs = admin.configs(&wanted).await?;
    let mut problems: Vec<String> = wanted
        .iter()
        .flat_map(|topic| problems(settings, topic, known.get(&topic.name), configs.get(&topic.name)))
        .collect();
    problems.sort();
    match problems.is_empty() {
        true => Ok(admin),
        false => {
            Err(Error::Io(format!("Kafka: the topics cannot keep what the hub promises: {}", problems.join("; "))))
        }
    }
}

fn wanted(settings: &KafkaSettings, names: &Names) -> Vec<Wanted> {
    let partitions = i32::from(settings.partitions);
    let topic = |name, partitions, kept| Wanted { name, partitions, kept };
    let log = |one| topic(names.log(one), partitions, Kept::ByTheHub);
    let state = |one| topic(names.state(one), partitions, Kept::Compacted);
    let others = [
        topic(names.epochs(), 1, Kept::Compacted),
        topic(names.slots(), partitions, Kept::Compacted),
        topic(names.mail(), partitions, Kept::ByTheHub),
        topic(names.shared(), 1, Kept::Compacted),
        topic(names.replies(), 1, Kept::AWhile),
    ];
    Topic::ALL.into_iter().flat_map(|one| [log(one), state(one)]).chain(others).collect()
}

/// Copies of each partition, and whether all have a leader.
type Known = HashMap<String, (i32, usize, bool)>;
type Config = HashMap<String, String>;

/// What is wrong with a topic, each with what to do.
fn problems(
    settings: &KafkaSettings,
    topic: &Wanted,
    known: Option<&(i32, usize, bool)>,
    config: Option<&Config>,
) -> Vec<String> {
    let name = &topic.name;
    let (Some((partitions, copies, _)), Some(config)) = (known, config) else {
        return vec![format!("{name}: the cluster does not show it; may this hub describe it?")];
    };
    let mut found = Vec::new();
    if *partitions != topic.partitions {
        found.push(format!(
            "{name} has {partitions} partitions, the configuration says {}: keys belong to partitions, so write `partitions: {partitions}` or choose another prefix",
            topic.partitions
        ));
    }
    found.extend(musts(topic).into_iter().filter_map(|must| must.broken(name, config)));
    if !settings.relaxed {
        found.extend(strict(settings).into_iter().filter_map(|must| must.broken(name, config)));
        if *copies < usize::from(settings.replication) {
            found.push(format!(
                "{name} has {copies} copies, {} are wanted: add replicas, or write `relaxed: true`",
                settings.replication
            ));
        }
    }
    found
}

/// What a setting of a topic must be.
struct Must {
    key: &'static str,
    wanted: String,
    at_least: bool,
    why: &'static str,
}

impl Must {
    fn be(key: &'static str, wanted: &str, why: &'static str) -> Self {
        Self { key, wanted: wanted.to_owned(), at_least: false, why }
    }
    fn at_least(key: &'static str, wanted: usize, why: &'static str) -> Self {
        Self { key, wanted: wanted.to_string(), at_least: true, why }
    }
    fn broken(&self, topic: &str, config: &Config) -> Option<String> {
        let is = config.get(self.key).map_or("", String::as_str);
        let number = |text: &str| text.parse::<i64>().ok();
        let fits = is == self.wanted || (self.at_least && number(is) >= number(&self.wanted) && number(is).is_some());
        let word = if self.at_least { "at least " } else { "" };
        (!fits).then(|| format!("{topic}: {} is `{is}`, it must be {word}{}: {}", self.key, self.wanted, self.why))
    }
}

/// What holds on every cluster: without it the hub forgets or stops.
fn musts(topic: &Wanted) -> Vec<Must> {
    let size = Must::at_least("max.message.bytes", MESSAGE_BYTES_MAX, "larger records could not be written");
    let policy = match topic.kept {
        Kept::Compacted => Must::be("cleanup.policy", "compact", "state would be removed by time"),
        Kept::ByTheHub | Kept::AWhile => Must::be("cleanup.policy", "delete", "records would be removed by key"),
    };
    let time = Must::be("retention.ms", "-1", "the hub itself removes what is finished");
    let bytes = Must::be("retention.bytes", "-1", "the hub itself removes what is finished");
    match topic.kept {
        Kept::Compacted | Kept::AWhile => vec![size, policy],
        Kept::ByTheHub => vec![size, policy, time, bytes],
    }
}

/// What only `relaxed: true` does without.
fn strict(settings: &KafkaSettings) -> Vec<Must> {
    let copies = usize::from(settings.min_insync_replicas);
    vec![
        Must::at_least("min.insync.replicas", copies, "an acknowledged record could be lost with one broker"),
        Must::be("unclean.leader.election.enable", "false", "a broker that is behind could become the truth"),
    ]
}

/// The way to the cluster's topics.
pub(crate) struct Admin {
    client: AdminClient<Logged>,
    settings: KafkaSettings,
    options: AdminOptions,
    /// How long one question may take.
    patience: Duration,
}

impl Admin {
    fn open(settings: &KafkaSettings) -> Result<Self, Error> {
        let client = client::admin(settings)?;
        let patience = settings.timeouts.open.0.min(6 * STEP);
        let options = AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
        Ok(Self { client, options, patience, settings: settings.clone() })
    }

    /// The client, with a token that is good.
    fn client(&self) -> Result<&AdminClient<Logged>, Error> {
        client::awake(&self.settings, self.client.inner())?;
        Ok(&self.client)
    }

    fn known(&self) -> Result<Known, Error> {
        let metadata = self.client()?.inner().fetch_metadata(None, self.patience);
        let metadata = metadata.map_err(|error| io("no broker answers (`brokers`, `security`)", &error))?;
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), shape(topic))).collect())
    }

    async fn make(&self, settings: &KafkaSettings, missing: &[&Wanted]) -> Result<(), Error> {
        let (size, copies) = ((2 * MESSAGE_BYTES_MAX).to_string(), settings.min_insync_replicas.to_string());
        let new: Vec<NewTopic<'_>> = missing.iter().map(|topic| new_topic(topic, settings, &size, &copies)).collect();
        let made = self.client()?.create_topics(&new, &self.options).await;
        for one in made.map_err(|error| io("topics cannot be made", &error))? {
            match one {
                // another hub may start at the same time
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(Error::Io(format!("Kafka: the topic {name} cannot be made: {code}"))),
            }
        }
        Ok(())
    }

    /// Waits until every partition can be written.
    async fn await_leaders(&self, settings: &KafkaSettings, wanted: &[Wanted]) -> Result<Known, Error> {
        let deadline = Instant::now() + settings.timeouts.open.0;
        loop {
            let known = self.known()?;
            let waiting = wanted.iter().find(|topic| !known.get(&topic.name).is_some_and(|(.., led)| *led));
            match waiting {
                None => return Ok(known),
                Some(topic) if Instant::now() > deadline => {
                    return Err(Error::Io(format!("Kafka: the topic {} has partitions without a leader", topic.name)));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn configs(&self, wanted: &[Wanted]) -> Result<HashMap<String, Config>, Error> {
        let deadline = Instant::now() + self.settings.timeouts.open.0;
        let names: Vec<_> = wanted.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
        let mut found = self.described(&names).await?;
        // another hub has just made them, and the broker that was asked has not heard of their settings
        while found.iter().any(is_unheard) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            found = self.described(&names).await?;
        }
        Ok(wanted
            .iter()
            .zip(found)
            .filter_map(|(topic, found)| Some((topic.name.clone(), config(found.ok()?))))
            .collect())
    }

    async fn described(&self, names: &[ResourceSpecifier<'_>]) -> Result<Vec<ConfigResourceResult>, Error> {
        let found = self.client()?.describe_configs(names, &self.options).await;
        found.map_err(|error| io("the settings of the topics cannot be read", &error))
    }

    /// Removes the records of a partition that stand before `at`, in Kafka's numbering.
    pub(crate) async fn remove(&self, topic: &str, partition: i32, at: i64) -> Result<(), Error> {
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(at)).map_err(|e| io("trim", &e))?;
        let done = self.client()?.delete_records(&list, &self.options).await.map_err(|e| io("trim", &e))?;
        let failed = done.elements().into_iter().find_map(|element| element.error().err());
        failed.map_or(Ok(()), |error| Err(io("trim", &error)))
    }
}

/// Whether a broker that knows the settings of a topic would say something else.
fn is_unheard(found: &ConfigResourceResult) -> bool {
    match found {
        Ok(config) => config.entries.is_empty(),
        Err(code) => *code == RDKafkaErrorCode::UnknownTopicOrPartition,
    }
}

fn shape(topic: &MetadataTopic) -> (i32, usize, bool) {
    let partitions = topic.partitions();
    let copies = partitions.iter().map(|one| one.replicas().len()).min().unwrap_or(0);
    let led = !partitions.is_empty() && partitions.iter().all(|one| one.leader() >= 0 && one.error().is_none());
    (i32::try_from(partitions.len()).unwrap_or(i32::MAX), copies, led)
}

fn new_topic<'a>(topic: &'a Wanted, settings: &KafkaSettings, size: &'a str, copies: &'a str) -> NewTopic<'a> {
    let replication = TopicReplication::Fixed(i32::from(settings.replication));
    let new = NewTopic::new(&topic.name, topic.partitions, replication)
        .set("max.message.bytes", size)
        .set("min.insync.replicas", copies)
        .set("unclean.leader.election.enable", "false")
        .set("retention.bytes", "-1");
    match topic.kept {
        Kept::Compacted => new.set("cleanup.policy", "compact").set("retention.ms", "-1"),
        Kept::ByTheHub => new.set("cleanup.policy", "delete").set("retention.ms", "-1"),
        Kept::AWhile => new.set("cleanup.policy", "delete").set("retention.ms", REPLIES_MS),
    }
}

fn config(found: ConfigResource) -> Config {
    found.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;

    #[test]
    fn a_topic_without_settings_was_not_heard_of_yet() {
        let of = |entries| ConfigResource { specifier: OwnedResourceSpecifier::Topic("r.inbox".to_owned()), entries };
        let entry = ConfigEntry {
            name: "cleanup.policy".to_owned(),
            value: Some("delete".to_owned()),
            source: ConfigSource::Default,
            is_read_only: false,
            is_default: true,
            is_sensitive: false,
        };
        assert!(is_unheard(&Ok(of(Vec::new()))) && is_unheard(&Err(RDKafkaErrorCode::UnknownTopicOrPartition)));
        assert!(!is_unheard(&Ok(of(vec![entry]))) && !is_unheard(&Err(RDKafkaErrorCode::TopicAuthorizationFailed)));
    }

    fn config(changes: &[(&str, &str)]) -> Config {
        let usual = [
            ("max.message.bytes", "3000000"),
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
        ];
        usual.iter().chain(changes).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_weakness_is_named_with_what_to_do() {
        let mut settings = KafkaSettings::new(["a:1".to_owned()], "hub-1");
        let topic = Wanted { name: "r.inbox".to_owned(), partitions: 16, kept: Kept::ByTheHub };
        let found = |settings: &KafkaSettings, known, changes: &[(&str, &str)]| {
            problems(settings, &topic, Some(&known), Some(&config(changes))).join("; ")
        };
        assert_eq!(found(&settings, (16, 3, true), &[]), "");
        assert!(found(&settings, (4, 3, true), &[]).contains("`partitions: 4`"));
        assert!(found(&settings, (16, 1, true), &[]).contains("relaxed: true"));
        assert!(found(&settings, (16, 3, true), &[("min.insync.replicas", "1")]).contains("at least 2"));
        assert!(found(&settings, (16, 3, true), &[("unclean.leader.election.enable", "true")]).contains("truth"));
        settings.relaxed = true;
        assert_eq!(found(&settings, (16, 1, true), &[("min.insync.replicas", "1")]), "");
        assert!(found(&settings, (16, 1, true), &[("retention.ms", "604800000")]).contains("retention.ms"));
        assert!(found(&settings, (16, 1, true), &[("cleanup.policy", "compact")]).contains("cleanup.policy"));
        assert!(problems(&settings, &topic, None, None)[0].contains("does not show"));
    }
}
