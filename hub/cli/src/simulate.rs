//! `raccordo simulate`: stand-ins of outside systems. Not in production images.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use hub_core::Span;

/// `raccordo simulate siope`
#[derive(Args, Debug)]
pub(crate) struct SimulateSiope {
    /// Address for the hub (mutual TLS)
    #[arg(long, default_value = "127.0.0.1:8443")]
    bind: SocketAddr,
    /// Address of the control plane (`/_sim/...`), plain HTTP
    #[arg(long, default_value = "127.0.0.1:8444")]
    control: SocketAddr,
    /// Folder for certificates (made if missing) and, with `--remember`, for what was received
    #[arg(long, default_value = "sim-data")]
    dir: PathBuf,
    /// A2A ids that get a client certificate
    #[arg(long, default_values_t = [String::from("A2A-40000001")])]
    client: Vec<String>,
    /// Schema that flows must fit
    #[arg(long, default_value = "config/schemas/opi/flusso_ordinativi-1.7.1.xsd")]
    xsd: PathBuf,
    /// Does not validate flows against a schema, which takes most of the simulator's time
    #[arg(long)]
    no_xsd: bool,
    /// Remembers everything across restarts
    #[arg(long)]
    remember: bool,
    /// Time from upload to ACK
    #[arg(long, default_value_t = Span(std::time::Duration::from_millis(300)))]
    ack_after: Span,
    /// How often the bank publishes outcomes; flows that are due meanwhile share a message
    #[arg(long, default_value_t = Span(std::time::Duration::from_millis(100)))]
    esiti_every: Span,
}

/// Runs the simulator until it is asked to stop.
pub(crate) async fn simulate_siope(options: SimulateSiope) -> anyhow::Result<()> {
    let settings = crate::demo::siope_settings(&options.dir, &options.client, options.bind, options.control)?;
    let settings = simulators::siope::Settings {
        xsd: (!options.no_xsd).then_some(options.xsd),
        state_dir: options.remember.then(|| options.dir.join("state")),
        ack_after: options.ack_after.0,
        esiti_every: options.esiti_every.0,
        ..settings
    };
    let running = simulators::siope::start(settings).await?;
    println!("SIOPE+ simulator at https://{}, control plane at http://{}/_sim/", running.addr, running.control_addr);
    crate::app::asked_to_stop().await;
    running.shutdown().await;
    Ok(())
}
