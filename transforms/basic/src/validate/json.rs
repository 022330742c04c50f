//! A JSON Schema, judging bodies.

use std::fmt;
use std::path::{Path, PathBuf};

use hub_core::{Problem, Value, read_json};
use jsonschema::Validator;

use crate::validate::PROBLEMS_MAX;
use crate::validate::explain::explain;

/// A schema file's size.
const SCHEMA_BYTES_MAX: usize = 4 << 20;
/// Characters of a number. Judging `1e999999999` exactly would build a number of a billion digits.
const NUMBER_CHARS_MAX: usize = 64;
/// Size of a number's exponent.
const EXPONENT_MAX: u32 = 64;

/// A compiled schema.
pub(super) struct JsonJudge {
    path: PathBuf,
    schema: Value,
    validator: Validator,
    bytes_max: usize,
}

impl JsonJudge {
    /// Reads and compiles a schema, draft 2020-12.
    pub(super) fn open(path: &Path, bytes_max: usize) -> Result<Self, String> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|e| format!("schema {shown} cannot be read: {e}"))?;
        let schema = read_json(&bytes, SCHEMA_BYTES_MAX).map_err(|e| format!("schema {shown}: {e}"))?;
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .offline()
            .build(&schema)
            .map_err(|e| format!("schema {shown} does not compile at `{}`: {e}", e.instance_path()))?;
        Ok(Self { path: path.to_path_buf(), schema, validator, bytes_max })
    }

    /// Judges a body: code `json` if it cannot be read, code `json-schema` for each problem.
    pub(super) fn judge(&self, body: &[u8]) -> Result<(), Vec<Problem>> {
        let value = read_json(body, self.bytes_max).map_err(|e| vec![Problem::at("json", "", e)])?;
        plain_numbers(&value, &mut String::new()).map_err(|problem| vec![problem])?;
        let errors = self.validator.iter_errors(&value);
        let problems: Vec<_> = errors.flat_map(|error| explain(&self.schema, &error)).take(PROBLEMS_MAX).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl fmt::Debug for JsonJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonJudge")
            .field("path", &self.path)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

/// Refuses numbers that only exhaust the reader. `read_json` bounds the depth of this recursion.
fn plain_numbers(value: &Value, pointer: &mut String) -> Result<(), Problem> {
    match value {
        Value::Number(number) if !is_plain(&number.to_string()) => {
            let detail = format!(
                "number has more than {NUMBER_CHARS_MAX} characters or an exponent beyond {EXPONENT_MAX}; write it plainly"
            );
            Err(Problem::at("json", pointer.clone(), detail))
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, item)| within(pointer, &at.to_string(), item))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| within(pointer, name, item)),
        _ => Ok(()),
    }
}

fn within(pointer: &mut String, name: &str, item: &Value) -> Result<(), Problem> {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    let result = plain_numbers(item, pointer);
    pointer.truncate(length);
    result
}

fn is_plain(number: &str) -> bool {
    let exponent = number.split_once(['e', 'E']).map(|(_, exponent)| exponent.trim_start_matches(['+', '-']));
    number.len() <= NUMBER_CHARS_MAX
        && exponent.is_none_or(|digits| digits.parse::<u32>().is_ok_and(|exponent| exponent <= EXPONENT_MAX))
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_absurd_numbers_are_refused() {
        for plain in ["0", "-12.50", "1e3", "1.5E-10", "999999999999999.99", &"9".repeat(64)] {
            assert!(is_plain(plain), "{plain}");
        }
        for absurd in ["1e65", "1E-999999999", "1e99999999999999999999", &"9".repeat(65)] {
            assert!(!is_plain(absurd), "{absurd}");
        }
    }
}
