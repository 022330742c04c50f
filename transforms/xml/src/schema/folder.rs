//! Where schema files may come from: the configuration's folder, and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::schema::shorthand::shorten;

use xsd_schema::{LocationRequest, SchemaError, SchemaLoader, SchemaResolver, SchemaResult};

/// A schema file's size.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// The files of one schema: read from the folder while it is compiled for the first time, kept from then on, so that
/// each later compilation gives the same schema whatever happens on disk.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    texts: BTreeMap<PathBuf, Arc<str>>,
    sealed: bool,
}

impl Folder {
    /// `root` is canonical; `texts` are files that are already known.
    pub(super) fn new(root: PathBuf, path: &Path, text: &str) -> Self {
        let texts = BTreeMap::from([(path.to_path_buf(), Arc::from(shorten(text)))]);
        Self { root, kept: Mutex::new(Kept { texts, sealed: false }) }
    }

    /// From here on only files that were read before exist.
    pub(super) fn seal(&self) {
        self.kept().sealed = true;
    }

    /// The files read so far.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.kept().texts.keys().cloned().collect()
    }

    /// Nothing panics while the lock is held; a poisoned one still holds whole entries.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, path: &Path) -> bool {
        let kept = self.kept();
        kept.texts.contains_key(path) || (!kept.sealed && path.is_file())
    }

    fn text(&self, path: &Path) -> SchemaResult<Arc<str>> {
        let mut kept = self.kept();
        if let Some(text) = kept.texts.get(path) {
            return Ok(text.clone());
        }
        if kept.sealed {
            return Err(SchemaError::resolution(format!("{} was not part of the schema", path.display())));
        }
        let canonical = path.canonicalize()?;
        if !canonical.starts_with(&self.root) {
            let detail = format!("{} is outside the configuration folder", path.display());
            return Err(SchemaError::resolution(detail));
        }
        let text: Arc<str> = read(&canonical)?.into();
        let _ = kept.texts.insert(path.to_path_buf(), text.clone());
        Ok(text)
    }
}

fn read(path: &Path) -> SchemaResult<String> {
    if path.metadata()?.len() > SCHEMA_BYTES_MAX {
        return Err(SchemaError::resolution(format!("{} has more than {SCHEMA_BYTES_MAX} bytes", path.display())));
    }
    let text = std::fs::read_to_string(path)?;
    // Official schemas come with a byte order mark; the parser does not expect one.
    Ok(shorten(text.strip_prefix('\u{FEFF}').unwrap_or(&text)).into_owned())
}

/// Hands a folder's files to the compiler.
#[derive(Debug)]
pub(super) struct Loader(pub(super) Arc<Folder>);

impl SchemaLoader for Loader {
    fn load(&self, location: &str) -> SchemaResult<String> {
        self.0.text(Path::new(location)).map(|text| text.to_string())
    }

    fn can_load(&self, _location: &str) -> bool {
        true
    }
}

/// Official schemas import each other by `http://` locations; the copy lies beside the schema that imports it.
pub(super) fn beside(folder: &Folder, request: &LocationRequest<'_>) -> Option<String> {
    let remote = ["http://", "https://"].iter().any(|scheme| request.location.starts_with(scheme));
    let name = request.location.rsplit('/').next().filter(|name| remote && !name.is_empty())?;
    let copy = Path::new(request.base_uri).parent()?.join(name);
    folder.has(&copy).then(|| copy.to_string_lossy().into_owned())
}

/// The same as a rewriter of locations.
pub(super) fn rewriter(
    folder: Arc<Folder>,
) -> impl Fn(&LocationRequest<'_>, &SchemaResolver) -> Option<String> + Send + Sync {
    move |request, _| beside(&folder, request)
}
