//! Bytes by their hash: what every blob store does.

use bytes::Bytes;

use super::within;
use crate::{BLOB_BYTES_MAX, Blobs, Error};

/// The SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// What was put comes back, empty or as large as may be; what is larger is refused; what is not there is not there.
pub async fn bytes_come_back_by_their_hash(store: &dyn Blobs) {
    assert_eq!(within(store.put(b"hello")).await.expect("put"), HELLO);
    assert_eq!(within(store.put(b"hello")).await.expect("again"), HELLO);
    assert_eq!(within(store.get(HELLO)).await.expect("get").as_deref(), Some(&b"hello"[..]));
    let empty = within(store.put(b"")).await.expect("put");
    assert_eq!(within(store.get(&empty)).await.expect("get").as_deref(), Some(&b""[..]));
    assert_eq!(within(store.get(&HELLO.replace('2', "3"))).await.expect("get"), None);
    let too_large = vec![0; BLOB_BYTES_MAX + 1];
    assert!(matches!(store.put(&too_large).await, Err(Error::TooLarge { .. })));
    let largest = within(store.put(&too_large[1..])).await.expect("put");
    assert_eq!(within(store.get(&largest)).await.expect("get").map(|bytes| bytes.len()), Some(BLOB_BYTES_MAX));
}

/// Several at once, the same ones among them; one that is too large is refused before any is written.
pub async fn several_are_put_together(store: &dyn Blobs) {
    let blobs: Vec<Bytes> = (0..40u8).map(|n| Bytes::from(vec![n % 37; usize::from(n) * 100])).collect();
    within(store.put_all(&blobs)).await.expect("put");
    for bytes in &blobs {
        let name = within(store.put(bytes)).await.expect("again");
        assert_eq!(within(store.get(&name)).await.expect("get").as_ref(), Some(bytes));
    }
    let too_large = [Bytes::from_static(b"not written"), Bytes::from(vec![0; BLOB_BYTES_MAX + 1])];
    assert!(matches!(store.put_all(&too_large).await, Err(Error::TooLarge { .. })));
}

/// What is no hash names nothing, whatever a path or a key could be made of it.
pub async fn only_hashes_are_names(store: &dyn Blobs) {
    let _ = within(store.put(b"hello")).await.expect("put");
    for name in ["", "2c", "../secret", "/etc/passwd", &HELLO.to_uppercase(), &format!("..{}", &HELLO[2..])] {
        assert_eq!(within(store.get(name)).await.expect("get"), None, "{name}");
    }
}
