//! What people type.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::client::{Cases, Dead, Target, Tasks};
use crate::{app, audit, client, evidence, health, migrate, offline, status, stores};
#[cfg(feature = "simulators")]
use crate::{bench, demo, simulate};

/// Integration hub for public payments: nothing lost, nothing sent twice, everything proved.
#[derive(Parser, Debug)]
#[command(name = "raccordo", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs the hub
    Run {
        /// The configuration
        #[arg(long, default_value = "config/hub.yaml")]
        config: PathBuf,
        /// Stops when standard input ends (for programs that start a hub)
        #[arg(long)]
        until_stdin_closes: bool,
    },
    /// Runs hub, SIOPE+ simulator and sample traffic; prints what happened and where to look
    #[cfg(feature = "simulators")]
    Demo(demo::Options),
    /// Checks routes: all problems of all files; exit code 1 on any
    Check {
        /// Route files or folders (default: the routes of the configuration)
        paths: Vec<PathBuf>,
        /// The configuration
        #[arg(long, default_value = "config/hub.yaml")]
        config: PathBuf,
        /// Prints each route with its durable lines and guarantees
        #[arg(long)]
        explain: bool,
        /// How to print problems
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Prints the JSON schema of the route language (draft 2020-12)
    Schema,
    /// Prints the reference manual of the route language (Markdown)
    Docs,
    /// Stands in for an outside system
    #[cfg(feature = "simulators")]
    #[command(subcommand)]
    Simulate(Simulate),
    /// Asks the hub on this machine whether it is ready; exit code 0: it is, 1: it is not, 2: no answer
    Health(health::Options),
    /// Shows the hub on one screen; exit code 0: all is well, 1: alarms, 2: it cannot be asked
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Lists messages
    Messages {
        #[command(flatten)]
        target: Target,
    },
    /// Lists and shows cases
    Cases {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: Cases,
    },
    /// Lists, shows and decides tasks
    Tasks {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: Tasks,
    },
    /// Lists parked and dead messages, and decides about them
    Dead {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: Dead,
    },
    /// Measures this machine: each figure beside a bare loop or a goal
    #[cfg(feature = "simulators")]
    Bench(bench::Options),
    /// Copies the store while the hub runs: database, archive, blobs, anchor, with hashes of all of it
    Backup(stores::Backup),
    /// Puts a backup back (stopped hub); the hub starts in recovery then
    Restore(stores::Restore),
    /// Shows what is held after an old store was put back, and releases it lane by lane
    Recover(stores::Recover),
    /// Moves everything to another kind of store (stopped hub): counted, compared, and finished by the same command after a kill
    Migrate(migrate::Options),
    /// Works on the ledger of a stopped hub
    #[command(subcommand)]
    Ledger(Ledger),
    /// Proves that what is kept is what was written
    #[command(subcommand)]
    Audit(Audit),
    /// Writes one zip with every event, document, signature and hash of a case, and how to check it without this program
    Evidence(evidence::Options),
}

/// How to print problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For code hosts
    Sarif,
}

#[cfg(feature = "simulators")]
#[derive(Subcommand, Debug)]
enum Simulate {
    /// SIOPE+: flows, ACKs, outcomes, with faults on demand
    Siope(simulate::SimulateSiope),
}

#[derive(Subcommand, Debug)]
enum Ledger {
    /// Prints a hash over the whole content of the ledger
    Digest {
        /// The configuration
        #[arg(long, default_value = "config/hub.yaml")]
        config: PathBuf,
    },
    /// Computes the ledger anew from the journal
    Rebuild {
        /// The configuration
        #[arg(long, default_value = "config/hub.yaml")]
        config: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
enum Audit {
    /// Walks log, archive, blobs and ledger, beside a running hub too; names the first damaged record, exit code 1 on any
    Verify(audit::Options),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    init_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::anyhow!("cannot start: {error}")),
    };
    match runtime.block_on(Box::pin(run(cli.command))) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(2)
}

fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RACCORDO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { config, until_stdin_closes } => app::run(&config, until_stdin_closes).await?,
        #[cfg(feature = "simulators")]
        Command::Demo(options) => return demo::run(options).await,
        Command::Check { paths, config, explain, format } => {
            return offline::check(&config, &paths, explain, format);
        }
        Command::Schema => offline::schema()?,
        Command::Docs => offline::docs(),
        #[cfg(feature = "simulators")]
        Command::Simulate(Simulate::Siope(options)) => simulate::simulate_siope(options).await?,
        Command::Health(options) => return health::health(&options).await,
        Command::Status { target } => return status::status(&target).await,
        Command::Messages { target } => client::messages(&target).await?,
        Command::Cases { target, command } => client::cases(&target, command).await?,
        Command::Tasks { target, command } => client::tasks(&target, command).await?,
        Command::Dead { target, command } => client::dead(&target, command).await?,
        #[cfg(feature = "simulators")]
        Command::Bench(options) => return Box::pin(bench::run(options)).await,
        Command::Audit(Audit::Verify(options)) => {
            return tokio::task::spawn_blocking(move || audit::verify(&options)).await?;
        }
        Command::Evidence(options) => {
            return tokio::task::spawn_blocking(move || evidence::write(&options)).await?;
        }
        Command::Backup(options) => stores::backup(options).await?,
        Command::Restore(options) => stores::restore(options).await?,
        Command::Recover(options) => stores::recover(options).await?,
        Command::Migrate(options) => migrate::migrate(options).await?,
        Command::Ledger(Ledger::Digest { config }) => offline::digest(&config).await?,
        Command::Ledger(Ledger::Rebuild { config }) => offline::rebuild(&config).await?,
    }
    Ok(ExitCode::SUCCESS)
}
