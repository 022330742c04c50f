//! Who may do what: the one table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A role of a person. The names are those of the routes' `role:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the hub from day to day.
    Operatore,
    /// Approves payments.
    Approvatore,
    /// Checks payments, and decides where an approver did not.
    Controllore,
    /// Writes routes.
    Integratore,
    /// Administers the hub.
    Amministratore,
    /// Reads and verifies; changes nothing.
    Revisore,
}

/// What one may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// See routes, cases, messages, tasks, documents, statistics, alarms.
    View,
    /// Read `/metrics`.
    Metrics,
    /// Say something about a task. Whether it counts is for the task's owner to judge: role, entity, requester, document.
    Decide,
    /// Decide about a parked message.
    Release,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::Operatore,
        Self::Approvatore,
        Self::Controllore,
        Self::Integratore,
        Self::Amministratore,
        Self::Revisore,
    ];

    /// Whether this role may do that.
    #[must_use]
    pub fn may(self, act: Act) -> bool {
        match act {
            Act::View => true,
            Act::Metrics => matches!(self, Self::Revisore | Self::Operatore | Self::Amministratore),
            Act::Decide => self != Self::Revisore,
            Act::Release => matches!(self, Self::Operatore | Self::Controllore | Self::Amministratore),
        }
    }

    /// The name, as routes write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operatore => "operatore",
            Self::Approvatore => "approvatore",
            Self::Controllore => "controllore",
            Self::Integratore => "integratore",
            Self::Amministratore => "amministratore",
            Self::Revisore => "revisore",
        }
    }

    /// All names, for error texts.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl Act {
    /// The roles that may, for error texts.
    pub(crate) fn roles(self) -> String {
        let roles = Role::ALL.into_iter().filter(|role| role.may(self)).map(Role::name);
        roles.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }
}
