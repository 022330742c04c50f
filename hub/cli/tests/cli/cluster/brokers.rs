//! A cluster of three brokers of the test's own: who leads what, and the nodes one by one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::{Metadata, MetadataPartition};

pub(crate) const NODES: usize = 3;
/// Seconds after which the cluster ends by itself, should this process not be there to end it.
const STAYS: &str = "7200";
/// Three nodes share two cores with the hubs: a controller that is slow for a moment is not to be taken for dead. Who leads
/// what changes by faults alone: a fault is about a node because of what that leads.
const SETTINGS: &str = "controller.quorum.fetch.timeout.ms=5000\ncontroller.quorum.request.timeout.ms=5000\n\
    auto.leader.rebalance.enable=false\n";
/// Room on the disk of the last node, and what each write of the filler takes of it.
const DISK: &str = "size=256m";
const CHUNK: usize = 1 << 20;
/// Partitions of the cluster's own topics, as `examples/kafka/nodes.py` makes them.
const COORDINATORS: i32 = 4;

/// Where everything that hubs and brokers said is kept until the next run.
pub(crate) fn logs() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster")
}

/// Stopped, and its disk taken away, when dropped.
pub(crate) struct Brokers {
    script: PathBuf,
    folder: PathBuf,
    /// For the hubs that reach all nodes directly.
    pub(crate) addresses: Vec<String>,
    /// Where the listener of the one that is to be cut off really is, by node.
    pub(crate) behind: Vec<String>,
    /// The last node's data lies on a small disk of its own.
    pub(crate) small_disk: bool,
}

impl Brokers {
    /// `None`: there is no Kafka, and the reason is said. `advertised`: where that one hub finds the nodes.
    pub(crate) fn start(root: &Path, advertised: &[String]) -> Option<Self> {
        let shared = root.join("target/kafka");
        if !shared.join("jars").is_dir() {
            let required = std::env::var("RACCORDO_REQUIRE_TOOLS").as_deref() == Ok("1");
            assert!(!required, "Kafka is required: `examples/kafka/kafka get target/kafka`");
            println!("skipped: Kafka cannot be had: `examples/kafka/kafka get target/kafka` was not run");
            return None;
        }
        let (folder, script) = (root.join("target/kafka-cluster"), root.join("examples/kafka/kafka"));
        let mut brokers = Self { script, folder, addresses: Vec::new(), behind: Vec::new(), small_disk: false };
        brokers.clear();
        brokers.prepare(&shared.join("jars"));
        let advertise = format!("CUT={}", advertised.join(","));
        let settings = brokers.folder.join("settings");
        std::fs::write(&settings, SETTINGS).expect("writable");
        let mut options =
            vec!["--fresh", "--nodes", "3", "--for", STAYS, "--settings", settings.to_str().expect("text")];
        options.extend(["--listener", "CUT=PLAINTEXT", "--advertise", &advertise]);
        let said = brokers.run("start", &options);
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        brokers.addresses = said.lines().next().map(list).expect("addresses");
        brokers.behind = said.lines().find_map(|line| line.strip_prefix("CUT=")).map(list).expect("the listener CUT");
        Some(brokers)
    }

    /// Ends what an earlier test that was killed has left behind.
    fn clear(&self) {
        drop(Command::new(&self.script).arg("stop").arg(&self.folder).output());
        drop(Command::new("umount").arg(self.data()).output());
        drop(std::fs::remove_dir_all(&self.folder));
    }

    /// Jars, and a disk that can be filled, if this process may mount one.
    fn prepare(&mut self, jars: &Path) {
        let data = self.data();
        std::fs::create_dir_all(&data).expect("a folder");
        std::os::unix::fs::symlink(jars, self.folder.join("jars")).expect("a link");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "raccordo-test"]).arg(&data).output();
        self.small_disk = mounted.is_ok_and(|done| done.status.success());
    }

    fn data(&self) -> PathBuf {
        self.folder.join(format!("{NODES}/data"))
    }

    fn run(&self, command: &str, options: &[impl AsRef<OsStr>]) -> String {
        let done =
            Command::new(&self.script).arg(command).arg(&self.folder).args(options).output().expect("the script");
        assert!(done.status.success(), "kafka {command}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// `kill`, `pause`, `resume` or `restart` of one node, as the script means them.
    pub(crate) fn tell(&self, command: &str, node: usize) {
        let _said = self.run(command, &[node.to_string()]);
    }

    /// Fills the small disk to its last byte.
    pub(crate) fn fill_the_disk(&self) {
        use std::io::Write;
        let mut filler = std::fs::File::create(self.filler()).expect("a file");
        let mut size = CHUNK;
        while size > 0 {
            if filler.write_all(&vec![b'x'; size]).is_err() {
                size /= 2;
            }
        }
    }

    pub(crate) fn free_the_disk(&self) {
        std::fs::remove_file(self.filler()).expect("the filler");
    }

    fn filler(&self) -> PathBuf {
        self.data().join("filler")
    }

    /// What the cluster says of one topic, or of all.
    fn known(&self, topic: Option<&str>) -> KafkaResult<Metadata> {
        let mut config = ClientConfig::new();
        let asked: BaseConsumer = config.set("bootstrap.servers", self.addresses.join(",")).create()?;
        asked.fetch_metadata(topic, Duration::from_secs(20))
    }

    /// Whether every partition has all its copies: before that, the next broker that dies would be one too many.
    pub(crate) fn in_sync(&self) -> bool {
        let whole = |one: &MetadataPartition| one.leader() >= 0 && one.isr().len() == NODES;
        let all = |known: Metadata| known.topics().iter().flat_map(|topic| topic.partitions()).all(whole);
        self.known(None).is_ok_and(all)
    }

    /// The node that leads a partition.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> usize {
        let known = self.known(Some(topic)).expect("the cluster answers");
        let found = known.topics().iter().flat_map(|topic| topic.partitions()).find(|one| one.id() == partition);
        usize::try_from(found.expect("the partition").leader()).expect("it has a leader")
    }

    /// The node that coordinates a consumer group.
    pub(crate) fn of_group(&self, group: &str) -> usize {
        self.leader("__consumer_offsets", place(group))
    }

    /// The node that coordinates the transactions of one `transactional.id`.
    pub(crate) fn of_transactions(&self, id: &str) -> usize {
        self.leader("__transaction_state", place(id))
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        for node in 1..=NODES {
            let kept = logs().join(format!("broker{node}.log"));
            drop(std::fs::copy(self.folder.join(format!("{node}/kafka.log")), kept));
        }
        self.clear();
    }
}

/// Where Kafka keeps what belongs to a name: Java's hash of it.
fn place(name: &str) -> i32 {
    let hash = name.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % COORDINATORS
}
