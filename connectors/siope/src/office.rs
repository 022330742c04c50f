//! On whose behalf a call is made.

use hub_core::Entities;

/// A body (`codEnte`) and the technical identity that speaks for it (`idA2A`): the first two parts of every path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Office {
    pub(crate) a2a: String,
    pub(crate) ente: String,
}

impl Office {
    /// The office of one entity.
    pub(crate) fn of(entities: &Entities, code: &str) -> Result<Self, String> {
        let row =
            entities.get(code).ok_or_else(|| format!("entity `{code}` does not stand in config/entities.yaml"))?;
        let a2a = row.get("codice_tramite_ente").and_then(|value| value.as_str());
        let a2a = a2a.ok_or_else(|| format!("entity `{code}` has no `codice_tramite_ente` in config/entities.yaml"))?;
        for part in [code, a2a] {
            if part.is_empty() || part.len() > 64 || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(format!("`{}` cannot stand in an address of SIOPE+", part.escape_debug()));
            }
        }
        Ok(Self { a2a: a2a.into(), ente: code.into() })
    }

    /// The offices of all entities that SIOPE+ serves (those with a `codice_tramite_ente`).
    pub(crate) fn all(entities: &Entities) -> Result<Vec<Self>, String> {
        let served = |code: &&str| entities.get(code).is_some_and(|row| row.get("codice_tramite_ente").is_some());
        let offices: Vec<_> =
            entities.codes().filter(served).map(|code| Self::of(entities, code)).collect::<Result<_, _>>()?;
        if offices.is_empty() {
            return Err("no entity in config/entities.yaml has a `codice_tramite_ente`".into());
        }
        Ok(offices)
    }

    /// `idA2A/PA/codEnte`.
    pub(crate) fn path(&self) -> String {
        format!("{}/PA/{}", self.a2a, self.ente)
    }

    /// The name in cursors.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.a2a, self.ente)
    }
}
