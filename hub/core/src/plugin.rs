//! How a plug-in declares itself: one struct that is configuration, schema and manual at once.
//!
//! An author implements [`SourceConfig`], [`StepConfig`] or [`SinkConfig`] on the configuration struct and lists it in the
//! crate's one public [`Plugin`]. `hub/cli/src/registry.rs` is the only list of plug-ins.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use crate::{Clock, Entities, Sink, Source, Step, Value};

/// A field of the configuration that is wrong, found without touching the world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct ConfigError {
    /// JSON pointer into the configuration, for example `/path`; empty for the whole.
    pub field: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

impl ConfigError {
    /// A problem at a field.
    pub fn at(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

/// Why a plug-in could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// Configuration of a source.
#[async_trait]
pub trait SourceConfig: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name in YAML, for example `http` or `siope.ack`.
    const KIND: &'static str;

    /// Whether every hub opens it: it waits for others to call (a listener), and any hub may be called. A source that polls
    /// is opened by one hub at a time, which owns its cursor.
    const EVERYWHERE: bool = false;

    /// Looks for mistakes that the types cannot express. Pure: no file, no network, no secret.
    fn check(&self) -> Vec<ConfigError> {
        Vec::new()
    }

    /// First contact with the world.
    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError>;
}

/// Configuration of a step.
#[async_trait]
pub trait StepConfig: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name in YAML, for example `validate` or `opi.build`.
    const KIND: &'static str;

    /// Whether the step only judges the message, so that it can run during admission when it stands at the beginning of
    /// a route: its problems then go back to the sender.
    const JUDGES: bool = false;

    /// Looks for mistakes that the types cannot express. Pure: no file, no network, no secret.
    fn check(&self) -> Vec<ConfigError> {
        Vec::new()
    }

    /// Files that the configuration names (schemas), relative to the configuration's folder: they are part of the route's
    /// version and `check` looks for them.
    fn files(&self) -> Vec<String> {
        Vec::new()
    }

    /// Prepares the step: reads schemas, opens keys.
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Step>, OpenError>;
}

/// Configuration of a sink.
#[async_trait]
pub trait SinkConfig: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name in YAML, for example `http` or `siope.flusso`.
    const KIND: &'static str;

    /// Looks for mistakes that the types cannot express. Pure: no file, no network, no secret.
    fn check(&self) -> Vec<ConfigError> {
        Vec::new()
    }

    /// What repeating a send means, as far as the configuration alone says: for `check --explain`.
    fn repeat(&self) -> crate::Repeat {
        crate::Repeat::Forbidden
    }

    /// First contact with the world.
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError>;
}

/// What a plug-in may use when it is opened.
#[derive(Clone)]
pub struct OpenCx {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The configuration's folder; relative paths resolve from here.
    pub root: PathBuf,
    /// The route that is being opened.
    pub route: String,
    /// Where a polling source stood ([`crate::Intake::cursor`]); `null` at first.
    pub cursor: Value,
    /// The entities the hub works for.
    pub entities: Arc<Entities>,
    /// `config/hub.yaml`: section -> name -> settings, secrets filled in. Sections: `listeners`, `connections`, `keys`.
    pub named: Arc<HashMap<String, HashMap<String, Value>>>,
    /// Things that several routes share (a listener's socket, a connection pool).
    pub shared: Arc<Shared>,
}

impl OpenCx {
    /// The settings under `section`/`name`, typed.
    ///
    /// # Errors
    /// If the name is unknown (the known ones are listed) or the settings do not fit; secrets are never quoted.
    pub fn settings<T: DeserializeOwned>(&self, section: &str, name: &str) -> Result<T, OpenError> {
        let names = self.named.get(section);
        let value = names.and_then(|names| names.get(name)).ok_or_else(|| {
            let mut known: Vec<_> = names.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            known.sort_unstable();
            OpenError(format!("config/hub.yaml has no `{section}.{name}`; known: {}", known.join(", ")))
        })?;
        T::deserialize(value).map_err(|e| OpenError(format!("config/hub.yaml, `{section}.{name}`: {e}")))
    }

    /// A path of the configuration, resolved from its folder.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        if path.is_absolute() { path.to_path_buf() } else { self.root.join(path) }
    }
}

impl fmt::Debug for OpenCx {
    /// Shows no settings: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenCx").field("route", &self.route).field("root", &self.root).finish_non_exhaustive()
    }
}

/// Things that plug-ins share by type and name, made once.
#[derive(Default)]
pub struct Shared(Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>);

impl Shared {
    /// The thing of this type and name; `make` makes it the first time. `make` must not call `Shared` again.
    ///
    /// # Errors
    /// Whatever `make` says.
    pub fn get_or_make<T: Send + Sync + 'static>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<T, OpenError>,
    ) -> Result<Arc<T>, OpenError> {
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (TypeId::of::<T>(), name.to_string());
        if let Some(thing) = things.get(&key).and_then(|thing| thing.clone().downcast::<T>().ok()) {
            return Ok(thing);
        }
        let thing = Arc::new(make()?);
        let _ = things.insert(key, thing.clone());
        Ok(thing)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// A configuration that has been read and checked, ready to be opened.
#[async_trait]
pub trait Opens<T: ?Sized>: Send + Sync {
    /// First contact with the world.
    async fn open(&self, cx: &OpenCx) -> Result<T, OpenError>
    where
        T: Sized;
}

/// What reading a configuration gives.
pub struct Parsed<T> {
    /// The configuration, ready to be opened.
    pub opens: Box<dyn Opens<T>>,
    /// What [`SourceConfig::check`] and its siblings found.
    pub problems: Vec<ConfigError>,
    /// Files it names.
    pub files: Vec<String>,
    /// What repeating means (sinks).
    pub repeat: crate::Repeat,
}

impl<T> fmt::Debug for Parsed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("problems", &self.problems).finish_non_exhaustive()
    }
}

/// A role of a plug-in, erased: its name, its schema and its parser.
#[derive(Clone, Copy)]
pub struct Def<T: 'static> {
    /// The name in YAML.
    pub kind: &'static str,
    /// See [`StepConfig::JUDGES`]; `false` for sources and sinks.
    pub judges: bool,
    /// See [`SourceConfig::EVERYWHERE`]; `false` for steps and sinks.
    pub everywhere: bool,
    /// The JSON schema of the configuration, doc comments included.
    pub schema: fn() -> Schema,
    /// Reads a configuration.
    pub parse: fn(&Value) -> Result<Parsed<T>, String>,
}

impl<T> fmt::Debug for Def<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Def({})", self.kind)
    }
}

/// A source, erased.
pub type SourceDef = Def<Box<dyn Source>>;
/// A step, erased.
pub type StepDef = Def<Arc<dyn Step>>;
/// A sink, erased.
pub type SinkDef = Def<Arc<dyn Sink>>;

/// Carries a typed configuration behind [`Opens`].
struct Typed<C>(C);

macro_rules! erase {
    ($config:ident, $out:ty, $judges:expr, $everywhere:expr, $files:expr, $repeat:expr) => {
        #[async_trait]
        impl<C: $config> Opens<$out> for Typed<C> {
            async fn open(&self, cx: &OpenCx) -> Result<$out, OpenError> {
                self.0.open(cx).await
            }
        }

        impl Def<$out> {
            /// The definition of configuration `C`.
            #[must_use]
            pub const fn of<C: $config>() -> Self {
                fn parse<C: $config>(value: &Value) -> Result<Parsed<$out>, String> {
                    let config = C::deserialize(value).map_err(|e| e.to_string())?;
                    let (problems, files, repeat) = (config.check(), ($files)(&config), ($repeat)(&config));
                    Ok(Parsed { opens: Box::new(Typed(config)), problems, files, repeat })
                }
                Self {
                    kind: C::KIND,
                    judges: $judges,
                    everywhere: $everywhere,
                    schema: || schemars::schema_for!(C),
                    parse: parse::<C>,
                }
            }
        }
    };
}

erase!(SourceConfig, Box<dyn Source>, false, C::EVERYWHERE, |_: &C| Vec::new(), |_: &C| crate::Repeat::Forbidden);
erase!(StepConfig, Arc<dyn Step>, C::JUDGES, false, C::files, |_: &C| crate::Repeat::Harmless);
erase!(SinkConfig, Arc<dyn Sink>, false, false, |_: &C| Vec::new(), C::repeat);

/// Everything that one crate adds to the hub.
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// The crate's subject.
    pub name: &'static str,
    /// Its sources.
    pub sources: &'static [SourceDef],
    /// Its steps.
    pub steps: &'static [StepDef],
    /// Its sinks.
    pub sinks: &'static [SinkDef],
}

/// All plug-ins of a binary.
#[derive(Clone, Copy, Debug)]
pub struct Registry(pub &'static [Plugin]);

impl Registry {
    /// All sources.
    pub fn sources(&self) -> impl Iterator<Item = &'static SourceDef> {
        self.0.iter().flat_map(|plugin| plugin.sources)
    }
    /// All steps.
    pub fn steps(&self) -> impl Iterator<Item = &'static StepDef> {
        self.0.iter().flat_map(|plugin| plugin.steps)
    }
    /// All sinks.
    pub fn sinks(&self) -> impl Iterator<Item = &'static SinkDef> {
        self.0.iter().flat_map(|plugin| plugin.sinks)
    }
}
