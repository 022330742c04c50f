//! Validation against an XML Schema, as SIOPE+ does while the upload waits.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use xsd_schema::validation::{CollectingValidationSink, SchemaValidator, ValidationFlags, drive_quick_xml};
use xsd_schema::xml::ParseLimits;
use xsd_schema::{SchemaSet, SchemaSetBuilder};

use super::document;

/// How many schema errors a refusal names.
const ERRORS_NAMED: usize = 5;

/// A compiled schema. Its tables are filled while validating, so one document is validated at a time.
pub(crate) struct Schema(Mutex<SchemaSet>);

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

impl Schema {
    /// Reads and compiles the schema at `path`; the error says why it cannot.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let base = path.to_string_lossy();
        let compiled = SchemaSetBuilder::new()
            .add_source(&text, &base)
            .and_then(SchemaSetBuilder::compile)
            .map_err(|e| e.to_string())?;
        if let Some(missing) = compiled.directive_failures().first() {
            return Err(format!("cannot read what it includes: {:?}", missing.schema_location()));
        }
        Ok(Self(Mutex::new(compiled.into_schema_set())))
    }

    /// All problems in one text, or nothing when the document is valid.
    pub(crate) fn problems(&self, xml: &str) -> Option<String> {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = SchemaValidator::new(&set, ValidationFlags::default());
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let sink = CollectingValidationSink { errors: &mut errors, warnings: &mut warnings };
        let mut runtime = validator.start_run(sink);
        runtime.set_parse_limits(ParseLimits::none().with_max_depth(document::DEPTH_MAX).with_max_attributes(64));
        let driven = drive_quick_xml(xml.as_bytes(), &mut runtime, &set);
        drop(runtime);
        if let Err(broken) = driven {
            return Some(broken.to_string());
        }
        if errors.is_empty() {
            return None;
        }
        let named: Vec<String> = errors
            .iter()
            .take(ERRORS_NAMED)
            .map(|e| match e.instance_path() {
                Some(path) => format!("{e} at {}", path.to_string().replace("Q{}", "")),
                None => e.to_string(),
            })
            .collect();
        Some(format!("{} schema error(s): {}", errors.len(), named.join("; ")))
    }
}
