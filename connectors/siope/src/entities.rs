//! The bodies that a connection speaks for.

use hub_core::{Entities, Value};

/// A body and the identity under which SIOPE+ is called for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entity {
    /// IPA office code, `codEnte` of the interface.
    pub(crate) code: String,
    /// `idA2A` of the interface: `codice_tramite_ente` of the row.
    pub(crate) id_a2a: String,
}

/// Whether a text is an A2A identity: `A2A-` and 8 digits.
pub(crate) fn is_a2a(text: &str) -> bool {
    text.strip_prefix("A2A-").is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn is_code(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

/// The body with this code, if the connection may speak for it.
///
/// # Errors
/// Why not, and which file to look at.
pub(crate) fn find(entities: &Entities, code: &str, only: Option<&str>) -> Result<Entity, String> {
    let row = entities.get(code).ok_or_else(|| format!("entity `{code}` has no row in entities.yaml"))?;
    let id_a2a = row.get("codice_tramite_ente").and_then(Value::as_str).unwrap_or_default();
    if !is_code(code) || !is_a2a(id_a2a) {
        return Err(format!(
            "entity `{code}` of entities.yaml: the code must be 6 capitals or digits, `codice_tramite_ente` A2A- and 8 digits"
        ));
    }
    match only {
        Some(only) if only != id_a2a => {
            Err(format!("entity `{code}` belongs to {id_a2a}, but this connection speaks for {only} (`id_a2a`)"))
        }
        _ => Ok(Entity { code: code.to_string(), id_a2a: id_a2a.to_string() }),
    }
}

/// All bodies that the connection speaks for.
///
/// # Errors
/// A row that is wrong, or that there is none.
pub(crate) fn all(entities: &Entities, only: Option<&str>) -> Result<Vec<Entity>, String> {
    let theirs = |code: &&str| {
        let row = entities.get(code).and_then(|row| row.get("codice_tramite_ente")).and_then(Value::as_str);
        only.is_none() || row == only
    };
    let found =
        entities.codes().filter(theirs).map(|code| find(entities, code, only)).collect::<Result<Vec<_>, _>>()?;
    match found.is_empty() {
        true => Err(format!("entities.yaml has no entity of {}", only.unwrap_or("any A2A identity"))),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Entities {
        let row = |id: &str| json!({ "codice_tramite_ente": id });
        let rows = [("UFAAAA", row("A2A-00000001")), ("UFBBBB", row("A2A-00000002")), ("UFCCCC", row("A2A-00000001"))];
        Entities(rows.into_iter().map(|(code, row)| (code.to_string(), row)).collect())
    }

    #[test]
    fn a_connection_speaks_for_its_own_entities() {
        let codes = |only| all(&rows(), only).map(|all| all.into_iter().map(|e| e.code).collect::<Vec<_>>());
        assert_eq!(codes(None).unwrap(), ["UFAAAA", "UFBBBB", "UFCCCC"]);
        assert_eq!(codes(Some("A2A-00000001")).unwrap(), ["UFAAAA", "UFCCCC"]);
        assert!(codes(Some("A2A-00000009")).unwrap_err().contains("A2A-00000009"));
        assert!(find(&rows(), "UFBBBB", Some("A2A-00000001")).unwrap_err().contains("speaks for A2A-00000001"));
        assert!(find(&rows(), "UFZZZZ", None).unwrap_err().contains("no row"));
    }

    #[test]
    fn what_would_change_the_path_is_refused() {
        let entities = Entities([("../x".to_string(), json!({ "codice_tramite_ente": "A2A-00000001" }))].into());
        assert!(all(&entities, None).unwrap_err().contains("6 capitals"));
        let entities = Entities([("UFAAAA".to_string(), json!({}))].into());
        assert!(all(&entities, None).unwrap_err().contains("codice_tramite_ente"));
    }
}
