//! Text to plans, or to all problems of all files.

mod config;
mod expressions;
pub(crate) mod quoting;
mod reader;
pub(crate) mod report;
mod route;
mod scope;
mod steps;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use hub_core::Entities;
use hub_core::plugin::Registry;
use sha2::{Digest, Sha256};

use crate::cases::CaseModel;
use crate::compose;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::syntax::{self, Node, Source, Span};
pub(crate) use config::PluginSchema;
use reader::Reader;
use route::Read;

/// A file that holds a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFile {
    /// Its path, for messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What routes may name.
pub struct World<'a> {
    /// The plug-ins.
    pub registry: Registry,
    /// The rows of `config/entities.yaml`.
    pub entities: &'a Entities,
    /// `config/cases.yaml`.
    pub cases: &'a CaseModel,
    /// `config/hub.yaml`: section -> known names. A section that is not here is not checked. A section `roles` adds roles
    /// to those of the language.
    pub names: &'a BTreeMap<String, BTreeSet<String>>,
    /// Reads a file, relative to the configuration's folder.
    pub read: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("names", self.names).finish_non_exhaustive()
    }
}

/// What a check gives.
#[derive(Debug)]
pub struct Checked {
    /// The plans of the routes that have no errors, in the order of the files.
    pub plans: Vec<Plan>,
    /// All problems of all files, by file and place.
    pub problems: Vec<Problem>,
}

/// Checks files that hold one route each. Pure.
#[must_use]
pub fn check(files: &[RouteFile], world: &World<'_>) -> Checked {
    let sources: Vec<Source> = files.iter().map(|file| Source::new(&file.path, &file.text)).collect();
    let judged = Judged::default();
    let mut parts: Vec<(Reader<'_>, Option<Read>)> =
        sources.iter().map(|source| read(source, world, &judged)).collect();
    across(&mut parts);
    let mut checked = Checked { plans: Vec::new(), problems: Vec::new() };
    for (reader, read) in parts {
        let version = version(reader.report.source, &reader.files, world);
        let failed = reader.report.problems.iter().any(Problem::is_error);
        checked.problems.extend(reader.report.sorted());
        let draft = read.and_then(|read| read.draft).filter(|_| !failed);
        checked.plans.extend(draft.map(|draft| compose::plan(draft, version)));
    }
    checked.problems.sort_by(|a, b| a.key().cmp(&b.key()));
    checked
}

/// What was found out about the files that routes name, each judged once: the problem, or `None`.
type Judged = RefCell<BTreeMap<String, Option<String>>>;

fn read<'a>(source: &'a Source, world: &'a World<'a>, judged: &'a Judged) -> (Reader<'a>, Option<Read>) {
    let mut reader = Reader::new(source, world, judged);
    let root: Option<Node> = match syntax::parse(source) {
        Ok((root, problems)) => {
            reader.report.problems.extend(problems);
            Some(root)
        }
        Err(problems) => {
            reader.report.problems.extend(problems);
            None
        }
    };
    let read = root.map(|root| reader.route(&root));
    (reader, read)
}

/// What only shows when all files are read: names and paths that two routes claim, waits without answers.
fn across(parts: &mut [(Reader<'_>, Option<Read>)]) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut claims: BTreeMap<String, String> = BTreeMap::new();
    for (reader, read) in parts.iter_mut() {
        let Some(read) = read else { continue };
        claimed(reader, &mut names, read.name.as_ref(), "duplicate-route", "is the name of a route");
        claimed(reader, &mut claims, read.claim.as_ref(), "duplicate-path", "is the path of a route");
    }
    let (mut awaited, mut resumed) = (Vec::new(), Vec::new());
    for (reader, _) in parts.iter() {
        awaited.extend(reader.awaits.iter().map(|(name, _)| name.clone()));
        resumed.extend(reader.resumes.iter().map(|(name, _)| name.clone()));
    }
    parts.iter_mut().for_each(|(reader, _)| reader.check_waits(&awaited, &resumed));
}

fn claimed(
    reader: &mut Reader<'_>,
    seen: &mut BTreeMap<String, String>,
    claim: Option<&(String, Span)>,
    code: &str,
    what: &str,
) {
    let Some((name, span)) = claim else { return };
    let path = reader.report.source.path.clone();
    if let Some(first) = seen.get(name) {
        reader.report.error(*span, code, format!("`{name}` {what} in {first}, too")).hint("choose another one");
        return;
    }
    let _ = seen.insert(name.clone(), path);
}

/// The route's version: a hash of its text and of every file that it names.
fn version(source: &Source, files: &BTreeSet<String>, world: &World<'_>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(source.text.as_bytes());
    for file in files {
        part(file.as_bytes());
        part(&(world.read)(file).unwrap_or_default());
    }
    hex::encode(&hash.finalize()[..8])
}
