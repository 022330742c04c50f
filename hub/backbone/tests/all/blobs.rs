//! The blob stores.

use std::fs;
use std::time::{Duration, SystemTime};

use hub_backbone::contract;
use hub_backbone::{Blobs, Error, FileBlobs, MemoryBlobs};

use crate::folder;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[tokio::test]
async fn both_stores_keep_the_contract() {
    let folder = folder();
    let stores: [Box<dyn Blobs>; 2] =
        [Box::new(FileBlobs::open(folder.path()).expect("open")), Box::new(MemoryBlobs::default())];
    for store in stores {
        contract::bytes_come_back_by_their_hash(&*store).await;
        contract::several_are_put_together(&*store).await;
        contract::only_hashes_are_names(&*store).await;
    }
}

#[tokio::test]
async fn only_hashes_become_paths() {
    let folder = folder();
    let store = FileBlobs::open(folder.path().join("blobs")).expect("open");
    fs::write(folder.path().join("secret"), "s").expect("write");
    for name in ["", "../secret", "2c", "/etc/passwd", &HELLO.to_uppercase(), &format!("..{}", &HELLO[2..])] {
        assert_eq!(store.get(name).await.expect("get"), None, "{name}");
    }
}

#[tokio::test]
async fn damage_is_found_and_healed_by_a_put() {
    let folder = folder();
    let store = FileBlobs::open(folder.path()).expect("open");
    store.put(b"hello").await.expect("put");
    let path = folder.path().join("2c").join(HELLO);
    for bad in [&b"hellO"[..], b"", b"hello "] {
        fs::write(&path, bad).expect("write");
        match store.get(HELLO).await {
            Err(Error::Corrupt { place, .. }) => assert!(place.contains(HELLO)),
            other => panic!("it must be found, not {other:?}"),
        }
    }
    store.put(b"hello").await.expect("put");
    assert_eq!(store.get(HELLO).await.expect("get").as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn a_put_renews_the_time() {
    let folder = folder();
    let store = FileBlobs::open(folder.path()).expect("open");
    store.put(b"hello").await.expect("put");
    let path = folder.path().join("2c").join(HELLO);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(old)).expect("set the time");
    store.put(b"hello").await.expect("put");
    let renewed = fs::metadata(&path).and_then(|data| data.modified()).expect("time");
    assert!(renewed > old + Duration::from_secs(86_400));
}

#[tokio::test]
async fn opening_removes_what_dead_writers_left_and_nothing_else() {
    let folder = folder();
    let store = FileBlobs::open(folder.path()).expect("open");
    store.put(b"hello").await.expect("put");
    let (dead, alive) = (folder.path().join("tmp/dead"), folder.path().join("tmp/alive"));
    fs::write(&dead, "half").expect("write");
    let writer = fs::File::create(&alive).expect("create");
    writer.lock().expect("lock");
    let again = FileBlobs::open(folder.path()).expect("open");
    assert!(!dead.exists() && alive.exists());
    assert!(again.get(HELLO).await.expect("get").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_put_the_same() {
    let folder = folder();
    let store = FileBlobs::open(folder.path()).expect("open");
    let puts = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.put(if n % 2 == 0 { b"hello" } else { b"other" }).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.expect("no panic").expect("put");
    }
    assert!(store.get(HELLO).await.expect("get").is_some());
    assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("read").count(), 0, "nothing is left over");
}
