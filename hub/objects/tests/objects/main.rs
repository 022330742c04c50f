//! Blobs on a real server with an S3 API, which `examples/objects/objects` starts for each test.

mod server;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hub_backbone::{Blobs, Error, contract};
use hub_core::{Secret, Span};
use hub_objects::ObjectBlobs;

use server::Server;

/// A hash of five bytes, `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const WRONG: &str = "hunter2-hunter2";

async fn open(server: &Server) -> ObjectBlobs {
    ObjectBlobs::open(server.settings()).await.expect("the store opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept() {
    let Some(server) = Server::start() else { return };
    let store = open(&server).await;
    contract::bytes_come_back_by_their_hash(&store).await;
    contract::several_are_put_together(&store).await;
    contract::only_hashes_are_names(&store).await;
    assert!(store.alarms().is_empty());
    damage_is_found_and_healed(&server, &store).await;
    many_may_put_the_same(&store).await;
}

async fn damage_is_found_and_healed(server: &Server, store: &ObjectBlobs) {
    let file = server.file(HELLO);
    for bad in [&b"hellO"[..], b"", b"hello "] {
        std::fs::write(&file, bad).expect("write");
        match store.get(HELLO).await {
            Err(Error::Corrupt { place, file, .. }) => assert!(place.contains(HELLO) && file.contains("/blobs/")),
            other => panic!("it must be found, not {other:?}"),
        }
    }
    store.put(b"hello").await.expect("put");
    assert_eq!(store.get(HELLO).await.expect("get").as_deref(), Some(&b"hello"[..]));
}

async fn many_may_put_the_same(store: &ObjectBlobs) {
    let puts = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.put(if n % 2 == 0 { b"hello" } else { b"other" }).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.expect("no panic").expect("put");
    }
    assert!(store.get(HELLO).await.expect("get").is_some());
}

/// The server dies in the middle of puts, and is frozen: who waits gets an answer when it is back, and what was acknowledged
/// is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_waited_for() {
    let Some(server) = Server::start() else { return };
    let store = Arc::new(open(&server).await);
    let done: Arc<Mutex<Vec<String>>> = Arc::default();
    let (writer, names) = (Arc::clone(&store), Arc::clone(&done));
    let puts = tokio::spawn(async move {
        for number in 0..300u32 {
            let name = writer.put(format!("blob {number}").as_bytes()).await.expect("it waits");
            names.lock().expect("names").push(name);
        }
    });
    until(|| done.lock().expect("names").len() > 50).await;
    server.tell("kill");
    server.again();
    server.tell("pause");
    until(|| !store.alarms().is_empty() || puts.is_finished()).await;
    let finished = puts.is_finished();
    server.tell("resume");
    assert!(!finished, "it waited while the server was frozen");
    puts.await.expect("no panic");
    assert!(store.alarms().is_empty(), "the alarm is over");
    let names = done.lock().expect("names").clone();
    for name in names {
        assert!(store.get(&name).await.expect("get").is_some(), "{name} was acknowledged");
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every wrong setting is told at the start, without a secret; a server that stays away is an error in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told() {
    let Some(server) = Server::start() else { return };
    let right = server.settings();
    let text = async |change: &dyn Fn(&mut hub_objects::S3Settings)| {
        let mut settings = right.clone();
        settings.patience = Span(Duration::from_secs(2));
        settings.timeout = Span(Duration::from_secs(1));
        change(&mut settings);
        let error = ObjectBlobs::open(settings).await.expect_err("it is wrong").to_string();
        println!("{error}");
        for secret in [WRONG, right.secret_key.expose()] {
            assert!(!error.contains(secret), "{error}");
        }
        error
    };
    assert!(text(&|s| s.secret_key = Secret::new(WRONG.to_owned())).await.contains("`secret_key`"));
    assert!(text(&|s| s.access_key = Secret::new(WRONG.to_owned())).await.contains("`access_key`"));
    assert!(text(&|s| s.bucket = "elsewhere".to_owned()).await.contains("no bucket `elsewhere`"));
    assert!(text(&|s| s.ca = Some("/no/such/ca.pem".into())).await.contains("/no/such/ca.pem"));
    assert!(text(&|s| s.endpoint = s.endpoint.replace("http://", "https://")).await.contains("https://127.0.0.1"));
    let store =
        ObjectBlobs::open(hub_objects::S3Settings { patience: Span(Duration::from_secs(2)), ..right.clone() }).await;
    server.tell("kill");
    let away = store.expect("it was there").put(b"hello").await.expect_err("it is away").to_string();
    assert!(away.contains("cannot be written") && away.contains("127.0.0.1"), "{away}");
    assert!(!format!("{right:?}").contains(right.secret_key.expose()), "nor by Debug");
}

/// A missing bucket is not a missing blob: that would be a document lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_goes_is_an_error() {
    let Some(server) = Server::start() else { return };
    let store = open(&server).await;
    store.put(b"hello").await.expect("put");
    server.drop_bucket();
    let error = store.get(HELLO).await.expect_err("there is no bucket").to_string();
    assert!(error.contains("no bucket `blobs`"), "{error}");
}
