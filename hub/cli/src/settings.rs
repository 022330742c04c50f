//! `config/hub.yaml`: what differs between a laptop and an authority.

mod blobs;
mod ledger;
mod retention;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use hub_admin::AlarmSettings;
use hub_core::{Bytesize, Entities, Value};
use hub_kafka::KafkaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) use blobs::BlobSettings;
pub(crate) use ledger::LedgerSettings;
pub(crate) use retention::RetentionSettings;

/// Largest configuration file.
const FILE_MAX: u64 = 1 << 20;
/// Largest secret file.
const SECRET_MAX: u64 = 64 * 1024;

/// The whole of `config/hub.yaml`. Every key has a default, so that a first hub needs none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Folder of the store, relative to the configuration's folder.
    pub(crate) data: PathBuf,
    /// The durable log.
    pub(crate) backbone: BackboneSettings,
    /// Where large bodies and documents stand; without it, below `data`.
    pub(crate) blobs: Option<BlobSettings>,
    /// Where the ledger stands, if not with the backbone.
    pub(crate) ledger: Option<LedgerSettings>,
    /// Folder of the routes; each `*.yaml` (not `*.test.yaml`) in it is one route.
    pub(crate) routes: PathBuf,
    /// The entities that the hub works for.
    pub(crate) entities: Option<PathBuf>,
    /// Kinds of cases and their states.
    pub(crate) cases: Option<PathBuf>,
    /// Listeners by name (see the `http` source).
    pub(crate) listeners: HashMap<String, Value>,
    /// Connections by name (see the connectors).
    pub(crate) connections: HashMap<String, Value>,
    /// Signing keys by name (see `sign.xades`).
    pub(crate) keys: HashMap<String, Value>,
    /// The admin API.
    pub(crate) admin: Option<Value>,
    /// Limits.
    pub(crate) limits: LimitSettings,
    /// When to raise alarms.
    pub(crate) alarms: AlarmSettings,
    /// How long what is kept.
    pub(crate) retention: RetentionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: "../data".into(),
            backbone: BackboneSettings::default(),
            blobs: None,
            ledger: None,
            routes: "../routes".into(),
            entities: None,
            cases: None,
            listeners: HashMap::new(),
            connections: HashMap::new(),
            keys: HashMap::new(),
            admin: None,
            limits: LimitSettings::default(),
            alarms: AlarmSettings::default(),
            retention: RetentionSettings::default(),
        }
    }
}

/// The durable log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BackboneSettings {
    /// One SQLite file on this machine.
    Embedded(EmbeddedSettings),
    /// A Kafka cluster.
    Kafka(Box<KafkaSettings>),
}

impl Default for BackboneSettings {
    fn default() -> Self {
        Self::Embedded(EmbeddedSettings::default())
    }
}

/// One SQLite file on this machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EmbeddedSettings {
    /// The file, relative to `data`.
    pub(crate) path: PathBuf,
    /// Partitions of each topic; fixed when the store is made.
    pub(crate) partitions: u16,
    /// The anchor: how far the log goes, written down at a second path, best on another disk. Relative to the configuration's
    /// folder; without it, beside the folder `data`.
    pub(crate) anchor: Option<PathBuf>,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self { path: "raccordo.db".into(), partitions: 4, anchor: None }
    }
}

/// Limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitSettings {
    /// Largest message that is admitted.
    pub(crate) body: Bytesize,
    /// Messages that may wait in one inbox partition before senders are asked to wait.
    pub(crate) backlog: u64,
    /// Outbound messages without a receipt that may wait in one outbox partition before senders are asked to wait.
    pub(crate) unsent: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { body: Bytesize(4 << 20), backlog: 50_000, unsent: 250_000 }
    }
}

/// A configuration with the folder it stands in.
pub(crate) struct Config {
    pub(crate) root: PathBuf,
    pub(crate) settings: Settings,
}

impl Config {
    /// Reads `hub.yaml` and fills in secrets.
    pub(crate) fn load(file: &Path) -> anyhow::Result<Self> {
        Self::read(file, true)
    }

    /// Reads `hub.yaml` as it stands: checking routes needs names, not secrets.
    pub(crate) fn load_names(file: &Path) -> anyhow::Result<Self> {
        Self::read(file, false)
    }

    fn read(file: &Path, secrets: bool) -> anyhow::Result<Self> {
        let root = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
        let mut value: Value = read_yaml(file)?;
        if value.is_null() {
            value = Value::Object(serde_json::Map::new());
        }
        if secrets {
            fill_secrets(&mut value, &root, "")?;
        }
        let settings = Settings::deserialize(value).with_context(|| format!("{} is wrong", file.display()))?;
        settings.retention.check().with_context(|| format!("{} is wrong", file.display()))?;
        Ok(Self { root, settings })
    }

    /// A path of the configuration, resolved from its folder.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        if path.is_absolute() { path.to_path_buf() } else { self.root.join(path) }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path(&self.settings.data)
    }

    /// The settings of the embedded store: what works on its file asks for them.
    pub(crate) fn embedded(&self) -> anyhow::Result<&EmbeddedSettings> {
        match &self.settings.backbone {
            BackboneSettings::Embedded(embedded) => Ok(embedded),
            BackboneSettings::Kafka(kafka) => bail!(
                "this is about the embedded store, and the configuration names Kafka (`backbone.kafka`, prefix {}): there, \
                 copies, retention and proofs are the cluster's; see docs/kafka.md",
                kafka.prefix
            ),
        }
    }

    /// The database file of the embedded store.
    pub(crate) fn store(&self) -> anyhow::Result<PathBuf> {
        Ok(self.data().join(&self.embedded()?.path))
    }

    /// Where the ledger stands, if it has a store of its own by the configuration's word.
    pub(crate) fn ledger(&self) -> Option<&LedgerSettings> {
        self.settings.ledger.as_ref()
    }

    /// The folder of large bodies and documents.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.data().join("blobs")
    }

    /// The folder of sealed journal segments.
    pub(crate) fn archive(&self) -> PathBuf {
        self.data().join(&self.settings.retention.journal.archive)
    }

    /// Where the anchor of the store is written.
    pub(crate) fn anchor(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.embedded()?.anchor {
            return Ok(self.path(path));
        }
        let data = std::path::absolute(self.data()).context("the folder `data` cannot be named")?;
        let name = data.file_name().unwrap_or(std::ffi::OsStr::new("data"));
        let mut name = name.to_owned();
        name.push(".anchor");
        Ok(data.with_file_name(name))
    }

    pub(crate) fn entities(&self) -> anyhow::Result<Entities> {
        match &self.settings.entities {
            Some(path) => Ok(Entities(read_yaml(&self.path(path))?)),
            None => Ok(Entities::default()),
        }
    }

    /// The named settings that plug-ins may ask for.
    pub(crate) fn named(&self) -> HashMap<String, HashMap<String, Value>> {
        let settings = &self.settings;
        [("listeners", &settings.listeners), ("connections", &settings.connections), ("keys", &settings.keys)]
            .into_iter()
            .map(|(section, names)| (section.to_string(), names.clone()))
            .collect()
    }
}

/// Reads a YAML file into a value or a struct.
pub(crate) fn read_yaml<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = read_text(file, FILE_MAX)?;
    serde_saphyr::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))
}

/// Reads a text file within a limit.
pub(crate) fn read_text(file: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let meta = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    if meta.len() > bytes_max {
        bail!("{} has {} bytes, at most {bytes_max} are allowed", file.display(), meta.len());
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Replaces `${env:NAME}` and `${file:PATH}` in all texts. Errors name the place, never the value.
fn fill_secrets(value: &mut Value, root: &Path, at: &str) -> anyhow::Result<()> {
    match value {
        Value::String(text) => {
            if let Some(filled) = secret(text, root).with_context(|| format!("config/hub.yaml, `{at}`"))? {
                *text = filled;
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                fill_secrets(item, root, &format!("{at}[{index}]"))?;
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                fill_secrets(field, root, &at)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn secret(text: &str, root: &Path) -> anyhow::Result<Option<String>> {
    let Some(reference) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else { return Ok(None) };
    match reference.split_once(':') {
        Some(("env", name)) => {
            let value = std::env::var(name);
            Ok(Some(value.with_context(|| format!("environment variable {name} is not set"))?))
        }
        Some(("file", path)) => {
            let path = root.join(path);
            Ok(Some(read_text(&path, SECRET_MAX)?.trim_end().to_string()))
        }
        _ => bail!("`${{{reference}}}` is not a reference; write `${{env:NAME}}` or `${{file:PATH}}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hub.yaml");
        std::fs::write(&file, "").unwrap();
        let config = Config::load(&file).unwrap();
        assert!(config.data().ends_with("data"));
    }

    #[test]
    fn secrets_come_from_files_and_never_show_in_errors() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hub.yaml");
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        std::fs::write(&file, "connections: { a: { token: \"${file:token}\" } }\n").unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.settings.connections["a"]["token"], "s3cret");
        std::fs::write(&file, "connections: { a: { token: \"${file:missing}\" } }\nnonsense: 1\n").unwrap();
        let error = format!("{:#}", Config::load(&file).err().unwrap());
        assert!(error.contains("connections.a.token"), "{error}");
    }

    #[test]
    fn the_anchor_stands_beside_the_data() {
        let config = |data: &str, anchor: Option<&str>| {
            let embedded = EmbeddedSettings { anchor: anchor.map(Into::into), ..EmbeddedSettings::default() };
            let backbone = BackboneSettings::Embedded(embedded);
            let settings = Settings { data: data.into(), backbone, ..Settings::default() };
            Config { root: "/hub/config".into(), settings }.anchor().unwrap()
        };
        assert_eq!(config("/srv/data", None), PathBuf::from("/srv/data.anchor"));
        assert_eq!(config("/srv/data/.", None), PathBuf::from("/srv/data.anchor"));
        assert_eq!(config("/srv/data", Some("/other/a")), PathBuf::from("/other/a"));
        assert_eq!(config("data", Some("a")), PathBuf::from("/hub/config/a"));
    }

    #[test]
    fn unknown_keys_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hub.yaml");
        std::fs::write(&file, "rutes: x\n").unwrap();
        let error = format!("{:#}", Config::load(&file).err().unwrap());
        assert!(error.contains("rutes"), "{error}");
    }
}
