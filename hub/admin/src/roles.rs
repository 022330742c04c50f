//! Who may do what: the one table.

use serde::{Deserialize, Serialize};

/// A role of people at an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the hub from day to day.
    Operatore,
    /// Approves payments.
    Approvatore,
    /// Looks after what went wrong, and what was escalated.
    Controllore,
    /// Writes routes.
    Integratore,
    /// Sets up the hub.
    Amministratore,
    /// Reads and verifies; changes nothing.
    Revisore,
}

/// Something that one may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Read cases, documents, tasks, messages, statistics, routes, alarms of one's entities.
    View,
    /// Say something about a task. Whether it counts (the task's role, four eyes) is judged by the task's owner.
    Decide,
    /// Decide about a parked message.
    Release,
    /// Release what is held after an old store was put back.
    Recover,
    /// Read the metrics.
    Metrics,
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

    /// The name in settings, routes and tasks.
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
}

impl Right {
    /// The roles that have this right.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        use Role::{Amministratore, Controllore, Operatore, Revisore};
        match self {
            // A task may name any role; no role stands above the one it names.
            Self::View | Self::Decide => &Role::ALL,
            Self::Release => &[Operatore, Controllore, Amministratore],
            Self::Recover => &[Controllore, Amministratore],
            Self::Metrics => &[Operatore, Amministratore, Revisore],
        }
    }

    /// Whether one of these roles has it.
    #[must_use]
    pub fn is_held_by(self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles().contains(role))
    }
}
