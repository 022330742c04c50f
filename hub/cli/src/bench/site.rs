//! A configuration of its own for a bench: a folder with routes, a listener on loopback, an admin API, tokens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hub_core::Value;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::json;

use super::process::Process;
use crate::client::Api;

/// How long a hub may take to open its listener after it said that it is ready.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// A folder from which a hub can be started, again and again.
#[derive(Debug)]
pub(crate) struct Site {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// `hub.yaml` in it.
    pub(crate) config: PathBuf,
    token: String,
}

impl Site {
    /// Writes routes (name and text) and a configuration. `more` is merged into `hub.yaml`, key by key.
    ///
    /// # Errors
    /// When something cannot be written.
    pub(crate) fn make(dir: PathBuf, routes: &[(&str, String)], more: &Value) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir.join("routes"))?;
        for (name, text) in routes {
            std::fs::write(dir.join("routes").join(format!("{name}.yaml")), text)?;
        }
        let token: String = rand::rng().sample_iter(Alphanumeric).take(40).map(char::from).collect();
        let mut settings = json!({
            "data": "data",
            "routes": "routes",
            "listeners": { "default": { "bind": "127.0.0.1:0", "address_file": "http.address", "clients": [] } },
            "admin": {
                "bind": "127.0.0.1:0",
                "tokens": [ { "token": token, "person": "bench", "roles": ["operatore", "controllore", "approvatore"] } ],
            },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        let config = dir.join("hub.yaml");
        std::fs::write(&config, serde_json::to_string_pretty(&settings)?)?;
        Ok(Self { dir, config, token })
    }

    /// Starts a hub on it and waits until it is ready; gives the process and the address of its admin API.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(&self) -> anyhow::Result<(Process, String)> {
        // A killed hub leaves its address behind.
        drop(std::fs::remove_file(self.dir.join("http.address")));
        let mut hub = Process::hub(&self.config, &self.log())?;
        let admin = hub.hub_ready().await?;
        Ok((hub, admin))
    }

    /// Where its hubs log.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("hub.log")
    }

    /// A caller of the admin API, with all rights that a bench needs.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn api(&self, admin: &str) -> anyhow::Result<Api> {
        Api::new(admin, &self.token)
    }

    /// The address of the listener, as soon as it is open.
    ///
    /// # Errors
    /// When it does not open.
    pub(crate) async fn listener(&self) -> anyhow::Result<SocketAddr> {
        listener_at(&self.dir.join("http.address")).await
    }
}

/// The address that a listener has written to a file.
///
/// # Errors
/// When the file does not appear.
pub(crate) async fn listener_at(file: &Path) -> anyhow::Result<SocketAddr> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if !text.is_empty() {
            return text.trim().parse().with_context(|| format!("{} holds no address", file.display()));
        }
        if begun.elapsed() > OPEN_WITHIN {
            bail!("no listener opened: {} did not appear", file.display());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
