//! Configuration, keys and certificates of the bench, and the processes that work with them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hub_core::Value;
use serde_json::json;
use simulators::siope;

use crate::bench::process::Process;
use crate::bench::site::listener_at;
use crate::client::Api;

/// The shipped route of payment orders, without its approvals: nobody is paid by the hour here.
const ROUTE: &str = include_str!("route.yaml");
/// The identity under which all bodies talk to the simulator.
const A2A: &str = "A2A-40000001";
/// Name of the sender's client certificate.
const SENDER: &str = "contabilita";
/// The bench's own person.
const TOKEN: &str = "bench-month-token-of-a-loopback-hub-0001";

/// How often the simulated bank publishes outcomes: in messages of many orders, as banks do.
const ESITI_EVERY: &str = "1s";

/// A folder with everything that a hub and its outside world need.
pub(super) struct Place {
    pub(super) root: PathBuf,
    dir: PathBuf,
    /// The codes of the bodies.
    pub(super) entities: Vec<String>,
}

/// A running simulator.
pub(super) struct Simulator {
    pub(super) process: Process,
    api: String,
    control: String,
}

/// A running hub.
pub(super) struct Hub {
    pub(super) process: Process,
    admin: String,
}

impl Place {
    /// Makes configuration, routes, certificates and a signing key.
    pub(super) fn make(dir: &Path, entities: usize) -> anyhow::Result<Self> {
        let (root, dir) = (crate::demo::repository()?, std::path::absolute(dir)?);
        let (config, routes) = (dir.join("config"), dir.join("routes"));
        crate::demo::copy_tree(&root.join("config/schemas"), &config.join("schemas"))?;
        let _ = std::fs::copy(root.join("config/cases.yaml"), config.join("cases.yaml"))?;
        std::fs::create_dir_all(&routes)?;
        std::fs::write(routes.join("mandati.yaml"), ROUTE)?;
        for name in ["siope-ack.yaml", "siope-esito-flusso.yaml", "siope-esiti.yaml"] {
            let _ = std::fs::copy(root.join("routes").join(name), routes.join(name))?;
        }
        let entities = write_entities(&root, &config, entities)?;
        crate::demo::make_key(&dir.join("keys"))?;
        let _ = siope::certificates(&dir.join("tls"), &[A2A, SENDER])?;
        Ok(Self { root, dir, entities })
    }

    /// Where the hub keeps everything.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts the simulator.
    pub(super) async fn simulator(&self) -> anyhow::Result<Simulator> {
        let dir = self.dir.join("tls").display().to_string();
        let arguments = ["simulate", "siope", "--bind", "127.0.0.1:0", "--control", "127.0.0.1:0", "--client", A2A];
        let more = ["--dir", &dir, "--no-xsd", "--esiti-every", ESITI_EVERY];
        let arguments: Vec<&OsStr> = arguments.into_iter().chain(more).map(OsStr::new).collect();
        let mut process = Process::start(&arguments, &self.dir.join("simulator.log"))?;
        let line = process.ready().await?;
        let mut words = line.split_whitespace().filter(|word| word.contains("://"));
        let mut address = || words.next().map(|word| word.trim_end_matches([',', '/']).to_string());
        let (api, control) = (address(), address());
        let (api, control) = api.zip(control).with_context(|| format!("no addresses in `{line}`"))?;
        Ok(Simulator { process, api, control })
    }

    /// Starts the hub; its admin API answers on return.
    pub(super) async fn hub(&self, simulator: &Simulator) -> anyhow::Result<Hub> {
        let file = self.dir.join("config/hub.yaml");
        std::fs::write(&file, serde_json::to_string_pretty(&self.settings(simulator))?)?;
        let mut process = Process::hub(&file, &self.dir.join("hub.log"))?;
        let admin = process.hub_ready().await?;
        Ok(Hub { process, admin })
    }

    fn settings(&self, simulator: &Simulator) -> Value {
        let pem = |name: &str| self.dir.join("tls").join(name).display().to_string();
        json!({
            "data": self.data(), "routes": self.dir.join("routes"), "entities": "entities.yaml", "cases": "cases.yaml",
            "listeners": { "default": {
                "bind": "127.0.0.1:0", "address_file": self.dir.join("http.address"),
                "tls": { "cert": pem("server.pem"), "key": pem("server.key"), "client_ca": pem("ca.pem") },
                "clients": [ { "name": SENDER, "certificate_subject_cn": SENDER } ],
            } },
            "connections": { "siope": {
                "base_url": format!("{}/v1", simulator.api), "ca": pem("ca.pem"),
                "client_cert": pem(&format!("{A2A}.pem")), "client_key": pem(&format!("{A2A}.key")), "every": "1s",
            } },
            "keys": { "opi": { "pem": { "key": self.dir.join("keys/opi.key.pem"), "cert": self.dir.join("keys/opi.cert.pem") } } },
            "admin": { "bind": "127.0.0.1:0", "tokens": [ { "token": TOKEN, "person": "bench", "roles": ["controllore"] } ] },
        })
    }

    /// A client of the hub's admin API.
    pub(super) fn api(&self, hub: &Hub) -> anyhow::Result<Api> {
        Api::new(&hub.admin, TOKEN)
    }

    /// An HTTP client with the sender's certificate.
    pub(super) async fn sender(&self) -> anyhow::Result<reqwest::Client> {
        let read = |name: String| tokio::fs::read(self.dir.join("tls").join(name));
        let mut identity = read(format!("{SENDER}.pem")).await?;
        identity.extend(read(format!("{SENDER}.key")).await?);
        let ca = reqwest::Certificate::from_pem(&read("ca.pem".into()).await?)?;
        let client = reqwest::Client::builder().identity(reqwest::Identity::from_pem(&identity)?).tls_certs_only([ca]);
        Ok(client.timeout(Duration::from_secs(60)).build()?)
    }

    /// Where orders go.
    pub(super) async fn ingest(&self) -> anyhow::Result<String> {
        let address = listener_at(&self.dir.join("http.address")).await?;
        Ok(format!("https://{address}/ingest/mandati"))
    }
}

impl Simulator {
    /// Asks the control plane.
    pub(super) async fn ask(&self, what: &str) -> anyhow::Result<Value> {
        let response = reqwest::get(format!("{}/{what}", self.control)).await?.error_for_status()?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }
}

/// As many bodies as asked for, made from the first of the template.
fn write_entities(root: &Path, config: &Path, count: usize) -> anyhow::Result<Vec<String>> {
    let rows: serde_json::Map<String, Value> = crate::settings::read_yaml(&root.join("config/entities.yaml"))?;
    let template = rows.values().next().context("config/entities.yaml is empty")?;
    let mut made = serde_json::Map::new();
    for index in 0..count {
        let mut row = template.clone();
        row["denominazione"] = json!(format!("Azienda Sanitaria di Prova {index}"));
        row["codice_istat"] = json!(format!("000701{index:03}"));
        row["codice_ente_bt"] = json!(format!("{:07}", 5000 + index));
        row["codice_tramite_ente"] = json!(A2A);
        let _ = made.insert(format!("UF{index:04}"), row);
    }
    let codes = made.keys().cloned().collect();
    std::fs::write(config.join("entities.yaml"), serde_json::to_string_pretty(&made)?)?;
    Ok(codes)
}
