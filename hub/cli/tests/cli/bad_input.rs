//! Bad input through both doors of the real hub, with good orders beside it.
//!
//! Judged from outside: what senders hear, what the admin API shows as parked, what the simulator saw, what the log says.

#[path = "bad_input/scene.rs"]
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use raccordo::demo::Order;
use serde_json::Value;
use tokio::task::JoinSet;

use scene::{Scene, client, compact, false_friends};

const JSON: &str = "application/json";
/// What the hub's listener takes at most, and the drop folder.
const HTTP_BYTES_MAX: usize = 1024 * 1024;
const FILE_BYTES_MAX: usize = 5 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_hurts_nobody_else() {
    let mut scene = Scene::begin().await;
    wrong_certificates(&scene).await;
    wrong_requests(&mut scene).await;
    wrong_orders_over_http(&mut scene).await;
    unreadable_bodies_over_http(&mut scene).await;
    wrong_xml(&scene).await;
    wrong_files(&mut scene).await;
    what_is_no_file_of_ours_stays(&scene).await;
    unfinished_files(&mut scene).await;
    keys_and_duplicates(&mut scene).await;
    many_at_once(&mut scene).await;
    every_good_order_is_paid_once(&scene).await;
    parked_is_what_was_expected(&scene).await;
    let secrets = secrets(&scene);
    the_log_keeps_secrets(&scene.end().await, &secrets);
}

async fn wrong_certificates(scene: &Scene) {
    let (tls, body) = (scene.world.dir.join("tls"), "{}");
    for (name, dir) in false_friends(scene) {
        let stranger = client(&tls, Some((name, &dir)));
        let answer = stranger.post(scene.url("/ingest/mandati")).header("content-type", JSON).body(body).send().await;
        assert!(answer.is_err(), "TLS refuses {name} of {}: {answer:?}", dir.display());
    }
    let expired = expired_certificate(&tls);
    let answer = expired.post(scene.url("/ingest/mandati")).header("content-type", JSON).body(body).send().await;
    assert!(answer.is_err(), "TLS refuses an expired certificate: {answer:?}");
    for nobody in [client(&tls, None), client(&tls, Some(("sconosciuto", &tls)))] {
        let request = nobody.post(scene.url("/ingest/mandati")).header("content-type", JSON).body(body);
        let reply = scene::Reply::of(request.send().await.expect("an answer")).await;
        assert_eq!((reply.status, reply.code()), (401, ""), "{reply:?}");
    }
    let plain = scene.url("/ingest/mandati").replace("https:", "http:");
    assert!(reqwest::Client::new().post(plain).body(body).send().await.is_err(), "plain HTTP is not spoken");
}

/// The right name from the right authority, too late.
fn expired_certificate(tls: &Path) -> reqwest::Client {
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, date_time_ymd,
    };
    let named = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let ca_key = std::fs::read_to_string(tls.join("ca.key")).expect("the authority's key");
    let ca = Issuer::new(named("Raccordo demo CA"), KeyPair::from_pem(&ca_key).expect("PEM"));
    let (mut params, key) = (named("contabilita"), KeyPair::generate().expect("key"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("old.pem"), params.signed_by(&key, &ca).expect("signed").pem()).expect("written");
    std::fs::write(dir.path().join("old.key"), key.serialize_pem()).expect("written");
    client(tls, Some(("old", dir.path())))
}

async fn wrong_requests(scene: &mut Scene) {
    let offer = scene.fresh();
    let key = Some("forme");
    let large = vec![b' '; HTTP_BYTES_MAX + 1];
    let reply = scene.post("/ingest/mandati", JSON, key, &large).await;
    assert_eq!((reply.status, reply.code()), (413, ""), "{reply:?}");
    for mime in ["text/plain", "application/octet-stream", "multipart/form-data; boundary=x", ""] {
        let reply = scene.post("/ingest/mandati", mime, key, &offer.bytes).await;
        assert_eq!((reply.status, reply.code()), (415, ""), "{mime}: {reply:?}");
    }
    let packed = scene.client.post(scene.url("/ingest/mandati")).header("content-encoding", "gzip");
    let packed = packed.header("content-type", JSON).body(offer.bytes.clone()).send().await.expect("an answer");
    assert_eq!(scene::Reply::of(packed).await.status, 415, "compressed bodies");
    for method in [reqwest::Method::GET, reqwest::Method::PUT, reqwest::Method::DELETE] {
        let request = scene.client.request(method.clone(), scene.url("/ingest/mandati"));
        let reply = scene::Reply::of(request.send().await.expect("an answer")).await;
        assert_eq!((reply.status, reply.code(), reply.allow.as_str()), (405, "", "POST"), "{method}: {reply:?}");
    }
    for path in ["/", "/ingest", "/ingest/mandati/", "/ingest/../ingest/MANDATI", "/api/v1/cases"] {
        let reply = scene.post(path, JSON, key, &offer.bytes).await;
        assert_eq!((reply.status, reply.code()), (404, ""), "{path}: {reply:?}");
    }
    for bad_key in ["", &"k".repeat(256), "a\tb"] {
        let reply = scene.order(bad_key, &offer.bytes).await;
        assert_eq!((reply.status, reply.code()), (400, ""), "key {bad_key:?}: {reply:?}");
    }
    // None of these has used the key up, or taken the order.
    let reply = scene.order("forme", &offer.bytes).await;
    assert_eq!((reply.status, reply.replayed), (202, false), "{reply:?}");
}

fn expected(scene: &Scene) -> BTreeMap<String, String> {
    let file = scene.root.join("examples/mandati/errati/EXPECTED.json");
    let codes: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(file).expect("EXPECTED.json")).expect("names and codes");
    assert!(codes.len() >= 20, "the issue asks for 20 wrong orders");
    codes
}

fn wrong_order(scene: &Scene, name: &str) -> Vec<u8> {
    std::fs::read(scene.root.join("examples/mandati/errati").join(name)).expect("a wrong sample")
}

async fn wrong_orders_over_http(scene: &mut Scene) {
    let mut others = Vec::new();
    for (index, (name, code)) in expected(scene).into_iter().enumerate() {
        let bytes = wrong_order(scene, &name);
        let reply = scene.order(&name, &bytes).await;
        assert!([400, 409, 422].contains(&reply.status), "{name}: {reply:?}");
        if reply.code() != code {
            others.push(format!("{name}: {} not {code}: {}", reply.code(), reply.body["detail"]));
        }
        assert_eq!(reply.status == 400, code == "json", "400 is for what cannot be read: {name}: {reply:?}");
        if index % 4 == 0 {
            let offer = scene.fresh();
            // The very key that was refused a moment ago: a sender mends its order and sends it again.
            let reply = scene.order(&name, &offer.bytes).await;
            assert_eq!((reply.status, reply.replayed), (202, false), "{}: {reply:?}", offer.name);
        }
    }
    println!("others: {others:#?}");
}

/// Bodies that are no order at all: bytes, and the code of the first problem.
fn unreadable(good: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let text = String::from_utf8(good.to_vec()).expect("UTF-8");
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "the sample holds {from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    vec![
        ("vuoto", "json", Vec::new()),
        ("spazi", "json", b" \n\t ".to_vec()),
        ("utf-16", "json", utf16),
        ("marca-utf-8", "json", [b"\xef\xbb\xbf", good].concat()),
        ("due-documenti", "json", [good, good].concat()),
        ("byte-nulli", "json", vec![0; 4096]),
        ("surrogato", "json", with("\"mandato\"", "\"\\ud800\"")),
        ("virgola", "json", with("{", "{,")),
        ("xml", "json", b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>".to_vec()),
        ("nullo", "json-schema", b"null".to_vec()),
        ("elenco", "json-schema", [b"[", good, b"]"].concat()),
        ("testo", "json-schema", b"\"mandato\"".to_vec()),
        ("numero", "json", b"1e999999999".to_vec()),
        ("esponente-enorme", "", with("\"importo\": ", "\"importo\": 1e99999999, \"altro\": ")),
        ("cifre", "", with("\"importo\": ", &format!("\"importo\": {}, \"altro\": ", "9".repeat(100_000)))),
    ]
}

async fn unreadable_bodies_over_http(scene: &mut Scene) {
    let offer = scene.fresh();
    for (name, code, bytes) in unreadable(&offer.bytes) {
        let reply = scene.post("/ingest/mandati", JSON, None, &bytes).await;
        println!("{name}: {} {}", reply.status, reply.body["detail"]);
        if !([400, 422].contains(&reply.status)
            && !reply.code().is_empty()
            && (code.is_empty() || reply.code() == code))
        {
            println!("XXX {name}: {reply:?}");
        }
    }
    let reply = scene.order("dopo-tutto", &offer.bytes).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

/// Document types and entities are refused outright, whoever the document is for.
async fn wrong_xml(scene: &Scene) {
    let laughs: String =
        (1..40).map(|n| format!("<!ENTITY l{n} \"&l{};&l{};\">", n - 1, n - 1)).collect::<Vec<_>>().concat();
    let documents = [
        "<!DOCTYPE a><a/>".to_string(),
        "<!DOCTYPE a SYSTEM \"http://127.0.0.1:9/a.dtd\"><a/>".into(),
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".into(),
        format!("<!DOCTYPE a [<!ENTITY l0 \"ah\">{laughs}]><a>&l39;</a>"),
        "<a>&nobody;</a>".into(),
        "<a><b></a>".into(),
        "<a/><a/>".into(),
        String::new(),
        "<a>".repeat(5000),
        "<?xml version=\"1.0\" encoding=\"UTF-7\"?><a/>".into(),
    ];
    for document in &documents {
        for (path, mime) in [("/ingest/xml", "application/xml"), ("/ingest/xml", "text/xml; charset=utf-8")] {
            let reply = scene.post(path, mime, None, document.as_bytes()).await;
            let shown: String = document.chars().take(60).collect();
            println!("{shown}: {} {} {}", reply.status, reply.code(), reply.body["detail"]);
            if reply.status != 400 || !reply.code().starts_with("xml") {
                println!("XXX {shown}: {reply:?}");
            }
            assert!(!reply.body.to_string().contains("root:"), "nothing of the machine is shown: {reply:?}");
        }
        // Nobody reads XML as a payment order.
        let reply = scene.post("/ingest/mandati", "application/xml", None, document.as_bytes()).await;
        assert!([400, 422].contains(&reply.status) && !reply.code().is_empty(), "{reply:?}");
    }
    let latin1 = b"<a>citt\xe0</a>";
    let reply = scene.post("/ingest/xml", "application/xml", None, latin1).await;
    assert!([400, 422].contains(&reply.status) && reply.code().starts_with("xml"), "{reply:?}");
}

async fn wrong_files(scene: &mut Scene) {
    let mut good = Vec::new();
    for (index, (name, code)) in expected(scene).into_iter().enumerate() {
        let bytes = wrong_order(scene, &name);
        scene.drop_bad(&name, &code, &bytes);
        if index % 4 == 1 {
            let offer = scene.fresh();
            scene.drop(&offer.name, &offer.bytes);
            good.push(offer.name);
        }
    }
    let sample = scene.fresh();
    for (name, code, bytes) in unreadable(&sample.bytes) {
        scene.drop_bad(&format!("{name}.json"), code, &bytes);
    }
    let large = vec![b'['; FILE_BYTES_MAX + 1];
    scene.drop_bad("grande.json", "file", &large);
    scene.parked.get_mut("grande.json").expect("expected").bytes.truncate(FILE_BYTES_MAX);
    scene.drop_bad("quasi-grande.json", "json", &large[..FILE_BYTES_MAX]);
    // A name that is no text carries an order like any other.
    let odd = OsStr::from_bytes(b"citt\xe0 \n'$(x).json");
    scene.drop(odd, &sample.bytes);
    scene.gone(odd).await;
    for name in good.iter().chain(scene.parked.keys()) {
        scene.gone(name).await;
    }
}

async fn what_is_no_file_of_ours_stays(scene: &Scene) {
    let folder = scene.drop_folder();
    let (_, bytes) = ("never an order", wrong_order(scene, "01-json-troncato.json"));
    let strange = ["nota.txt", "ordine.json.part", "ordine.json.tmp", ".nascosto.json", "ordine.JSON~"];
    for name in strange {
        std::fs::write(folder.join(name), &bytes).expect("written");
    }
    std::fs::create_dir(folder.join("cartella.json")).expect("made");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("passwd.json")).expect("linked");
    std::os::unix::fs::symlink("nowhere", folder.join("nulla.json")).expect("linked");
    // That they stay is looked at when everything is over.
}

fn strangers_still_there(scene: &Scene) {
    let mut left: BTreeSet<String> = std::fs::read_dir(scene.drop_folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    for name in ["nota.txt", "ordine.json.part", "ordine.json.tmp", ".nascosto.json", "ordine.JSON~"] {
        assert!(left.remove(name), "{name} is gone");
    }
    for name in ["cartella.json", "passwd.json", "nulla.json", ".done"] {
        assert!(left.remove(name), "{name} is gone");
    }
    assert_eq!(left, BTreeSet::new(), "left in the drop folder");
}

/// A file that grows is not read; a neighbour that is whole goes by it. What was dropped broken may be dropped mended.
async fn unfinished_files(scene: &mut Scene) {
    let (growing, neighbour, mended) = (scene.fresh(), scene.fresh(), scene.fresh());
    let path = scene.drop_folder().join("cresce.json");
    let mut file = std::fs::File::create(&path).expect("made");
    let (half, rest) = growing.bytes.split_at(growing.bytes.len() / 2);
    file.write_all(half).expect("written");
    scene.drop(&neighbour.name, &neighbour.bytes);
    scene.drop_bad("rotto.json", "json", &mended.bytes[..mended.bytes.len() / 2]);
    let (waiting, mut written) = (scene.drop_folder().join(&neighbour.name), Instant::now());
    let mut rest = rest.iter();
    while waiting.exists() {
        let pause = written.elapsed();
        assert!(pause < Duration::from_millis(1500), "this machine stood still for {pause:?}");
        let byte = rest.next().expect("the neighbour is taken while this file grows");
        file.write_all(&[*byte]).expect("written");
        written = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(path.exists(), "half a file was read");
    file.write_all(rest.as_slice()).expect("written");
    scene.gone("cresce.json").await;
    scene.gone("rotto.json").await;
    scene.drop("rotto.json", &mended.bytes);
    scene.gone("rotto.json").await;
}

async fn keys_and_duplicates(scene: &mut Scene) {
    let (first, other) = (scene.fresh(), scene.fresh());
    let taken = scene.order("chiave", &first.bytes).await;
    assert_eq!((taken.status, taken.replayed), (202, false), "{taken:?}");
    for _ in 0..3 {
        let again = scene.order("chiave", &first.bytes).await;
        assert_eq!((again.status, again.replayed, &again.body), (202, true, &taken.body));
    }
    let mut changed = first.bytes.clone();
    changed.push(b' ');
    let broken = wrong_order(scene, "01-json-troncato.json");
    for content in [&changed, &compact(&first.bytes), &other.bytes, &broken] {
        let reply = scene.order("chiave", content).await;
        assert_eq!((reply.status, reply.code()), (409, ""), "same key, other content: {reply:?}");
    }
    for (key, content) in
        [(Some("altra"), first.bytes.clone()), (Some("altra"), compact(&first.bytes)), (None, changed)]
    {
        let reply = scene.post("/ingest/mandati", JSON, key, &content).await;
        assert_eq!((reply.status, reply.code()), (409, ""), "same order, other key: {reply:?}");
    }
    // The key that was refused is free for an order of its own.
    let reply = scene.order("altra", &other.bytes).await;
    assert_eq!((reply.status, reply.replayed), (202, false), "{reply:?}");
    scene.drop_bad("doppio.json", "admission.duplicate", &first.bytes);
    scene.drop_bad("doppio-compatto.json", "admission.duplicate", &compact(&first.bytes));
    scene.gone("doppio.json").await;
    scene.gone("doppio-compatto.json").await;
    // The same file dropped again is the same message: not parked a second time.
    scene.drop("doppio.json", &first.bytes);
    scene.gone("doppio.json").await;
    by_folder_first(scene).await;
}

async fn by_folder_first(scene: &mut Scene) {
    let offer = scene.fresh();
    scene.drop(&offer.name, &offer.bytes);
    scene.gone(&offer.name).await;
    let reply = scene.order("dopo-la-cartella", &offer.bytes).await;
    assert_eq!((reply.status, reply.code()), (409, ""), "{reply:?}");
    scene.drop(&offer.name, &offer.bytes);
    scene.gone(&offer.name).await;
    scene.drop_bad("altro-nome.json", "admission.duplicate", &offer.bytes);
    scene.gone("altro-nome.json").await;
}

/// Senders that race each other: the same key has one answer, the same order under many keys is taken once.
async fn many_at_once(scene: &mut Scene) {
    let (one_key, many_keys) = (scene.fresh(), scene.fresh());
    let mut requests = JoinSet::new();
    for index in 0..8 {
        for (key, offer) in [("gara".to_string(), &one_key), (format!("gara-{index}"), &many_keys)] {
            let request = scene.client.post(scene.url("/ingest/mandati")).header("content-type", JSON);
            let request = request.header("idempotency-key", &key).body(offer.bytes.clone());
            drop(requests.spawn(async move {
                (key == "gara", scene::Reply::of(request.send().await.expect("an answer")).await)
            }));
        }
    }
    let (same, different): (Vec<_>, Vec<_>) = requests.join_all().await.into_iter().partition(|(same, _)| *same);
    let ids: BTreeSet<String> = same.iter().map(|(_, reply)| reply.body["id"].to_string()).collect();
    assert!(same.iter().all(|(_, reply)| reply.status == 202) && ids.len() == 1, "{same:?}");
    assert_eq!(same.iter().filter(|(_, reply)| !reply.replayed).count(), 1, "{same:?}");
    let mut statuses: Vec<u16> = different.iter().map(|(_, reply)| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409, 409, 409, 409, 409], "{different:?}");
}

async fn every_good_order_is_paid_once(scene: &Scene) {
    let seen = async || {
        let orders = scene.world.ask("orders").await.expect("orders");
        orders.as_array().cloned().expect("a list")
    };
    let is_paid = |order: &Order, seen: &[Value]| seen.iter().any(|line| order.is(line) && line["paid"] == true);
    scene
        .until("every good order is paid", async || {
            let seen = seen().await;
            scene.paid.iter().all(|order| is_paid(order, &seen))
        })
        .await;
    for line in seen().await {
        assert!(scene.paid.iter().any(|order| order.is(&line)), "nobody asked for this: {line}");
        assert_eq!(line["insertions"], 1, "{line}");
    }
    let flows = scene.world.ask("flows").await.expect("flows");
    let flows = flows.as_array().expect("a list");
    assert_eq!(flows.len(), scene.paid.len(), "one upload for each order");
    assert!(flows.iter().all(|flow| flow["ack_state"] == "OK"), "{flows:?}");
    println!("{} good orders paid, each once", scene.paid.len());
}

async fn parked_is_what_was_expected(scene: &Scene) {
    strangers_still_there(scene);
    let rows = scene.parked_rows().await;
    let name_of = |row: &Value| row["evidence"]["headers"]["file-name"].as_str().unwrap_or_default().to_string();
    let names: Vec<String> = rows.iter().map(name_of).collect();
    let mut once = names.clone();
    once.sort();
    assert_eq!(once, scene.parked.keys().cloned().collect::<Vec<_>>(), "parked, each once");
    for (row, name) in rows.iter().zip(names) {
        let (wanted, reason) = (&scene.parked[&name], row["reason"].as_str().unwrap_or_default());
        let first = row["evidence"]["problems"][0]["code"].as_str().unwrap_or_default();
        assert_eq!(row["kind"], "refused", "{row}");
        assert!(!first.is_empty() && reason.contains(&format!("[{first}]")), "{name}: {row}");
        assert!(wanted.code.is_empty() || first == wanted.code, "{name}, not {}: {row}", wanted.code);
        let body = scene.admin(&format!("parked/{}/body", row["id"].as_str().expect("an id"))).await;
        assert!(body == wanted.bytes, "{name}: the body is not kept byte for byte ({} bytes)", body.len());
    }
    println!("{} files parked with their reasons", rows.len());
}

/// What must not stand in a log: tokens, private keys, accounts and tax codes.
fn secrets(scene: &Scene) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for token in scene.world.team.tokens().as_array().expect("a list") {
        let _ = secrets.insert(token["token"].as_str().expect("a token").to_string());
    }
    for dir in ["tls", "keys"] {
        for entry in std::fs::read_dir(scene.world.dir.join(dir)).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.to_string_lossy().contains(".key") {
                let pem = std::fs::read_to_string(path).expect("PEM");
                secrets.extend(pem.lines().filter(|line| line.len() > 30 && !line.contains(' ')).map(str::to_string));
            }
        }
    }
    for dir in ["buoni", "errati"] {
        for entry in std::fs::read_dir(scene.root.join("examples/mandati").join(dir)).expect("the samples") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a sample");
            secrets.extend(personal(&String::from_utf8_lossy(&bytes)));
        }
    }
    assert!(secrets.len() > 60, "keys, tokens and accounts were found: {}", secrets.len());
    secrets
}

/// The values of `iban` and `codice_fiscale`.
fn personal(text: &str) -> Vec<String> {
    let fields = text.split("\"iban\": \"").skip(1).chain(text.split("\"codice_fiscale\": \"").skip(1));
    fields.filter_map(|rest| rest.split('"').next()).filter(|value| value.len() > 10).map(str::to_string).collect()
}

fn the_log_keeps_secrets(log: &str, secrets: &BTreeSet<String>) {
    assert!(log.contains("tls handshake failed"), "the log was written at all");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "the log holds what it must not: {secret}");
    }
    for word in ["panicked", "PRIVATE KEY", " ERROR "] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "the log holds `{word}`");
    }
}
