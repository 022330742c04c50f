//! One world, one hub, its people, and what is expected of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use raccordo::demo::{Offer, Order, People, World, WorldSettings, load_orders, repository};
use serde_json::{Value, json};
use simulators::siope;

use crate::life::{Life, appears};

/// No wait takes longer than this.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a file must not change before the hub reads it; far more than the pause of a writer.
const STABLE_FOR: &str = "2s";
/// A route that takes XML, judged by a schema.
const XML_ROUTE: &str = "\
route: prova-xml
from:
  http: { path: /ingest/xml, auth: mtls }
steps:
  - validate: { xsd: schemas/opi/flusso_ordinativi-1.7.1.xsd }
  - log: \"'taken'\"
";

/// A file that has to be parked: the code in the reason, and the bytes that have to be kept.
pub(super) struct Wanted {
    pub(super) code: String,
    pub(super) bytes: Vec<u8>,
}

/// A hub at work.
pub(super) struct Scene {
    pub(super) root: PathBuf,
    pub(super) world: World,
    life: Life,
    people: People,
    /// A client with the certificate that the hub knows.
    pub(super) client: reqwest::Client,
    base: String,
    log: PathBuf,
    fresh: std::vec::IntoIter<Offer>,
    /// What has to be parked, by file name.
    pub(super) parked: BTreeMap<String, Wanted>,
    /// What has to be paid, each once.
    pub(super) paid: Vec<Order>,
    _dir: tempfile::TempDir,
}

/// What a sender heard.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) mime: String,
    pub(super) replayed: bool,
    pub(super) allow: String,
    pub(super) body: Value,
}

impl Reply {
    pub(super) async fn of(response: reqwest::Response) -> Self {
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
        let (mime, allow, replayed) = (text("content-type"), text("allow"), text("idempotent-replayed") == "true");
        let status = response.status().as_u16();
        let body = response.text().await.expect("an answer with a body");
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        Self { status, mime, replayed, allow, body }
    }

    /// A problem of RFC 9457, with its status in it; its first problem's code, or an empty text.
    pub(super) fn code(&self) -> &str {
        assert_eq!(self.mime, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        for word in ["type", "title", "detail"] {
            assert!(self.body[word].as_str().is_some_and(|text| !text.is_empty()), "no {word}: {self:?}");
        }
        self.body["problems"][0]["code"].as_str().unwrap_or_default()
    }
}

impl Scene {
    pub(super) async fn begin() -> Self {
        let root = repository().expect("repository");
        let dir = tempfile::tempdir().expect("folder");
        let settings = WorldSettings {
            pace: Duration::from_millis(100),
            outcomes: Duration::from_millis(100),
            ..WorldSettings::default()
        };
        let world = World::prepare(&root, &dir.path().join("world"), settings).await.expect("world");
        slow_writers_and_xml(&world.dir.join("routes"));
        let log = dir.path().join("hub.log");
        let life = Life::begin_logged(&world.config, std::fs::File::create(&log).expect("log"));
        let people = People::start(&life.admin, world.team.clone()).expect("people");
        let base = format!("https://{}", appears(&world.dir.join("http.address")).await.trim());
        let client = client(&world.dir.join("tls"), Some(("contabilita", &world.dir.join("tls"))));
        let fresh = good_orders(&root).into_iter();
        let (parked, paid) = (BTreeMap::new(), Vec::new());
        let scene = Self { root, world, life, people, client, base, log, fresh, parked, paid, _dir: dir };
        for path in ["/ingest/mandati", "/ingest/reversali", "/ingest/xml"] {
            scene.until("every path is open", async || scene.get(path).await.status == 405).await;
        }
        scene
    }

    /// A good order that nobody has sent yet; it has to be paid.
    pub(super) fn fresh(&mut self) -> Offer {
        let offer = self.fresh.next().expect("enough good samples");
        self.paid.push(offer.order.clone().expect("a good sample is an order"));
        offer
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        Reply::of(self.client.get(self.url(path)).send().await.expect("an answer")).await
    }

    pub(super) async fn post(&self, path: &str, mime: &str, key: Option<&str>, bytes: &[u8]) -> Reply {
        let request = self.client.post(self.url(path)).header("content-type", mime).body(bytes.to_vec());
        let request = key.map_or_else(|| request.try_clone().expect("clone"), |key| keyed(&request, key));
        Reply::of(request.send().await.expect("an answer")).await
    }

    pub(super) async fn order(&self, key: &str, bytes: &[u8]) -> Reply {
        self.post("/ingest/mandati", "application/json", Some(key), bytes).await
    }

    pub(super) fn drop_folder(&self) -> PathBuf {
        self.world.dir.join("drop")
    }

    /// Drops a file that has to be parked.
    pub(super) fn drop_bad(&mut self, name: &str, code: &str, bytes: &[u8]) {
        self.drop(name, bytes);
        let wanted = Wanted { code: code.into(), bytes: bytes.to_vec() };
        assert!(self.parked.insert(name.into(), wanted).is_none(), "{name} twice");
    }

    /// Drops a file as careful writers do.
    pub(super) fn drop(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        let (part, whole) = (self.drop_folder().join(".writing.part"), self.drop_folder().join(name));
        std::fs::write(&part, bytes).expect("written");
        std::fs::rename(part, whole).expect("renamed");
    }

    pub(super) async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !done().await {
            assert!(begun.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn gone(&self, name: impl AsRef<Path>) {
        let file = self.drop_folder().join(name);
        self.until(&format!("{} is taken", file.display()), async || !file.exists()).await;
    }

    /// The admin API, as the controller.
    pub(super) async fn admin(&self, path: &str) -> Vec<u8> {
        let url = format!("{}/api/v1/{path}", self.life.admin);
        let request = self.client_of_admin().get(url).bearer_auth(self.world.team.token("controllore"));
        let response = request.send().await.expect("an answer").error_for_status().expect("an answer");
        response.bytes().await.expect("a body").to_vec()
    }

    fn client_of_admin(&self) -> reqwest::Client {
        reqwest::Client::new()
    }

    /// All messages that wait for a person.
    pub(super) async fn parked_rows(&self) -> Vec<Value> {
        let page: Value = serde_json::from_slice(&self.admin("parked?limit=200").await).expect("JSON");
        assert!(page["next"].is_null(), "one page holds them all");
        page["items"].as_array().cloned().expect("items")
    }

    /// Ends in order; what the hub has logged.
    pub(super) async fn end(self) -> String {
        self.people.stop().await;
        self.life.end();
        std::fs::read_to_string(self.log).expect("the log is text")
    }
}

fn keyed(request: &reqwest::RequestBuilder, key: &str) -> reqwest::RequestBuilder {
    request.try_clone().expect("clone").header("idempotency-key", key)
}

/// Payment orders that are new, each of its own number.
fn good_orders(root: &Path) -> Vec<Offer> {
    let usable = |offer: &Offer| {
        offer.order.as_ref().is_some_and(|order| order.operazione == "INSERIMENTO" && order.tipo == "mandato")
    };
    let offers = load_orders(&root.join("examples/mandati")).expect("samples");
    offers.into_iter().filter(usable).collect()
}

fn slow_writers_and_xml(routes: &Path) {
    let file = routes.join("mandati-cartella.yaml");
    let text = std::fs::read_to_string(&file).expect("the folder's route");
    let slow = text.replace("pattern: \"*.json\"", &format!("pattern: \"*.json\", stable_for: {STABLE_FOR}"));
    assert_ne!(text, slow, "the folder's route is written as before");
    std::fs::write(&file, slow).expect("written");
    std::fs::write(routes.join("prova-xml.yaml"), XML_ROUTE).expect("written");
}

/// A client that trusts the world's authority and shows the certificate of this name, from this folder.
pub(super) fn client(trust: &Path, identity: Option<(&str, &Path)>) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(trust.join("ca.pem")).expect("authority")).expect("PEM");
    let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().timeout(Duration::from_secs(30));
    let builder = match identity {
        None => builder,
        Some((name, dir)) => {
            let mut pem = std::fs::read(dir.join(format!("{name}.pem"))).expect("certificate");
            pem.extend(std::fs::read(dir.join(format!("{name}.key"))).expect("key"));
            builder.identity(reqwest::Identity::from_pem(&pem).expect("identity"))
        }
    };
    builder.build().expect("client")
}

/// Makes certificates that the hub has to turn away, and says which: folder and name.
pub(super) fn false_friends(scene: &Scene) -> Vec<(&'static str, PathBuf)> {
    let (tls, other) = (scene.world.dir.join("tls"), scene.world.dir.join("other-tls"));
    let _ = siope::certificates(&tls, &["sconosciuto"]).expect("a name that the hub does not know");
    let _ = siope::certificates(&other, &["contabilita"]).expect("another authority, the right name");
    vec![("contabilita", other), ("server", tls)]
}

/// The JSON of an order, written differently.
pub(super) fn compact(bytes: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(bytes).expect("JSON");
    json!(value).to_string().into_bytes()
}
