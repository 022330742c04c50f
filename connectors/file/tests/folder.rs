//! The drop folder and the writer, against a real folder and a clock turned by hand.

#![allow(clippy::unwrap_used, reason = "a test panics when something is wrong")]
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connector_file::{FILE_PROBLEM, PLUGIN};
use hub_core::{
    Attempt, Body, Clock, Crossing, Intake, Media, Problem, Receipt, SendError, Sink, Source, Value, Verdict,
};
use hub_testkit::{ManualClock, bench, source_contract, stored};
use serde_json::json;

struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::working_day()) }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn drop_file(&self, name: &str, content: &[u8]) {
        fs::write(self.root().join(name), content).unwrap();
    }

    async fn source(&self, more: Value) -> Box<dyn Source> {
        let mut config = json!({ "folder": "." });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let parsed = (PLUGIN.sources[0].parse)(&config).unwrap();
        assert_eq!(parsed.problems, []);
        parsed.opens.open(&bench::open_cx(self.clock.clone(), self.root())).await.unwrap()
    }

    async fn next(&self, source: &mut Box<dyn Source>) -> Intake {
        self.clock.run(source.next()).await.unwrap().unwrap()
    }

    /// Whether the source still brings nothing after it has looked many times.
    async fn brings_nothing(&self, source: &mut Box<dyn Source>) -> bool {
        let until = self.clock.now() + Duration::from_secs(30);
        let (clock, limit) = (self.clock.clone(), self.clock.sleep_until(until));
        tokio::select! {
            biased;
            intake = clock.run(source.next()) => panic!("unexpected batch: {intake:?}"),
            () = limit => true,
        }
    }

    async fn sink(&self, more: Value) -> Arc<dyn Sink> {
        let mut config = json!({ "folder": "out", "name": "case.id" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let parsed = (PLUGIN.sinks[0].parse)(&config).unwrap();
        parsed.opens.open(&bench::open_cx(self.clock.clone(), self.root())).await.unwrap()
    }

    fn attempt(&self) -> Attempt {
        bench::attempt(&*self.clock, Crossing::unfenced())
    }
}

fn names(intake: &Intake) -> Vec<&str> {
    intake.messages.iter().map(|m| m.headers["file-name"].as_str()).collect()
}

fn listing(folder: &Path) -> Vec<String> {
    let entry = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).map(|dir| dir.map(entry).collect()).unwrap_or_default();
    names.sort();
    names
}

#[tokio::test]
async fn it_keeps_the_contract_of_sources() {
    let bench = Bench::new();
    bench.drop_file("b.json", b"{}");
    bench.drop_file("a.xml", b"<a/>");
    let next = async |source: &mut Box<dyn Source>| bench.next(source).await;
    source_contract(|| bench.source(json!({})), next, || listing(bench.root()).len().max(3)).await;
    assert_eq!(listing(bench.root()), [".done"]);
    assert_eq!(listing(&bench.root().join(".done")), ["a.xml", "b.json"]);
}

#[tokio::test]
async fn unfinished_hidden_linked_and_other_files_are_not_seen() {
    let bench = Bench::new();
    for name in ["a.json.tmp", "a.json.part", ".a.json", "a.csv"] {
        bench.drop_file(name, b"{}");
    }
    fs::create_dir(bench.root().join("sub.json")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", bench.root().join("link.json")).unwrap();
    bench.drop_file("good.json", b"{}");
    let mut source = bench.source(json!({ "pattern": "*.json" })).await;
    assert_eq!(names(&bench.next(&mut source).await), ["good.json"]);
}

#[tokio::test]
async fn a_file_that_grows_is_not_read_before_it_rests() {
    let bench = Bench::new();
    let mut source = bench.source(json!({ "every": "100ms" })).await;
    bench.drop_file("a.json", b"{");
    let next = tokio::spawn(async move { source.next().await.unwrap().unwrap() });
    for content in [&b"{\"a\":"[..], b"{\"a\":1", b"{\"a\":1}"] {
        // Each wake is one look; the file has another size at each.
        bench.clock.sleeping(1).await;
        bench.drop_file("a.json", content);
        bench.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    assert!(!next.is_finished());
    let intake = bench.clock.run(next).await.unwrap();
    assert_eq!(&intake.messages[0].body.bytes[..], b"{\"a\":1}");
}

#[tokio::test]
async fn a_large_and_an_unreadable_file_do_not_stop_their_neighbours() {
    let bench = Bench::new();
    bench.drop_file("a-large.json", &[b'1'; 2000]);
    bench.drop_file("b-locked.json", b"{}");
    fs::set_permissions(bench.root().join("b-locked.json"), fs::Permissions::from_mode(0o000)).unwrap();
    bench.drop_file("c.json", b"{}");
    let mut source = bench.source(json!({ "max": "1kB" })).await;
    let intake = bench.next(&mut source).await;
    // Who runs as root reads locked files too.
    let readable = fs::read(bench.root().join("b-locked.json")).is_ok();
    let locked = if readable { &["a-large.json", "b-locked.json", "c.json"][..] } else { &["a-large.json", "c.json"] };
    assert_eq!(names(&intake), locked);
    let large = &intake.messages[0];
    assert_eq!((large.body.bytes.len(), large.body.media), (1000, Media::Bytes));
    assert!(large.headers[FILE_PROBLEM].contains("2000 bytes"), "{:?}", large.headers);
    assert!(!large.answerable && !intake.messages.last().unwrap().headers.contains_key(FILE_PROBLEM));
    let parked = intake.messages.iter().map(|m| Verdict::Parked { id: m.id.clone() }).collect();
    source.settle(parked).await.unwrap();
    assert!(!listing(bench.root()).contains(&"a-large.json".to_string()));
}

#[tokio::test]
async fn a_refused_file_stays_and_is_not_offered_until_it_changes() {
    let bench = Bench::new();
    bench.drop_file("a.json", b"{}");
    let mut source = bench.source(json!({})).await;
    let first = bench.next(&mut source).await;
    let refused = Verdict::Refused { problems: vec![Problem::at("x", "", "no")] };
    source.settle(vec![refused]).await.unwrap();
    assert!(bench.brings_nothing(&mut source).await);
    bench.drop_file("a.json", b"{\"better\":1}");
    let second = bench.next(&mut source).await;
    assert_ne!(first.messages[0].id, second.messages[0].id);
}

#[tokio::test]
async fn a_full_hub_gets_the_file_again_later() {
    let bench = Bench::new();
    bench.drop_file("a.json", b"{}");
    let mut source = bench.source(json!({})).await;
    let first = bench.next(&mut source).await;
    let asked = bench.clock.now();
    source.settle(vec![Verdict::Busy { retry_after: "7s".parse().unwrap() }]).await.unwrap();
    let second = bench.next(&mut source).await;
    assert_eq!(first.messages[0].id, second.messages[0].id);
    assert!(bench.clock.now().duration_since(asked).as_secs() >= 7);
}

#[tokio::test]
async fn a_file_that_took_the_place_of_a_taken_one_is_not_lost() {
    let bench = Bench::new();
    bench.drop_file("a.json", b"{\"n\":1}");
    let mut source = bench.source(json!({ "settle": "remove" })).await;
    let first = bench.next(&mut source).await;
    bench.drop_file("a.json", b"{\"n\":22}");
    source.settle(stored(&first.messages)).await.unwrap();
    let second = bench.next(&mut source).await;
    assert_eq!(&second.messages[0].body.bytes[..], b"{\"n\":22}");
    source.settle(stored(&second.messages)).await.unwrap();
    assert_eq!(listing(bench.root()), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_file_of_the_same_name_keeps_the_first() {
    let bench = Bench::new();
    let mut source = bench.source(json!({})).await;
    for content in [&b"{\"n\":1}"[..], b"{\"n\":22}"] {
        bench.drop_file("a.json", content);
        let intake = bench.next(&mut source).await;
        source.settle(stored(&intake.messages)).await.unwrap();
    }
    assert_eq!(listing(&bench.root().join(".done")).len(), 2);
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_it() {
    let bench = Bench::new();
    let parsed = (PLUGIN.sources[0].parse)(&json!({ "folder": "nowhere" })).unwrap();
    let error = parsed.opens.open(&bench::open_cx(bench.clock.clone(), bench.root())).await.err().unwrap();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!((PLUGIN.sources[0].parse)(&json!({ "folder": ".", "foldr": 1 })).is_err());
}

#[tokio::test]
async fn writing_is_atomic_and_repeatable() {
    let bench = Bench::new();
    let sink = bench.sink(json!({})).await;
    let out = bench::outgoing(Body::new(Media::Text, "ciao"), json!({ "name": "a.txt" }));
    let first = sink.send(&out, &bench.attempt()).await.unwrap();
    let again = sink.send(&out, &bench.attempt()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(first.reply["sha256"], json!(hub_core::sha256_hex(b"ciao")));
    assert_eq!(fs::read(first.remote_id.unwrap()).unwrap(), b"ciao");
    assert_eq!(listing(&bench.root().join("out")), ["a.txt"]);
}

async fn send(sink: &Arc<dyn Sink>, bench: &Bench, name: &str, content: &'static str) -> Result<Receipt, SendError> {
    let out = bench::outgoing(Body::new(Media::Text, content), json!({ "name": name }));
    sink.send(&out, &bench.attempt()).await
}

#[tokio::test]
async fn names_cannot_leave_the_folder_and_nobodys_file_is_overwritten() {
    let bench = Bench::new();
    let sink = bench.sink(json!({})).await;
    for name in ["../a", "a/b", "..", "", "a\nb", "a\\b"] {
        let error = send(&sink, &bench, name, "x").await.unwrap_err();
        assert!(matches!(&error, SendError::Rejected { code, .. } if code == "file-name"), "{name:?}: {error}");
    }
    send(&sink, &bench, "a.txt", "one").await.unwrap();
    let error = send(&sink, &bench, "a.txt", "two").await.unwrap_err();
    assert!(matches!(&error, SendError::Rejected { code, .. } if code == "file-exists"), "{error}");
    let replacing = bench.sink(json!({ "existing": "replace" })).await;
    send(&replacing, &bench, "a.txt", "three").await.unwrap();
    assert_eq!(fs::read(bench.root().join("out/a.txt")).unwrap(), b"three");
    assert_eq!(listing(&bench.root().join("out")), ["a.txt"]);
}

#[tokio::test]
async fn a_closed_fence_writes_nothing() {
    let bench = Bench::new();
    let sink = bench.sink(json!({})).await;
    let out = bench::outgoing(Body::new(Media::Text, "x"), json!({ "name": "a.txt" }));
    let fenced = bench::attempt(&*bench.clock, Crossing::new(|| Err("time is over".into())));
    assert!(matches!(sink.send(&out, &fenced).await, Err(SendError::NotSent { .. })));
    assert_eq!(listing(&bench.root().join("out")), Vec::<String>::new());
}
