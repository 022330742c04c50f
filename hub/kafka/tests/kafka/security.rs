//! Ways into a broker that wants to know who comes: with a password, a token, a certificate. One broker of this test's own
//! has a listener for each; every right word gets in, every wrong one is told why, and no secret is ever shown.

mod broker;
mod endpoint;
mod papers;
mod said;

use std::time::Duration;

use hub_backbone::{Backbone, Commit, Error, Place, Topic};
use hub_core::Secret;
use hub_kafka::{Kafka, KafkaSettings, Mechanism, Sasl, Security, Tls, TokenSource};

use broker::Guarded;
use endpoint::Endpoint;
use papers::{Papers, token};

use crate::broker::settings;

const LOG: Place = Place::new(Topic::INBOX, 0);
/// What must never be seen.
const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "hunter2-hunter2";

/// A store of its own behind one of the broker's doors.
fn through(door: &str, security: Security) -> KafkaSettings {
    let mut settings = settings(door, 1);
    settings.security = security;
    settings
}

fn trusting(papers: &Papers) -> Tls {
    Tls { ca: Some(papers.ca()), ..Tls::default() }
}

fn with_password(papers: &Papers, mechanism: Mechanism, password: &str) -> Security {
    Security { tls: Some(trusting(papers)), sasl: Some(Sasl::password(mechanism, "hub", password)) }
}

fn with_token(papers: &Papers, source: TokenSource) -> Security {
    Security { tls: Some(trusting(papers)), sasl: Some(Sasl::token(source)) }
}

/// Opens, writes, reads and trims: the producer, a consumer and the admin client all get in.
async fn gets_in(name: &str, settings: KafkaSettings) {
    let store = Kafka::open(settings).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut commit = Commit::new();
    commit.append(LOG, "one", "here");
    commit.append(LOG, "two", "here");
    assert_eq!(store.commit(commit).await.expect(name), [0, 1], "{name}");
    store.trim(LOG, 1).await.expect(name);
    assert_eq!(store.read(LOG, 0, 10, 1 << 20).await.expect(name).len(), 1, "{name}");
    store.close().await;
}

/// Is refused, soon, with these words in the reason.
async fn stays_out(name: &str, settings: KafkaSettings, words: &[&str]) {
    let opened = tokio::time::timeout(Duration::from_secs(60), Kafka::open(settings)).await.expect(name);
    let Err(Error::Io(reason)) = opened else { panic!("{name}: {opened:?}") };
    println!("{name}: {reason}");
    assert!(words.iter().all(|word| reason.contains(word)), "{name}: {words:?} must be in: {reason}");
    assert!(!reason.contains(PASSWORD) && !reason.contains(WRONG), "{name}: {reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_word_gets_in_and_a_wrong_one_is_told_why() {
    let said = said::listen();
    let Some(broker) = Guarded::start() else { return };
    tokio::join!(
        Box::pin(passwords(&broker)),
        Box::pin(certificates(&broker)),
        Box::pin(tokens(&broker)),
        Box::pin(an_endpoint(&broker)),
    );
    let said = said.text();
    assert!(said.contains("no way in"), "refusals are in the log, too");
    for secret in [PASSWORD, WRONG, token("hub", 3600).as_str(), endpoint::SECRET] {
        // of a token, its signed part is enough
        let part = secret.split('.').nth(1).unwrap_or(secret);
        assert!(!said.contains(&part[..part.len().min(12)]), "a secret is in the log");
    }
}

async fn passwords(broker: &Guarded) {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let right = through(&broker.passwords, with_password(&broker.papers, mechanism, PASSWORD));
        let wrong = through(&broker.passwords, with_password(&broker.papers, mechanism, WRONG));
        let name = format!("{mechanism:?}");
        tokio::join!(gets_in(&name, right), stays_out(&name, wrong, &["security", "uthentication"]));
    }
}

async fn certificates(broker: &Guarded) {
    let papers = &broker.papers;
    let with = |(certificate, key)| Security {
        tls: Some(Tls { certificate: Some(certificate), key: Some(key), ..trusting(papers) }),
        sasl: None,
    };
    let stranger = Tls { ca: Some(papers.other_ca()), ..Tls::default() };
    let of_stranger = Security { tls: Some(stranger), ..with_password(papers, Mechanism::Plain, PASSWORD) };
    let mut locked = with(papers.locked());
    locked.tls.as_mut().expect("TLS").key_password = Some(Secret::new(PASSWORD.to_owned()));
    let mut wrongly_locked = locked.clone();
    wrongly_locked.tls.as_mut().expect("TLS").key_password = Some(Secret::new(WRONG.to_owned()));
    let no_file = Security { tls: Some(Tls { ca: Some("/no/such/ca.pem".into()), ..Tls::default() }), sasl: None };
    tokio::join!(
        gets_in("a certificate", through(&broker.certificates, with(papers.client()))),
        gets_in("a key with a password", through(&broker.certificates, locked)),
        stays_out("a key with a wrong password", through(&broker.certificates, wrongly_locked), &["security", "key"]),
        stays_out(
            "an expired certificate",
            through(&broker.certificates, with(papers.expired())),
            &["security", "expired"]
        ),
        stays_out(
            "no certificate",
            through(&broker.certificates, Security { tls: Some(trusting(papers)), sasl: None }),
            &["security", "certificate"]
        ),
        stays_out(
            "a broker of another authority",
            through(&broker.passwords, of_stranger),
            &["security", "certificate verify failed"]
        ),
        stays_out("a missing file", through(&broker.certificates, no_file), &["security", "/no/such/ca.pem"]),
    );
}

async fn tokens(broker: &Guarded) {
    let file = |name: &str, token: &str| {
        let path = broker.papers.path(name);
        std::fs::write(&path, token).expect("a token");
        with_token(&broker.papers, TokenSource::file(path))
    };
    let good = file("good.jwt", &format!("{}\n", token("hub", 3600)));
    let expired = file("expired.jwt", &token("hub", -60));
    let none = file("none.jwt", WRONG);
    // good for us, but not for this broker, which wants a name
    let unknown = file("unknown.jwt", &token("", 3600));
    let gone = with_token(&broker.papers, TokenSource::file("/no/such/token"));
    tokio::join!(
        gets_in("a token", through(&broker.tokens, good)),
        stays_out("an expired token", through(&broker.tokens, expired), &["expired.jwt", "has expired"]),
        stays_out("no token", through(&broker.tokens, none), &["none.jwt", "not a JSON Web Token"]),
        stays_out("a token without a name", through(&broker.tokens, unknown), &["security", "uthentication"]),
        stays_out("a missing token", through(&broker.tokens, gone), &["/no/such/token"]),
    );
    a_token_is_renewed(broker).await;
}

/// A hub outlives its first token: the broker ends connections whose token is over, and the file is read again.
async fn a_token_is_renewed(broker: &Guarded) {
    let path = broker.papers.path("short.jwt");
    let begun = std::time::Instant::now();
    std::fs::write(&path, token("hub", 30)).expect("a token");
    let store = Kafka::open(through(&broker.tokens, with_token(&broker.papers, TokenSource::file(&path)))).await;
    let store = store.expect("the first token is good");
    std::fs::write(&path, token("hub", 3600)).expect("a newer token");
    for number in 0.. {
        let mut commit = Commit::new();
        commit.append(LOG, number.to_string(), "here");
        assert_eq!(store.commit(commit).await.expect("a commit"), [number]);
        tokio::time::sleep(Duration::from_millis(500)).await;
        if begun.elapsed() > Duration::from_secs(35) {
            break;
        }
    }
    store.trim(LOG, 3).await.expect("the admin client has the newer one, too");
    store.close().await;
}

async fn an_endpoint(broker: &Guarded) {
    let endpoint = Endpoint::start(&broker.papers).await;
    let source = |secret: &str| TokenSource {
        endpoint: Some(endpoint.url()),
        client_id: Some("hub".to_owned()),
        client_secret: Some(Secret::new(secret.to_owned())),
        scope: Some("kafka write".to_owned()),
        ca: Some(broker.papers.ca()),
        ..TokenSource::default()
    };
    gets_in("an endpoint", through(&broker.tokens, with_token(&broker.papers, source(endpoint::SECRET)))).await;
    assert_eq!(endpoint.asked(), 1, "one token serves all clients of a hub");
    let stranger = TokenSource { ca: Some(broker.papers.other_ca()), ..source(endpoint::SECRET) };
    tokio::join!(
        stays_out(
            "a wrong secret",
            through(&broker.tokens, with_token(&broker.papers, source(WRONG))),
            &["client_secret", "401"]
        ),
        stays_out(
            "an endpoint of another authority",
            through(&broker.tokens, with_token(&broker.papers, stranger)),
            &["token endpoint", "certificate"]
        ),
    );
}
