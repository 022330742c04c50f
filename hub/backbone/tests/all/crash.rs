//! SIGKILL at any moment: what was acknowledged is there, and every commit is whole.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hub_backbone::{Backbone, Commit, Embedded, EmbeddedSettings, Error, Place, Topic};

use crate::{file, folder, inbox, journal, open, read_all, settings};

const STORE: &str = "RACCORDO_BACKBONE_CRASH_STORE";
const KILLS: u64 = 10;
const WRITERS: u64 = 12;

/// The process that is killed: appends for ever, and prints each acknowledgement. Does nothing in an ordinary run.
#[test]
fn child() {
    let Ok(path) = std::env::var(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    runtime.block_on(async {
        let store = Arc::new(Embedded::open(EmbeddedSettings::new(path, 4)).expect("the store opens"));
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&store), writer)));
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("no panic");
        }
    });
}

async fn write(store: Arc<Embedded>, writer: u64) {
    for n in 0u64.. {
        let id = format!("{}/{writer}/{n}", store.epoch());
        let mut step = Commit::new();
        step.append(inbox(0), id.clone(), vec![7; (n % 3 * 1_500) as usize]);
        step.append(inbox(0), id.clone(), "");
        step.append(journal((writer % 4) as u16), id.clone(), "event");
        step.put(inbox(1), "done", id.clone(), "v");
        step.done(inbox(2), n);
        if n % 40 == 39 {
            store.trim(Place::new(Topic::CASES, 0), n).await.expect("trim");
        }
        let offsets = store.commit(step).await.expect("done");
        println!("ack {id} {} {}", offsets[0], offsets[2]);
    }
}

fn spawn(path: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts")
}

/// An acknowledgement: id, offset in the inbox, offset in the journal. Half a line was not printed.
fn ack(line: &str) -> Option<(String, u64, u64)> {
    let mut words = line.strip_suffix('\n')?.split_once("ack ")?.1.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Runs a child until it has acknowledged so many commits, kills it, and gives all acknowledgements.
fn run_and_kill(path: &std::path::Path, acks: u64) -> Vec<(String, u64, u64)> {
    let mut child = spawn(path);
    let mut lines = BufReader::new(child.stdout.take().expect("stdout"));
    let (mut seen, mut line) = (Vec::new(), String::new());
    while lines.read_line(&mut line).expect("text") > 0 {
        seen.extend(ack(&line));
        line.clear();
        if seen.len() as u64 == acks {
            child.kill().expect("SIGKILL");
        }
    }
    assert!(seen.len() as u64 >= acks, "the child must not end by itself");
    let status = child.wait().expect("wait");
    assert!(!status.success());
    seen
}

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill() {
    let folder = folder();
    let mut acked = HashMap::new();
    for round in 0..KILLS {
        let seen = run_and_kill(&file(&folder), 1 + round * round * 13 % 170);
        acked.extend(seen.into_iter().map(|(id, inbox, journal)| (id, (inbox, journal))));
        check(&open(&folder), &acked).await;
    }
    println!("{} acknowledged commits, {KILLS} kills, none lost", acked.len());
}

async fn check(store: &Embedded, acked: &HashMap<String, (u64, u64)>) {
    for topic in Topic::ALL {
        for partition in 0..4 {
            store.verify(Place::new(topic, partition)).await.expect("the chain holds");
        }
    }
    let records = read_all(store, inbox(0)).await.expect("read");
    let mut events = HashMap::new();
    for partition in 0..4 {
        let found = read_all(store, journal(partition)).await.expect("read");
        events.extend(found.into_iter().map(|event| (event.key, event.offset)));
    }
    for (id, (offset, event)) in acked {
        let record = &records[usize::try_from(*offset).expect("small")];
        assert_eq!(&record.key, id, "acknowledged at {offset}");
        assert_eq!(events.get(id), Some(event));
    }
    for pair in records.chunks(2) {
        assert_eq!(pair[0].key, pair[1].key, "a commit is whole");
        let state = store.get(inbox(1), "done", &pair[0].key).await.expect("get");
        assert!(state.is_some() && events.contains_key(&pair[0].key), "a commit is whole");
    }
    assert_eq!(events.len() * 2, records.len(), "no part without the others");
}

#[test]
fn a_process_keeps_others_out_until_it_is_killed() {
    let folder = folder();
    let mut child = spawn(&file(&folder));
    let mut lines = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    while ack(&line).is_none() {
        line.clear();
        assert!(lines.read_line(&mut line).expect("text") > 0, "the child must not end by itself");
    }
    match Embedded::open(settings(&folder)) {
        Err(Error::Fenced(text)) => assert!(text.contains(&format!("process {}", child.id())), "{text}"),
        other => panic!("it must be refused, not {other:?}"),
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("wait");
    let epoch = line.split_once("ack ").and_then(|(_, rest)| rest.split('/').next()).expect("epoch").to_owned();
    assert!(open(&folder).is_over(&epoch), "the killed life is provably over");
}
