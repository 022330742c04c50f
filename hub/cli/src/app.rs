//! Puts a hub together from its configuration, and takes it apart again.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use hub_admin::{AdminSettings, AdminState, AlarmWatch};
use hub_backbone::Archive;
use hub_runtime::{Hub, HubSettings, Operate, RuntimeLimits, SystemClock};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use crate::blobs::BlobStore;
use crate::books::Books;
use crate::bundle::{Known, Workshop, route_files};
use crate::keep;
use crate::settings::Config;
use crate::store::Store;
use crate::watch::Watched;

/// A running hub with its store and its admin API.
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) admin: Option<hub_admin::Running>,
    store: Store,
    books: Books,
    watching: JoinHandle<()>,
}

impl App {
    /// Starts a hub; on return its routes are open (sources may still be connecting).
    pub(crate) async fn start(config: &Path) -> anyhow::Result<Self> {
        let config = Config::load(config)?;
        let metrics = config.settings.admin.as_ref().map(|_| record());
        let workshop = Arc::new(Workshop::new(&config)?);
        let files = route_files(&config.path(&config.settings.routes))?;
        let checked = workshop.check(&files);
        if checked.problems.iter().any(hub_route::Problem::is_error) {
            bail!("routes have problems:\n{}", hub_route::render(&checked.problems, &files));
        }
        let store = Store::open(&config).await?;
        let archive = Arc::new(Archive::open(config.archive())?);
        let books = Books::open(&config, &store, &archive).await?;
        let blobs = BlobStore::open(&config).await?;
        let older = workshop.keep_versions(&*store.backbone(), &files, &checked.plans).await?;
        let settings = HubSettings {
            backbone: store.backbone(),
            seen: books.seen(),
            blobs: blobs.clone(),
            clock: Arc::new(SystemClock),
            routes: checked.plans.into_iter().map(Arc::new).collect(),
            older: older.into_iter().map(Arc::new).collect(),
            versions: Some(Arc::new(Known { workshop: workshop.clone(), backbone: store.backbone() })),
            entities: Arc::new(workshop.entities.clone()),
            cases: Arc::new(workshop.cases.clone()),
            named: Arc::new(config.named()),
            root: config.root.clone(),
            limits: RuntimeLimits {
                body_max: usize::try_from(config.settings.limits.body.0).unwrap_or(usize::MAX),
                backlog_max: config.settings.limits.backlog,
                unsent_max: config.settings.limits.unsent,
                transport_keys: config.settings.retention.transport_keys.0,
                ..RuntimeLimits::default()
            },
        };
        let mut hub = Hub::start_over(settings, store.recovery()).await?;
        let (hub_itself, ledger) = (hub.operate(), books.watermark());
        let (store_too, files) = (store.clone(), blobs.clone());
        let operate: Arc<dyn Operate> = Arc::new(Watched { hub: hub_itself, store: store_too, files, ledger });
        let watch =
            AlarmWatch::new(operate.clone(), books.ledger.clone(), Arc::new(SystemClock), config.settings.alarms);
        hub.retain(keep::retention(&config, &store, &books.ledger, archive, blobs));
        let admin = match &config.settings.admin {
            Some(settings) => {
                let state = AdminState::new(books.ledger.clone(), operate, watch.clone());
                Some(start_admin(settings, &config, with_metrics(state, metrics).await).await?)
            }
            None => None,
        };
        let watching = tokio::spawn(watch.run());
        Ok(Self { hub, admin, store, books, watching })
    }

    /// Stops in order: no new messages, sends under way end, then the store. The admin API goes on meanwhile: health says
    /// that the hub is not ready any more, and why.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let stopped = self.hub.stop().await;
        if let Some(admin) = self.admin {
            admin.shutdown().await;
        }
        self.watching.abort();
        self.books.close().await;
        self.store.close().await;
        Ok(stopped?)
    }
}

/// Records figures for `/metrics`, beside everything else of the start: the exporter compares the machine's clocks first, for
/// some 25 ms of computing.
fn record() -> JoinHandle<Option<PrometheusHandle>> {
    // One recorder for each process: a second hub in it (tests) has only the ledger's own figures.
    tokio::task::spawn_blocking(|| PrometheusBuilder::new().install_recorder().ok())
}

async fn with_metrics(state: AdminState, metrics: Option<JoinHandle<Option<PrometheusHandle>>>) -> AdminState {
    let Some(metrics) = metrics else { return state };
    match metrics.await {
        Ok(Some(metrics)) => state.with_metrics(metrics),
        _ => state,
    }
}

async fn start_admin(
    settings: &hub_core::Value,
    config: &Config,
    state: AdminState,
) -> anyhow::Result<hub_admin::Running> {
    let settings = AdminSettings::deserialize(settings).context("config/hub.yaml, `admin`")?;
    hub_admin::serve(settings, state, &config.root).await.context("the admin API cannot start")
}

/// Lets the process open as many files as it may: each connection is one, and the store must never lack one because of them.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let raised = setrlimit(Resource::Nofile, most);
        tracing::debug!(from = ?limit.current, to = ?limit.maximum, ok = raised.is_ok(), "open files");
    }
}

/// `raccordo run`
pub(crate) async fn run(config: &Path, until_stdin_closes: bool) -> anyhow::Result<()> {
    raise_open_files();
    let app = App::start(config).await?;
    for route in app.hub.operate().routes() {
        println!("route {} version {} from {}", route.name, route.version, route.source);
    }
    match &app.admin {
        Some(admin) => println!("ready; admin API at {}", admin.url()),
        None => println!("ready; no admin API configured"),
    }
    let error = tokio::select! {
        error = app.hub.failed() => Some(error),
        () = asked_to_stop() => None,
        () = stdin_closed(), if until_stdin_closes => None,
    };
    println!("stopping");
    app.stop().await?;
    match error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Completes on SIGINT or SIGTERM.
pub(crate) async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(interrupt.await),
    }
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0u8; 64];
    while matches!(stdin.read(&mut buffer).await, Ok(count) if count > 0) {}
}
