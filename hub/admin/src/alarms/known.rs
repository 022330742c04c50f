//! Every alarm there is.

/// An alarm that the hub can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Stable name; also the heading of its section in `docs/runbook.md`.
    pub name: &'static str,
    /// What it means, in a few words.
    pub means: &'static str,
    /// The first thing to do, in one line.
    pub first: &'static str,
}

/// All alarms, the most urgent first.
pub const KNOWN: [Known; 15] = [
    one("store-failed", "the store cannot be used any more", "keep the files, read the hub's log, start the hub again"),
    one("store", "the hub has lost its store or cannot read it", "read the hub's log, then start the hub again"),
    one(
        "disk-full",
        "the disk is full: nothing is taken or sent",
        "make room on the store's disk; the hub goes on by itself",
    ),
    one("recovery", "the store may be older than what was sent", "raccordo recover; release lane by lane"),
    one("anchor", "the anchor of the store cannot be trusted", "mend the path of `backbone.embedded.anchor`"),
    one("in-doubt", "nobody knows whether a send happened", "raccordo dead list; ask the receiver, then decide"),
    one("parked", "messages wait for a person", "raccordo dead list; raccordo dead show ID"),
    one("deadline", "a task or a wait is about to run out", "raccordo tasks list; remind whoever has to decide"),
    one("disk-low", "the disk is nearly full", "make room, or give the store a larger disk"),
    one("ledger", "the ledger does not follow the journal", "see that its database answers; read the hub's log"),
    one("clock", "the wall clock cannot be believed", "mend the machine's time (chronyc tracking)"),
    one("backlog", "work comes in faster than it goes out", "raccordo status; find the slow step or the dead receiver"),
    one("source", "a route does not take messages", "raccordo status; mend what its source needs"),
    one("store-busy", "another program holds the database", "end the program that has the store open"),
    one("retention", "old records are not being removed", "read the hub's log; see docs/retention.md"),
];

const fn one(name: &'static str, means: &'static str, first: &'static str) -> Known {
    Known { name, means, first }
}

/// The alarm of this name.
pub(crate) fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}
