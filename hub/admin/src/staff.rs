//! The people who may ask, and how they are recognised.

use std::sync::Arc;

use hub_ledger::Visible;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::problem::Problem;
use crate::settings::TokenSettings;
use crate::{Right, Role};

/// Somebody who showed a token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    entities: Option<Vec<String>>,
}

impl Person {
    /// The rows they may see.
    pub(crate) fn visible(&self) -> Visible {
        self.entities.clone().map_or(Visible::All, Visible::Only)
    }

    /// The entities they work for; empty: all (the settings refuse an empty list).
    pub(crate) fn entities(&self) -> Vec<String> {
        self.entities.clone().unwrap_or_default()
    }

    pub(crate) fn role_names(&self) -> Vec<String> {
        self.roles.iter().map(|role| role.name().to_string()).collect()
    }

    /// Refuses what their roles do not allow.
    pub(crate) fn must(&self, right: Right) -> Result<(), Problem> {
        if right.is_held_by(&self.roles) {
            return Ok(());
        }
        let needed: Vec<_> = right.roles().iter().map(|role| role.name()).collect();
        let detail = format!(
            "this needs one of the roles {}; {} has {}",
            needed.join(", "),
            self.name,
            self.role_names().join(", ")
        );
        Err(Problem::forbidden("role", detail))
    }
}

/// All who may ask. Tokens themselves are not kept, only their hashes.
pub(crate) struct Staff(Vec<([u8; 32], Arc<Person>)>);

impl Staff {
    pub(crate) fn new(tokens: &[TokenSettings]) -> Self {
        let of = |token: &TokenSettings| {
            let person = Person {
                name: token.person.trim().to_string(),
                roles: token.roles.clone(),
                entities: token.entities.clone(),
            };
            (hash(token.token.expose()), Arc::new(person))
        };
        Self(tokens.iter().map(of).collect())
    }

    /// Whose token it is. Takes the same time whichever token is shown: all are compared, by their hashes.
    pub(crate) fn person(&self, token: &str) -> Option<Arc<Person>> {
        let shown = hash(token);
        let mut found = u32::MAX;
        for (index, (known, _)) in (0u32..).zip(&self.0) {
            let same: Choice = known.ct_eq(&shown);
            found.conditional_assign(&index, same);
        }
        self.0.get(usize::try_from(found).ok()?).map(|(_, person)| person.clone())
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
