//! `raccordo health`: asks the hub on this machine whether it is ready, for whatever watches it (containers, init systems).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use crate::settings::Config;

/// A hub that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(4);
/// Characters of the answer that are shown.
const SHOWN_MAX: usize = 400;

/// `raccordo health`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The configuration of the hub
    #[arg(long, default_value = "config/hub.yaml")]
    config: PathBuf,
    /// Asks only whether it answers, not whether it is ready
    #[arg(long)]
    live: bool,
}

/// Exit code 0: ready, 1: it answers that it is not. No answer is an error.
pub(crate) async fn health(options: &Options) -> anyhow::Result<ExitCode> {
    let config = Config::load_names(&options.config)?;
    let admin = config.settings.admin.as_ref().context("`admin` is not configured: nobody can ask this hub")?;
    let bind = admin["bind"].as_str().unwrap_or("127.0.0.1:8181");
    let bind: SocketAddr = bind.parse().with_context(|| format!("`admin.bind` {bind} is not an address and a port"))?;
    ensure!(bind.port() != 0, "`admin.bind` has port 0: nobody knows where this hub answers");
    let scheme = if admin["tls"].is_object() { "https" } else { "http" };
    let path = if options.live { "live" } else { "ready" };
    let url = format!("{scheme}://{}/health/{path}", here(bind));
    let answer = client()?.get(&url).send().await.with_context(|| format!("the hub does not answer at {url}"))?;
    let well = answer.status().is_success();
    let text = answer.text().await.unwrap_or_default();
    println!("{}", text.chars().take(SHOWN_MAX).collect::<String>());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Nothing secret is sent and the peer is this machine: its certificate, which names another host, is not asked for.
fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_danger_accept_invalid_certs(true);
    builder.build().context("no client can be made")
}

/// Who listens everywhere is asked at home.
fn here(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, bind.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(bind: &str) -> String {
        here(bind.parse().expect("an address")).to_string()
    }

    #[test]
    fn the_hub_is_asked_at_home() {
        assert_eq!(asks("0.0.0.0:8181"), "127.0.0.1:8181");
        assert_eq!(asks("[::]:8181"), "[::1]:8181");
        assert_eq!(asks("10.0.0.7:1"), "10.0.0.7:1");
    }
}
