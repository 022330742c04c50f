//! A folder with a whole configuration, keys and certificates, and the SIOPE+ simulator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hub_core::Value;
use serde_json::json;
use simulators::siope;

use super::people::Team;

/// Marks a folder that the demo may delete.
const MARK: &str = ".raccordo-demo";
/// Name of the sender's client certificate.
pub(super) const SENDER: &str = "contabilita";

/// How the world behaves.
#[derive(Clone, Debug)]
pub struct WorldSettings {
    /// Time from upload to ACK, and from there to the bank's answer.
    pub pace: Duration,
    /// Time from the bank's answer to each outcome of an order.
    pub outcomes: Duration,
    /// Seed of the simulator's chances.
    pub seed: u64,
    /// Where the simulator remembers; `None`: in memory.
    pub remember: bool,
    /// How long the hub asks about a flow in doubt before it parks it.
    pub patience: Duration,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            pace: Duration::from_millis(300),
            outcomes: Duration::from_secs(2),
            seed: 1,
            remember: false,
            patience: Duration::from_secs(10),
        }
    }
}

/// The outside world of one hub.
#[derive(Debug)]
pub struct World {
    /// The folder.
    pub dir: PathBuf,
    /// The hub's configuration in it.
    pub config: PathBuf,
    /// The SIOPE+ simulator.
    pub siope: siope::Running,
    /// The people and their tokens.
    pub team: Team,
    http: reqwest::Client,
}

impl World {
    /// Makes everything anew in `dir` and starts the simulator.
    ///
    /// # Errors
    /// When the folder holds something else, or something cannot be written or started.
    pub async fn prepare(root: &Path, dir: &Path, settings: WorldSettings) -> anyhow::Result<Self> {
        clear(dir)?;
        let dir = std::path::absolute(dir)?;
        let config = dir.join("config");
        copy_tree(&root.join("config/schemas"), &config.join("schemas"))?;
        for file in ["entities.yaml", "cases.yaml"] {
            let _ = std::fs::copy(root.join("config").join(file), config.join(file))
                .with_context(|| format!("cannot copy config/{file}"))?;
        }
        copy_tree(&root.join("routes"), &dir.join("routes"))?;
        let a2a = a2a_ids(&config.join("entities.yaml"))?;
        let team = Team::new(&dir)?;
        make_key(&dir.join("keys"))?;
        std::fs::create_dir_all(dir.join("drop"))?;
        let sim = siope::Settings {
            xsd: Some(config.join("schemas/opi/flusso_ordinativi-1.7.1.xsd")),
            state_dir: settings.remember.then(|| dir.join("siope-state")),
            ack_after: settings.pace,
            esito_flusso_after: settings.pace,
            esiti_after: settings.outcomes,
            seed: settings.seed,
            ..siope_settings(&dir.join("tls"), &a2a, loopback(), loopback())?
        };
        let siope = siope::start(sim).await?;
        let file = config.join("hub.yaml");
        std::fs::write(&file, hub_yaml(&dir, siope.addr, &a2a[0], &team, settings.patience))?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { dir, config: file, siope, team, http })
    }

    /// Where the simulator tells what it saw.
    #[must_use]
    pub fn control(&self) -> String {
        format!("http://{}/_sim", self.siope.control_addr)
    }

    /// Asks the simulator.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(&self, what: &str) -> anyhow::Result<Value> {
        let response = self.http.get(format!("{}/{what}", self.control())).send().await?.error_for_status()?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }

    /// Tells the simulator to make trouble.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn faults(&self, faults: &Value) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/faults", self.control())).body(faults.to_string());
        let _ = request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits until SIOPE+ has accepted an insertion of an order.
    pub(super) async fn wait_until_accepted(&self, order: &super::Order, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            let orders = self.ask("orders").await?;
            if orders.as_array().into_iter().flatten().any(|seen| order.is(seen) && seen["in_force"] == true) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{} was not accepted within {within:?}", order.case)
    }
}

/// The folder that holds `config/`, `routes/` and `examples/`: where we stand, or above the binary.
///
/// # Errors
/// When neither holds them.
pub fn repository() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    let binary = std::env::current_exe()?;
    let candidates = here.ancestors().chain(binary.ancestors());
    let found = candidates.into_iter().find(|dir| dir.join("examples/mandati").is_dir() && dir.join("config").is_dir());
    found.map(Path::to_path_buf).context("run the demo from the repository: config/ and examples/ were not found")
}

/// The simulator's settings with certificates in `dir` (made if missing) for these clients and for the demo's sender.
pub(crate) fn siope_settings(
    dir: &Path,
    clients: &[String],
    bind: SocketAddr,
    control: SocketAddr,
) -> anyhow::Result<siope::Settings> {
    let mut names: Vec<&str> = clients.iter().map(String::as_str).collect();
    names.push(SENDER);
    let certificates = siope::certificates(dir, &names)?;
    Ok(siope::Settings { bind, control_bind: control, tls: Some(certificates.server()), ..siope::Settings::default() })
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn clear(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        if !dir.join(MARK).exists() && std::fs::read_dir(dir)?.next().is_some() {
            bail!("{} is not the folder of an earlier demo; give another one with --dir", dir.display());
        }
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(MARK), "made by `raccordo demo`, which may delete it\n")?;
    Ok(())
}

pub(crate) fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            let _ = std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The A2A ids under which the bodies talk to SIOPE+.
fn a2a_ids(entities: &Path) -> anyhow::Result<Vec<String>> {
    let rows: std::collections::BTreeMap<String, Value> = crate::settings::read_yaml(entities)?;
    let mut ids: Vec<String> =
        rows.values().filter_map(|row| row["codice_tramite_ente"].as_str().map(str::to_string)).collect();
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        bail!("{} names no codice_tramite_ente", entities.display());
    }
    Ok(ids)
}

pub(crate) fn make_key(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let (key, cert) = transform_sign::demo_key("Raccordo demo treasury")?;
    std::fs::write(dir.join("opi.key.pem"), key)?;
    std::fs::write(dir.join("opi.cert.pem"), cert)?;
    Ok(())
}

/// The demo's `hub.yaml`: JSON, which is YAML too.
fn hub_yaml(dir: &Path, siope: SocketAddr, a2a: &str, team: &Team, patience: Duration) -> String {
    let tls = dir.join("tls");
    let pem = |name: &str| tls.join(name).display().to_string();
    let config = json!({
        "data": dir.join("data"),
        "routes": dir.join("routes"),
        "entities": "entities.yaml",
        "cases": "cases.yaml",
        "listeners": { "default": {
            "bind": "127.0.0.1:0",
            "address_file": dir.join("http.address"),
            "tls": { "cert": pem("server.pem"), "key": pem("server.key"), "client_ca": pem("ca.pem") },
            "clients": [ { "name": SENDER, "certificate_subject_cn": SENDER } ],
        } },
        "connections": { "siope": {
            "base_url": format!("https://{siope}/v1"),
            "ca": pem("ca.pem"),
            "client_cert": pem(&format!("{a2a}.pem")),
            "client_key": pem(&format!("{a2a}.key")),
            "every": "500ms",
            "timeout": "5s",
            "resolve_every": "500ms",
            "settles_after": "2s",
            "patience": format!("{}ms", patience.as_millis()),
        } },
        "keys": { "opi": { "pem": { "key": dir.join("keys/opi.key.pem"), "cert": dir.join("keys/opi.cert.pem") } } },
        "admin": { "bind": "127.0.0.1:0", "tokens": team.tokens() },
    });
    serde_json::to_string_pretty(&config).unwrap_or_default()
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
