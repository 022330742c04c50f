//! An XSD, compiled once, judging many documents.

mod folder;
mod judge;
mod shorthand;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hub_core::Problem;
use xsd_schema::{
    EmbeddedLoader, LoaderChain, ResolverConfig, SchemaResolver, SchemaSet, SchemaSetBuilder, XsdVersion,
};

use crate::Limits;
use crate::schema::folder::{Folder, Loader, rewriter};

/// Problems that one judgement reports at most: a wrong namespace alone would give thousands.
pub const PROBLEMS_MAX: usize = 20;
/// Chain of `xs:include` and `xs:import`.
const DIRECTIVES_DEPTH_MAX: usize = 16;

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file, or its folder, cannot be read.
    #[error("schema {path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file lies outside the folder that it must be in.
    #[error("schema {path} is outside the configuration folder {folder}; copy it there")]
    Outside {
        /// The file.
        path: PathBuf,
        /// The configuration's folder.
        folder: PathBuf,
    },
    /// It is not a valid schema.
    #[error("schema {path} does not compile: {detail}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        detail: String,
    },
    /// An include or import could not be read; without it the schema would judge less than it says.
    #[error("schema {path} needs files that cannot be read: {detail}; put them beside it")]
    Missing {
        /// The file.
        path: PathBuf,
        /// Each directive that failed.
        detail: String,
    },
}

/// A compiled schema: XSD 1.0 semantics. `Send + Sync`, judging takes `&self`.
///
/// The compiler's own schema set interns the names it meets, in documents too, and so is neither shareable between
/// threads nor bounded under hostile input. A `Schema` therefore keeps a small pool of sets compiled from the same kept
/// files: a judgement borrows one, and a set that has met too many names is dropped.
pub struct Schema {
    path: PathBuf,
    folder: Arc<Folder>,
    idle: Mutex<Vec<SchemaSet>>,
    /// Names and bytes that a fresh set holds.
    fresh: (usize, usize),
    limits: Limits,
}

/// Sets that wait for their next judgement; more judgements at once compile sets for themselves.
const IDLE_MAX: usize = 8;
/// Names, and bytes of names, that documents may add to a set before it is dropped.
const NAMES_MAX: usize = 4_096;
const NAME_BYTES_MAX: usize = 1 << 20;

impl Schema {
    /// Reads and compiles the schema at `path`; it and everything it includes must lie under `folder`.
    ///
    /// # Errors
    /// See [`SchemaError`]. Nothing is ever fetched: an `http://` location is read from a file of the same name beside
    /// the schema, or fails.
    pub fn open(path: &Path, folder: &Path) -> Result<Self, SchemaError> {
        let unreadable = |cause| SchemaError::Unreadable { path: path.to_path_buf(), cause };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::compile(&bytes, path, folder)
    }

    /// Compiles a schema from bytes. `path` is where its relative locations start from, and its name in errors; it and
    /// everything included must lie under `folder`.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn compile(xsd: &[u8], path: &Path, folder: &Path) -> Result<Self, SchemaError> {
        let unreadable = |path: &Path, cause| SchemaError::Unreadable { path: path.to_path_buf(), cause };
        let root = folder.canonicalize().map_err(|e| unreadable(folder, e))?;
        let path = path.canonicalize().map_err(|e| unreadable(path, e))?;
        if !path.starts_with(&root) {
            return Err(SchemaError::Outside { path, folder: root });
        }
        let text = std::str::from_utf8(xsd.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(xsd))
            .map_err(|e| SchemaError::Invalid { path: path.clone(), detail: format!("it is not UTF-8: {e}") })?;
        let folder = Arc::new(Folder::new(root, &path, text));
        let set = build(&path, &folder)?;
        folder.seal();
        let fresh = size(&set);
        Ok(Self { path, folder, idle: Mutex::new(vec![set]), fresh, limits: Limits::default() })
    }

    /// The same schema, judging documents within other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The files it was compiled from: itself and all that it includes and imports.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.folder.files()
    }

    /// Judges a document.
    ///
    /// # Errors
    /// All that is wrong with it, at most [`PROBLEMS_MAX`]: code `xsd`, the field is the path of the element
    /// (`/flusso_ordinativi/mandato[2]/importo_mandato`), the detail names rule, line and column. A document that the
    /// limits refuse gives their one problem (codes `xml.*`).
    pub fn validate(&self, xml: &[u8]) -> Result<(), Vec<Problem>> {
        let text = crate::read(xml, &self.limits).map_err(|problem| vec![problem])?;
        let set = self.take().map_err(|e| vec![Problem::at("xsd", "", e.to_string())])?;
        let problems = judge::judge(&set, &text);
        self.give_back(set);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn take(&self) -> Result<SchemaSet, SchemaError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| build(&self.path, &self.folder), Ok)
    }

    fn give_back(&self, set: SchemaSet) {
        let (names, bytes) = size(&set);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let small = names <= self.fresh.0 + NAMES_MAX && bytes <= self.fresh.1 + NAME_BYTES_MAX;
        if small && idle.len() < IDLE_MAX {
            idle.push(set);
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("path", &self.path).field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn size(set: &SchemaSet) -> (usize, usize) {
    (set.name_table.len(), set.name_table.heap_bytes())
}

fn build(path: &Path, folder: &Arc<Folder>) -> Result<SchemaSet, SchemaError> {
    let invalid = |e: xsd_schema::SchemaError| SchemaError::Invalid { path: path.to_path_buf(), detail: e.to_string() };
    let mut builder = SchemaSetBuilder::with_resolver(resolver(folder), XsdVersion::V1_0);
    let _ = builder.try_add(&path.to_string_lossy()).map_err(invalid)?;
    let compiled = builder.compile().map_err(invalid)?;
    let failures: Vec<_> = compiled.directive_failures().iter().take(PROBLEMS_MAX).map(ToString::to_string).collect();
    if !failures.is_empty() {
        return Err(SchemaError::Missing { path: path.to_path_buf(), detail: failures.join("; ") });
    }
    Ok(compiled.into_schema_set())
}

fn resolver(folder: &Arc<Folder>) -> SchemaResolver {
    let config = ResolverConfig { max_depth: DIRECTIVES_DEPTH_MAX, ..ResolverConfig::default() };
    let mut chain = LoaderChain::new();
    chain.add(Box::new(EmbeddedLoader::new()));
    chain.add(Box::new(Loader(folder.clone())));
    let mut resolver = SchemaResolver::with_config_and_loader(config, Box::new(chain));
    resolver.catalog_mut().add_xml_catalog();
    resolver.set_location_rewriter(rewriter(folder.clone()));
    resolver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> (tempfile::TempDir, Schema) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.xsd");
        let any = "<xs:any processContents='lax' namespace='##any' maxOccurs='unbounded' minOccurs='0'/>";
        let xsd = format!(
            "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='a'><xs:complexType><xs:sequence>\
             {any}</xs:sequence></xs:complexType></xs:element></xs:schema>"
        );
        std::fs::write(&path, xsd).expect("a file");
        let schema = Schema::open(&path, folder.path()).expect("a schema");
        (folder, schema)
    }

    #[test]
    fn hostile_names_do_not_stay_in_memory() {
        let (folder, schema) = schema();
        drop(folder); // later compilations use the kept files
        for round in 0..4 {
            let names: String = (0..3_000).map(|i| format!("<n{round}x{i}/>")).collect();
            schema.validate(format!("<a>{names}</a>").as_bytes()).expect("a valid document");
            let idle = schema.idle.lock().expect("no panic");
            assert!(idle.iter().all(|set| size(set).0 <= schema.fresh.0 + NAMES_MAX));
        }
    }

    #[test]
    fn idle_sets_are_bounded() {
        let (_folder, schema) = schema();
        let sets: Vec<_> = (0..IDLE_MAX + 3).map(|_| schema.take().expect("a set")).collect();
        sets.into_iter().for_each(|set| schema.give_back(set));
        assert_eq!(schema.idle.lock().expect("no panic").len(), IDLE_MAX);
    }
}
