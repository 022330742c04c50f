//! The files of a configuration as the route language wants them, and the bundles on which messages finish.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use hub_backbone::Backbone;
use hub_core::Entities;
use hub_failpoint::{Point, at as failpoint};
use hub_route::CaseModel;
use hub_route::plan::Plan;
use hub_route::{Checked, RouteFile, World, check};
use hub_runtime::Versions;
use serde::{Deserialize, Serialize};

use crate::registry::REGISTRY;
use crate::settings::{Config, read_text};

/// Largest route file.
const ROUTE_MAX: u64 = 256 * 1024;
/// Largest file that a route may name.
const NAMED_MAX: u64 = 8 << 20;
/// Routes of one hub.
const ROUTES_MAX: usize = 500;

/// What versions are among the facts that all hubs of a log share.
pub(crate) const BUNDLES: &str = "bundle";

/// Everything that checking a route needs.
pub(crate) struct Workshop {
    pub(crate) root: PathBuf,
    pub(crate) entities: Entities,
    pub(crate) cases: CaseModel,
    names: BTreeMap<String, BTreeSet<String>>,
}

/// A version of a route: its text and every file that it names. Kept in the store until no message is on it.
#[derive(Serialize, Deserialize)]
struct Bundle {
    path: String,
    text: String,
    /// Files by name, in base 16 (schemas are text, but nobody promises that).
    files: BTreeMap<String, String>,
}

impl Workshop {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let cases = match &config.settings.cases {
            Some(path) => read_cases(&config.path(path))?,
            None => CaseModel::default(),
        };
        let names = config.named().into_iter().map(|(section, names)| (section, names.into_keys().collect())).collect();
        Ok(Self { root: config.root.clone(), entities: config.entities()?, cases, names })
    }

    /// Checks routes; files that they name are read from the configuration's folder.
    pub(crate) fn check(&self, files: &[RouteFile]) -> Checked {
        self.check_with(files, &|path| read_named(&self.root.join(path)))
    }

    fn check_with(&self, files: &[RouteFile], read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Checked {
        check(
            files,
            &World { registry: REGISTRY, entities: &self.entities, cases: &self.cases, names: &self.names, read },
        )
    }

    /// Makes the bundle of each route known to all hubs of the log, and compiles the older ones that messages may still be on.
    pub(crate) async fn keep_versions(
        &self,
        backbone: &dyn Backbone,
        files: &[RouteFile],
        current: &[Plan],
    ) -> anyhow::Result<Vec<Plan>> {
        let keys: Vec<String> = current.iter().map(|plan| version_key(&plan.route, &plan.version)).collect();
        let live: BTreeSet<&String> = keys.iter().collect();
        let known = backbone.shared(BUNDLES).await?;
        let mut older = Vec::new();
        for (key, bytes) in &known {
            if !live.contains(key) {
                older.push(self.compile(key, bytes)?);
            }
        }
        // Each file has its plan, in order: a route with errors would have ended the start.
        for (file, live) in files.iter().zip(&keys) {
            if known.iter().any(|(have, _)| have == live) {
                continue;
            }
            let (key, bundle) = self.bundle(file);
            if key != *live {
                bail!("{} or a file that it names was changed during the start: start again", file.path);
            }
            failpoint(Point::VersionsCommit);
            backbone.share(BUNDLES, &key, serde_json::to_vec(&bundle)?.into()).await?;
            failpoint(Point::VersionsCommitted);
        }
        Ok(older)
    }

    fn compile(&self, key: &str, bytes: &[u8]) -> anyhow::Result<Plan> {
        let bundle: Bundle = serde_json::from_slice(bytes).with_context(|| format!("version {key} is damaged"))?;
        let read = |path: &str| bundle.files.get(path).and_then(|text| hex::decode(text).ok());
        let file = RouteFile { path: bundle.path.clone(), text: bundle.text.clone() };
        let checked = self.check_with(std::slice::from_ref(&file), &read);
        match checked.plans.into_iter().next() {
            Some(plan) => Ok(plan),
            None => bail!(
                "messages may still be on version {key}, which this binary or configuration cannot run:\n{}",
                hub_route::render(&checked.problems, std::slice::from_ref(&file))
            ),
        }
    }

    /// A route's bundle: what its check has read.
    fn bundle(&self, file: &RouteFile) -> (String, Bundle) {
        let seen = RefCell::new(BTreeMap::new());
        let read = |path: &str| {
            let bytes = read_named(&self.root.join(path))?;
            let _ = seen.borrow_mut().insert(path.to_string(), hex::encode(&bytes));
            Some(bytes)
        };
        let checked = self.check_with(std::slice::from_ref(file), &read);
        let key = checked.plans.first().map(|plan| version_key(&plan.route, &plan.version)).unwrap_or_default();
        (key, Bundle { path: file.path.clone(), text: file.text.clone(), files: seen.into_inner() })
    }
}

/// Versions that other hubs of the log bring while this one runs.
pub(crate) struct Known {
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) backbone: Arc<dyn Backbone>,
}

#[async_trait]
impl Versions for Known {
    async fn find(&self, route: &str, version: &str) -> Result<Option<Arc<Plan>>, String> {
        let key = version_key(route, version);
        let known = self.backbone.shared(BUNDLES).await.map_err(|error| error.to_string())?;
        let Some((_, bytes)) = known.into_iter().find(|(one, _)| *one == key) else { return Ok(None) };
        let plan = self.workshop.compile(&key, &bytes).map_err(|error| format!("{error:#}"))?;
        Ok(Some(Arc::new(plan)))
    }
}

fn version_key(route: &str, version: &str) -> String {
    format!("{route}@{version}")
}

fn read_named(path: &Path) -> Option<Vec<u8>> {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= NAMED_MAX);
    small.then(|| std::fs::read(path).ok()).flatten()
}

fn read_cases(path: &Path) -> anyhow::Result<CaseModel> {
    let shown = path.display().to_string();
    let text = read_text(path, ROUTE_MAX)?;
    CaseModel::parse(&shown, &text).map_err(|problems| {
        anyhow::anyhow!("{}", hub_route::render(&problems, &[RouteFile { path: shown.clone(), text: text.clone() }]))
    })
}

/// The route files of a folder (or one file), in order of name.
pub(crate) fn route_files(path: &Path) -> anyhow::Result<Vec<RouteFile>> {
    if path.is_file() {
        return Ok(vec![route_file(path)?]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read the folder {}", path.display()))?;
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| is_route(p)).collect();
    paths.sort();
    if paths.len() > ROUTES_MAX {
        bail!("{} holds {} routes, at most {ROUTES_MAX} are allowed", path.display(), paths.len());
    }
    paths.iter().map(|path| route_file(path)).collect()
}

fn is_route(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
    yaml && !name.ends_with(".test.yaml") && !name.starts_with('.')
}

fn route_file(path: &Path) -> anyhow::Result<RouteFile> {
    Ok(RouteFile { path: path.display().to_string(), text: read_text(path, ROUTE_MAX)? })
}
